"""An agent that wants a part of a feed: views, time windows, and contents on demand."""

import contextlib
import queue
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from device_agent import (
    AgentError,
    DeviceAgent,
    Event,
    Happened,
    NotFoundError,
    SyncFailedError,
    WantedView,
)
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE
from device_agent.store import HeldItem, ReplicaState, mark_fetched
from sync_protocol.views import WHOLE_FEED, View
from tests.device_agent.builders import change, push, put, served
from tests.device_agent.peers import (
    CALM,
    PATIENCE_S,
    Broker,
    MakeAgent,
    ScriptedGateway,
    Told,
)
from tests.device_agent.shelf import Shelf
from tests.eventually import eventually

DAY_S: Final = 86_400
LARGE: Final = bytes(range(100))
ON_DEMAND: Final = WantedView(remainder_bytes_max=10)


@pytest.fixture
def shelf(gateway: ScriptedGateway) -> Shelf:
    shelf = Shelf()
    shelf.put("large", LARGE)
    gateway.respond = shelf.respond
    return shelf


@pytest.fixture
def agent(embedded: Broker, shelf: Shelf, make_agent: MakeAgent) -> Iterator[DeviceAgent]:
    """One that holds a part of a large content."""
    del shelf
    with make_agent(embedded.port, views={"feed": ON_DEMAND}) as agent:
        agent.sync(PATIENCE_S)
        yield agent


def item_in(folder: Path, item_id: str) -> HeldItem | None:
    with contextlib.closing(AgentFile(folder / STORE_FILE, readonly=True)) as file:
        return file.replica("feed").item(item_id)


def state_in(folder: Path) -> ReplicaState | None:
    with contextlib.closing(AgentFile(folder / STORE_FILE, readonly=True)) as file:
        return file.replica("feed").state()


