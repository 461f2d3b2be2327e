"""An agent over real brokers, with a gateway that says what each test wants."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device_agent import (
    DeviceAgent,
    Event,
    Happened,
    StoreError,
    SyncDone,
    SyncFailedError,
    SyncTimeoutError,
    Waits,
)
from device_agent.agent import INBOUND_MESSAGES_MAX
from sync_protocol import limits, wire
from sync_protocol.messages import Answer, Request
from sync_protocol.token_set import TokenSet
from sync_protocol.topics import OFFLINE, ONLINE, Channel
from sync_protocol.wire import Format
from tests.device_agent import peers
from tests.device_agent.builders import BASE, change, compared, delta, push, put, refused, served
from tests.device_agent.peers import PATIENCE_S, TOPICS, Broker, MakeAgent, ScriptedGateway, Told

FIRST = 1 - BASE


@pytest.fixture(
    params=["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)],
)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made = peers.Embedded() if request.param == "embedded" else peers.Mosquitto(tmp_path)
    yield from peers.running(made)


@pytest.fixture
def gateway(broker: Broker) -> Iterator[ScriptedGateway]:
    gateway = ScriptedGateway(broker.port)
    yield gateway
    gateway.close()


@pytest.fixture
def agent(broker: Broker, gateway: ScriptedGateway, make_agent: MakeAgent) -> Iterator[DeviceAgent]:
    """One that is connected and has synced."""
    with make_agent(broker.port) as agent:
        gateway.asked()
        agent.sync(PATIENCE_S)
        gateway.asked_more()
        yield agent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def test_syncs_on_connect(
    broker: Broker, gateway: ScriptedGateway, make_agent: MakeAgent, told: Told
) -> None:
    gateway.respond = lambda request: served(request, head=5, changes=[change(4, put("a", b"A"))])
    with make_agent(broker.port):
        asked = gateway.asked()
        assert (asked.base, asked.collection) == (None, None)
        assert told.change() == ("feed", Happened(Event.CHANGED, "a", 4))
        assert told.sync() == SyncDone("feed")
        assert gateway.statuses.get(timeout=PATIENCE_S) == ONLINE
    assert gateway.statuses.get(timeout=PATIENCE_S) == OFFLINE


def test_a_gap_leads_to_exactly_one_sync(
    agent: DeviceAgent, gateway: ScriptedGateway, told: Told
) -> None:
    gateway.respond = lambda request: delta(request.id, head=12)
    gateway.push(push(7, put("a", b"A"), prev=6))
    gateway.push(push(9, put("b", b"B"), prev=8))
    gateway.push(push(12, put("c", b"C"), prev=11))
    assert {told.change()[1].item_id for _ in range(3)} == {"a", "b", "c"}
    asked = gateway.asked()
    assert asked.collection is not None
    held = TokenSet.decode(asked.collection.tokens)
    # Within the debounce all three have come, so one request tells of them.
    assert list(held) == [(FIRST, 5), (7, 7), (9, 9), (12, 12)]
    agent.sync(PATIENCE_S)
    assert len(gateway.asked_more()) == 1, "the one of agent.sync"


def test_a_gateway_that_never_answers_is_asked_again_and_again(
    broker: Broker, gateway: ScriptedGateway, make_agent: MakeAgent, told: Told
) -> None:
    gateway.respond = lambda _request: None
    waits = Waits(request_timeout_s=0.05, backoff_s=0.02, backoff_s_max=0.1)
    with make_agent(broker.port, waits=waits) as agent:
        ids = {gateway.asked().id for _ in range(5)}
        assert len(ids) == 5
        assert told.sync() == SyncDone("feed", "the gateway did not answer")
        gateway.respond = peers.answer_empty
        agent.sync(PATIENCE_S)
        assert agent.counts["requests without an answer"] >= 4


def test_a_broker_that_was_restarted_is_found_again(
    broker: Broker, agent: DeviceAgent, gateway: ScriptedGateway, told: Told
) -> None:
    while not told.syncs.empty():
        told.sync()
    broker.stop()
    broker.start()
    gateway.asked()
    assert told.sync() == SyncDone("feed")
    assert agent.counts["connects"] == 2


def test_wrong_messages_are_counted_and_stop_nothing(
    agent: DeviceAgent, gateway: ScriptedGateway
) -> None:
    bytes_max = {
        Channel.NOTIFY: limits.NOTIFICATION_BYTES_MAX,
        Channel.RESPONSE: limits.ANSWER_BYTES_MAX,
    }
    for channel, most in bytes_max.items():
        for wrong in (b"", b"\xff", b"{}", b"\xa0", b"{" * (most + 1)):
            gateway.say(wrong, channel)
    gateway.client.publish(TOPICS.status("gateway"), b"\xff", qos=1).wait_for_publish(PATIENCE_S)
    # What the broker took before is told before this answer.
    agent.sync(PATIENCE_S)
    refusals = {name: n for name, n in agent.counts.items() if name.startswith("messages refused")}
    assert refusals["messages refused: invalid"] >= 4
    assert refusals["messages refused: form"] >= 4
    assert refusals["messages refused: too-large"] == 2
    gateway.push(push(6, put("a", b"A")))
    agent.sync(PATIENCE_S)
    assert agent.failure is None


def test_answers_to_nobodys_request_change_nothing(
    agent: DeviceAgent, gateway: ScriptedGateway, told: Told
) -> None:
    stranger = delta(b"stranger", head=9, changes=[change(9, put("a", b"A"))])
    gateway.respond = lambda request: _after(
        lambda: gateway.say(_encoded(stranger), Channel.RESPONSE),
        delta(request.id, head=5),
    )
    agent.sync(PATIENCE_S)
    assert agent.counts["answers not-awaited"] == 1
    assert told.changes.empty()


def _after(first: Callable[[], None], answer: Answer) -> Answer:
    first()
    return answer


def _encoded(answer: Answer) -> bytes:
    return wire.encode(answer, Format.CBOR)


def test_the_gateways_return_leads_to_a_sync(agent: DeviceAgent, gateway: ScriptedGateway) -> None:
    gateway.client.publish(TOPICS.status("gateway"), ONLINE, qos=1, retain=True)
    gateway.asked()
    assert agent.failure is None


def test_callbacks_that_raise_stop_nothing(
    broker: Broker, gateway: ScriptedGateway, make_agent: MakeAgent
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug of the user")

    gateway.respond = lambda request: served(request, head=5, changes=[change(4, put("a", b"A"))])
    with make_agent(broker.port, on_change=fail, on_sync=fail) as agent:
        agent.sync(PATIENCE_S)
        agent.sync(PATIENCE_S)
        assert agent.failure is None
        assert agent.counts["errors in a callback"] >= 2


def test_stop_is_quick(broker: Broker, gateway: ScriptedGateway, make_agent: MakeAgent) -> None:
    agent = make_agent(broker.port)
    agent.start()
    gateway.asked()
    begun = time.monotonic()
    agent.stop()
    agent.stop()
    assert time.monotonic() - begun < 1.5
    assert agent.wait_stopped(0)
    assert agent.failure is None


class TestWithoutABroker:
    def test_stop_is_quick(self, make_agent: MakeAgent) -> None:
        begun = time.monotonic()
        with make_agent(free_port()):
            pass
        assert time.monotonic() - begun < 3

    def test_a_sync_says_that_there_is_none(self, make_agent: MakeAgent) -> None:
        with (
            make_agent(free_port()) as agent,
            pytest.raises(SyncTimeoutError, match=r"no connection to the broker .*refused"),
        ):
            agent.sync(0.5)

    def test_a_sync_of_a_stopped_agent_fails_at_once(self, make_agent: MakeAgent) -> None:
        agent = make_agent(free_port())
        agent.start()
        agent.stop()
        with pytest.raises(SyncFailedError, match="stopped"):
            agent.sync(PATIENCE_S)

    def test_a_second_agent_on_the_same_data_is_refused(self, make_agent: MakeAgent) -> None:
        with (
            make_agent(free_port()),
            pytest.raises(StoreError, match="another agent runs with"),
            make_agent(free_port()),
        ):
            pass

    def test_one_that_could_not_start_leaves_the_data_free(self, make_agent: MakeAgent) -> None:
        with pytest.raises(ValueError, match="port"):
            make_agent(-1).start()
        with make_agent(free_port()):
            pass

    @pytest.mark.parametrize(("device", "feeds"), [("a/b", ["x"]), ("a", ["x/y"]), ("a", [])])
    def test_names_are_checked_first(self, tmp_path: Path, device: str, feeds: list[str]) -> None:
        with pytest.raises(ValueError, match=r"name|device id|at least one feed"):
            DeviceAgent(
                device, feeds=feeds, host="x", port=1, password="", data_dir=tmp_path / "data"
            )
        assert not (tmp_path / "data").exists()


class TestEmbedded:
    """What needs one broker only."""

    def test_a_wrong_password_stops_it_after_some_tries(
        self, embedded: Broker, make_agent: MakeAgent
    ) -> None:
        with make_agent(embedded.port, password="not it", refusals_max=2) as agent:
            with pytest.raises(SyncFailedError, match=r"refuses device phone.*gateway device add"):
                agent.sync(PATIENCE_S)
            assert agent.wait_stopped(PATIENCE_S)
            assert isinstance(agent.failure, SyncFailedError)
            assert "not it" not in str(agent.failure)
            assert agent.counts["logins refused"] == 2

    def test_without_a_gateway_a_sync_says_so(
        self, embedded: Broker, make_agent: MakeAgent
    ) -> None:
        with (
            make_agent(embedded.port) as agent,
            pytest.raises(SyncTimeoutError, match="is a gateway connected"),
        ):
            agent.sync(0.5)

    def test_a_sync_that_is_refused_says_why(self, embedded: Broker, make_agent: MakeAgent) -> None:
        gateway = ScriptedGateway(embedded.port)
        gateway.respond = lambda request: refused(request.id)
        with make_agent(embedded.port) as agent:
            with pytest.raises(SyncFailedError, match="sync of feed: busy: later"):
                agent.sync(PATIENCE_S)
            gateway.respond = peers.answer_empty
            agent.sync(PATIENCE_S)
        gateway.close()

    def test_a_gateway_that_prepares_what_is_wanted_alarms_nobody(
        self,
        embedded: Broker,
        make_agent: MakeAgent,
        told: Told,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        gateway = ScriptedGateway(embedded.port)
        gateway.respond = lambda request: refused(request.id, retry_after_s=1)
        with make_agent(embedded.port) as agent:
            assert told.sync().put_off
            said = "the gateway is still preparing what is wanted of feed"
            with pytest.raises(SyncTimeoutError, match=said):
                agent.sync(0)
            gateway.respond = peers.answer_empty
            agent.sync(PATIENCE_S)
            assert agent.hindrance.startswith("is a gateway connected")
            assert agent.counts["syncs put off"] >= 1
            assert "syncs failed" not in agent.counts
        levels = {it.levelname for it in caplog.records if it.name.startswith("device_agent")}
        assert levels == {"INFO"}
        assert "sync of feed: the gateway is preparing what is wanted here" in caplog.text
        gateway.close()

    def test_a_sync_waits_for_all_pages_and_all_feeds(
        self, embedded: Broker, make_agent: MakeAgent, told: Told
    ) -> None:
        gateway = ScriptedGateway(embedded.port)

        def page(request: Request) -> Answer:
            if request.inventory:
                return compared(request.id, head=5, missing=[3, 4])
            assert request.collection is not None
            if 4 in TokenSet.decode(request.collection.tokens):
                return delta(request.id, head=5)
            return delta(request.id, head=5, held=TokenSet.of([4]), more=True)

        gateway.respond = page
        with make_agent(embedded.port, feeds=["mail", "feed", "mail"]) as agent:
            agent.sync(PATIENCE_S)
            assert {told.sync().feed, told.sync().feed} == {"feed", "mail"}
        assert len(gateway.asked_more()) >= 6
        gateway.close()

    def test_a_flood_is_cut_and_followed_by_a_sync(
        self, embedded: Broker, make_agent: MakeAgent
    ) -> None:
        gateway = ScriptedGateway(embedded.port)
        busy, free = threading.Event(), threading.Event()

        def on_sync(_done: SyncDone) -> None:
            busy.set()
            free.wait(PATIENCE_S)

        with make_agent(embedded.port, on_sync=on_sync) as agent:
            gateway.asked()
            assert busy.wait(PATIENCE_S)
            for _ in range(INBOUND_MESSAGES_MAX + 1):
                # As paho's thread does; a broker would drop some of them itself.
                agent._enqueue(TOPICS.status("tablet"), b"", False)  # noqa: FBT003, SLF001 - as above
            free.set()
            gateway.asked()
            agent.sync(PATIENCE_S)
            assert agent.counts["messages dropped, queue full"] >= 1
        gateway.close()
