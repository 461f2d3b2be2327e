"""The embedded broker, attacked over real sockets."""

import asyncio
import contextlib
import itertools
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from paho.mqtt.enums import MQTTProtocolVersion

from gateway import broker_gate, broker_packets
from gateway.embedded_broker import LOG_LINES_BURST, BrokerError, EmbeddedBroker
from gateway.login_backoff import FREE_FAILURES
from sync_protocol import limits
from sync_protocol.topics import Topics
from tests.gateway.mqtt_probe import (
    PATIENCE_SECONDS,
    Heard,
    Probe,
    Raw,
    Will,
    connect,
    packet,
    text,
)
from tests.gateway.test_access import (
    NO_TOPICS,
    PUBLISHES,
    RECEIVES,
    SUBSCRIBES,
    TOPICS,
    USERS,
    WILDCARDS,
)

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
    return user in USERS and password == password_of(user)


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
            ThreadPoolExecutor() as pool,
        ):
            gateway.subscribe(REQUESTS)
            probes = [Probe(broker.port, "tablet", "wrong") for _ in range(4)]
            answers = [pool.submit(probe.connect) for probe in probes]
            for _ in range(broker_gate.LOGINS_AT_ONCE):
                assert slow_logins.acquire(timeout=PATIENCE_SECONDS)
            phone.publish(REQUEST, b"meanwhile")
            assert gateway.hear().payload == b"meanwhile"
            assert len(at_once) == broker_gate.LOGINS_AT_ONCE
            release.set()
            assert {answer.result() for answer in answers} == {"Not authorized"}
            for probe in probes:
                probe.close()

    def test_is_refused_unseen_after_too_many_wrong_passwords(self, events: Events) -> None:
        seen: Counter[str] = Counter()

        def check(user: str, password: str) -> bool:
            seen[f"{user} {password}"] += 1
            return authenticate(user, password)

        with make_broker(authenticate=check, count=events.count) as broker:
            seen.clear()
            with enter(broker, "phone"):
                pass
            for user in ("phone", "stranger"):
                for _ in range(FREE_FAILURES + 3):
                    probe = Probe(broker.port, user, "guess")
                    assert probe.connect() == "Not authorized"
                    probe.close()
                assert seen[f"{user} guess"] == FREE_FAILURES
            # Neither the device itself nor another one is kept out.
            prove_that_it_serves(broker)
            with enter(broker, "phone"):
                pass

    def test_of_the_gateway_is_looked_at_whatever_was_tried_before(
        self, broker: EmbeddedBroker
    ) -> None:
        for _ in range(FREE_FAILURES + 3):
            with Raw(broker.port) as stranger:
                stranger.send(connect("gateway", "guess"))
                assert stranger.receive(4) == b"\x20\x02\0\5"
        with enter(broker, "gateway"):
            pass

    def test_of_one_user_is_refused_when_it_connects_too_often(self, events: Events) -> None:
        seen: Counter[str] = Counter()

        def check(user: str, password: str) -> bool:
            seen[user] += 1
            return authenticate(user, password)

        with make_broker(authenticate=check, count=events.count) as broker:
            for _ in range(broker_gate.CONNECTS_PER_MINUTE_MAX + 20):
                with Raw(broker.port) as phone:
                    phone.send(connect("phone", password_of("phone")))
                    if phone.receive(4) == b"\x20\x02\0\3":
                        break
            else:
                pytest.fail("each connect was taken")
            assert seen["phone"] >= broker_gate.CONNECTS_PER_MINUTE_MAX
            prove_that_it_serves(broker)

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

    def test_of_many_at_once_with_retained_statuses(self) -> None:
        names = [f"device-{number}" for number in range(24)]
        together = threading.Barrier(len(names))

        def come_and_go(port: int, name: str) -> None:
            for _ in range(3):
                together.wait(PATIENCE_SECONDS)
                with Probe(port, name, "right") as probe:
                    probe.publish(f"sync/v1/{name}/status", b"online", retain=True)
                    filters = [f"sync/v1/{name}/+/notify", f"sync/v1/{name}/+/response"]
                    assert probe.subscribe(*filters, GATEWAY_STATUS) == [1, 1, 1]

        with (
            make_broker(authenticate=lambda _, password: password == "right") as crowded,
            Probe(crowded.port, "gateway", "right") as gateway,
            ThreadPoolExecutor(len(names)) as pool,
        ):
            gateway.subscribe(STATUSES)
            done = [pool.submit(come_and_go, crowded.port, name) for name in names]
            assert [future.result() for future in done] == [None] * len(names)