class TestViews:
    def test_each_feed_has_its_own(
        self, embedded: Broker, gateway: ScriptedGateway, make_agent: MakeAgent
    ) -> None:
        now = 1_000 * DAY_S + 5.0
        views = {
            "mail": WantedView(View(kinds=("mail",)), days=30),
            "notes": WantedView(View(since=7)),
        }
        feeds = ["feed", "mail", "notes"]
        with make_agent(embedded.port, feeds=feeds, views=views, unix_time=lambda: now) as agent:
            agent.sync(PATIENCE_S)
        asked = {request.view for request in gateway.asked_more()}
        assert asked == {WHOLE_FEED, View(kinds=("mail",), since=970 * DAY_S), View(since=7)}

    def test_one_of_a_feed_that_is_not_kept_is_refused(self, make_agent: MakeAgent) -> None:
        with pytest.raises(ValueError, match="a view of a feed that is not kept: mail"):
            make_agent(1, views={"mail": WantedView()})

    def test_the_window_moves_with_the_days_and_tells_what_falls_out(
        self, embedded: Broker, gateway: ScriptedGateway, make_agent: MakeAgent, told: Told
    ) -> None:
        today = 1_000 * DAY_S
        clock = [float(today)]
        item = put("a", b"A", date=today - 2 * DAY_S)
        gateway.respond = lambda request: served(request, head=5, changes=[change(4, item)])
        views = {"feed": WantedView(days=2)}
        with make_agent(embedded.port, views=views, unix_time=lambda: clock[0]) as agent:
            agent.sync(PATIENCE_S)
            assert told.change() == ("feed", Happened(Event.CHANGED, "a", 4))
            clock[0] += DAY_S - 1
            agent.sync(PATIENCE_S)
            assert told.changes.empty()
            before = gateway.asked_more()
            clock[0] += 1
            agent.sync(PATIENCE_S)
            assert told.change() == ("feed", Happened(Event.REMOVED, "a", 4))
            (request,) = gateway.asked_more()
            assert request.view == View(since=today - DAY_S)
            assert {it.view_id for it in before} == {request.view_id}

    def test_without_a_connection_it_moves_on_as_well(
        self,
        embedded: Broker,
        gateway: ScriptedGateway,
        make_agent: MakeAgent,
        told: Told,
    ) -> None:
        today = 1_000 * DAY_S
        clock = [float(today)]
        items = [put(f"{days} days old", b"A", date=today - days * DAY_S) for days in (0, 1, 2)]
        changes = [change(n, item) for n, item in enumerate(items, 3)]
        gateway.respond = lambda request: served(request, head=5, changes=changes)
        views = {"feed": WantedView(days=2)}
        with make_agent(embedded.port, views=views, unix_time=lambda: clock[0]) as agent:
            agent.sync(PATIENCE_S)
            for _ in items:
                assert told.change()[1].event is Event.CHANGED
            embedded.stop()
            assert eventually(lambda: "no connection" in agent.hindrance)
            clock[0] += DAY_S
            assert told.change() == ("feed", Happened(Event.REMOVED, "2 days old", 5))
        clock[0] += DAY_S
        with make_agent(embedded.port, views=views, unix_time=lambda: clock[0]):
            assert told.change() == ("feed", Happened(Event.REMOVED, "1 days old", 4))
        assert told.changes.empty()

    def test_without_a_connection_a_clock_that_is_set_back_changes_nothing(
        self,
        embedded: Broker,
        gateway: ScriptedGateway,
        make_agent: MakeAgent,
        tmp_path: Path,
    ) -> None:
        """It may be one that is right only once there is a connection."""
        views = {"feed": WantedView(days=2)}
        now = 1_000.0 * DAY_S
        with make_agent(embedded.port, views=views, unix_time=lambda: now) as agent:
            agent.sync(PATIENCE_S)
        embedded.stop()
        state = state_in(tmp_path / "data")
        assert state is not None
        with make_agent(embedded.port, views=views, unix_time=lambda: 0.0) as agent:
            assert eventually(lambda: agent.counts.get("connects failed", 0) > 0)
        assert state_in(tmp_path / "data") == state
        assert gateway.asked().view == View(since=998 * DAY_S)

    @pytest.mark.parametrize(
        ("wanted", "since"),
        [
            ((WantedView(days=1), WantedView(days=3)), 997 * DAY_S),
            ((WantedView(View(since=DAY_S)), WantedView(View(since=DAY_S - 1))), DAY_S - 1),
            ((WantedView(days=3), WantedView(days=1)), None),
            ((WantedView(View(since=DAY_S)), WantedView(View(since=DAY_S + 1))), None),
        ],
    )
    def test_more_days_are_asked_for_and_less_are_no_other_view(
        self,
        embedded: Broker,
        gateway: ScriptedGateway,
        make_agent: MakeAgent,
        wanted: tuple[WantedView, WantedView],
        since: int | None,
    ) -> None:
        before, after = wanted
        now = 1_000.0 * DAY_S
        asked = []
        for view in (before, after, after):
            with make_agent(embedded.port, views={"feed": view}, unix_time=lambda: now) as agent:
                agent.sync(PATIENCE_S)
            asked.append(gateway.asked_more())
        (*_, old), (first, *_), (again, *_) = asked
        assert first.view == View(since=after.since(now) if since is None else since)
        assert (first.collection is None) == (first.view_id != old.view_id) == (since is not None)
        assert (again.view, again.view_id) == (first.view, first.view_id)
        assert again.collection is not None

    def test_a_clock_that_is_set_back_makes_another_view(
        self, embedded: Broker, gateway: ScriptedGateway, make_agent: MakeAgent
    ) -> None:
        clock = [1_000.0 * DAY_S]
        views = {"feed": WantedView(days=2)}
        with make_agent(embedded.port, views=views, unix_time=lambda: clock[0]) as agent:
            agent.sync(PATIENCE_S)
            (*_, before) = gateway.asked_more()
            clock[0] = 0.0
            agent.sync(PATIENCE_S)
            first, *_ = gateway.asked_more()
            assert (first.collection, first.view) == (None, View(since=-2 * DAY_S))
            assert first.view_id != before.view_id

    def test_another_view_after_a_restart_leads_to_an_inventory(
        self, embedded: Broker, gateway: ScriptedGateway, make_agent: MakeAgent
    ) -> None:
        firsts = []
        for view in (WHOLE_FEED, WHOLE_FEED, View(kinds=("mail",))):
            with make_agent(embedded.port, views={"feed": WantedView(view)}) as agent:
                agent.sync(PATIENCE_S)
            first, *_ = gateway.asked_more()
            firsts.append((first.collection is None, first.view))
        assert firsts == [
            (True, WHOLE_FEED),
            (False, WHOLE_FEED),
            (True, View(kinds=("mail",))),
        ]


