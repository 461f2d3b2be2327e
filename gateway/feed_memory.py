"""Feeds in memory: the twin of the SQLite store, for the simulator and for tests."""

import bisect
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

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
    check,
    next_row,
    not_quarantined,
    purged_row,
    retried_row,
)
from sync_protocol import inventory


@dataclass(slots=True)
class _Feed:
    head: int = 0
    purged: int = 0
    epochs: list[tuple[bytes, int]] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    by_seq: dict[int, str] = field(default_factory=dict)

    def copy(self) -> "_Feed":
        return _Feed(
            self.head,
            self.purged,
            list(self.epochs),
            dict(self.rows),
            dict(self.contents),
            list(self.seqs),
            dict(self.by_seq),
        )

    def set_row(self, row: Row) -> None:
        self.drop_row(row.id)
        self.rows[row.id] = row
        bisect.insort(self.seqs, row.seq)
        self.by_seq[row.seq] = row.id

    def drop_row(self, item_id: str) -> None:
        old = self.rows.pop(item_id, None)
        if old is not None:
            del self.seqs[bisect.bisect_left(self.seqs, old.seq)]
            del self.by_seq[old.seq]


class MemorySnapshot:
    """The feed itself: nothing else runs while one thread looks."""

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed

    @property
    def head(self) -> int:
        """See `FeedSnapshot`."""
        return self._feed.head

    @property
    def purged(self) -> int:
        """See `FeedSnapshot`."""
        return self._feed.purged

    @property
    def item_count(self) -> int:
        """See `FeedSnapshot`."""
        return len(self._feed.contents)

    def epoch(self, epoch_id: bytes) -> EpochSpan | None:
        """See `FeedSnapshot`."""
        epochs = self._feed.epochs
        for index, (known, first) in enumerate(epochs):
            if known == epoch_id:
                end = epochs[index + 1][1] - 1 if index + 1 < len(epochs) else None
                return EpochSpan(known, first, end)
        return None

    def newest_epoch(self) -> EpochSpan:
        """See `FeedSnapshot`."""
        epoch_id, first = self._feed.epochs[-1]
        return EpochSpan(epoch_id, first, None)

    def rows(self, first: int, last: int, *, newest_first: bool = False) -> Iterator[Row]:
        """See `FeedSnapshot`."""
        feed = self._feed
        seqs = feed.seqs[
            bisect.bisect_left(feed.seqs, first) : bisect.bisect_right(feed.seqs, last)
        ]
        for seq in reversed(seqs) if newest_first else seqs:
            row = feed.rows[feed.by_seq[seq]]
            if row.quarantined is None:
                yield row

    def newest_below(self, seq: int) -> int | None:
        """See `FeedSnapshot`."""
        newest = next(self.rows(1, seq - 1, newest_first=True), None)
        return None if newest is None else newest.seq

    def row(self, item_id: str) -> Row | None:
        """See `FeedSnapshot`."""
        return self._feed.rows.get(item_id)

    def quarantined(self) -> Sequence[Row]:
        """See `FeedSnapshot`."""
        rows = self._feed.rows
        return [rows[item] for item in sorted(rows) if rows[item].quarantined is not None]

    def items(self, *, after: str | None, limit: int) -> Sequence[Row]:
        """See `FeedSnapshot`."""
        ids = sorted(item for item in self._feed.contents if after is None or item > after)
        return [self._feed.rows[item] for item in ids[:limit]]

    def entries(self, first: bytes, last: bytes) -> Iterator[Entry]:
        """See `FeedSnapshot`."""
        hashed = ((inventory.id_hash(item_id), item_id) for item_id in self._feed.contents)
        for id_hash, item_id in sorted(hashed):
            if first <= id_hash <= last:
                row = self._feed.rows[item_id]
                yield Entry(id_hash, row.etag, item_id, row.seq, row.c, row.quarantined)

    def content(self, item_id: str, *, offset: int, bytes_max: int) -> bytes:
        """See `FeedSnapshot`."""
        return self._feed.contents[item_id][offset : offset + bytes_max]


class MemoryFeedStore:
    """All feeds in one dictionary; it is its own transaction."""

    def __init__(self) -> None:
        self._feeds: dict[str, _Feed] = {}

    def feeds(self) -> Sequence[str]:
        """See `FeedStore`."""
        return sorted(self._feeds)

    @contextlib.contextmanager
    def transaction(self) -> Iterator["MemoryFeedStore"]:
        """See `FeedStore`."""
        with self.savepoint():
            yield self

    @contextlib.contextmanager
    def snapshot(self, feed: str) -> Iterator[MemorySnapshot]:
        """See `FeedStore`."""
        yield MemorySnapshot(self._feed(feed))

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `FeedTransaction`."""
        before = {name: feed.copy() for name, feed in self._feeds.items()}
        try:
            yield
        except BaseException:
            self._feeds = before
            raise

    def add_feed(self, name: str, *, epoch_id: bytes, now: int) -> None:
        """See `FeedTransaction`."""
        del now
        if name in self._feeds:
            raise FeedError(f"there is a feed {name!r} already")
        self._feeds[name] = _Feed(epochs=[(epoch_id, 1)])

    def remove_feed(self, name: str) -> None:
        """See `FeedTransaction`."""
        self._feed(name)
        del self._feeds[name]

    def open_epoch(self, feed: str, *, epoch_id: bytes) -> None:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        state.epochs.append((epoch_id, state.head + 1))

    def apply(self, feed: str, mutation: Mutation, *, now: int) -> Row | None:
        """See `FeedTransaction`."""
        check(mutation)
        state = self._feed(feed)
        try:
            row = next_row(state.rows.get(mutation.id), mutation, seq=state.head + 1, now=now)
        except LookupError:
            raise NoSuchItemError(feed, mutation.id) from None
        if row is None:
            return None
        state.head = row.seq
        state.set_row(row)
        if isinstance(mutation, Put):
            state.contents[row.id] = mutation.content
        elif isinstance(mutation, Delete):
            del state.contents[row.id]
        return row

    def quarantine(self, feed: str, item_id: str, *, seq: int, why: str) -> bool:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        row = state.rows.get(item_id)
        if row is None or row.seq != seq or row.quarantined is not None:
            return False
        state.head += 1
        state.rows[item_id] = replace(row, quarantined=why)
        return True

    def retry(self, feed: str, item_id: str, *, now: int) -> Row:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        row = retried_row(state.rows.get(item_id), seq=state.head + 1, now=now)
        if row is None:
            raise not_quarantined(feed, item_id)
        state.head = row.seq
        state.set_row(row)
        return row

    def purge(self, feed: str, *, before: int) -> int:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        gone = 0
        for row in list(state.rows.values()):
            kept, newest = purged_row(row, before=before)
            if kept is row:
                continue
            gone += 1
            state.purged = max(state.purged, newest)
            if kept is None:
                state.drop_row(row.id)
            else:
                state.rows[row.id] = kept
        return gone

    def _feed(self, name: str) -> _Feed:
        if name not in self._feeds:
            raise NoSuchFeedError(name)
        return self._feeds[name]
