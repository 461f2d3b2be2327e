"""What every feed store does with what is held back from devices (docs/protocol.md, F7)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.feed import FeedError, FeedStore
from gateway.feed_memory import MemoryFeedStore
from gateway.rows import Alter, Delete, Left, Place
from gateway.state_file import SqliteStore
from gateway.viewed import ViewedFeed
from sync_protocol import inventory
from sync_protocol.views import WHOLE_FEED
from tests.gateway.damage import WHY, flip_byte, hold_back, lose_content, retry
from tests.gateway.sample_feeds import (
    EPOCH,
    FEED,
    NOW,
    change,
    changed,
    contents,
    head,
    open_epoch,
    purge,
    put,
)

EPOCH_2 = b"epoch--2"


@contextlib.contextmanager
def sqlite_store(folder: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(folder / "gateway.sqlite3")) as store:
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        yield store


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeedStore]:
    if request.param == "memory":
        memory = MemoryFeedStore()
        memory.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        yield memory
        return
    with sqlite_store(tmp_path) as store:
        yield store


def etags(store: FeedStore) -> Sequence[tuple[str, bytes]]:
    with store.snapshot(FEED) as snapshot:
        return [(it.id, it.etag) for it in snapshot.entries(*inventory.bounds(""))]


def test_what_is_held_back_is_no_change_of_the_feed(store: FeedStore) -> None:
    change(store, put("ada"), put("bob"), put("cyd"))
    hold_back(store, "bob")
    with store.snapshot(FEED) as snapshot:
        assert [row.id for row in snapshot.rows(1, 9)] == ["ada", "cyd"]
        assert [row.id for row in snapshot.rows(1, 9, newest_first=True)] == ["cyd", "ada"]
        feed = ViewedFeed(snapshot, WHOLE_FEED)
        assert [feed.previous(seq) for seq in (2, 3, 4)] == [1, 1, 3]


def test_it_takes_a_seq_at_which_no_row_stands(store: FeedStore) -> None:
    change(store, put("ada"), put("bob"))
    hold_back(store, "ada")
    with store.snapshot(FEED) as snapshot:
        assert snapshot.head == 3
        assert [row.seq for row in snapshot.rows(1, 9)] == [2]
        (held_back,) = snapshot.quarantined()
        assert (held_back.seq, held_back.c) == (1, 1)
    open_epoch(store, EPOCH_2)
    assert changed(store, put("cyd")).seq == 4
    with store.snapshot(FEED) as snapshot:
        assert snapshot.newest_epoch().first == 4


def test_what_is_held_back_is_an_item_all_the_same(store: FeedStore) -> None:
    change(store, put("ada"), put("bob"), put("cyd"))
    before = etags(store)
    hold_back(store, "cyd")
    hold_back(store, "ada", why="breaks more")
    with store.snapshot(FEED) as snapshot:
        assert [(row.id, row.quarantined) for row in snapshot.quarantined()] == [
            ("ada", "breaks more"),
            ("cyd", WHY),
        ]
        assert snapshot.row("cyd") == snapshot.quarantined()[1]
        assert [row.id for row in snapshot.items(after=None, limit=9)] == ["ada", "bob", "cyd"]
        assert snapshot.item_count == 3
        assert "ada" in contents(snapshot)
    assert etags(store) == before


def test_only_the_change_that_broke_is_held_back(store: FeedStore) -> None:
    change(store, put("ada", b"one"), put("ada", b"two"))
    with store.transaction() as transaction:
        assert not transaction.quarantine(FEED, "ada", seq=1, why=WHY)
        assert not transaction.quarantine(FEED, "eve", seq=2, why=WHY)
    assert head(store) == 2
    with store.snapshot(FEED) as snapshot:
        assert snapshot.quarantined() == []
        assert [row.id for row in snapshot.rows(1, 9)] == ["ada"]


def test_put_again_with_the_same_bytes_it_is_let_out(store: FeedStore) -> None:
    changed(store, put(folder="Work", flags=("x",)))
    hold_back(store)
    row = changed(store, put())
    assert (row.seq, row.c, row.quarantined) == (3, 1, None)
    assert (row.folder, row.flags) == ("Work", ("x",))
    with store.snapshot(FEED) as snapshot:
        assert snapshot.quarantined() == []
        assert list(snapshot.rows(1, 9)) == [row]
        assert contents(snapshot) == {"ada": b"BEGIN:VCARD"}
    assert change(store, put()) == [None]


def test_put_again_with_other_bytes_it_is_let_out(store: FeedStore) -> None:
    changed(store, put())
    hold_back(store)
    row = changed(store, put(content=b"new"))
    assert (row.seq, row.c, row.quarantined) == (3, 3, None)
    with store.snapshot(FEED) as snapshot:
        assert contents(snapshot) == {"ada": b"new"}


def test_altered_it_is_held_back_as_before(store: FeedStore) -> None:
    changed(store, put())
    hold_back(store)
    row = changed(store, Alter("ada", flags=("$seen",)))
    assert (row.seq, row.flags, row.quarantined) == (3, ("$seen",), WHY)
    with store.snapshot(FEED) as snapshot:
        assert list(snapshot.rows(1, 9)) == []
        assert snapshot.quarantined() == [row]


def test_deleted_it_is_let_out(store: FeedStore) -> None:
    changed(store, put())
    hold_back(store)
    row = changed(store, Delete("ada"))
    assert (row.seq, row.deleted, row.quarantined) == (3, True, None)
    with store.snapshot(FEED) as snapshot:
        assert list(snapshot.rows(1, 9)) == [row]
        assert snapshot.quarantined() == []
        assert snapshot.item_count == 0


def test_let_out_it_is_a_new_change_of_old_content(store: FeedStore) -> None:
    change(store, put("ada", folder="Work"), Alter("ada", folder="Home"), put("bob"))
    with store.snapshot(FEED) as snapshot:
        before = snapshot.row("ada")
    assert before is not None
    hold_back(store)
    row = retry(store, now=NOW + 5)
    assert row == replace(before, seq=5, at=NOW + 5)
    assert (row.c, row.left) == (1, {Place("contact", "Work"): Left(2, NOW)})
    with store.snapshot(FEED) as snapshot:
        assert snapshot.row("ada") == row
        assert [it.id for it in snapshot.rows(1, 9)] == ["bob", "ada"]
        assert snapshot.quarantined() == []
        assert (snapshot.head, snapshot.item_count) == (5, 2)
    assert changed(store, put("cyd")).seq == 6


@pytest.mark.parametrize("item_id", ["ada", "gone", "eve"])
def test_what_is_not_held_back_cannot_be_let_out(store: FeedStore, item_id: str) -> None:
    change(store, put("ada"), put("gone"), Delete("gone"))
    with pytest.raises(FeedError, match=f"'{item_id}' .* is not in quarantine"):
        retry(store, item_id)
    assert head(store) == 3


def test_a_purge_lets_nothing_out(store: FeedStore) -> None:
    change(store, put(folder="Work"), Alter("ada", folder="Home"))
    hold_back(store)
    assert purge(store, before=NOW + 1) == 1
    with store.snapshot(FEED) as snapshot:
        (row,) = snapshot.quarantined()
    assert (row.left, row.quarantined) == ({}, WHY)


@pytest.mark.parametrize("break_item", [lose_content, flip_byte])
def test_the_same_bytes_heal_a_content(
    tmp_path: Path, break_item: Callable[[Path, str], None]
) -> None:
    with sqlite_store(tmp_path) as store:
        changed(store, put(content=b"bytes"))
        break_item(tmp_path / "gateway.sqlite3", "ada")
        with store.snapshot(FEED) as snapshot:
            assert contents(snapshot) != {"ada": b"bytes"}
        hold_back(store)
        assert changed(store, put(content=b"bytes")).c == 1
        with store.snapshot(FEED) as snapshot:
            assert contents(snapshot) == {"ada": b"bytes"}


@pytest.mark.parametrize("break_item", [lose_content, flip_byte])
def test_the_same_bytes_heal_a_content_before_it_is_held_back(
    tmp_path: Path, break_item: Callable[[Path, str], None]
) -> None:
    with sqlite_store(tmp_path) as store:
        changed(store, put(content=b"bytes"))
        break_item(tmp_path / "gateway.sqlite3", "ada")
        assert change(store, put(content=b"bytes")) == [None]
        with store.snapshot(FEED) as snapshot:
            assert contents(snapshot) == {"ada": b"bytes"}
            assert snapshot.head == 1


def test_a_lost_content_does_not_keep_an_item_from_being_deleted(tmp_path: Path) -> None:
    with sqlite_store(tmp_path) as store:
        changed(store, put())
        lose_content(tmp_path / "gateway.sqlite3", "ada")
        hold_back(store)
        assert changed(store, Delete("ada")).deleted


def test_what_is_held_back_in_all_feeds_is_counted(tmp_path: Path) -> None:
    with sqlite_store(tmp_path) as store:
        change(store, put("ada"), put("bob"), put("cyd"))
        with store.transaction() as transaction:
            transaction.add_feed("other", epoch_id=EPOCH, now=NOW)
            transaction.apply("other", put("dan"), now=NOW)
            transaction.quarantine("other", "dan", seq=1, why=WHY)
        assert store.quarantined_count() == 1
        hold_back(store, "ada")
        hold_back(store, "cyd")
        assert store.quarantined_count() == 3
        retry(store, "cyd")
        with store.transaction() as transaction:
            transaction.remove_feed("other")
        assert store.quarantined_count() == 1
