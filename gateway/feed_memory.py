"""Feeds in memory: the twin of the SQLite store, for the simulator and for tests."""

import bisect
import contextlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.feed import (
    EpochSpan,
    FeedError,
    FeedRepresentation,
    NoSuchFeedError,
    NoSuchItemError,
    NotRenderedError,
    check,
    not_quarantined,
)
from gateway.representations.representation import Rendered
from gateway.rows import (
    Delete,
    Entry,
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
from sync_protocol import inventory
from sync_protocol.views import NATIVE


@dataclass(slots=True)
class _Feed:
    """Everything there is; `renderings` are by item, then by representation, with their bytes."""

    head: int = 0
    purged: int = 0
    epochs: list[tuple[bytes, int]] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    by_seq: dict[int, str] = field(default_factory=dict)
    left_seqs: list[int] = field(default_factory=list)
    left_by_seq: dict[int, tuple[str, Place]] = field(default_factory=dict)
    places: set[Place] = field(default_factory=set)
    representations: dict[str, FeedRepresentation] = field(default_factory=dict)
    renderings: dict[str, dict[str, tuple[Rendering, bytes]]] = field(default_factory=dict)

    def copy(self) -> "_Feed":
        return _Feed(
            self.head,
            self.purged,
            list(self.epochs),
            dict(self.rows),
            dict(self.contents),
            list(self.seqs),
            dict(self.by_seq),
            list(self.left_seqs),
            dict(self.left_by_seq),
            set(self.places),
            dict(self.representations),
            {item: dict(renderings) for item, renderings in self.renderings.items()},
        )

    def set_row(self, row: Row) -> None:
        self.drop_row(row.id)
        self.rows[row.id] = row
        bisect.insort(self.seqs, row.seq)
        self.by_seq[row.seq] = row.id
        self.places.add(row.place)
        for place, left in row.left.items():
            bisect.insort(self.left_seqs, left.seq)
            self.left_by_seq[left.seq] = (row.id, place)

    def drop_row(self, item_id: str) -> None:
        old = self.rows.pop(item_id, None)
        if old is not None:
            del self.seqs[bisect.bisect_left(self.seqs, old.seq)]
            del self.by_seq[old.seq]
            for left in old.left.values():
                del self.left_seqs[bisect.bisect_left(self.left_seqs, left.seq)]
                del self.left_by_seq[left.seq]

    def wanted(self, kind: str) -> set[str]:
        """The representations in which contents of that kind are rendered."""
        return {name for name, each in self.representations.items() if kind in each.kinds}

    def kept(self, item_id: str, name: str) -> Rendering | None:
        kept = self.renderings.get(item_id, {}).get(name)
        return None if kept is None else kept[0]

    def unrendered(self, name: str, *, after: str = "") -> Iterator[Row]:
        kinds = self.representations[name].kinds
        for row in (self.rows[item_id] for item_id in sorted(self.rows) if item_id > after):
            if not row.deleted and row.kind in kinds and self.kept(row.id, name) is None:
                yield row


def _between(seqs: list[int], first: int, last: int, *, newest_first: bool) -> Iterator[int]:
    found = seqs[bisect.bisect_left(seqs, first) : bisect.bisect_right(seqs, last)]
    return reversed(found) if newest_first else iter(found)


def _kept(made: Made, *, seq: int, before: Rendering | None) -> tuple[Rendering, bytes]:
    content = made.content if isinstance(made, Rendered) else b""
    return rendering_of(made, seq=seq, before=before), content


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

    def places(self) -> Sequence[Place]:
        """See `FeedSnapshot`."""
        return sorted(self._feed.places)

    def rows(
        self,
        first: int,
        last: int,
        *,
        places: Collection[Place] | None = None,
        newest_first: bool = False,
    ) -> Iterator[Row]:
        """See `FeedSnapshot`."""
        feed = self._feed
        for seq in _between(feed.seqs, first, last, newest_first=newest_first):
            row = feed.rows[feed.by_seq[seq]]
            is_there = places is None or (not row.deleted and row.place in places)
            if row.quarantined is None and is_there:
                yield row

    def leavings(
        self, first: int, last: int, *, places: Collection[Place], newest_first: bool = False
    ) -> Iterator[tuple[int, Row]]:
        """See `FeedSnapshot`."""
        feed = self._feed
        for seq in _between(feed.left_seqs, first, last, newest_first=newest_first):
            item_id, place = feed.left_by_seq[seq]
            if place in places:
                yield seq, feed.rows[item_id]

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
                yield Entry(
                    id_hash, row.etag(row.native), item_id, row.seq, row.c, row.quarantined,
                    row.kind, row.folder, row.date, row.until, row.size,
                )  # fmt: skip

    def content(
        self, item_id: str, *, offset: int, bytes_max: int, representation: str = NATIVE
    ) -> bytes:
        """See `FeedSnapshot`."""
        if representation == NATIVE:
            return self._feed.contents[item_id][offset : offset + bytes_max]
        return self._feed.renderings[item_id][representation][1][offset : offset + bytes_max]

    def representations(self) -> Mapping[str, FeedRepresentation]:
        """See `FeedSnapshot`."""
        return dict(sorted(self._feed.representations.items()))

    def rendering(self, item_id: str, representation: str) -> Rendering | None:
        """See `FeedSnapshot`."""
        return self._feed.kept(item_id, representation)

    def unrendered(
        self, representation: str, *, after: str | None = None, limit: int
    ) -> Sequence[Row]:
        """See `FeedSnapshot`."""
        found = self._feed.unrendered(representation, after=after or "")
        return list(itertools.islice(found, limit))

    def problems(self) -> Sequence[tuple[Row, str, str]]:
        """See `FeedSnapshot`."""
        return [
            (self._feed.rows[item_id], name, rendering.problem)
            for item_id, renderings in sorted(self._feed.renderings.items())
            for name, (rendering, _) in sorted(renderings.items())
            if rendering.problem is not None
        ]


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
            old = state.rows.get(mutation.id)
            row = next_row(old, mutation, seq=state.head + 1, now=now)
        except LookupError:
            raise NoSuchItemError(feed, mutation.id) from None
        if row is None:
            return None
        if isinstance(mutation, Put) and is_to_be_rendered(old, row):
            self._render(feed, row, mutation.renderings)
        state.head = row.seq
        state.set_row(row)
        if isinstance(mutation, Put):
            state.contents[row.id] = mutation.content
        elif isinstance(mutation, Delete):
            del state.contents[row.id]
            state.renderings.pop(row.id, None)
        return row

    def _render(self, feed: str, row: Row, renderings: Mapping[str, Made]) -> None:
        state = self._feed(feed)
        wanted = state.wanted(row.kind)
        if lacking := wanted - renderings.keys():
            raise NotRenderedError(lacking)
        state.renderings[row.id] = {
            name: _kept(renderings[name], seq=row.seq, before=state.kept(row.id, name))
            for name in wanted
        }

    def begin_rendering(self, feed: str, representation: FeedRepresentation) -> None:
        """See `FeedTransaction`."""
        self.stop_rendering(feed, representation.name)
        self._feed(feed).representations[representation.name] = representation

    def end_rendering(self, feed: str, representation: str) -> bool:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        if next(state.unrendered(representation), None) is not None:
            return False
        complete = replace(state.representations[representation], is_complete=True)
        state.representations[representation] = complete
        return True

    def stop_rendering(self, feed: str, representation: str) -> None:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        state.representations.pop(representation, None)
        for renderings in state.renderings.values():
            renderings.pop(representation, None)

    def set_rendering(self, feed: str, row: Row, representation: str, made: Made) -> None:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        newest = state.rows.get(row.id)
        is_wanted = representation in state.representations
        if newest is None or not is_wanted or not is_same_content(newest, row):
            return
        if state.kept(row.id, representation) is None:
            kept = _kept(made, seq=newest.c, before=None)
            state.renderings.setdefault(row.id, {})[representation] = kept

    def quarantine(self, feed: str, item_id: str, *, seq: int, why: str) -> bool:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        row = state.rows.get(item_id)
        if row is None or row.seq != seq or row.quarantined is not None:
            return False
        state.head += 1
        state.rows[item_id] = replace(row, quarantined=why)
        return True

    def retry(
        self, feed: str, item_id: str, *, seq: int, now: int, renderings: Mapping[str, Made]
    ) -> Row:
        """See `FeedTransaction`."""
        state = self._feed(feed)
        old = state.rows.get(item_id)
        kept = state.renderings.get(item_id, {}).values()
        is_rendered = all(rendering.problem is None for rendering, _ in kept)
        row = retried_row(old, is_rendered=is_rendered, seq=state.head + 1, now=now)
        if row is None:
            raise not_quarantined(feed, item_id)
        self._render(feed, row, renderings if old and old.seq == seq else {})
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
                state.set_row(kept)
        return gone

    def _feed(self, name: str) -> _Feed:
        if name not in self._feeds:
            raise NoSuchFeedError(name)
        return self._feeds[name]
