"""What a device's connection says to its broker, to the bit (docs/protocol.md, T2, T5, T7)."""

import contextlib
import queue
from collections.abc import Callable, Iterator

import pytest

from device_agent.events import ConnectionEvent, Unreachable
from device_agent.mqtt import DeviceLink
from programs.tls import Security
from programs.tls_settings import Tls
from sync_protocol.topics import Topics
from tests.eventually import eventually
from tests.mqtt_recorder import Connected, Published, Recorder, Subscribed, recorder

STATUS = "sync/v1/phone/status"


@pytest.fixture
def broker() -> Iterator[Recorder]:
    with recorder() as made:
        yield made


@contextlib.contextmanager
def linked(
    broker: Recorder,
    *feeds: str,
    on_event: Callable[[ConnectionEvent], None] = lambda _event: None,
) -> Iterator[DeviceLink]:
    made = DeviceLink(
        device="phone",
        feeds=feeds,
        password="a secret",
        security=Security(Tls(), "127.0.0.1", broker.port),
        keepalive_s=60,
        topic_names=Topics(),
        on_event=on_event,
        on_message=lambda _topic, _payload, _retained: None,
    )
    made.start("127.0.0.1", broker.port)
    yield made
    made.close()


@pytest.fixture
def link(broker: Recorder) -> Iterator[DeviceLink]:
    with linked(broker, "mail") as made:
        yield made


def test_t5_it_keeps_no_session_and_subscribes_to_pushes_with_qos_0(
    broker: Recorder, link: DeviceLink
) -> None:
    will = Published(STATUS, b"offline", qos=1, retained=True)
    assert broker.next() == Connected("phone", clean_session=True, will=will)
    subscribed = broker.next()
    assert isinstance(subscribed, Subscribed)
    assert dict(subscribed.topics) == {
        "sync/v1/phone/mail/notify": 0,
        "sync/v1/phone/mail/response": 1,
        "sync/v1/gateway/status": 1,
    }
    broker.acknowledge_subscriptions()
    assert eventually(lambda: link.request("mail", b""))


def test_t7_it_says_online_once_it_has_subscribed_and_offline_when_it_goes(
    broker: Recorder, link: DeviceLink
) -> None:
    broker.next()
    assert isinstance(broker.next(), Subscribed)
    assert not link.request("mail", b"too early")
    broker.acknowledge_subscriptions()
    assert broker.next() == Published(STATUS, b"online", qos=1, retained=True)
    assert eventually(lambda: link.request("mail", b"a request"))
    assert broker.next() == Published("sync/v1/phone/mail/request", b"a request", 1, retained=False)
    link.close()
    assert broker.next() == Published(STATUS, b"offline", qos=1, retained=True)


def test_all_feeds_can_ask_at_once(broker: Recorder) -> None:
    feeds = [f"feed{number}" for number in range(60)]
    with linked(broker, *feeds) as link:
        broker.next()
        broker.next()
        broker.acknowledge_subscriptions()
        assert eventually(lambda: link.request(feeds[0], b""))
        assert all(link.request(feed, b"") for feed in feeds[1:])


def test_a_broker_that_is_unavailable_says_nothing_of_the_password() -> None:
    happened: queue.Queue[ConnectionEvent] = queue.Queue()
    with recorder(connack=3) as broker, linked(broker, "mail", on_event=happened.put):
        assert happened.get(timeout=10) == Unreachable("the broker cannot take it now")