class TestTopics:
    def test_each_user_subscribes_only_to_what_it_may(
        self, broker: EmbeddedBroker, events: Events
    ) -> None:
        for user in USERS:
            filters = sorted(TOPICS | WILDCARDS | SUBSCRIBES[user])
            with enter(broker, user) as probe:
                answers = dict(zip(filters, probe.subscribe(*filters), strict=True))
            granted = {topic for topic, answer in answers.items() if answer == 1}
            assert granted == SUBSCRIBES[user]
            assert set(answers.values()) == {1, 0x80}
        assert events["subscriptions_refused"] > len(WILDCARDS) * 2

    def test_each_user_publishes_and_receives_only_what_it_may(
        self, broker: EmbeddedBroker, events: Events
    ) -> None:
        topics = sorted(TOPICS | {t for t in NO_TOPICS if t and t[0] != "$" and "\0" not in t})
        with (
            enter(broker, "gateway") as gateway,
            enter(broker, "phone") as phone,
            enter(broker, "tablet") as tablet,
        ):
            probes = {"gateway": gateway, "phone": phone, "tablet": tablet}
            for user, probe in probes.items():
                probe.subscribe(*SUBSCRIBES[user])
            for qos in (0, 1, 2):
                for user, probe in probes.items():
                    for topic in topics:
                        probe.publish(topic, f"{user} on {topic}".encode(), qos=qos)
            # A publisher's messages stay in order, so these come last.
            for device in (phone, tablet):
                device.publish(f"sync/v1/{device.user}/mail/request", b"end", qos=2)
            heard = {"gateway": gateway.hear_until(b"end") + gateway.hear_until(b"end")}
            for device in (phone, tablet):
                gateway.publish(f"sync/v1/{device.user}/mail/notify", b"end", qos=2)
                heard[device.user] = device.hear_until(b"end")
        assert {
            (user, message.topic, message.payload) for user in USERS for message in heard[user]
        } == {
            (to, topic, f"{by} on {topic}".encode())
            for by in USERS
            for to in USERS
            for topic in PUBLISHES[by] & RECEIVES[to]
        }
        assert events["publishes_refused"] == 3 * sum(
            topic not in PUBLISHES[user] for user in USERS for topic in topics
        )

    @pytest.mark.parametrize("topic", ["$SYS/broker/version", "$share/all/sync/v1/phone/status"])
    def test_of_the_broker_itself_end_the_connection(
        self, broker: EmbeddedBroker, topic: str
    ) -> None:
        with enter(broker, "phone") as phone:
            phone.publish(topic, b"mine now", qos=0)
            phone.wait_until_ended()
        prove_that_it_serves(broker)

    def test_with_wildcards_are_no_topics_to_publish_on(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "tablet") as tablet, Raw(broker.port) as phone:
            tablet.subscribe("sync/v1/tablet/+/notify")
            phone.login("phone", password_of("phone"))
            for topic in ("#", "sync/v1/tablet/+/notify", "sync/v1/phone/+/request"):
                phone.send(packet(0x30, text(topic) + b"to all"))
            with enter(broker, "gateway") as gateway:
                gateway.publish("sync/v1/tablet/mail/notify", b"end")
                assert tablet.hear_until(b"end") == []

    def test_are_bounded_in_number(self, broker: EmbeddedBroker) -> None:
        count_max = broker_gate.FILTERS_PER_CONNECTION_MAX
        filters = [f"sync/v1/phone/feed-{number}/notify" for number in range(count_max + 1)]
        with enter(broker, "phone") as phone:
            assert phone.subscribe(*filters) == [1] * count_max + [0x80]

    def test_need_a_qos_that_there_is(self, broker: EmbeddedBroker) -> None:
        with Raw(broker.port) as phone:
            phone.login("phone", password_of("phone"))
            phone.send(packet(0x82, b"\0\1" + text(NOTIFY) + b"\3"))
            assert phone.receive(5) == b"\x90\x03\0\1\x80"


