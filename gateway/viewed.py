"""A feed as a replica's view shows it (docs/protocol.md, F5 and V)."""

import hashlib
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final

from pydantic import ValidationError

from gateway import portions
from gateway.feed import (
    FeedRepresentation,
    FeedSnapshot,
    NotRenderedError,
    PoisonError,
    StorageError,
)
from gateway.rows import Entry, Rendering, Row
from sync_protocol import tokens
from sync_protocol.messages import Put
from sync_protocol.views import NATIVE, View

# The version of what renders contents is part of the lineage (P4), because new bytes for old
# content are a change that no seq tells of. `native` bytes never change.
NATIVE_RENDERER_VERSION: Final = 1
# Where to look first for the change before another one.
NEAR_SEQS: Final = 256


@dataclass(frozen=True, slots=True)
class Effective:
    """What a view makes of an item's newest change (F5).

    Attributes:
        seq: at which it is effective; not that of the row once the item has left the view.
        row: of the item.
        rendering: its content as the view wants it; None for a remove.
    """

    seq: int
    row: Row
    rendering: Rendering | None


def purge_mark(snapshot: FeedSnapshot, base: int) -> int | None:
    """`P` as a token (F4), or None if nothing was ever purged."""
    return tokens.compress(snapshot.purged, base) if snapshot.purged else None


def narrowed_since(asked: View, given: View) -> int | None:
    """The beginning of the time window, if it is later than the one that was asked for (V5)."""
    return given.since if given.since != asked.since else None


def effective_seq(row: Row, view: View) -> int | None:
    """At which seq an item's newest change is effective in a view, if it is (F5)."""
    if not row.deleted and view.wants(*row.place):
        return row.seq if row.quarantined is None else None
    return max((left.seq for place, left in row.left.items() if view.wants(*place)), default=None)


def renderer_version(view: View, representations: Mapping[str, FeedRepresentation]) -> int:
    """What stands in a lineage for the versions of all that renders contents of a view (P4)."""
    versions = [
        f"{it.kind}={it.representation}/{representations[it.representation].version}"
        for it in view.shown_as
        if it.representation != NATIVE
    ]
    if not versions:
        return NATIVE_RENDERER_VERSION
    return int.from_bytes(hashlib.sha256(",".join(versions).encode()).digest()[:4], "big")


def _is_shown(kind: str, representation: FeedRepresentation | None) -> bool:
    """Whether all items of a kind are rendered so."""
    return (
        representation is not None and representation.is_complete and kind in representation.kinds
    )


