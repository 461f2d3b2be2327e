"""What the gateway's connection says to its broker, to the bit (docs/protocol.md, T1, T3, T7)."""

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway.broker_accounts import AccountError, NotConnectedError, let_in
from gateway.control import ControlTopic
from gateway.counters import Counters
from gateway.mqtt import BrokerLink
from gateway.notifier import Push
from gateway.responder import Response
from programs.tls_settings import Tls
from sync_protocol.messages import Answer, Refused
from sync_protocol.topics import Topics
from tests.eventually import PATIENCE_S, eventually
from tests.mqtt_recorder import Connected, Published, Recorder, Subscribed, recorder

STATUS = "sync/v1/gateway/status"
REFUSED = Answer(v=1, id=b"request!", refused=Refused(reason="feed", message="there is none"))


@pytest.fixture
def broker() -> Iterator[Recorder]:
    with recorder() as made:
        yield made


def made_link(
    broker: Recorder,
    control: ControlTopic | None = None,
    received: Callable[[str, bytes, bool], None] = lambda _topic, _payload, _retained: None,
) -> BrokerLink:
    return BrokerLink(
        host="127.0.0.1",
        port=broker.port,
        user="gateway",
        password="a secret",
        tls=Tls(),
        keepalive_s=60,
        topic_names=Topics(),
        counters=Counters(),
        on_message=received,
        control=control,
    )


@pytest.fixture
def received() -> queue.SimpleQueue[tuple[str, bytes, bool]]:
    return queue.SimpleQueue()


@pytest.fixture
def link(
    broker: Recorder, received: queue.SimpleQueue[tuple[str, bytes, bool]]
) -> Iterator[BrokerLink]:
    made = made_link(broker, received=lambda *message: received.put(message))
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


def test_commands_to_the_plugin_have_qos_0_so_that_none_is_sent_late(broker: Recorder) -> None:
    control = ControlTopic(answer_s_max=0)
    opened = threading.Event()
    control.on_open = opened.set
    link = made_link(broker, control)
    link.start()
    broker.next()
    # First, so that a gateway that is connected can change accounts.
    assert broker.next() == Subscribed((("$CONTROL/dynamic-security/v1/response", 1),))
    broker.acknowledge_subscriptions()
    assert isinstance(broker.next(), Subscribed)
    online = broker.next()
    assert isinstance(online, Published)
    assert online.payload == b"online"
    assert opened.is_set()
    with pytest.raises(AccountError, match="did not answer"):
        control.ask([let_in("phone")])
    told = broker.next()
    assert isinstance(told, Published)
    assert (told.topic, told.qos) == ("$CONTROL/dynamic-security/v1", 0)
    assert not told.retained
    link.close()
    with pytest.raises(NotConnectedError):
        control.ask([let_in("phone")])


def test_a_connection_that_is_lost_and_there_again_is_in_the_log(
    broker: Recorder, link: BrokerLink, caplog: pytest.LogCaptureFixture
) -> None:
    broker.acknowledge_subscriptions()
    assert eventually(lambda: link.state == "connected")
    again = threading.Thread(target=broker.serve, daemon=True)
    again.start()
    broker.drop()
    assert eventually(lambda: len(caplog.records) == 2)
    assert [record.getMessage() for record in caplog.records] == [
        "the connection to the broker was lost: the broker closed it",
        f"now connected to the broker at 127.0.0.1:{broker.port}",
    ]
    link.close()
    again.join(PATIENCE_S)


def test_a_login_that_is_refused_is_no_connection_that_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with recorder(connack=5) as broker:
        link = made_link(broker)
        link.start()
        assert eventually(lambda: bool(caplog.records))
        link.close()
    assert {record.levelname for record in caplog.records} == {"ERROR"}


def test_g8_it_says_what_the_broker_had_kept(
    broker: Recorder, link: BrokerLink, received: queue.SimpleQueue[tuple[str, bytes, bool]]
) -> None:
    broker.acknowledge_subscriptions()
    assert eventually(lambda: link.state == "connected")
    for retained in (False, True):
        broker.send("sync/v1/phone/mail/request", b"a request", retained=retained)
        heard = received.get(timeout=PATIENCE_S)
        assert heard == ("sync/v1/phone/mail/request", b"a request", retained)
