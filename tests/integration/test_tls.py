"""Gateway and agent with a broker that speaks TLS, and with brokers that they must not talk to."""

import contextlib
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agent import AgentError, DeviceAgent, SyncFailedError, SyncTimeoutError, Tls
from gateway.broker_config.plugin import find_program
from gateway.rows import Put
from gateway.run import RunError, Running, running
from gateway.settings import load
from programs.tls_context import TlsSocket
from tests.certificates import LONG_AGO, ca_der, ca_file, certificate, pair, server_context
from tests.device_agent.peers import PASSWORD, Embedded
from tests.eventually import PATIENCE_S, eventually
from tests.integration.brokers import free_port, listens
from tests.tls_front import TlsFront, answering

FEED = "contacts"
# Soon, where somebody waits for a minute.
SOON_S = 10.0


@pytest.fixture
def broker() -> Iterator[Embedded]:
    """Without TLS; it lets in whoever has the password."""
    made = Embedded()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def front(broker: Embedded) -> Iterator[TlsFront]:
    with TlsFront(server_context(), broker.port) as made:
        yield made


@pytest.fixture
def make_agent(tmp_path: Path) -> Callable[..., DeviceAgent]:
    def make(port: int, tls: Tls | None, **others: Any) -> DeviceAgent:  # noqa: ANN401 - any of its options
        options: dict[str, Any] = {"host": "localhost", "data_dir": tmp_path / "agent"}
        options |= {"feeds": [FEED], "password": PASSWORD, "port": port, "tls": tls}
        return DeviceAgent("phone", **(options | others))

    return make


@pytest.fixture
def make_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., contextlib.AbstractContextManager[Running]]:
    # Whoever waits for a wrong broker waits for nothing.
    monkeypatch.setattr("gateway.run.EXTERNAL_CONNECT_S_MAX", 0.2)
    password = tmp_path / "gateway.password"
    password.touch(0o600)
    password.write_text(PASSWORD)

    def make(port: int, **others: object) -> contextlib.AbstractContextManager[Running]:
        options: dict[str, Any] = {"data_dir": tmp_path / "gateway", "api_port": 0}
        options |= {"broker_host": "localhost", "broker_port": port, "broker_tls": "on"}
        options |= {"broker_password_file": password}
        return running(load(**(options | others)))

    return make


MakeAgent = Callable[..., DeviceAgent]
MakeGateway = Callable[..., contextlib.AbstractContextManager[Running]]