class ViewedFeed:
    """One snapshot of a feed, as one view shows it."""

    def __init__(self, snapshot: FeedSnapshot, view: View) -> None:
        """Look up what the view is about.

        Raises:
            NotRenderedError: the feed is not rendered as the view wants it, or not all of it.
        """
        self.snapshot = snapshot
        self.view = view
        self._places = None
        if not view.wants_all_places:
            self._places = [place for place in snapshot.places() if view.wants(*place)]
        representations = snapshot.representations() if view.shown_as else {}
        lacking = {
            it.representation
            for it in view.shown_as
            if it.representation != NATIVE
            and not _is_shown(it.kind, representations.get(it.representation))
        }
        if lacking:
            raise NotRenderedError(lacking)
        self._renderer_version = renderer_version(view, representations)

    def lineage(self, epoch: bytes, *, base: int, view_id: int, generation: bytes) -> int:
        """The lineage of a replica of this view (P4)."""
        return tokens.lineage(
            epoch,
            base=base,
            view_id=view_id,
            renderer_version=self._renderer_version,
            generation=generation,
        )

    def changes(self, first: int, last: int, *, newest_first: bool = False) -> Iterator[Effective]:
        """The changes that are effective at first .. last, in order of that (F5)."""
        for seq, row in self.rows(first, last, newest_first=newest_first):
            yield self.effective(seq, row)

    def previous(self, seq: int, *, newest: int | None = None) -> int | None:
        """The newest seq before `seq` that a device must hold to have missed nothing (P3).

        What a purge took away may have lain between, so after one the device must also be past
        that.

        Args:
            seq: of a change.
            newest: the newest before it that is effective, if that is known already.
        """
        if newest is None:
            newest = self._newest_below(seq)
        if not self.snapshot.purged:
            return newest
        return min(max(newest or 0, self.snapshot.purged), seq - 1) or None

    def _newest_below(self, seq: int) -> int | None:
        """The newest seq below `seq` at which a change is effective.

        Nearly always it is near, and only what left the view after the newest change in it counts.
        """
        for first in sorted({1, max(1, seq - NEAR_SEQS)}, reverse=True):
            live = self._live(first, seq - 1, newest_first=True)
            newest = next((row.seq for row in live), 0)
            left = self._left(max(first, newest + 1), seq - 1, newest_first=True)
            newest = next((seq for seq, _ in left), newest)
            if newest:
                return newest
        return None

    def effective(self, seq: int, row: Row) -> Effective:
        """A row that is effective at `seq`. PoisonError if it is not rendered."""
        return Effective(seq, row, self._shown(row))

    def rows(
        self, first: int, last: int, *, newest_first: bool = False
    ) -> Iterator[tuple[int, Row]]:
        """The rows that are effective at first .. last, each with that seq, in order of it (F5)."""
        there = ((row.seq, row) for row in self._live(first, last, newest_first=newest_first))
        if self._places is None:
            return there
        left = self._left(first, last, newest_first=newest_first)
        return heapq.merge(there, left, key=itemgetter(0), reverse=newest_first)

    def _live(self, first: int, last: int, *, newest_first: bool) -> Iterator[Row]:
        """The rows that are effective where they stand: in a view of the whole feed all are."""
        return self.snapshot.rows(first, last, places=self._places, newest_first=newest_first)

    def _left(self, first: int, last: int, *, newest_first: bool) -> Iterator[tuple[int, Row]]:
        """The rows of what left the view: deletes, and moves that did not end in it again."""
        if self._places is None:
            return
        leavings = self.snapshot.leavings(
            first, last, places=self._places, newest_first=newest_first
        )
        for seq, row in leavings:
            if effective_seq(row, self.view) == seq and not self._has(row):
                yield seq, row

    def _has(self, row: Row) -> bool:
        """Whether an item is in a place of the view."""
        return not row.deleted and self.view.wants(*row.place)

    def has_entered(self, row: Row, *, since: int) -> bool:
        """Whether an item is in a place of the view, and surely was in none of them at `since`.

        It moved since, and if the first move had been out of such a place, that would have been
        noted.
        """
        if self._places is None:
            return False
        moved = [place for place, left in row.left.items() if left.seq > since]
        return bool(moved) and not any(self.view.wants(*place) for place in moved)

    def find(self, item_id: str) -> Effective | None:
        """A live item that is in the view now, quarantined or not."""
        row = self.snapshot.row(item_id)
        rendering = None if row is None else self._shown(row)
        if row is None or rendering is None:
            return None
        return Effective(row.seq, row, rendering)

    def entries(self, first: bytes, last: bytes) -> Iterator[Entry]:
        """The items in the view whose id hash lies in first .. last, in order of it (G6).

        Of each, etag, c and size are those of its content as the view wants it.
        """
        view = self.view
        for entry in self.snapshot.entries(first, last):
            if not view.wants(entry.kind, entry.folder):
                continue
            if view.representation(entry.kind) == NATIVE:
                if view.has_in_window(entry.date, entry.until) and self._is_small(entry.size):
                    yield entry
                continue
            found = self.find(entry.id)
            if found is not None and found.rendering is not None:
                rendering = found.rendering
                etag = found.row.etag(rendering)
                yield replace(entry, etag=etag, c=rendering.c, size=rendering.size)

    def _shown(self, row: Row) -> Rendering | None:
        """A live item's content as the view wants it; None if the item is not in the view."""
        view = self.view
        if not self._has(row):
            return None
        if not view.has_in_window(row.date, row.until):
            return None
        name = view.representation(row.kind)
        rendering = row.native if name == NATIVE else self._rendering(row, name)
        if rendering.problem is not None or not self._is_small(rendering.size):
            return None
        return rendering

    def _rendering(self, row: Row, name: str) -> Rendering:
        rendering = self.snapshot.rendering(row.id, name)
        if rendering is None:
            raise PoisonError(row.id, row.seq, f"is not rendered as {name}: put it again")
        return rendering

    def _is_small(self, size: int) -> bool:
        most = self.view.item_bytes_max
        return most is None or size <= most

    # Contents

    def content(self, change: Effective, *, offset: int, bytes_max: int) -> bytes:
        """Up to `bytes_max` bytes of the content of a put from `offset` on; see `content`."""
        assert change.rendering is not None  # noqa: S101 - of a put
        name = self.view.representation(change.row.kind)
        return content(
            self.snapshot,
            change.row,
            change.rendering,
            representation=name,
            offset=offset,
            bytes_max=bytes_max,
        )

    def portion(self, change: Effective, *, bytes_max: int) -> bytes:
        """The first portion of the content of a put, or all of it if it is that small (V6)."""
        assert change.rendering is not None  # noqa: S101 - of a put
        beginning = self.content(change, offset=0, bytes_max=bytes_max)
        count = portions.portion_bytes(
            beginning,
            media_type=change.rendering.media_type,
            size=change.rendering.size,
            bytes_max=bytes_max,
        )
        return beginning[:count]


