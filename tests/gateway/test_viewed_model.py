"""Any view of any feed, against all that ever happened to its items (docs/protocol.md, F5)."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.feed import FeedStore
from gateway.feed_memory import MemoryFeedStore
from gateway.rows import Alter, Delete, Mutation, Place, Put
from gateway.state_file import SqliteStore
from gateway.viewed import ViewedFeed, effective_seq
from sync_protocol import inventory
from sync_protocol.views import View
from tests.gateway.rendered_feeds import AS_HALF, BROKEN, begin, end, with_half
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, put

ITEMS = ("ada", "bob", "cyd")
KINDS = ("contact", "event", "note")  # a note is never rendered
FOLDERS = ("", "Home", "Work")
MOMENTS = (None, 4, 5, 6)
CONTENTS = (b"", b"123", b"123456", b"12345678", BROKEN + b"x")


@dataclass(frozen=True)
class Hold:
    """Quarantine an item."""

    id: str


Step: TypeAlias = Mutation | Hold


@dataclass
class History:
    """What happened: the state of all items after each change; `stays` has what is live."""

    stays: list[dict[str, Put]] = field(default_factory=lambda: [{}])
    newest: dict[str, int] = field(default_factory=dict)
    held_back: set[str] = field(default_factory=set)

    def place(self, item_id: str, seq: int) -> Place | None:
        """Where an item was after the change at `seq`."""
        item = self.stays[seq].get(item_id)
        return None if item is None else Place(item.kind, item.folder or "")

    def effective(self, item_id: str, view: View) -> tuple[int, int | None] | None:
        """At which seq, and with how large a content."""
        item = self.stays[-1].get(item_id)
        if item is not None and view.wants(item.kind, item.folder or ""):
            if item_id in self.held_back:
                return None
            return self.newest[item_id], _shown(item, view)
        for seq in range(len(self.stays) - 1, 0, -1):
            before = self.place(item_id, seq - 1)
            if before is not None and before != self.place(item_id, seq) and view.wants(*before):
                return seq, None
        return None


def _shown(item: Put, view: View) -> int | None:
    """How large the item's content is in the view; None if it is not in it."""
    ends = item.date if item.until is None else item.until
    if view.since is not None and ends is not None and ends < view.since:
        return None
    size = len(item.content)
    if any(it.kind == item.kind for it in view.shown_as):
        if item.content.startswith(BROKEN):
            return None
        size //= 2
    return None if view.item_bytes_max is not None and size > view.item_bytes_max else size


@st.composite
def puts(draw: st.DrawFn) -> Put:
    made = put(
        draw(st.sampled_from(ITEMS)),
        draw(st.sampled_from(CONTENTS)),
        kind=draw(st.sampled_from(KINDS)),
        folder=draw(st.sampled_from(FOLDERS)),
        date=draw(st.sampled_from(MOMENTS)),
    )
    return replace(made, flags=(), until=draw(st.sampled_from(MOMENTS)))


ids = st.sampled_from(ITEMS)
steps: st.SearchStrategy[Step] = st.one_of(
    puts(),
    puts(),
    st.builds(Alter, ids, folder=st.sampled_from(FOLDERS)),
    st.builds(Alter, ids, folder=st.sampled_from(FOLDERS)),
    st.builds(Alter, ids, flags=st.sampled_from([(), ("x",)])),
    st.builds(Delete, ids),
    st.builds(Hold, ids),
)
_some_kinds = st.none() | st.lists(st.sampled_from(KINDS), unique=True).map(tuple)
_some_folders = st.none() | st.lists(st.sampled_from(FOLDERS), unique=True).map(tuple)
views = st.builds(
    View,
    kinds=_some_kinds,
    folders=_some_folders,
    since=st.sampled_from((None, 5)),
    item_bytes_max=st.sampled_from((None, 0, 3, 6)),
    shown_as=st.sampled_from(((), AS_HALF[:1], AS_HALF)),
)
StoreMaker: TypeAlias = Callable[[], contextlib.AbstractContextManager[FeedStore]]


@contextlib.contextmanager
def memory() -> Iterator[FeedStore]:
    yield MemoryFeedStore()


@contextlib.contextmanager
def sqlite() -> Iterator[FeedStore]:
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(SqliteStore(Path(folder) / "gateway.sqlite3")) as store,
    ):
        yield store


def after(items: dict[str, Put], mutation: Mutation) -> dict[str, Put]:
    """The live items after a change of one."""
    match mutation:
        case Put():
            return items | {mutation.id: mutation}
        case Alter():
            item = items[mutation.id]
            folder = item.folder if mutation.folder is None else mutation.folder
            return items | {mutation.id: replace(item, folder=folder)}
        case Delete():
            return {it: item for it, item in items.items() if it != mutation.id}