def sync_one(gateway: Running, agent: DeviceAgent) -> None:
    """Put something, and have it come to the device."""
    gateway.service.add_feed(FEED)
    gateway.service.devices.add("phone", [FEED])
    gateway.service.apply(FEED, Put("ada", b"BEGIN:VCARD", "contact", "text/vcard"))
    with agent:
        agent.sync(PATIENCE_S)
        assert agent.counts["answers taken"] >= 1


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[TlsSocket]:
    """Those of all handshakes that were done."""
    done: list[TlsSocket] = []
    handshake = TlsSocket.do_handshake

    def noted(sock: TlsSocket, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in ssl
        handshake(sock, block)
        done.append(sock)

    monkeypatch.setattr(TlsSocket, "do_handshake", noted)
    return done


def test_an_item_goes_from_the_gateway_to_a_device(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    sockets: list[TlsSocket],
    front: TlsFront,
    make_gateway: MakeGateway,
    make_agent: MakeAgent,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with make_gateway(front.port, broker_ca_file=ca_file(tmp_path)) as gateway:
        assert gateway.service.wait_connected(PATIENCE_S)
        agent = make_agent(front.port, Tls(mode="on", ca=ca_der()))
        sync_one(gateway, agent)
        # The gateway's is still open. Without it each round trip would take 40 ms.
        assert sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert len(sockets) == 2
    assert front.versions == ["TLSv1.3", "TLSv1.3"]
    assert [it.message for it in caplog.records if it.levelno >= logging.WARNING] == []


WRONG = {
    "wrong CA": (certificate("localhost", signed_by="another"), "is not signed by a CA in"),
    "expired": (certificate("localhost", expires=LONG_AGO), "its certificate has expired"),
    "wrong host": (certificate("other.example.org"), "is for other.example.org, not for localhost"),
}


@pytest.mark.parametrize(
    "name", ["wrong CA", *(pytest.param(it, marks=pytest.mark.slow) for it in list(WRONG)[1:])]
)
class TestABrokerThatIsNotTheRightOne:
    @pytest.fixture
    def wrong(self, broker: Embedded, name: str) -> Iterator[TlsFront]:
        with TlsFront(server_context(WRONG[name][0]), broker.port) as made:
            yield made

    def test_a_sync_fails_soon_and_says_why(
        self, tmp_path: Path, wrong: TlsFront, make_agent: MakeAgent, name: str
    ) -> None:
        began = time.monotonic()
        agent = make_agent(wrong.port, Tls(mode="on", ca_file=ca_file(tmp_path)))
        with agent, pytest.raises(SyncFailedError) as failed:
            agent.sync(60)
        assert not isinstance(failed.value, SyncTimeoutError)
        assert time.monotonic() - began < SOON_S
        assert f"no connection to the broker at localhost:{wrong.port}: " in str(failed.value)
        assert WRONG[name][1] in str(failed.value)
        assert wrong.bytes_came == 0

    def test_the_gateway_tells_it_among_its_problems(
        self,
        tmp_path: Path,
        wrong: TlsFront,
        make_gateway: MakeGateway,
        name: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with make_gateway(wrong.port, broker_ca_file=ca_file(tmp_path)) as gateway:
            assert not gateway.connected
            assert eventually(lambda: WRONG[name][1] in " ".join(gateway.service.problems()))
        told = [it.message for it in caplog.records if it.levelno >= logging.WARNING]
        assert len(told) == 1  # however often it tries
        assert f"no connection to the broker at localhost:{wrong.port}: its cert" in told[0]


@pytest.mark.slow
def test_an_agent_tries_on_and_says_a_reason_once(
    tmp_path: Path, front: TlsFront, make_agent: MakeAgent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    front.context = server_context(certificate("localhost", expires=LONG_AGO))
    agent = make_agent(front.port, Tls(mode="on", ca_file=ca_file(tmp_path)))
    with agent:
        assert eventually(lambda: agent.counts.get("connects failed", 0) >= 2)
        assert eventually(lambda: agent.hindrance_lasts)
        front.context = server_context()
        assert eventually(lambda: agent.counts.get("connects") == 1)
        assert not agent.hindrance_lasts
        assert agent.failure is None
    told = [it.message for it in caplog.records if it.name.startswith("device_agent")]
    assert len(told) == 2
    assert "has expired" in told[0]
    assert told[1] == f"connected to the broker at localhost:{front.port}"


@pytest.mark.slow
def test_insecure_is_said_at_each_connect(
    tmp_path: Path,
    front: TlsFront,
    make_gateway: MakeGateway,
    make_agent: MakeAgent,
    caplog: pytest.LogCaptureFixture,
) -> None:
    front.context = server_context(certificate("other.example.org", signed_by="another"))
    options = {"broker_ca_file": ca_file(tmp_path), "broker_insecure": True}
    with make_gateway(front.port, **options) as gateway:
        assert gateway.service.wait_connected(PATIENCE_S)
        agent = make_agent(front.port, Tls(mode="on", insecure=True))
        sync_one(gateway, agent)

        def warned(by: str) -> int:
            return sum(
                it.name == f"{by}.mqtt" and "connecting without verifying the broker" in it.message
                for it in caplog.records
            )

        assert (warned("gateway"), warned("device_agent")) == (1, 1)
        front.drop()
        assert eventually(lambda: warned("gateway") == 2)
    assert any("(broker_insecure = true)" in it.message for it in caplog.records)
    assert any("(insecure = true)" in it.message for it in caplog.records)


class TestPlainText:
    def test_to_another_machine_is_refused_before_anything_is_sent(
        self, make_gateway: MakeGateway, make_agent: MakeAgent
    ) -> None:
        # 192.0.2.0/24 is nobody's (RFC 5737).
        with pytest.raises(AgentError, match=r'tls = "off".*insecure = true'):
            make_agent(1883, Tls(mode="off"), host="192.0.2.1")
        with (
            pytest.raises(RunError, match=r'broker_tls = "off".*broker_insecure = true'),
            make_gateway(1883, broker_host="192.0.2.1", broker_tls="off"),
        ):
            pass

    def test_where_tls_is_expected(
        self, tmp_path: Path, broker: Embedded, make_agent: MakeAgent
    ) -> None:
        agent = make_agent(broker.port, Tls(mode="on", ca_file=ca_file(tmp_path)))
        with agent, pytest.raises(SyncTimeoutError) as failed:
            agent.sync(1)
        assert f"maybe it does not speak TLS on its port {broker.port}" in str(failed.value)

    def test_and_the_reverse(
        self, front: TlsFront, make_gateway: MakeGateway, make_agent: MakeAgent
    ) -> None:
        why = f'is its port {front.port} one for TLS ({{}}tls = "on")?'
        agent = make_agent(front.port, None)
        with agent, pytest.raises(SyncTimeoutError) as failed:
            agent.sync(1)
        assert why.format("") in str(failed.value)
        with make_gateway(front.port, broker_tls="auto") as gateway:
            assert eventually(lambda: why.format("broker_") in " ".join(gateway.service.problems()))


@pytest.mark.slow
class TestABrokerThatHangsInTheHandshake:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.mqtt.CONNECT_S_MAX", 0.2)
        monkeypatch.setattr("device_agent.mqtt.CONNECT_S_MAX", 0.2)

    def test_is_tried_again_and_left(
        self, tmp_path: Path, make_gateway: MakeGateway, make_agent: MakeAgent
    ) -> None:
        with answering(None) as port:
            agent = make_agent(port, Tls(mode="on", ca_file=ca_file(tmp_path)))
            with agent:
                assert eventually(lambda: agent.counts.get("connects failed", 0) >= 2)
                assert "it answered nothing to the TLS handshake" in agent.hindrance
                assert not agent.hindrance_lasts
            with make_gateway(port, broker_ca_file=ca_file(tmp_path)) as gateway:
                assert eventually(
                    lambda: "answered nothing" in " ".join(gateway.service.problems())
                )
                began = time.monotonic()
            assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("key", ["broker_ca_file", "broker_cert_file"])
def test_a_file_that_is_not_there(tmp_path: Path, make_gateway: MakeGateway, key: str) -> None:
    files = {key: tmp_path / "none.pem"}
    if key == "broker_cert_file":
        files["broker_key_file"] = tmp_path / "none.key"
    with (
        pytest.raises(RunError, match=f"{key} {tmp_path}/none.pem cannot be read: No such file"),
        make_gateway(8883, **files),
    ):
        pass


@pytest.fixture
def sync_command(
    tmp_path: Path, front: TlsFront
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """``device-agent sync`` with more options, as a process."""
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text(PASSWORD)
    command = [sys.executable, "-m", "device_agent", "sync", "--id", "phone", "--feed", FEED]
    command += ["--broker", f"localhost:{front.port}", "--data", str(tmp_path / "data")]
    command += ["--password-file", str(password), "--timeout", "2"]

    def run(*more: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *map(str, more)],
            env={"TALLYSYNC_AGENT_TLS": "on"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


SyncCommand = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_command_says_what_is_wrong(
    tmp_path: Path, front: TlsFront, sync_command: SyncCommand
) -> None:
    failed = sync_command("--ca-file", ca_file(tmp_path, "another"))
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(
        f"error: no connection to the broker at localhost:{front.port}: its certificate is not"
        f" signed by a CA in ca_file {tmp_path}"
    )


@pytest.mark.slow
def test_the_command_says_that_it_is_insecure(sync_command: SyncCommand) -> None:
    insecure = sync_command("--insecure")
    assert "WARNING connecting without verifying the broker (insecure = true)" in insecure.stderr
    assert "is a gateway connected" in insecure.stderr  # none is there


@contextlib.contextmanager
def mosquitto(folder: Path, *lines: str) -> Iterator[int]:
    """The port of a real one that lets everybody in who comes by TLS as `lines` have it."""
    program = find_program()
    if program is None:
        pytest.skip("there is no mosquitto here: 'apt install mosquitto' brings it")
    port = free_port()
    config = folder / "mosquitto.conf"
    first = [f"listener {port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true"]
    config.write_text("\n".join([*first, "user root", *lines, ""]))
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    try:
        assert eventually(lambda: listens(port)), (folder / "mosquitto.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.mosquitto
class TestMosquitto:
    """The real one, with mutual TLS."""

    @pytest.fixture
    def port(self, tmp_path: Path) -> Iterator[int]:
        folder = tmp_path / "broker"
        folder.mkdir()
        cert, key = pair(folder, certificate("localhost"))
        files = [f"cafile {ca_file(folder)}", f"certfile {cert}", f"keyfile {key}"]
        with mosquitto(folder, *files, "require_certificate true") as port:
            yield port

    @pytest.fixture
    def own(self, tmp_path: Path) -> dict[str, Path]:
        cert, key = pair(tmp_path, certificate("phone.example.org"))
        return {"ca_file": ca_file(tmp_path), "cert_file": cert, "key_file": key}

    def test_with_certificates(
        self, port: int, own: dict[str, Path], make_gateway: MakeGateway, make_agent: MakeAgent
    ) -> None:
        with make_gateway(port, **{f"broker_{key}": path for key, path in own.items()}) as gateway:
            assert gateway.service.wait_connected(PATIENCE_S)
            sync_one(gateway, make_agent(port, Tls(mode="on", **own)))  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("signed_by", "why"),
        [
            (None, "it wants a certificate of who connects, see cert_file and key_file"),
            ("another", "it does not accept cert_file"),
        ],
    )
    def test_with_no_certificate_or_a_wrong_one(
        self, tmp_path: Path, port: int, make_agent: MakeAgent, signed_by: str | None, why: str
    ) -> None:
        tls = Tls(mode="on", ca_file=ca_file(tmp_path))
        if signed_by is not None:
            cert, key = pair(tmp_path, certificate("phone", signed_by=signed_by))
            tls = Tls(mode="on", ca_file=tls.ca_file, cert_file=cert, key_file=key)
        agent = make_agent(port, tls)
        with agent, pytest.raises(SyncFailedError) as failed:
            agent.sync(SOON_S)
        assert why in str(failed.value)
        assert not isinstance(failed.value, SyncTimeoutError)

    def test_plain_text_where_it_expects_tls(self, port: int, make_agent: MakeAgent) -> None:
        agent = make_agent(port, None)
        with agent, pytest.raises(SyncTimeoutError, match=f"is its port {port} one for TLS"):
            agent.sync(2)

    def test_tls_where_it_expects_plain_text(self, tmp_path: Path, make_agent: MakeAgent) -> None:
        tls = Tls(mode="on", ca_file=ca_file(tmp_path))
        with (
            mosquitto(tmp_path) as port,
            make_agent(port, tls) as agent,
            pytest.raises(SyncTimeoutError, match="does not speak TLS on its port"),
        ):
            agent.sync(2)
