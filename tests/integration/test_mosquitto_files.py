"""What ``gateway broker-config mosquitto`` writes, with a real Mosquitto."""

import json
import os
import pwd
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from device_agent import DeviceAgent
from gateway.broker_config.mosquitto import PACKET_BYTES_MAX
from gateway.broker_roles import CONTROL_ANSWER_TOPIC, CONTROL_TOPIC
from gateway.rows import Put
from gateway.run import running
from gateway.settings import load
from sync_protocol import limits
from tests.eventually import eventually
from tests.gateway.mqtt_probe import Probe, Raw, Will, connect
from tests.integration.brokers import Mosquitto, agent_tls, run_gateway
from tests.open_folder import open_folder

pytestmark = pytest.mark.mosquitto

FEED, OTHER = "contacts", "tasks"
KINDS = ("dynamic-security", "files")
KILLS = 8
MARK = b"the last"
# RFC 4346, section 7.4.1.2: no extension says that it knows a later one.
_HELLO_OF_TLS_1_1 = bytes.fromhex(
    "160302002f 0100002b 0302" + 32 * "00" + "00 0004 c013 002f 01 00"
)


class World:
    """A broker and a gateway, and devices that come and go as an operator would have them do."""

    def __init__(self, broker: Mosquitto, *, by_hand: bool) -> None:
        self.broker = broker
        self._by_hand = by_hand
        self._stack = ExitStack()
        settings = load(broker.settings_file, api_port=0)
        self.gateway = self._stack.enter_context(running(settings))
        assert self.gateway.connected
        for feed in (FEED, OTHER):
            self.gateway.service.add_feed(feed)
        self.devices = self.gateway.service.devices

    def close(self) -> None:
        self._stack.close()

    def tell(self) -> None:
        """What the operator does after each change where the gateway cannot do it."""
        if self._by_hand:
            self.broker.configure()
            self.broker.reload()

    def add(self, device: str) -> Probe:
        """Enrol a device with one of the two feeds; a client with its password."""
        password = self.devices.add(device, [FEED])
        self.tell()
        return self.broker.probe(device, password)

    def as_gateway(self) -> Probe:
        """A client with the gateway's account, in the place of the gateway, which is gone then."""
        self.close()
        return self.broker.probe("gateway", self.broker.password)


@contextmanager
def a_world(folder: Path, kind: str) -> Iterator[World]:
    folder.mkdir()
    with Mosquitto(folder, "--accounts", kind) as broker:
        world = World(broker, by_hand=kind == "files")
        yield world
        world.close()


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    # Configurations of Mosquitto know no quotes.
    with a_world(tmp_path / "a folder", request.param) as made:
        yield made


def test_a_device_syncs(world: World, tmp_path: Path) -> None:
    service = world.gateway.service
    password = world.devices.add("phone", [FEED])
    world.tell()
    service.apply(FEED, Put("a", b"card", "contact", "text/vcard"))
    agent = DeviceAgent(
        "phone",
        feeds=[FEED],
        host=world.gateway.broker_host,
        port=world.broker.port,
        password=password,
        tls=agent_tls(service.settings),
        data_dir=tmp_path / "phone",
    )
    with agent:
        agent.sync(20)
        service.apply(FEED, Put("b", b"card", "contact", "text/vcard"))
        assert eventually(lambda: agent.counts.get("pushes", 0) == 1)


def heard_by(probe: Probe, speaker: Probe) -> list[str]:
    """The topics of what it is sent before something that it may hear in any case."""
    own = f"sync/v1/{probe.user}/{FEED}/notify"
    probe.subscribe(own)
    speaker.publish(own, MARK)
    return [heard.topic for heard in probe.hear_until(MARK)]


def test_a_device_hears_its_own_topics_only(world: World) -> None:
    tab, phone = world.add("tab"), world.add("phone")
    with world.as_gateway() as gateway, tab, phone:
        for topic in (
            "#", "+/+/+/+/+", "sync/v1/#", "sync/v1/phone/#", "sync/v1/+/+/notify",
            f"sync/v1/phone/{FEED}/notify", f"sync/v1/phone/{FEED}/response",
            f"sync/v1/phone/{FEED}/request", "sync/v1/phone/status", "$share/a/sync/v1/+/+/notify",
            f"sync/v1/tab/{OTHER}/notify", f"sync/v1/tab/{FEED}/request", "sync/v1/tab/status",
            "$SYS/#", CONTROL_ANSWER_TOPIC, "$CONTROL/#",
        ):  # fmt: skip
            # With accounts in files Mosquitto takes any subscription, and asks its rules later.
            tab.subscribe(topic)
        for topic in (
            f"sync/v1/phone/{FEED}/notify",
            f"sync/v1/phone/{FEED}/response",
            f"sync/v1/tab/{OTHER}/notify",
        ):
            gateway.publish(topic, b"not for it")
        phone.publish(f"sync/v1/phone/{FEED}/request", b"not for it")
        phone.publish("sync/v1/phone/status", b"online", retain=True)
        # Only what a subscription with a wildcard has of its own.
        own = {f"sync/v1/tab/{FEED}/notify", "sync/v1/gateway/status"}
        assert set(heard_by(tab, gateway)) <= own