def content(
    snapshot: FeedSnapshot,
    row: Row,
    rendering: Rendering,
    *,
    offset: int,
    bytes_max: int,
    representation: str = NATIVE,
) -> bytes:
    """Up to `bytes_max` bytes of a live item's content from `offset` on.

    Who reads its end has it checked against its digest, so that no damage passes for the whole.

    Raises:
        PoisonError: the bytes are missing, cannot be read, or are others than were put.
    """

    def read(offset: int, bytes_max: int) -> bytes:
        try:
            return snapshot.content(
                row.id, offset=offset, bytes_max=bytes_max, representation=representation
            )
        except StorageError as error:
            why = "has a content that cannot be read: look after the disk, and restore a backup"
            raise PoisonError(row.id, row.seq, why, lasting=False) from error

    found = read(offset, bytes_max)
    if len(found) != min(bytes_max, max(0, rendering.size - offset)):
        lost = "has lost its content" if not found else "has a content of another length"
        raise PoisonError(row.id, row.seq, f"{lost}: put it again")
    if found and offset + len(found) == rendering.size:
        whole = read(0, rendering.size) if offset else found
        if hashlib.sha256(whole).digest() != rendering.digest:
            raise PoisonError(row.id, row.seq, "has a damaged content: put it again")
    return found


def put_of(row: Row, rendering: Rendering, content: bytes | None) -> Put:
    """A live row as a message says it. PoisonError if none can."""
    try:
        return _put_of(row, rendering, content)
    except ValidationError as error:
        where = error.errors(include_url=False)[0]["loc"]
        what = f"field {where[0]!r}" if where else "value"
        raise PoisonError(
            row.id, row.seq, f"has a {what} that no message can carry: put it again"
        ) from None


def _put_of(row: Row, rendering: Rendering, content: bytes | None) -> Put:
    return Put(
        id=row.id,
        kind=row.kind,
        folder=row.folder,
        flags=row.flags,
        date=row.date,
        until=row.until,
        digest=rendering.wire_digest,
        size=rendering.size,
        media_type=rendering.media_type,
        content=content,
    )