class TestWill:
    @pytest.mark.parametrize(
        "topic",
        [
            "sync/v1/tablet/status",
            "sync/v1/tablet/mail/request",
            NOTIFY,
            GATEWAY_STATUS,
            "$SYS/broker",
            "elsewhere",
        ],
    )
    def test_on_a_foreign_topic_is_refused(self, broker: EmbeddedBroker, topic: str) -> None:
        for retain in (False, True):
            probe = enter(broker, "phone", will=Will(topic, b"forged", retain=retain))
            assert probe.connect() == "Not authorized"
            probe.close()

    def test_is_sent_and_kept_when_a_client_vanishes(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "gateway") as gateway:
            gateway.subscribe(STATUSES)
            with enter(broker, "phone", will=Will(STATUS, b"offline", retain=True)) as phone:
                phone.vanish()
            assert gateway.hear() == Heard(STATUS, b"offline")
        with enter(broker, "gateway") as gateway:
            gateway.subscribe(STATUSES)
            assert gateway.hear() == Heard(STATUS, b"offline", retained=True)

    def test_is_sent_when_a_client_falls_silent(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "gateway") as gateway, Raw(broker.port) as phone:
            gateway.subscribe(STATUSES)
            phone.login("phone", password_of("phone"), keepalive=1, will=STATUS)
            assert gateway.hear() == Heard(STATUS, b"")
            assert phone.receive(1) == b""

    def test_is_sent_when_a_client_vanishes_at_once(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "gateway") as gateway:
            gateway.subscribe(STATUSES)
            for _ in range(10):
                with Raw(broker.port) as phone:
                    phone.send(connect("phone", password_of("phone"), will=STATUS))
                assert gateway.hear() == Heard(STATUS, b"")

    def test_is_not_sent_when_a_client_says_all_in_one_breath(self, broker: EmbeddedBroker) -> None:
        login = connect("phone", password_of("phone"), will=STATUS)
        goodbye = packet(0xE0, b"")
        with enter(broker, "gateway") as gateway:
            gateway.subscribe(REQUESTS, STATUSES)
            for _ in range(10):
                with Raw(broker.port) as phone:
                    phone.send(login + 3 * packet(0x30, text(REQUEST) + b"request") + goodbye)
                    phone.end_sending()
                    assert phone.receive(5) == b"\x20\x02\0\0"
                for _ in range(3):
                    assert gateway.hear() == Heard(REQUEST, b"request")
            with enter(broker, "phone") as probe:
                probe.publish(STATUS, b"end")
            assert gateway.hear_until(b"end") == []

    def test_is_not_sent_when_a_client_says_goodbye(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "gateway") as gateway:
            gateway.subscribe(STATUSES)
            with enter(broker, "phone", will=Will(STATUS)):
                pass
            with enter(broker, "phone") as phone:
                phone.publish(STATUS, b"end")
            assert gateway.hear_until(b"end") == []


class TestRetained:
    def test_messages_reach_only_whom_they_may_and_who_asked(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "gateway") as gateway, enter(broker, "phone") as phone:
            gateway.subscribe(REQUESTS, STATUSES)
            phone.subscribe(GATEWAY_STATUS)
            phone.publish(STATUS, b"online", retain=True)
            assert gateway.hear().payload == b"online"
            gateway.publish(GATEWAY_STATUS, b"online", retain=True)
            assert phone.hear().payload == b"online"
            with enter(broker, "tablet") as tablet:
                tablet.subscribe("sync/v1/tablet/+/notify")
                gateway.publish("sync/v1/tablet/mail/notify", b"end", qos=0)
                assert tablet.hear_until(b"end") == []
                tablet.subscribe(GATEWAY_STATUS)
                assert tablet.hear() == Heard(GATEWAY_STATUS, b"online", retained=True)

    def test_messages_are_statuses_and_nothing_else(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "gateway") as gateway, enter(broker, "phone") as phone:
            gateway.publish(NOTIFY, b"push", retain=True)
            phone.publish(REQUEST, b"request", retain=True)
            phone.publish(STATUS, b"online", retain=True)
            gateway.subscribe(REQUESTS, STATUSES)
            assert gateway.hear_until(b"online") == []
            phone.subscribe(NOTIFY)
            gateway.publish(NOTIFY, b"end", qos=0)
            assert phone.hear_until(b"end") == []

    def test_messages_do_not_wait_for_who_is_away(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "gateway") as gateway:
            for _ in range(2):
                phone = Probe(broker.port, "phone", password_of("phone"), clean_session=False)
                with phone:
                    assert not phone.session_present
                    phone.subscribe(NOTIFY)
                    gateway.publish(NOTIFY, b"end")
                    assert phone.hear_until(b"end") == []
                gateway.publish(NOTIFY, b"missed")