class TestFetch:
    def test_the_rest_comes_when_somebody_asks(
        self, agent: DeviceAgent, shelf: Shelf, told: Told
    ) -> None:
        assert told.change() == ("feed", Happened(Event.CHANGED, "large", 1))
        assert shelf.wanted == []
        agent.fetch("feed", "large")
        assert told.change() == ("feed", Happened(Event.COMPLETED, "large", 1))
        assert shelf.offsets("large") == [4]

    def test_it_is_noted_when_the_call_returns(
        self, agent: DeviceAgent, shelf: Shelf, tmp_path: Path
    ) -> None:
        shelf.open.clear()
        agent.fetch("feed", "large")
        item = item_in(tmp_path / "data", "large")
        assert item is not None
        assert item.is_fetched

    def test_of_what_is_not_here(self, agent: DeviceAgent) -> None:
        with pytest.raises(NotFoundError, match="no item 'never there' is held in feed"):
            agent.fetch("feed", "never there")
        with pytest.raises(NotFoundError, match="no feed 'mail' is kept here, only feed"):
            agent.fetch("mail", "large")
        assert agent.failure is None
        agent.fetch("feed", "large")

    def test_by_a_callback(self, embedded: Broker, shelf: Shelf, make_agent: MakeAgent) -> None:
        completed: queue.Queue[str] = queue.Queue()

        def on_change(feed: str, happened: Happened) -> None:
            if happened.event is Event.COMPLETED:
                completed.put(happened.item_id)
            else:
                made.fetch(feed, happened.item_id)

        made = make_agent(embedded.port, views={"feed": ON_DEMAND}, on_change=on_change)
        with made:
            assert completed.get(timeout=PATIENCE_S) == "large"
        assert shelf.offsets("large") == [4]

    def test_without_a_connection_it_comes_with_the_next(
        self,
        embedded: Broker,
        agent: DeviceAgent,
        gateway: ScriptedGateway,
        told: Told,
    ) -> None:
        told.change()
        embedded.stop()
        assert eventually(lambda: "no connection" in agent.hindrance)
        gateway.asked_more()
        agent.fetch("feed", "large")
        embedded.start()
        assert told.change() == ("feed", Happened(Event.COMPLETED, "large", 1))

    def test_without_a_connection_nothing_is_asked(
        self, embedded: Broker, shelf: Shelf, make_agent: MakeAgent
    ) -> None:
        del shelf
        waits = replace(CALM, debounce_s=0)
        with make_agent(embedded.port, views={"feed": ON_DEMAND}, waits=waits) as agent:
            agent.sync(PATIENCE_S)
            before = agent.counts["requests"]
            embedded.stop()
            assert eventually(lambda: "no connection" in agent.hindrance)
            for _ in range(3):  # what one leads to is done before the next
                agent.fetch("feed", "large")
                agent.look()
            agent.fetch("feed", "large")
            assert agent.counts["requests"] == before

    def test_the_mark_lasts_over_a_restart(
        self, embedded: Broker, shelf: Shelf, make_agent: MakeAgent, told: Told
    ) -> None:
        shelf.open.clear()
        with make_agent(embedded.port, views={"feed": ON_DEMAND}) as agent:
            agent.sync(PATIENCE_S)
            agent.fetch("feed", "large")
        told.change()
        shelf.open.set()
        with make_agent(embedded.port, views={"feed": ON_DEMAND}):
            assert told.change() == ("feed", Happened(Event.COMPLETED, "large", 1))
        assert set(shelf.offsets("large")) == {4}, "no byte that is here comes again"

    def test_of_an_agent_that_does_not_run(self, embedded: Broker, make_agent: MakeAgent) -> None:
        agent = make_agent(embedded.port)
        with pytest.raises(AgentError, match="does not run"):
            agent.fetch("feed", "large")
        with agent:
            pass
        with pytest.raises(AgentError, match="does not run"):
            agent.fetch("feed", "large")

    def test_of_one_that_stopped_by_itself(self, embedded: Broker, make_agent: MakeAgent) -> None:
        with make_agent(embedded.port, password="not it", refusals_max=1) as agent:
            assert agent.wait_stopped(PATIENCE_S)
            with pytest.raises(SyncFailedError, match="refuses device phone"):
                agent.fetch("feed", "large")

    def test_a_disk_that_fails_ends_the_wait_and_the_agent(
        self, agent: DeviceAgent, tmp_path: Path
    ) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / STORE_FILE)) as damaging:
            damaging.execute("DROP TABLE item")
        with pytest.raises(AgentError, match="cannot be read or written"):
            agent.fetch("feed", "large")
        assert agent.wait_stopped(PATIENCE_S)
        assert isinstance(agent.failure, AgentError)


class TestLook:
    """Another process marked an item in the file."""

    def test_it_is_fetched(
        self, agent: DeviceAgent, shelf: Shelf, told: Told, tmp_path: Path
    ) -> None:
        told.change()
        with contextlib.closing(AgentFile(tmp_path / "data" / STORE_FILE)) as file:
            mark_fetched(file.replica("feed"), "large")
        agent.look()
        assert told.change() == ("feed", Happened(Event.COMPLETED, "large", 1))
        assert shelf.offsets("large") == [4]

    def test_if_nothing_is_marked_nothing_is_asked(
        self, agent: DeviceAgent, gateway: ScriptedGateway, told: Told
    ) -> None:
        told.change()
        gateway.asked_more()
        agent.look()
        gateway.push(push(2, put("new", b"A")))
        assert told.change()[1].item_id == "new"
        assert gateway.asked_more() == []

    def test_what_was_withheld_is_asked_for_again(
        self, agent: DeviceAgent, shelf: Shelf, told: Told, tmp_path: Path
    ) -> None:
        told.change()
        shelf.withheld.add("large")
        agent.fetch("feed", "large")
        agent.sync(PATIENCE_S)
        item = item_in(tmp_path / "data", "large")
        assert item is not None
        assert item.is_withheld
        shelf.withheld.clear()
        agent.look()
        assert told.change() == ("feed", Happened(Event.COMPLETED, "large", 1))
