"""A feed as one read transaction of SQLite sees it."""

import heapq
import itertools
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from gateway.feed import EpochSpan, FeedRepresentation, NoSuchFeedError, StorageError
from gateway.feed_schema import COLUMNS, RENDERING_COLUMNS, representation_of, row_of
from gateway.rows import Entry, Place, Rendering, Row
from sync_protocol.views import NATIVE

# To look at so many rows takes no longer than to ask for one place.
SPAN_A_PLACE_MAX: Final = 16


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

    def places(self) -> Sequence[Place]:
        """See `FeedSnapshot`."""
        found = self._db.execute(
            "SELECT kind, folder FROM place WHERE feed = ? ORDER BY kind, folder", (self._feed,)
        )
        return [Place(kind, folder) for kind, folder in found]

    def rows(
        self,
        first: int,
        last: int,
        *,
        places: Collection[Place] | None = None,
        newest_first: bool = False,
    ) -> Iterator[Row]:
        """See `FeedSnapshot`."""
        order = "DESC" if newest_first else "ASC"
        if places is None:
            found = self._db.execute(
                f"SELECT {COLUMNS} FROM item WHERE feed = ? AND seq BETWEEN ? AND ?"  # noqa: S608 - our own column names
                f" AND quarantined IS NULL ORDER BY seq {order}",
                (self._feed, first, last),
            )
            return map(row_of, found)
        if _is_short(first, last, places):
            all_rows = self.rows(first, last, newest_first=newest_first)
            return (row for row in all_rows if not row.deleted and row.place in places)
        each = [
            map(
                row_of,
                self._db.execute(
                    f"SELECT {COLUMNS} FROM item INDEXED BY item_place"  # noqa: S608 - our own column names
                    " WHERE feed = ? AND kind = ? AND folder = ? AND seq BETWEEN ? AND ?"
                    f" AND NOT deleted AND quarantined IS NULL ORDER BY seq {order}",
                    (self._feed, *place, first, last),
                ),
            )
            for place in places
        ]
        return heapq.merge(*each, key=lambda row: row.seq, reverse=newest_first)

    def leavings(
        self, first: int, last: int, *, places: Collection[Place], newest_first: bool = False
    ) -> Iterator[tuple[int, Row]]:
        """See `FeedSnapshot`."""
        order = "DESC" if newest_first else "ASC"
        columns = ", ".join(f"item.{column}" for column in COLUMNS.split(", "))
        if _is_short(first, last, places):
            found = self._db.execute(
                f"SELECT leaving.kind, leaving.folder, leaving.seq, {columns} FROM leaving"  # noqa: S608 - our own column names
                " JOIN item ON item.feed = leaving.feed AND item.id = leaving.item"
                " WHERE leaving.feed = ? AND leaving.seq BETWEEN ? AND ?"
                f" ORDER BY leaving.seq {order}",
                (self._feed, first, last),
            )
            return (
                (seq, row_of(values))
                for kind, folder, seq, *values in found
                if Place(kind, folder) in places
            )
        each = [
            self._db.execute(
                f"SELECT leaving.seq, {columns} FROM leaving INDEXED BY leaving_place"  # noqa: S608 - our own column names
                " JOIN item ON item.feed = leaving.feed AND item.id = leaving.item"
                " WHERE leaving.feed = ? AND leaving.kind = ? AND leaving.folder = ?"
                f" AND leaving.seq BETWEEN ? AND ? ORDER BY leaving.seq {order}",
                (self._feed, *place, first, last),
            )
            for place in places
        ]
        merged = heapq.merge(*each, key=lambda values: values[0], reverse=newest_first)
        return ((values[0], row_of(values[1:])) for values in merged)

    def row(self, item_id: str) -> Row | None:
        """See `FeedSnapshot`."""
        return find_in(self._db, self._feed, item_id)

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
            "SELECT id_hash, etag, id, seq, c, quarantined, kind, folder, date, until, size"
            " FROM item WHERE feed = ? AND id_hash BETWEEN ? AND ? AND NOT deleted"
            " ORDER BY id_hash",
            (self._feed, first, last),
        )
        return itertools.starmap(Entry, found)

    def content(
        self, item_id: str, *, offset: int, bytes_max: int, representation: str = NATIVE
    ) -> bytes:
        """See `FeedSnapshot`."""
        if representation == NATIVE:
            table = "content"
            found = self._db.execute(
                "SELECT rowid FROM content WHERE feed = ? AND item = ?", (self._feed, item_id)
            ).fetchone()
        else:
            table = "rendering"
            found = self._db.execute(
                "SELECT rowid FROM rendering WHERE feed = ? AND item = ? AND representation = ?",
                (self._feed, item_id, representation),
            ).fetchone()
        if found is None:
            return b""  # a damaged file: see viewed.content
        try:
            with self._db.blobopen(table, "bytes", found[0], readonly=True) as blob:
                blob.seek(min(offset, len(blob)))
                return blob.read(bytes_max)
        except sqlite3.Error as error:
            raise StorageError(f"a content cannot be read from the state file: {error}") from error

    def representations(self) -> Mapping[str, FeedRepresentation]:
        """See `FeedSnapshot`."""
        return representations_in(self._db, self._feed)

    def rendering(self, item_id: str, representation: str) -> Rendering | None:
        """See `FeedSnapshot`."""
        return rendering_in(self._db, self._feed, item_id, representation)

    def unrendered(
        self, representation: str, *, after: str | None = None, limit: int
    ) -> Sequence[Row]:
        """See `FeedSnapshot`."""
        kinds = self.representations()[representation].kinds
        found = self._db.execute(
            f"SELECT {COLUMNS} FROM item WHERE feed = ? AND id > ? AND NOT deleted"  # noqa: S608 - our own column names
            " AND kind IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM rendering WHERE rendering.feed = item.feed"
            " AND rendering.item = item.id AND representation = ?) ORDER BY id LIMIT ?",
            (self._feed, after or "", json.dumps(sorted(kinds)), representation, limit),
        )
        return [row_of(values) for values in found]

    def problems(self) -> Sequence[tuple[Row, str, str]]:
        """See `FeedSnapshot`."""
        found = self._db.execute(
            "SELECT item, representation, problem FROM rendering INDEXED BY rendering_problem"
            " WHERE feed = ? AND problem IS NOT NULL ORDER BY item, representation",
            (self._feed,),
        ).fetchall()
        return [
            (row, representation, why)
            for item_id, representation, why in found
            if (row := self.row(item_id)) is not None
        ]