class TestTraffic:
    def test_of_one_publisher_stays_in_order(self, broker: EmbeddedBroker) -> None:
        numbers = range(2 * broker_packets.UNSENT_MESSAGES_MAX)
        with enter(broker, "gateway") as gateway, enter(broker, "phone") as phone:
            phone.subscribe("sync/v1/phone/+/notify", qos=0)
            gateway.publish_many((NOTIFY, str(number).encode()) for number in numbers)
            assert [int(phone.hear().payload) for _ in numbers] == list(numbers)

    def test_reaches_all_while_subscriptions_come_and_go(self, broker: EmbeddedBroker) -> None:
        statuses = [f"online for {number} s".encode() for number in range(300)]
        over = threading.Event()

        def subscribe_and_unsubscribe(tablet: Probe) -> None:
            for number in itertools.cycle(range(100)):
                tablet.subscribe(f"sync/v1/tablet/feed-{number}/notify")
                tablet.unsubscribe(f"sync/v1/tablet/feed-{number}/notify")
                if over.is_set():
                    break

        with (
            enter(broker, "gateway") as gateway,
            enter(broker, "phone") as phone,
            enter(broker, "tablet") as tablet,
            ThreadPoolExecutor(1) as pool,
        ):
            gateway.subscribe(STATUSES)
            phone.subscribe(GATEWAY_STATUS)
            churn = pool.submit(subscribe_and_unsubscribe, tablet)
            try:
                for status in statuses:
                    gateway.publish(GATEWAY_STATUS, status)
                assert [phone.hear().payload for _ in statuses] == statuses
            finally:
                over.set()
            churn.result()

    @pytest.mark.slow  # the pace is a bound on time
    def test_of_one_device_is_read_no_faster_than_its_pace(
        self, broker: EmbeddedBroker, events: Events
    ) -> None:
        seconds = 2
        count = broker_packets.PACKETS_BURST + seconds * broker_packets.PACKETS_PER_SECOND_MAX
        with enter(broker, "gateway") as gateway, Raw(broker.port) as phone:
            gateway.subscribe(REQUESTS)
            phone.login("phone", password_of("phone"))
            began = time.monotonic()
            flood = packet(0x30, text(REQUEST) + b"flood") * (count - 1)
            phone.send(flood + packet(0x30, text(REQUEST) + b"end"))
            events.wait_for("readings_slowed")
            assert len(gateway.hear_until(b"end")) == count - 1
            assert time.monotonic() - began > 0.9 * seconds
            assert events["readings_slowed"] > 0

    def test_of_one_device_is_slowed_over_all_its_connections(
        self, broker: EmbeddedBroker, events: Events
    ) -> None:
        flood = packet(0x30, text(REQUEST) + b"flood") * (broker_packets.PACKETS_BURST + 50)
        with Raw(broker.port) as phone:
            phone.login("phone", password_of("phone"))
            phone.send(flood)
            events.wait_for("readings_slowed")
        slowed = events["readings_slowed"]
        with Raw(broker.port) as phone:
            phone.login("phone", password_of("phone"))
            phone.send(packet(0xC0, b"") * 10)
            events.wait_for("readings_slowed", slowed + 1)

    def test_to_subscribe_is_bounded_in_bytes(self, broker: EmbeddedBroker, events: Events) -> None:
        filters = (text("a") + b"\0") * (broker_packets.CONTROL_BYTES_MAX // 4)
        with Raw(broker.port) as phone:
            phone.login("phone", password_of("phone"))
            phone.send(packet(0x82, b"\0\1" + filters))
            assert phone.receive(1) == b""
        events.wait_for("packets_too_big")
        prove_that_it_serves(broker)

    def test_before_a_goodbye_arrives(self, broker: EmbeddedBroker) -> None:
        payloads = [f"{number}".encode() for number in range(300)]
        with enter(broker, "gateway") as gateway:
            gateway.subscribe(REQUESTS)
            with enter(broker, "phone") as phone:
                phone.publish_many((REQUEST, payload) for payload in payloads)
            assert [gateway.hear().payload for _ in payloads] == payloads

    def test_goes_on_when_a_subscriber_does_not_read(
        self, broker: EmbeddedBroker, events: Events
    ) -> None:
        push = bytes(limits.NOTIFICATION_BYTES_MAX)
        pushes = 4 * broker_packets.UNSENT_BYTES_MAX // len(push)
        with (
            enter(broker, "gateway") as gateway,
            enter(broker, "tablet") as tablet,
            Raw(broker.port) as phone,
        ):
            phone.login("phone", password_of("phone"))
            phone.subscribe(NOTIFY)
            tablet.subscribe("sync/v1/tablet/+/notify", qos=0)
            for _ in range(pushes):
                gateway.publish(NOTIFY, push)
                gateway.publish("sync/v1/tablet/mail/notify", b"push")
                assert tablet.hear().payload == b"push"
            events.wait_for("pushes_dropped")
            assert not gateway.has_ended

    def test_drops_who_neither_reads_nor_can_do_without(
        self, broker: EmbeddedBroker, events: Events
    ) -> None:
        push = bytes(limits.NOTIFICATION_BYTES_MAX)
        with enter(broker, "gateway") as gateway, Raw(broker.port) as phone:
            phone.login("phone", password_of("phone"))
            phone.subscribe(NOTIFY, qos=1)
            for _ in range(4 * broker_packets.UNSENT_BYTES_MAX // len(push)):
                gateway.publish(NOTIFY, push)
            events.wait_for("connections_dropped")
        prove_that_it_serves(broker)

    @pytest.mark.parametrize(
        ("user", "topic", "payload_bytes"),
        [
            ("phone", REQUEST, limits.REQUEST_BYTES_MAX),
            ("gateway", "sync/v1/phone/mail/response", limits.ANSWER_BYTES_MAX),
        ],
    )
    def test_carries_the_largest_message_and_none_larger(
        self, broker: EmbeddedBroker, events: Events, user: str, topic: str, payload_bytes: int
    ) -> None:
        other = "gateway" if user == "phone" else "phone"
        with enter(broker, user) as probe, enter(broker, other) as listener:
            listener.subscribe(REQUESTS if other == "gateway" else topic)
            probe.publish(topic, bytes(payload_bytes))
            assert listener.hear().payload == bytes(payload_bytes)
            probe.publish(topic, bytes(payload_bytes + broker_gate.TOPIC_BYTES_MAX), qos=0)
            probe.wait_until_ended()
            events.wait_for("packets_too_big")
        prove_that_it_serves(broker)


class TestConnection:
    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3,
            b"\x10\xff\xff\xff\xff\x7f",  # a length that does not end
            b"\x10\xff\xff\xff\x7f",  # 256 MiB of CONNECT
            packet(0x10, b""),
            packet(0x10, b"\0\4MQTT\4\xff\0\0\xff"),
            packet(0x10, b"\0\4MQTT\4\xc6\0\0" + text("phone") + b"\0\1"),  # half a will
            packet(0x10, b"\0\4MQTT\4\xc3\0\0" + text("phone") * 3),  # reserved flag
            packet(0x10, b"\0\4MQTT\4\xde\0\0" + text(STATUS) * 5),  # will with QoS 3
            packet(0x30, text("sync/v1/phone/status") + b"online"),
            packet(0xC0, b""),
            b"\x00\x00",
        ],
    )
    def test_that_begins_with_no_connect_is_ended(
        self, broker: EmbeddedBroker, events: Events, data: bytes
    ) -> None:
        with Raw(broker.port) as raw:
            raw.send(data)
            assert raw.receive(1) == b""
        events.wait_for("connects_malformed")

    def test_that_ends_at_once_is_no_trouble(self, broker: EmbeddedBroker) -> None:
        for data in (b"", b"\x10", b"\x10\x20\0\4MQTT"):
            with Raw(broker.port) as raw:
                raw.send(data)
        prove_that_it_serves(broker)

    def test_that_sends_rubbish_after_its_login_hurts_nobody(self, broker: EmbeddedBroker) -> None:
        rubbish = random.Random(1)
        for _ in range(50):
            with Raw(broker.port) as raw:
                raw.login("phone", password_of("phone"))
                raw.send(rubbish.randbytes(rubbish.randrange(1, 200)))
        prove_that_it_serves(broker)

    def test_is_refused_beyond_the_limit_and_the_place_is_free_again(self, events: Events) -> None:
        with (
            make_broker(connections_max=2, count=events.count) as broker,
            enter(broker, "phone"),
        ):
            with Raw(broker.port) as idle:
                with Raw(broker.port) as refused:
                    assert refused.receive(1) == b""
                assert events["connections_refused"] == 1
                idle.send(packet(0xC0, b""))
                assert idle.receive(1) == b""
            events.wait_for("connects_malformed")
            with enter(broker, "tablet"):
                pass


