"""Feeds, devices and what they may hold, in SQLite: one transaction that changes them."""

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from gateway.device import Allowed, Device, DeviceExistsError, NoSuchDeviceError
from gateway.feed import (
    FeedError,
    FeedRepresentation,
    NoSuchFeedError,
    NoSuchItemError,
    NotRenderedError,
    check,
    not_quarantined,
)
from gateway.feed_schema import (
    COLUMNS,
    RENDERING_COLUMNS,
    rendering_values,
    row_of,
    values_of,
)
from gateway.representations.representation import Rendered
from gateway.rows import (
    Delete,
    Left,
    Made,
    Mutation,
    Place,
    Put,
    Rendering,
    Row,
    is_same_content,
    is_to_be_rendered,
    next_row,
    purged_row,
    rendering_of,
    retried_row,
)
from gateway.snapshot_sqlite import SqliteSnapshot, find_in, rendering_in, representations_in


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
        old = find_in(self._db, number, mutation.id)
        try:
            row = next_row(old, mutation, seq=head + 1, now=now)
        except LookupError:
            raise NoSuchItemError(feed, mutation.id) from None
        if isinstance(mutation, Put) and row is not None and is_to_be_rendered(old, row):
            self._render(number, row, mutation.renderings)
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
        self._set(number, row, old)
        if isinstance(mutation, Delete):
            for table in ("content", "rendering"):
                self._db.execute(
                    f"DELETE FROM {table} WHERE feed = ? AND item = ?",  # noqa: S608 - our own tables
                    (number, row.id),
                )
        return row

    def _render(self, number: int, row: Row, renderings: Mapping[str, Made]) -> None:
        """Keep what a new content was rendered to, and nothing of the content before."""
        wanted = {
            name
            for name, each in representations_in(self._db, number).items()
            if row.kind in each.kinds
        }
        if lacking := wanted - renderings.keys():
            raise NotRenderedError(lacking)
        kept = {
            name: rendering_of(
                renderings[name],
                seq=row.seq,
                before=rendering_in(self._db, number, row.id, name),
            )
            for name in wanted
        }
        self._db.execute("DELETE FROM rendering WHERE feed = ? AND item = ?", (number, row.id))
        for name, rendering in kept.items():
            self._keep(number, row.id, name, rendering, renderings[name])

    def _keep(self, feed: int, item_id: str, name: str, kept: Rendering, made: Made) -> None:
        content = made.content if isinstance(made, Rendered) else b""
        self._db.execute(
            f"INSERT INTO rendering (feed, item, representation, {RENDERING_COLUMNS}, bytes)"  # noqa: S608 - our own column names
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (feed, item_id, name, *rendering_values(kept), content),
        )

    def begin_rendering(self, feed: str, representation: FeedRepresentation) -> None:
        """See `FeedTransaction`."""
        number, _ = self._feed(feed)
        self.stop_rendering(feed, representation.name)
        self._db.execute(
            "INSERT INTO representation VALUES (?, ?, ?, ?, ?)",
            (
                number, representation.name, representation.version,
                json.dumps(sorted(representation.kinds)), int(representation.is_complete),
            ),
        )  # fmt: skip

    def end_rendering(self, feed: str, representation: str) -> bool:
        """See `FeedTransaction`."""
        if SqliteSnapshot(self._db, feed).unrendered(representation, limit=1):
            return False
        self._db.execute(
            "UPDATE representation SET complete = 1 WHERE feed = ? AND name = ?",
            (self._feed(feed)[0], representation),
        )
        return True

    def stop_rendering(self, feed: str, representation: str) -> None:
        """See `FeedTransaction`."""
        number, _ = self._feed(feed)
        self._db.execute(
            "DELETE FROM rendering WHERE feed = ? AND representation = ?", (number, representation)
        )
        self._db.execute(
            "DELETE FROM representation WHERE feed = ? AND name = ?", (number, representation)
        )

    def set_rendering(self, feed: str, row: Row, representation: str, made: Made) -> None:
        """See `FeedTransaction`."""
        number, _ = self._feed(feed)
        newest = find_in(self._db, number, row.id)
        is_wanted = representation in representations_in(self._db, number)
        if newest is None or not is_wanted or not is_same_content(newest, row):
            return
        if rendering_in(self._db, number, row.id, representation) is None:
            # As old as the content that it is made of: nobody has seen another one since.
            kept = rendering_of(made, seq=newest.c, before=None)
            self._keep(number, row.id, representation, kept, made)

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

    def retry(
        self, feed: str, item_id: str, *, seq: int, now: int, renderings: Mapping[str, Made]
    ) -> Row:
        """See `FeedTransaction`."""
        number, head = self._feed(feed)
        old = find_in(self._db, number, item_id)
        failed = self._db.execute(
            "SELECT 1 FROM rendering WHERE feed = ? AND item = ? AND problem IS NOT NULL",
            (number, item_id),
        ).fetchone()
        row = retried_row(old, is_rendered=failed is None, seq=head + 1, now=now)
        if row is None:
            raise not_quarantined(feed, item_id)
        self._render(number, row, renderings if old and old.seq == seq else {})
        self._db.execute("UPDATE feed SET head = ? WHERE id = ?", (row.seq, number))
        self._set(number, row, old)
        return row

    def purge(self, feed: str, *, before: int) -> int:
        """See `FeedTransaction`."""
        number, _ = self._feed(feed)
        found = self._db.execute(
            f"SELECT {COLUMNS} FROM item WHERE feed = ? AND (deleted OR leavings <> '[]')",  # noqa: S608 - our own column names
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
                self._set_leavings(number, row.id, {}, row.left)
            else:
                self._set(number, kept, row)
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
        """Enrol a device. DeviceError if there is one of that id; NoSuchFeedError.

        From now on its account at the broker is settled.
        """
        if self._db.execute("SELECT 1 FROM device WHERE id = ?", (device.id,)).fetchone():
            raise DeviceExistsError(device.id)
        self._db.execute(
            "INSERT INTO device VALUES (?, ?, ?, ?, ?)",
            (
                device.id, device.secret_hash, device.generation, now,
                device.allowed.model_dump_json(exclude_defaults=True),
            ),
        )  # fmt: skip
        for feed in device.feeds:
            number, _ = self._feed(feed)
            self._db.execute("INSERT INTO device_feed VALUES (?, ?)", (device.id, number))
        self.settle_accounts([device.id])

    def remove_device(self, device_id: str) -> None:
        """Take a device away, with its credential. NoSuchDeviceError if there is none."""
        if not self._db.execute("DELETE FROM device WHERE id = ?", (device_id,)).rowcount:
            raise NoSuchDeviceError(device_id)

    def unsettle_account(self, device_id: str) -> None:
        """The broker may have an account of a device that is not enrolled."""
        self._db.execute("INSERT OR IGNORE INTO unsettled_account VALUES (?)", (device_id,))

    def settle_accounts(self, device_ids: Iterable[str]) -> None:
        """The broker has no accounts of these any more, or they are enrolled."""
        self._db.executemany(
            "DELETE FROM unsettled_account WHERE device = ?", [(it,) for it in device_ids]
        )

    def set_secret_hash(self, device_id: str, secret_hash: str) -> None:
        """Give a device another credential. NoSuchDeviceError if there is none."""
        self._change_device(device_id, "secret_hash", secret_hash)

    def set_generation(self, device_id: str, generation: bytes) -> None:
        """End the meaning of all tokens of a device. NoSuchDeviceError if there is none."""
        self._change_device(device_id, "generation", generation)

    def set_allowed(self, device_id: str, allowed: Allowed, generation: bytes) -> None:
        """Let a device see this of its feeds, and no more. NoSuchDeviceError if there is none.

        Its tokens end with what it was allowed: they say nothing of what it could not see.
        """
        self.set_generation(device_id, generation)
        self._change_device(device_id, "allowed", allowed.model_dump_json(exclude_defaults=True))

    def _change_device(self, device_id: str, column: str, value: object) -> None:
        changed = self._db.execute(
            f"UPDATE device SET {column} = ? WHERE id = ?",  # noqa: S608 - our own column names
            (value, device_id),
        )
        if not changed.rowcount:
            raise NoSuchDeviceError(device_id)

    def _set(self, feed: int, row: Row, old: Row | None) -> None:
        """Make `row` the newest change of its item, which was `old`."""
        self._db.execute(
            f"INSERT INTO item (feed, {COLUMNS}, id_hash, etag) VALUES (?{', ?' * 17})"  # noqa: S608 - our own column names
            " ON CONFLICT (feed, id) DO UPDATE SET seq = excluded.seq, c = excluded.c,"
            " deleted = excluded.deleted, kind = excluded.kind, folder = excluded.folder,"
            " flags = excluded.flags, date = excluded.date, media_type = excluded.media_type,"
            " digest = excluded.digest, size = excluded.size, at = excluded.at,"
            " leavings = excluded.leavings, quarantined = excluded.quarantined,"
            " until = excluded.until, etag = excluded.etag",
            (feed, *values_of(row)),
        )
        if old is None or old.place != row.place:
            self._db.execute("INSERT OR IGNORE INTO place VALUES (?, ?, ?)", (feed, *row.place))
        before = {} if old is None else old.left
        if before != row.left:
            self._set_leavings(feed, row.id, row.left, before)

    def _set_leavings(
        self, feed: int, item_id: str, left: Mapping[Place, Left], before: Mapping[Place, Left]
    ) -> None:
        gone = [(feed, it.seq) for place, it in before.items() if left.get(place) != it]
        self._db.executemany("DELETE FROM leaving WHERE feed = ? AND seq = ?", gone)
        new = [
            (feed, it.seq, item_id, *place) for place, it in left.items() if before.get(place) != it
        ]
        self._db.executemany("INSERT INTO leaving VALUES (?, ?, ?, ?, ?)", new)

    def _feed(self, name: str) -> tuple[int, int]:
        found = self._db.execute("SELECT id, head FROM feed WHERE name = ?", (name,)).fetchone()
        if found is None:
            raise NoSuchFeedError(name)
        return found[0], found[1]
