"""The embedded broker, attacked over real sockets."""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from gateway import embedded_broker
from gateway.embedded_broker import BrokerError, EmbeddedBroker
from sync_protocol.topics import Topics
from tests.gateway.mqtt_probe import (
    PATIENCE_SECONDS,
    Heard,
    Probe,
    Raw,
    Will,
    packet,
    text,
)
from tests.gateway.test_access import NO_TOPICS, SUBSCRIBES, TOPICS, USERS, WILDCARDS

TOPICS_OF = Topics()
REQUESTS = TOPICS_OF.all_requests
STATUSES = TOPICS_OF.all_statuses
NOTIFY = "sync/v1/phone/mail/notify"
REQUEST = "sync/v1/phone/mail/request"
STATUS = "sync/v1/phone/status"
GATEWAY_STATUS = "sync/v1/gateway/status"


def password_of(user: str) -> str:
    return f"the password of {user}"


def authenticate(user: str, password: str) -> bool:
    return user in (*USERS, "watch") and password == password_of(user)


class Events(Counter[str]):
    """Counts what the broker reports, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def count(self, name: str) -> None:
        with self._changed:
            self[name] += 1
            self._changed.notify_all()

    def wait_for(self, name: str, times: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self[name] >= times, PATIENCE_SECONDS), self


def make_broker(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    authenticate: Callable[[str, str], bool] = authenticate,
    connections_max: int = 100,
    count: Callable[[str], None] = lambda _: None,
) -> EmbeddedBroker:
    return EmbeddedBroker(
        host=host,
        port=port,
        topics=TOPICS_OF,
        authenticate=authenticate,
        connections_max=connections_max,
        count=count,
    )


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def broker(events: Events) -> Iterator[EmbeddedBroker]:
    with make_broker(count=events.count) as broker:
        yield broker


def enter(broker: EmbeddedBroker, user: str, *, will: Will | None = None) -> Probe:
    return Probe(broker.port, user, password_of(user), will=will)


def prove_that_it_serves(broker: EmbeddedBroker) -> None:
    """A request of one device and a notification to another one arrive."""
    with enter(broker, "gateway") as gateway, enter(broker, "tablet") as tablet:
        gateway.subscribe(REQUESTS)
        tablet.subscribe("sync/v1/tablet/+/notify")
        tablet.publish("sync/v1/tablet/mail/request", b"request")
        assert gateway.hear().payload == b"request"
        gateway.publish("sync/v1/tablet/mail/notify", b"push", qos=0)
        assert tablet.hear().payload == b"push"


class TestLogin:
    @pytest.mark.parametrize(
        ("user", "password"),
        [
            ("gateway", "wrong"),
            ("gateway", ""),
            ("gateway", None),
            ("phone", "wrong"),
            ("phone", password_of("tablet")),
            ("phone", password_of("phone") + "\0"),
            ("phone", None),
            ("stranger", "secret"),
            ("+", password_of("+")),
            ("", ""),
            (None, None),
        ],
    )
    def test_is_refused(
        self, broker: EmbeddedBroker, events: Events, user: str | None, password: str | None
    ) -> None:
        probe = Probe(broker.port, user, password)
        assert probe.connect() in ("Not authorized", "Client identifier not valid")
        probe.wait_until_ended()
        probe.close()
        events.wait_for("logins_refused")

    @pytest.mark.parametrize("client_id", ["tablet", "gateway", "phone-2", "Phone", "phone/1"])
    def test_is_refused_under_another_client_id(
        self, broker: EmbeddedBroker, client_id: str
    ) -> None:
        probe = Probe(broker.port, "phone", password_of("phone"), client_id=client_id)
        assert probe.connect() == "Client identifier not valid"
        probe.close()

    def test_is_refused_while_the_check_of_passwords_fails(self, events: Events) -> None:
        broken = threading.Event()

        def check(user: str, password: str) -> bool:
            if broken.is_set():
                raise OSError("the disk is full")
            return authenticate(user, password)

        with make_broker(authenticate=check, count=events.count) as broker:
            broken.set()
            probe = enter(broker, "phone")
            assert probe.connect() == "Server unavailable"
            probe.close()
            broken.clear()
            prove_that_it_serves(broker)

    def test_blocks_nobody_while_it_is_slow(self) -> None:
        slow_logins = threading.Semaphore(0)
        release = threading.Event()
        at_once: list[int] = []

        def check(user: str, password: str) -> bool:
            assert threading.current_thread().name.startswith("mqtt-login")
            if user == "tablet":
                at_once.append(1)
                slow_logins.release()
                assert release.wait(PATIENCE_SECONDS)
            return authenticate(user, password)

        with (
            make_broker(authenticate=check) as broker,
            enter(broker, "gateway") as gateway,
            enter(broker, "phone") as phone,
        ):
            gateway.subscribe(REQUESTS)
            probes = [enter(broker, "tablet") for _ in range(4)]
            threads = [threading.Thread(target=probe.connect) for probe in probes]
            for thread in threads:
                thread.start()
            for _ in range(embedded_broker.LOGINS_AT_ONCE):
                assert slow_logins.acquire(timeout=PATIENCE_SECONDS)
            phone.publish(REQUEST, b"meanwhile")
            assert gateway.hear().payload == b"meanwhile"
            assert len(at_once) == embedded_broker.LOGINS_AT_ONCE
            release.set()
            for thread, probe in zip(threads, probes, strict=True):
                thread.join(PATIENCE_SECONDS)
                probe.close()

    def test_with_mqtt_5_is_refused_and_hurts_nobody(self, broker: EmbeddedBroker) -> None:
        probe = Probe(
            broker.port, "phone", password_of("phone"), protocol=MQTTProtocolVersion.MQTTv5
        )
        assert probe.connect() == "Unsupported protocol version"
        probe.close()
        prove_that_it_serves(broker)

    def test_with_a_wrong_password_leaves_the_owner_alone(self, broker: EmbeddedBroker) -> None:
        will = Will(STATUS, b"offline", retain=True)
        with enter(broker, "gateway") as gateway, enter(broker, "phone", will=will) as phone:
            gateway.subscribe(REQUESTS, STATUSES)
            phone.subscribe("sync/v1/phone/+/notify")
            for clean_session in (True, False):
                thief = Probe(broker.port, "phone", "guessed", clean_session=clean_session)
                assert thief.connect() == "Not authorized"
                thief.close()
            gateway.publish(NOTIFY, b"push", qos=0)
            assert phone.hear().payload == b"push"
            phone.publish(REQUEST, b"request")
            assert gateway.hear_until(b"request") == []
            assert not phone.has_ended

    def test_of_the_owner_ends_its_last_connection_first(self, broker: EmbeddedBroker) -> None:
        will = Will(STATUS, b"offline", retain=True)
        with enter(broker, "gateway") as gateway, enter(broker, "phone", will=will) as before:
            gateway.subscribe(REQUESTS, STATUSES)
            before.subscribe("sync/v1/phone/+/notify")
            before.publish(STATUS, b"online", retain=True)
            with enter(broker, "phone") as now:
                before.wait_until_ended()
                now.publish(STATUS, b"online", retain=True)
                now.subscribe("sync/v1/phone/+/notify")
                gateway.publish(NOTIFY, b"push", qos=0)
                assert now.hear().payload == b"push"
                now.publish(REQUEST, b"end")
                heard = [heard.payload for heard in gateway.hear_until(b"end")]
                assert heard == [b"online", b"offline", b"online"]

    def test_of_many_at_once(self, broker: EmbeddedBroker) -> None:
        """Everybody has a retained status, connects and subscribes at the same time."""
        names = [f"device-{number}" for number in range(24)]
        with make_broker(authenticate=lambda _, password: password == "right") as crowded:
            probes = [Probe(crowded.port, name, "right") for name in names]
            everybody = threading.Barrier(len(names))

            def live(name: str, probe: Probe) -> None:
                for _ in range(3):
                    everybody.wait(PATIENCE_SECONDS)
                    with Probe(crowded.port, name, "right") as probe:
                        probe.publish(f"sync/v1/{name}/status", b"online", retain=True)
                        granted = probe.subscribe(
                            f"sync/v1/{name}/+/notify", f"sync/v1/{name}/+/response", GATEWAY_STATUS
                        )
                        assert granted == [1, 1, 1]

            failures = run_all([(live, (n, p)) for n, p in zip(names, probes, strict=True)])
            assert failures == []