def test_a_device_speaks_on_its_own_topics_only(world: World) -> None:
    tab, phone = world.add("tab"), world.add("phone")
    with world.as_gateway() as gateway, tab, phone:
        gateway.subscribe("sync/v1/+/+/request", "sync/v1/+/status")
        phone.subscribe(f"sync/v1/phone/{FEED}/notify", f"sync/v1/phone/{FEED}/response")
        for topic in (
            f"sync/v1/phone/{FEED}/request", "sync/v1/phone/status", "sync/v1/gateway/status",
            f"sync/v1/phone/{FEED}/notify", f"sync/v1/phone/{FEED}/response",
            f"sync/v1/tab/{OTHER}/request", f"sync/v1/tab/{FEED}/notify", "sync/v1/tab/x/status",
            "other", CONTROL_TOPIC,
        ):  # fmt: skip
            tab.publish(topic, b"forged")
            tab.publish(topic, b"forged and kept", retain=True)
        tab.publish(f"sync/v1/tab/{FEED}/request", MARK)
        assert not [it for it in gateway.hear_until(MARK) if it.payload.startswith(b"forged")]
        assert heard_by(phone, gateway) == []


def test_a_will_on_a_topic_of_another_is_not_published(world: World) -> None:
    password, phone = world.devices.add("tab", [FEED]), world.add("phone")
    tab = world.broker.probe("tab", password, will=Will("sync/v1/phone/status"))
    with world.as_gateway() as gateway, phone:
        gateway.subscribe("sync/v1/+/+/request", "sync/v1/+/status")
        with tab:
            tab.vanish()
        phone.publish("sync/v1/phone/status", MARK)
        heard = gateway.hear_until(MARK)
        assert ("sync/v1/phone/status", b"offline") not in [(it.topic, it.payload) for it in heard]


def test_nobody_takes_the_place_of_another_by_its_client_id(world: World) -> None:
    with world.add("phone") as phone:
        password = world.devices.add("tab", [FEED])
        world.tell()
        with world.broker.probe("tab", password, client_id="phone") as tab:
            tab.publish(f"sync/v1/tab/{FEED}/request")
            phone.publish(f"sync/v1/phone/{FEED}/request")
            assert not phone.has_ended


@pytest.mark.parametrize("change", ["remove", "rotate"])
def test_a_device_that_is_connected_is_shut_out(world: World, change: str) -> None:
    password = world.devices.add("phone", [FEED])
    with world.add("tab") as tab, world.broker.probe("phone", password) as phone:
        if change == "remove":
            world.devices.remove("phone")
        else:
            world.devices.rotate("phone")
        world.tell()
        phone.wait_until_ended()
        assert not tab.has_ended
    assert world.broker.probe("phone", password).connect() == "Not authorized"


def test_who_does_not_come_in(world: World) -> None:
    broker = world.broker
    for user, password in (
        ("gateway", "wrong"), ("gateway", ""), ("phone", "x"), ("", ""), ("#", "x"), (None, None)
    ):  # fmt: skip
        probe = broker.probe(user, password)
        assert probe.connect() == "Not authorized", user
        probe.close()
    # Without TLS, and with too old a one.
    for hello in (connect("gateway", broker.password), _HELLO_OF_TLS_1_1):
        with Raw(broker.port) as raw:
            raw.send(hello)
            assert raw.receive(2) not in (b"\x20\x02", b"\x16\x03")


