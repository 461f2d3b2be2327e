"""What the gateway's connection says to its broker, to the bit (docs/protocol.md, T1, T3, T7)."""

from collections.abc import Iterator

import pytest

from gateway.counters import Counters
from gateway.mqtt import BrokerLink
from gateway.notifier import Push
from gateway.responder import Response
from sync_protocol.messages import Answer, Refused
from sync_protocol.topics import Topics
from tests.eventually import eventually
from tests.mqtt_recorder import Connected, Published, Recorder, Subscribed, recorder

STATUS = "sync/v1/gateway/status"
REFUSED = Answer(v=1, id=b"request!", refused=Refused(reason="feed", message="there is none"))


@pytest.fixture
def broker() -> Iterator[Recorder]:
    with recorder() as made:
        yield made


@pytest.fixture
def link(broker: Recorder) -> Iterator[BrokerLink]:
    made = BrokerLink(
        host="127.0.0.1",
        port=broker.port,
        user="gateway",
        password="a secret",
        keepalive_s=60,
        topic_names=Topics(),
        counters=Counters(),
        on_message=lambda _topic, _payload: None,
    )
    made.start()
    yield made
    made.close()


def test_t7_it_says_online_once_it_hears_requests_and_offline_when_it_goes(
    broker: Recorder, link: BrokerLink
) -> None:
    offline = Published(STATUS, b"offline", qos=1, retained=True)
    assert broker.next() == Connected("gateway", clean_session=True, will=offline)
    assert broker.next() == Subscribed((("sync/v1/+/+/request", 1), ("sync/v1/+/status", 1)))
    assert link.state != "connected"
    broker.acknowledge_subscriptions()
    assert broker.next() == Published(STATUS, b"online", qos=1, retained=True)
    assert eventually(lambda: link.state == "connected")
    link.close()
    assert broker.next() == offline


def test_t1_pushes_have_qos_0_and_t3_answers_have_qos_1(broker: Recorder, link: BrokerLink) -> None:
    broker.acknowledge_subscriptions()
    for _ in range(3):
        broker.next()
    assert eventually(lambda: link.state == "connected")
    link.push("mail", Push("phone", "an item", 1, b"a push"))
    assert broker.next() == Published("sync/v1/phone/mail/notify", b"a push", 0, retained=False)
    link.answer("phone", "mail", b"an answer", Response(REFUSED, None))
    assert broker.next() == Published(
        "sync/v1/phone/mail/response", b"an answer", 1, retained=False
    )