class TestStart:
    @pytest.mark.parametrize(
        "host",
        [
            "0.0.0.0",  # noqa: S104 - that it is refused
            "",
            "::",
            "192.168.1.1",
            "example.org",
            "fe80::1",
            "127.0.0.1:1883",
        ],
    )
    def test_is_refused_where_others_could_connect(self, host: str) -> None:
        with pytest.raises(BrokerError, match=r"this machine only.*Mosquitto"):
            make_broker(host=host)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
    def test_listens_on_loopback(self, host: str) -> None:
        with (
            make_broker(host=host) as broker,
            Probe(broker.port, "phone", password_of("phone"), host=host),
        ):
            pass

    def test_names_the_port_that_is_taken(self, broker: EmbeddedBroker) -> None:
        other = make_broker(port=broker.port)
        with pytest.raises(BrokerError, match=rf"port {broker.port}: Address already in use"):
            other.start()
        other.stop()
        prove_that_it_serves(broker)

    @pytest.mark.parametrize(
        ("check", "complaint"),
        [
            (lambda _user, _password: True, "lets in the user 'gateway' with a wrong password"),
            (lambda user, _password: user != "gateway", "lets in a user that does not exist"),
            (lambda _user, _password: 1 / 0, "cannot prove that it refuses"),
        ],
    )
    def test_fails_where_a_wrong_login_is_let_in(
        self, check: Callable[[str, str], bool], complaint: str
    ) -> None:
        before = threading.active_count()
        broker = make_broker(authenticate=check)
        with pytest.raises(BrokerError, match=complaint):
            broker.start()
        assert not [t for t in threading.enumerate() if t.name == "mqtt-broker"]
        assert threading.active_count() <= before + broker_gate.LOGINS_AT_ONCE
        with pytest.raises(ConnectionRefusedError):
            Raw(broker.port)

    def test_does_not_count_its_self_test(self, events: Events) -> None:
        with make_broker(count=events.count):
            assert events == {}

    def test_of_two_brokers_keeps_them_apart(self, broker: EmbeddedBroker) -> None:
        with (
            make_broker() as other,
            enter(broker, "phone") as here,
            enter(other, "phone") as there,
            enter(broker, "gateway") as gateway,
        ):
            assert other.port != broker.port
            here.subscribe(NOTIFY)
            there.subscribe(NOTIFY)
            gateway.publish(NOTIFY, b"here")
            assert here.hear().payload == b"here"
            with enter(other, "gateway") as other_gateway:
                other_gateway.publish(NOTIFY, b"there")
                assert there.hear().payload == b"there"


