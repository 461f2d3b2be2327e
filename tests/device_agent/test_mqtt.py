"""What a device's connection says to its broker, to the bit (docs/protocol.md, T2, T5, T7)."""

from collections.abc import Iterator

import pytest

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


@pytest.fixture
def link(broker: Recorder) -> Iterator[DeviceLink]:
    made = DeviceLink(
        device="phone",
        feeds=["mail"],
        password="a secret",
        security=Security(Tls(), "127.0.0.1", broker.port),
        keepalive_s=60,
        topic_names=Topics(),
        on_event=lambda _event: None,
        on_message=lambda _topic, _payload, _retained: None,
    )
    made.start("127.0.0.1", broker.port)
    yield made
    made.close()


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