def _is_short(first: int, last: int, places: Collection[Place]) -> bool:
    """Whether to look at all that lies in a span is cheaper than to ask for each place."""
    return last - first < SPAN_A_PLACE_MAX * len(places)


def find_in(db: sqlite3.Connection, feed: int, item_id: str) -> Row | None:
    """The row of one item of a feed, if there is one."""
    found = db.execute(
        f"SELECT {COLUMNS} FROM item WHERE feed = ? AND id = ?",  # noqa: S608 - our own column names
        (feed, item_id),
    ).fetchone()
    return row_of(found) if found else None


def representations_in(db: sqlite3.Connection, feed: int) -> Mapping[str, FeedRepresentation]:
    """In which contents of a feed are rendered, by name."""
    found = db.execute(
        "SELECT name, version, kinds, complete FROM representation WHERE feed = ? ORDER BY name",
        (feed,),
    )
    return {it[0]: representation_of(it) for it in found}


def rendering_in(
    db: sqlite3.Connection, feed: int, item_id: str, representation: str
) -> Rendering | None:
    """An item of a feed as it was rendered; None if it was not."""
    found = db.execute(
        f"SELECT {RENDERING_COLUMNS} FROM rendering"  # noqa: S608 - our own column names
        " WHERE feed = ? AND item = ? AND representation = ?",
        (feed, item_id, representation),
    ).fetchone()
    return Rendering(*found) if found else None
