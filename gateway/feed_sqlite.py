"""Feeds, devices and what they may hold, in SQLite: one snapshot, and one transaction."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator, Sequence

from gateway.device import Device, DeviceError, NoSuchDeviceError
from gateway.feed import (
    Delete,
    Entry,
    EpochSpan,
    FeedError,
    Mutation,
    NoSuchFeedError,
    NoSuchItemError,
    Put,
    Row,
    StorageError,
    check,
    next_row,
    not_quarantined,
    purged_row,
    retried_row,
)
from gateway.feed_schema import COLUMNS, row_of, values_of


class SqliteSnapshot:
    """A feed as one read transaction sees it."""

    def __init__(self, db: sqlite3.Connection, feed: str) -> None:
        self._db = db
        found = db.execute(
            "SELECT id, head, purged, item_count FROM feed WHERE name = ?", (feed,)
        ).fetchone()
        if found is None:
            raise NoSuchFeedError(feed)
        self._feed, self.head, self.purged, self.item_count = found

    def epoch(self, epoch_id: bytes) -> EpochSpan | None:
        """See `FeedSnapshot`."""
        found = self._db.execute(
            "SELECT first, (SELECT min(first) - 1 FROM epoch AS next"
            " WHERE next.feed = epoch.feed AND next.ordinal > epoch.ordinal)"
            " FROM epoch WHERE feed = ? AND id = ?",
            (self._feed, epoch_id),
        ).fetchone()
        return EpochSpan(epoch_id, *found) if found else None

    def newest_epoch(self) -> EpochSpan:
        """See `FeedSnapshot`."""
        epoch_id, first = self._db.execute(
            "SELECT id, first FROM epoch WHERE feed = ? ORDER BY ordinal DESC LIMIT 1",
            (self._feed,),
        ).fetchone()
        return EpochSpan(epoch_id, first, None)

    def rows(self, first: int, last: int, *, newest_first: bool = False) -> Iterator[Row]:
        """See `FeedSnapshot`."""
        order = "DESC" if newest_first else "ASC"
        found = self._db.execute(
            f"SELECT {COLUMNS} FROM item WHERE feed = ? AND seq BETWEEN ? AND ?"  # noqa: S608 - our own column names
            f" AND quarantined IS NULL ORDER BY seq {order}",
            (self._feed, first, last),
        )
        return map(row_of, found)

    def newest_below(self, seq: int) -> int | None:
        """See `FeedSnapshot`."""
        found = self._db.execute(
            "SELECT seq FROM item WHERE feed = ? AND seq < ? AND quarantined IS NULL"
            " ORDER BY seq DESC LIMIT 1",
            (self._feed, seq),
        ).fetchone()
        return found[0] if found else None

    def row(self, item_id: str) -> Row | None:
        """See `FeedSnapshot`."""
        return _find(self._db, self._feed, item_id)

    def quarantined(self) -> Sequence[Row]:
        """See `FeedSnapshot`."""
        # Left alone, SQLite would look through the whole feed.
        found = self._db.execute(
            f"SELECT {COLUMNS} FROM item INDEXED BY item_quarantined"  # noqa: S608 - our own column names
            " WHERE feed = ? AND quarantined IS NOT NULL ORDER BY id",
            (self._feed,),
        )
        return [row_of(values) for values in found]

    def items(self, *, after: str | None, limit: int) -> Sequence[Row]:
        """See `FeedSnapshot`."""
        found = self._db.execute(
            f"SELECT {COLUMNS} FROM item"  # noqa: S608 - our own column names
            " WHERE feed = ? AND id > ? AND NOT deleted ORDER BY id LIMIT ?",
            (self._feed, after or "", limit),
        )
        return [row_of(values) for values in found]

    def entries(self, first: bytes, last: bytes) -> Iterator[Entry]:
        """See `FeedSnapshot`."""
        found = self._db.execute(
            "SELECT id_hash, etag, id, seq, c, quarantined FROM item"
            " WHERE feed = ? AND id_hash BETWEEN ? AND ? AND NOT deleted ORDER BY id_hash",
            (self._feed, first, last),
        )
        return itertools.starmap(Entry, found)

    def content(self, item_id: str, *, offset: int, bytes_max: int) -> bytes:
        """See `FeedSnapshot`."""
        found = self._db.execute(
            "SELECT rowid FROM content WHERE feed = ? AND item = ?", (self._feed, item_id)
        ).fetchone()
        if found is None:
            return b""  # a damaged file: see view.content
        try:
            with self._db.blobopen("content", "bytes", found[0], readonly=True) as blob:
                blob.seek(min(offset, len(blob)))
                return blob.read(bytes_max)
        except sqlite3.Error as error:
            raise StorageError(f"a content cannot be read from the state file: {error}") from error


def _find(db: sqlite3.Connection, feed: int, item_id: str) -> Row | None:
    found = db.execute(
        f"SELECT {COLUMNS} FROM item WHERE feed = ? AND id = ?",  # noqa: S608 - our own column names
        (feed, item_id),
    ).fetchone()
    return row_of(found) if found else None


class SqliteTransaction:
    """The one open write transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._names = itertools.count()

    def add_feed(self, name: str, *, epoch_id: bytes, now: int) -> None:
        """See `FeedTransaction`."""
        if self._db.execute("SELECT 1 FROM feed WHERE name = ?", (name,)).fetchone():
            raise FeedError(f"there is a feed {name!r} already")
        self._db.execute("INSERT INTO feed (name, made_at) VALUES (?, ?)", (name, now))
        self.open_epoch(name, epoch_id=epoch_id)

    def remove_feed(self, name: str) -> None:
        """See `FeedTransaction`."""
        feed, _ = self._feed(name)
        self._db.execute("DELETE FROM feed WHERE id = ?", (feed,))

    def open_epoch(self, feed: str, *, epoch_id: bytes) -> None:
        """See `FeedTransaction`."""
        number, head = self._feed(feed)
        self._db.execute(
            "INSERT INTO epoch (feed, id, first) VALUES (?, ?, ?)", (number, epoch_id, head + 1)
        )

    def apply(self, feed: str, mutation: Mutation, *, now: int) -> Row | None:
        """See `FeedTransaction`."""
        check(mutation)
        number, head = self._feed(feed)
        old = _find(self._db, number, mutation.id)
        try:
            row = next_row(old, mutation, seq=head + 1, now=now)
        except LookupError:
            raise NoSuchItemError(feed, mutation.id) from None
        if isinstance(mutation, Put):
            # Even if nothing changes: a content that was lost or damaged is there again.
            self._db.execute(
                "INSERT INTO content (feed, item, bytes) VALUES (?, ?, ?)"
                " ON CONFLICT (feed, item) DO UPDATE SET bytes = excluded.bytes"
                " WHERE bytes <> excluded.bytes",
                (number, mutation.id, mutation.content),
            )
        if row is None:
            return None
        more = int(not row.deleted) - int(old is not None and not old.deleted)
        self._db.execute(
            "UPDATE feed SET head = ?, item_count = item_count + ? WHERE id = ?",
            (row.seq, more, number),
        )
        self._set(number, row)
        if isinstance(mutation, Delete):
            self._db.execute("DELETE FROM content WHERE feed = ? AND item = ?", (number, row.id))
        return row

    def quarantine(self, feed: str, item_id: str, *, seq: int, why: str) -> bool:
        """See `FeedTransaction`."""
        number, head = self._feed(feed)
        changed = self._db.execute(
            "UPDATE item SET quarantined = ?"
            " WHERE feed = ? AND id = ? AND seq = ? AND quarantined IS NULL",
            (why, number, item_id, seq),
        )
        if not changed.rowcount:
            return False
        self._db.execute("UPDATE feed SET head = ? WHERE id = ?", (head + 1, number))
        return True

    def retry(self, feed: str, item_id: str, *, now: int) -> Row:
        """See `FeedTransaction`."""
        number, head = self._feed(feed)
        row = retried_row(_find(self._db, number, item_id), seq=head + 1, now=now)
        if row is None:
            raise not_quarantined(feed, item_id)
        self._db.execute("UPDATE feed SET head = ? WHERE id = ?", (row.seq, number))
        self._set(number, row)
        return row

    def purge(self, feed: str, *, before: int) -> int:
        """See `FeedTransaction`."""
        number, _ = self._feed(feed)
        found = self._db.execute(
            f"SELECT {COLUMNS} FROM item WHERE feed = ? AND (deleted OR leavings <> '{{}}')",  # noqa: S608 - our own column names
            (number,),
        ).fetchall()
        gone = newest_gone = 0
        for row in map(row_of, found):
            kept, newest = purged_row(row, before=before)
            if kept is row:
                continue
            gone += 1
            newest_gone = max(newest_gone, newest)
            if kept is None:
                self._db.execute("DELETE FROM item WHERE feed = ? AND id = ?", (number, row.id))
            else:
                self._set(number, kept)
        self._db.execute(
            "UPDATE feed SET purged = max(purged, ?) WHERE id = ?", (newest_gone, number)
        )
        return gone

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `FeedTransaction`."""
        name = f"s{next(self._names)}"
        self._db.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            if not self.undone:
                self._db.execute(f"ROLLBACK TO {name}")
            raise
        finally:
            if not self.undone:
                self._db.execute(f"RELEASE {name}")

    @property
    def undone(self) -> bool:
        """Whether SQLite gave up the whole transaction, as it does when the disk is full."""
        return not self._db.in_transaction

    def add_device(self, device: Device, *, now: int) -> None:
        """Enrol a device. DeviceError if there is one of that id; NoSuchFeedError."""
        if self._db.execute("SELECT 1 FROM device WHERE id = ?", (device.id,)).fetchone():
            raise DeviceError(
                f"there is a device {device.id!r} already: 'gateway device remove {device.id}'"
                " takes it away, with its credential"
            )
        self._db.execute(
            "INSERT INTO device VALUES (?, ?, ?, ?)",
            (device.id, device.secret_hash, device.generation, now),
        )
        for feed in device.feeds:
            number, _ = self._feed(feed)
            self._db.execute("INSERT INTO device_feed VALUES (?, ?)", (device.id, number))

    def remove_device(self, device_id: str) -> None:
        """Take a device away, with its credential. NoSuchDeviceError if there is none."""
        if not self._db.execute("DELETE FROM device WHERE id = ?", (device_id,)).rowcount:
            raise NoSuchDeviceError(device_id)

    def set_generation(self, device_id: str, generation: bytes) -> None:
        """End the meaning of all tokens of a device. NoSuchDeviceError if there is none."""
        changed = self._db.execute(
            "UPDATE device SET generation = ? WHERE id = ?", (generation, device_id)
        )
        if not changed.rowcount:
            raise NoSuchDeviceError(device_id)

    def _set(self, feed: int, row: Row) -> None:
        self._db.execute(
            f"INSERT INTO item (feed, {COLUMNS}, id_hash, etag) VALUES (?{', ?' * 16})"  # noqa: S608 - our own column names
            " ON CONFLICT (feed, id) DO UPDATE SET seq = excluded.seq, c = excluded.c,"
            " deleted = excluded.deleted, kind = excluded.kind, folder = excluded.folder,"
            " flags = excluded.flags, date = excluded.date, media_type = excluded.media_type,"
            " digest = excluded.digest, size = excluded.size, at = excluded.at,"
            " leavings = excluded.leavings, quarantined = excluded.quarantined,"
            " etag = excluded.etag",
            (feed, *values_of(row)),
        )

    def _feed(self, name: str) -> tuple[int, int]:
        found = self._db.execute("SELECT id, head FROM feed WHERE name = ?", (name,)).fetchone()
        if found is None:
            raise NoSuchFeedError(name)
        return found[0], found[1]