class TestDisconnect:
    def test_that_fails_keeps_nobody_out(
        self, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        starts, stop = BrokerProtocolHandler.start, BrokerProtocolHandler.stop
        first: list[BrokerProtocolHandler] = []
        broken = threading.Event()

        async def stop_broken(handler: BrokerProtocolHandler) -> None:
            await stop(handler)
            task = asyncio.current_task()
            if handler is first[0] and task is not None and task.get_name() == "mqtt-connection":
                broken.set()
                raise RuntimeError("a fault of amqtt")

        async def start(handler: BrokerProtocolHandler) -> None:
            first.append(handler)
            await starts(handler)

        monkeypatch.setattr(BrokerProtocolHandler, "start", start)
        monkeypatch.setattr(BrokerProtocolHandler, "stop", stop_broken)
        with enter(broker, "phone"):
            pass
        assert broken.wait(PATIENCE_SECONDS)
        with enter(broker, "phone"):
            pass

    def test_ends_the_connection_of_one_user_only(self, broker: EmbeddedBroker) -> None:
        with enter(broker, "phone") as phone, enter(broker, "tablet") as tablet:
            broker.disconnect("phone")
            phone.wait_until_ended()
            broker.disconnect("nobody")
            assert not tablet.has_ended

    def test_ends_a_login_whose_password_was_right_before(self) -> None:
        asked, release = threading.Event(), threading.Event()
        passwords = {"phone": "old"}

        def check(user: str, password: str) -> bool:
            right = passwords.get(user) == password
            if user == "phone":
                asked.set()
                assert release.wait(PATIENCE_SECONDS)
            return right

        with make_broker(authenticate=check) as broker, Raw(broker.port) as phone:
            phone.send(connect("phone", "old"))
            assert asked.wait(PATIENCE_SECONDS)
            passwords["phone"] = "new"
            broker.disconnect("phone")
            release.set()
            assert phone.receive(4) == b""
            with Probe(broker.port, "phone", "new"):
                pass


class TestStop:
    def test_is_quick_with_clients_of_all_kinds(self, broker: EmbeddedBroker) -> None:
        with contextlib.ExitStack() as stack:
            probes = [stack.enter_context(enter(broker, user)) for user in USERS]
            stack.enter_context(Raw(broker.port))
            began = time.monotonic()
            broker.stop()
            assert time.monotonic() - began < broker_gate.CLOSE_SECONDS_MAX
            for probe in probes:
                probe.wait_until_ended()
        assert not [t for t in threading.enumerate() if t.name == "mqtt-broker"]

    def test_is_bounded_when_a_client_does_not_read(
        self, broker: EmbeddedBroker, events: Events
    ) -> None:
        push = bytes(limits.NOTIFICATION_BYTES_MAX)
        with enter(broker, "gateway") as gateway, Raw(broker.port) as phone:
            phone.login("phone", password_of("phone"))
            phone.subscribe(NOTIFY)
            while not events["pushes_dropped"]:
                gateway.publish(NOTIFY, push)
            broker.stop()
        assert not [t for t in threading.enumerate() if t.name == "mqtt-broker"]

    def test_does_not_wait_for_a_slow_login(self) -> None:
        asked, release = threading.Event(), threading.Event()

        def check(user: str, password: str) -> bool:
            if user == "phone":
                asked.set()
                assert release.wait(PATIENCE_SECONDS)
            return authenticate(user, password)

        broker = make_broker(authenticate=check)
        with broker, Raw(broker.port) as phone:
            phone.send(connect("phone", "secret"))
            assert asked.wait(PATIENCE_SECONDS)
            broker.stop()
            assert not [t for t in threading.enumerate() if t.name == "mqtt-broker"]
            release.set()

    def test_may_be_repeated_and_undone(self, broker: EmbeddedBroker) -> None:
        port = broker.port
        broker.stop()
        broker.stop()
        broker.start()
        prove_that_it_serves(broker)
        with make_broker(port=0) as other:
            assert other.port != port


def test_logs_neither_passwords_nor_contents(
    broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        probe = Probe(broker.port, "phone", "guessed-secret")
        probe.connect()
        probe.close()
        with enter(broker, "gateway") as gateway, enter(broker, "phone") as phone:
            gateway.subscribe(REQUESTS)
            phone.publish(REQUEST, b"private matter")
            phone.publish(NOTIFY, b"private matter")
            gateway.hear()
        with Raw(broker.port) as raw:
            raw.login("phone", password_of("phone"))
            raw.send(packet(0x38, text(REQUEST) + b"private matter"))  # DUP, which QoS 0 has not
        prove_that_it_serves(broker)
    assert "logins_refused: 'phone': unknown user or wrong password" in caplog.text
    assert f"publishes_refused: phone, '{NOTIFY}'" in caplog.text
    assert "secret" not in caplog.text
    assert "password of" not in caplog.text
    assert "private" not in caplog.text


def test_fills_no_log_with_what_it_refuses(
    broker: EmbeddedBroker, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    refused = 2 * LOG_LINES_BURST
    with caplog.at_level(logging.INFO, "gateway"), enter(broker, "phone") as phone:
        for _ in range(refused):
            phone.publish(NOTIFY, b"", qos=0)
        events.wait_for("publishes_refused", refused)
    lines = [it for it in caplog.records if it.name == "gateway.embedded_broker"]
    assert LOG_LINES_BURST <= len(lines) < refused - 50