def test_the_certificate_is_renewed_while_devices_are_connected(world: World) -> None:
    def serial() -> object:
        with (
            socket.create_connection(("127.0.0.1", world.broker.port)) as plain,
            world.broker.tls().wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            certificate = connection.getpeercert()
            assert certificate is not None
            return certificate["serialNumber"]

    with world.add("phone") as phone:
        before = serial()
        world.broker.configure()
        world.broker.reload()
        assert eventually(lambda: serial() != before)
        phone.publish(f"sync/v1/phone/{FEED}/request")
        assert not phone.has_ended


def test_the_largest_answer_comes_through_and_more_is_refused(world: World) -> None:
    with world.add("phone") as phone, world.as_gateway() as gateway:
        topic = f"sync/v1/phone/{FEED}/response"
        phone.subscribe(topic)
        largest = bytes(limits.ANSWER_BYTES_MAX)
        gateway.publish(topic, largest)
        assert phone.hear().payload == largest
        phone.publish_many([(f"sync/v1/phone/{FEED}/request", bytes(PACKET_BYTES_MAX))])
        phone.wait_until_ended()


def test_it_starts_without_a_complaint(world: World) -> None:
    log = world.broker.log()
    for word in ("Error", "Unknown", "deprecated", "Unable"):
        assert word not in log
    assert [it.name for it in world.broker.folder.rglob("*.conf")] == ["mosquitto.conf"]


# What the plugin is asked


def ask(gateway: Probe, number: int, command: str, **values: object) -> None:
    asked = {"command": command, "correlationData": str(number), **values}
    gateway.publish(CONTROL_TOPIC, json.dumps({"commands": [asked]}).encode(), qos=0)


def test_asked_very_often_the_broker_goes_on(tmp_path: Path) -> None:
    """With a memory_limit, 2.0.11 would count wrong and turn everybody away."""
    with Mosquitto(tmp_path) as broker, broker.probe("gateway", broker.password) as gateway:
        gateway.subscribe(CONTROL_ANSWER_TOPIC)
        for number in range(300):
            ask(gateway, number, "listRoles", verbose=True)
            assert b"error" not in gateway.hear().payload


def test_a_broker_killed_while_it_writes_accounts_lets_all_devices_in_again(
    tmp_path: Path,
) -> None:
    """2.0.11 writes them in place, and then knows nobody: the command makes them anew."""
    broker = Mosquitto(tmp_path)
    broker.start()
    with running(load(broker.settings_file, api_port=0)) as gateway:
        gateway.service.add_feed(FEED)
        password = gateway.service.devices.add("phone", [FEED])
    for kill in range(KILLS):
        with broker.probe("gateway", broker.password) as gateway:
            gateway.subscribe(CONTROL_ANSWER_TOPIC)
            for number in range(200):
                ask(gateway, number, "createClient", username=f"user-{kill}-{number}")
            for _ in range(kill):
                gateway.hear()
            broker.kill()
        broker.configure()
        broker.start()
        for user, its_password in (("gateway", broker.password), ("phone", password)):
            with broker.probe(user, its_password):
                pass
    broker.stop()


@pytest.mark.parametrize("text", [b"", b'{"roles": ['])
def test_accounts_as_such_a_kill_leaves_them(tmp_path: Path, text: bytes) -> None:
    with Mosquitto(tmp_path) as broker:
        broker.kill()
        (broker.folder / "dynamic-security.json").write_bytes(text)
        broker.start()
        assert broker.probe("gateway", broker.password).connect() == "Not authorized"
        broker.kill()
        broker.configure()
        broker.start()
        assert broker.probe("gateway", broker.password).connect() == "Success"


# Certificates of clients


def test_clients_need_a_certificate_and_a_password(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, "--require-certificates") as broker:
        settings = load(broker.settings_file, api_port=0)
        with running(settings) as gateway:
            assert gateway.connected
            gateway.service.add_feed(FEED)
            passwords = {it: gateway.service.devices.add(it, [FEED]) for it in ("phone", "tab")}
        run_gateway(
            "broker-config", "client-certificate", "--out", broker.folder, "--name", "phone"
        )
        with_certificate = broker.tls()
        clients = broker.folder / "clients"
        with_certificate.load_cert_chain(clients / "phone.crt", clients / "phone.key")

        def answer(user: str, password: str) -> str:
            probe = Probe(broker.port, user, password, tls=with_certificate)
            try:
                return probe.connect()
            finally:
                probe.close()

        assert answer("phone", passwords["phone"]) == "Success"
        for user, password in (("phone", "x"), ("tab", passwords["phone"]), ("gateway", "x")):
            assert answer(user, password) == "Not authorized"
        # TLS 1.3 tells a client only after its side of the handshake is done.
        with (
            Raw(broker.port, tls=broker.tls()) as raw,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            raw.receive(1)


# Root


def test_started_by_root_it_becomes_an_account_that_can_do_all_it_must() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another account")
    account = pwd.getpwnam("mosquitto")
    with open_folder() as folder, Mosquitto(folder, user=None) as broker:
        assert Path(f"/proc/{broker.pid}").stat().st_uid == account.pw_uid
        with running(load(broker.settings_file, api_port=0)) as gateway:
            gateway.service.add_feed(FEED)
            password = gateway.service.devices.add("phone", [FEED])
        broker.stop()
        assert (broker.folder / "mosquitto.db").stat().st_uid == account.pw_uid
        broker.start()
        with broker.probe("phone", password) as phone:
            phone.publish(f"sync/v1/phone/{FEED}/request")
