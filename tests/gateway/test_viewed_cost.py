"""What a view costs follows what changed in it: old deletes and moves are not looked at."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from gateway.feed import FeedSnapshot
from gateway.notifier import Target, notices
from gateway.rows import Alter, Delete, Place, Put, Row
from gateway.state_file import SqliteStore
from gateway.viewed import ViewedFeed
from sync_protocol.views import View
from sync_protocol.wire import Format
from tests.gateway.recording import RecordingSnapshot

FEED = "mail"
ITEMS = 400
FOLDERS = ("Inbox", "Archive")
NOW = 1_000


class CountingSnapshot(RecordingSnapshot):
    """Counts the rows that are read of a feed."""

    def __init__(self, snapshot: FeedSnapshot) -> None:
        super().__init__(snapshot)
        self.rows_read = 0

    def rows(
        self,
        first: int,
        last: int,
        *,
        places: Collection[Place] | None = None,
        newest_first: bool = False,
    ) -> Iterator[Row]:
        for row in super().rows(first, last, places=places, newest_first=newest_first):
            self.rows_read += 1
            yield row

    def leavings(
        self, first: int, last: int, *, places: Collection[Place], newest_first: bool = False
    ) -> Iterator[tuple[int, Row]]:
        found = super().leavings(first, last, places=places, newest_first=newest_first)
        for seq, row in found:
            self.rows_read += 1
            yield seq, row


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A feed in which much was deleted, and much moved between two folders."""
    store = SqliteStore(tmp_path / "gateway.sqlite3")
    with store.transaction() as work:
        work.add_feed(FEED, epoch_id=b"epoch---", now=NOW)
        for number in range(2 * ITEMS):
            put = Put(f"item-{number}", b"", "mail", "message/rfc822", folder=FOLDERS[0])
            work.apply(FEED, put, now=NOW)
        for number in range(ITEMS):
            work.apply(FEED, Delete(f"item-{number}"), now=NOW)
        for number in range(ITEMS, 2 * ITEMS):
            work.apply(FEED, Alter(f"item-{number}", folder=FOLDERS[1]), now=NOW)
    yield store
    store.close()


def pushed(store: SqliteStore, view: View, *, cursor: int) -> tuple[int, int]:
    """How many changes are pushed to a replica, and how many rows are read for them."""
    target = Target("phone", b"one-time", 0, 7, Format.CBOR, view)
    with store.snapshot(FEED) as snapshot:
        counting = CountingSnapshot(snapshot)
        found = notices(
            counting, cursor=cursor, targets=[target], notification_content_bytes_max=100
        )
        return len(list(found)), counting.rows_read


@pytest.mark.parametrize(
    "view",
    [
        View(folders=FOLDERS),
        View(folders=("Inbox",)),
        View(folders=("Archive", "Other")),
        View(kinds=("mail",)),
        View(),
    ],
    ids=str,
)
def test_a_push_reads_what_is_new_and_the_one_before(store: SqliteStore, view: View) -> None:
    with store.snapshot(FEED) as snapshot:
        head = snapshot.head
    for count in (1, 50):
        changes, rows_read = pushed(store, view, cursor=head - count)
        assert changes == count
        assert rows_read <= 2 * count + 2


def test_all_moves_and_deletes_at_once_are_each_read_a_few_times(store: SqliteStore) -> None:
    changes, rows_read = pushed(store, View(folders=FOLDERS), cursor=2 * ITEMS)
    assert changes == 2 * ITEMS
    assert rows_read <= 3 * changes


def test_the_change_before_is_found_far_away_too(store: SqliteStore) -> None:
    with store.transaction() as work:
        for number in range(ITEMS):
            put = Put(f"other-{number}", b"", "mail", "message/rfc822", folder="Other")
            work.apply(FEED, put, now=NOW)
    with store.snapshot(FEED) as snapshot:
        counting = CountingSnapshot(snapshot)
        before = ViewedFeed(counting, View(folders=FOLDERS)).previous(snapshot.head + 1)
        assert before == snapshot.head - ITEMS
        assert counting.rows_read <= 2