def happen(store: FeedStore, made: list[Step]) -> History:
    """Have it all happen, one after the other; what cannot be is left out."""
    history = History()
    with store.transaction() as transaction:
        transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
    begin(store)
    assert end(store)
    with store.transaction() as transaction:
        for step in made:
            item = history.stays[-1].get(step.id)
            if item is None and not isinstance(step, Put):
                continue
            now = dict(history.stays[-1])
            if isinstance(step, Hold):
                held = transaction.quarantine(FEED, step.id, seq=history.newest[step.id], why="x")
                assert held == (step.id not in history.held_back)
                if held:
                    history.held_back.add(step.id)
                    history.stays.append(now)
                continue
            row = transaction.apply(FEED, with_half(step), now=NOW)
            if row is None:
                continue
            now = after(now, step)
            if not isinstance(step, Alter):
                history.held_back.discard(step.id)
            history.stays.append(now)
            history.newest[step.id] = row.seq
            assert row.seq == len(history.stays) - 1
    return history


Effects: TypeAlias = list[tuple[int, str, int | None]]


def seen(feed: ViewedFeed, first: int, last: int, *, newest_first: bool = False) -> Effects:
    return [
        (it.seq, it.row.id, None if it.rendering is None else it.rendering.size)
        for it in feed.changes(first, last, newest_first=newest_first)
    ]


def check(store: FeedStore, history: History, view: View, first: int, last: int) -> None:
    expected: Effects = sorted(
        (*effect[:1], item_id, *effect[1:])
        for item_id in ITEMS
        if (effect := history.effective(item_id, view)) is not None
    )
    with store.snapshot(FEED) as snapshot:
        feed = ViewedFeed(snapshot, view)
        assert snapshot.head == len(history.stays) - 1
        assert seen(feed, 1, snapshot.head) == expected
        within = [it for it in expected if first <= it[0] <= last]
        assert seen(feed, first, last) == within
        assert seen(feed, first, last, newest_first=True) == within[::-1]
        for seq in range(1, snapshot.head + 2):
            older = [it[0] for it in expected if it[0] < seq]
            assert feed.previous(seq) == max(older, default=None)
        by_row = {}
        for item_id in ITEMS:
            if (row := snapshot.row(item_id)) is not None:
                by_row[item_id] = effective_seq(row, view)
        assert {it: seq for it, seq in by_row.items() if seq is not None} == {
            item_id: seq for seq, item_id, _ in expected
        }


UNHURRIED = settings(deadline=None)  # a busy machine is no error


@UNHURRIED
@given(made=st.lists(steps, max_size=14), view=views, span=st.tuples(*[st.integers(0, 15)] * 2))
def test_f5_a_view_shows_what_came_and_what_left(
    made: list[Step], view: View, span: tuple[int, int]
) -> None:
    with memory() as store:
        check(store, happen(store, made), view, *span)


@settings(deadline=None, max_examples=25)
@given(made=st.lists(steps, max_size=14), view=views, span=st.tuples(*[st.integers(0, 15)] * 2))
def test_f5_a_view_of_a_state_file_shows_what_came_and_what_left(
    made: list[Step], view: View, span: tuple[int, int]
) -> None:
    with sqlite() as store:
        check(store, happen(store, made), view, *span)


@UNHURRIED
@given(made=st.lists(steps, max_size=14), view=views)
def test_p2_what_has_entered_a_view_was_in_no_place_of_it(made: list[Step], view: View) -> None:
    with memory() as store:
        history = happen(store, made)
        with store.snapshot(FEED) as snapshot:
            feed = ViewedFeed(snapshot, view)
            for change in feed.changes(1, snapshot.head):
                for since in range(snapshot.head + 1):
                    if feed.has_entered(change.row, since=since):
                        place = history.place(change.row.id, since)
                        assert change.rendering is None or view.wants(*change.row.place)
                        assert place is None or not view.wants(*place)


@pytest.mark.parametrize("make", [memory, sqlite])
@settings(deadline=None, max_examples=20)
@given(made=st.lists(steps, max_size=14), view=views)
def test_g6_the_entries_of_a_view_are_what_is_found_in_it(
    make: StoreMaker, made: list[Step], view: View
) -> None:
    with make() as store:
        history = happen(store, made)
        with store.snapshot(FEED) as snapshot:
            feed = ViewedFeed(snapshot, view)
            entries = list(feed.entries(*inventory.bounds("")))
            found = {it: change for it in ITEMS if (change := feed.find(it)) is not None}
    in_view = {
        item_id
        for item_id, item in history.stays[-1].items()
        if view.wants(item.kind, item.folder or "") and _shown(item, view) is not None
    }
    assert {it.id for it in entries} == found.keys() == in_view
    assert [it.id_hash for it in entries] == sorted(map(inventory.id_hash, in_view))
    for entry in entries:
        row, rendering = found[entry.id].row, found[entry.id].rendering
        assert rendering is not None
        assert rendering.size == _shown(history.stays[-1][entry.id], view)
        assert (entry.seq, entry.c) == (history.newest[entry.id], rendering.c)
        assert (entry.etag, entry.size) == (row.etag(rendering), rendering.size)
        assert (entry.quarantined is not None) == (entry.id in history.held_back)
