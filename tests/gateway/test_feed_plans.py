"""What a state file is asked finds its rows by an index, in order, whatever the feed's size."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from gateway.feed_sqlite import SqliteTransaction
from gateway.rows import Alter, Delete
from gateway.snapshot_sqlite import SqliteSnapshot
from gateway.state_file import SqliteStore
from gateway.viewed import ViewedFeed
from sync_protocol import inventory
from sync_protocol.views import View
from tests.gateway.rendered_feeds import BROKEN, HALF, HALF_VIEW, change_halved, half, with_half
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, put

VIEW: Final = View(folders=("Work", "Home"), shown_as=HALF_VIEW.shown_as)
# A list of some words, given as JSON, is all that may be read from its beginning to its end.
_READ_WHOLE: Final = "SCAN json_each "
_QUESTIONS: Final = ("SELECT", "UPDATE", "DELETE", "INSERT")


class TracedStore(SqliteStore):
    """A store that notes what it asks its file."""

    def __init__(self, path: Path) -> None:
        self.asked: list[str] = []
        super().__init__(path)

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        db.set_trace_callback(self.asked.append)
        return db


# Of the last of 30 puts, 10 moves, 8 deletes and one put more.
BROKEN_SEQ: Final = 49


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[TracedStore]:
    """A feed with items in some places, of which some have left others."""
    store = TracedStore(path)
    with store.transaction() as transaction:
        transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        transaction.begin_rendering(FEED, HALF)
        transaction.end_rendering(FEED, HALF.name)
    folders = ("Work", "Home", "Attic")
    names = [f"item-{number}" for number in range(30)]
    change_halved(
        store,
        *(put(name, name.encode(), folder=folders[len(name) % 3]) for name in names),
        *(Alter(name, folder="Attic") for name in names[::3]),
        *(Delete(name) for name in names[::4]),
        put("broken", BROKEN),
    )
    yield store
    store.close()


def plans(path: Path, asked: list[str]) -> dict[str, list[str]]:
    """How SQLite finds what it is asked, statement by statement."""
    db = sqlite3.connect(path)
    try:
        return {
            it: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {it}")]
            for it in asked
            if it.startswith(_QUESTIONS)
        }
    finally:
        db.close()


def check(path: Path, asked: list[str]) -> None:
    found = plans(path, asked)
    assert found
    for statement, steps in found.items():
        for step in steps:
            is_scan = step.startswith("SCAN") and not step.startswith(_READ_WHOLE)
            assert not is_scan, f"{statement}: {step}"
            assert "TEMP B-TREE" not in step, f"{statement}: {step}"


def _found(feed: ViewedFeed, *, newest_first: bool) -> object:
    return list(feed.changes(1, 99, newest_first=newest_first))


LOOKS: dict[str, Callable[[SqliteSnapshot], object]] = {
    "places": lambda it: it.places(),
    "rows of places": lambda it: list(it.rows(1, 99, places=it.places())),
    "rows of places, newest first": lambda it: list(
        it.rows(1, 99, places=it.places(), newest_first=True)
    ),
    "rows of the feed": lambda it: [*it.rows(1, 99), *it.rows(1, 99, newest_first=True)],
    "leavings": lambda it: list(it.leavings(1, 99, places=it.places())),
    "leavings, newest first": lambda it: list(
        it.leavings(1, 99, places=it.places(), newest_first=True)
    ),
    "representations": lambda it: it.representations(),
    "rendering": lambda it: it.rendering("item-1", "half"),
    "content of a rendering": lambda it: it.content(
        "item-1", offset=0, bytes_max=9, representation="half"
    ),
    "problems": lambda it: it.problems(),
    "quarantined": lambda it: it.quarantined(),
    "unrendered": lambda it: it.unrendered("half", limit=9),
    "entries": lambda it: list(it.entries(*inventory.bounds(""))),
    "items": lambda it: it.items(after="item-3", limit=9),
    "a view": lambda it: _found(ViewedFeed(it, VIEW), newest_first=False),
    "a view, newest first": lambda it: _found(ViewedFeed(it, VIEW), newest_first=True),
    "what comes before in a view": lambda it: ViewedFeed(it, VIEW).previous(99),
    "the entries of a view": lambda it: list(ViewedFeed(it, VIEW).entries(*inventory.bounds(""))),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_at_a_feed(
    store: TracedStore, path: Path, look: Callable[[SqliteSnapshot], object]
) -> None:
    with store.snapshot(FEED) as snapshot:
        store.asked.clear()
        look(snapshot)
        asked = list(store.asked)
    check(path, asked)


_BY_PLACE: Final = "(feed=? AND kind=? AND folder=? AND seq>? AND seq<?)"
PLACED: Final = {
    "item": f"SEARCH item USING INDEX item_place {_BY_PLACE}",
    "leaving": f"SEARCH leaving USING INDEX leaving_place {_BY_PLACE}",
}


@pytest.mark.parametrize("newest_first", [False, True])
def test_what_is_elsewhere_is_not_even_looked_at(
    store: TracedStore,
    path: Path,
    newest_first: bool,  # noqa: FBT001 - a parameter
) -> None:
    with store.snapshot(FEED) as snapshot:
        places = snapshot.places()
        store.asked.clear()
        for found in (snapshot.rows, snapshot.leavings):
            list(found(1, 99, places=places, newest_first=newest_first))
        asked = list(store.asked)
    steps = [found[0] for found in plans(path, asked).values()]
    assert sorted(steps) == sorted([*PLACED.values()] * len(places))


WORK: dict[str, Callable[[SqliteTransaction], object]] = {
    "a put": lambda it: it.apply(FEED, with_half(put("item-1", b"other")), now=NOW),
    "a move": lambda it: it.apply(FEED, Alter("item-1", folder="Elsewhere"), now=NOW),
    "a delete": lambda it: it.apply(FEED, Delete("item-1"), now=NOW),
    "to quarantine": lambda it: it.quarantine(FEED, "item-1", seq=2, why="broken"),
    "to retry": lambda it: it.retry(
        FEED, "broken", seq=BROKEN_SEQ, now=NOW, renderings={"half": half(b"")}
    ),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_a_change_of_a_feed(
    store: TracedStore, path: Path, work: Callable[[SqliteTransaction], object]
) -> None:
    with store.transaction() as transaction:
        store.asked.clear()
        work(transaction)
        asked = list(store.asked)
    check(path, asked)
