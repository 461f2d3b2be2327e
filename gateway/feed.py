"""A feed: what can be asked of it and done to it, and what may be wrong with that."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from gateway.rows import Delete, Entry, Made, Mutation, Place, Put, Rendering, Row
from sync_protocol import limits, names
from sync_protocol.views import NATIVE


class FeedError(ValueError):
    """A feed was asked for something that cannot be; the message says how to mend it."""


class StorageError(RuntimeError):
    """The disk failed, or the state file is damaged; nothing was changed. The message says why."""


class NoSuchFeedError(FeedError):
    """There is no feed of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no feed {name!r}: 'gateway feed list' shows those there are,"
            f" 'gateway feed add {name}' makes it"
        )


class NoSuchItemError(FeedError):
    """There is no live item of that id."""

    def __init__(self, feed: str, item_id: str) -> None:
        super().__init__(f"there is no item {item_id!r} in feed {feed!r}")


class PoisonError(Exception):
    """An item breaks what touches it; the message says how, and never quotes its content.

    Attributes:
        lasting: what is kept is wrong, and will be so the next time; else it could not be read.
    """

    def __init__(self, item_id: str, seq: int, why: str, *, lasting: bool = True) -> None:
        super().__init__(f"item {item_id!r} {why}")
        self.item_id = item_id
        self.seq = seq
        self.why = why
        self.lasting = lasting


class NotRenderedError(Exception):
    """Contents are not there in representations in which they are needed.

    Attributes:
        representations: their names.
    """

    def __init__(self, representations: Iterable[str]) -> None:
        self.representations = tuple(sorted(representations))
        super().__init__(f"not rendered as {', '.join(self.representations)}")


@dataclass(frozen=True, slots=True)
class FeedRepresentation:
    """How contents of a feed are rendered, beside being kept as they are.

    Attributes:
        version: of the renderer.
        kinds: those that it renders; others stay as they are.
        is_complete: all contents are rendered, and devices may see the feed so.
    """

    name: str
    version: int
    kinds: frozenset[str]
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class EpochSpan:
    """An epoch (F3): `first`, and `end` = first of the next - 1; the newest has no end."""

    id: bytes
    first: int
    end: int | None


def not_quarantined(feed: str, item_id: str) -> FeedError:
    """What to say of an item that is to leave a quarantine in which it is not."""
    return FeedError(
        f"item {item_id!r} of feed {feed!r} is not in quarantine: 'gateway quarantine list' shows"
        " what is"
    )


def check(mutation: Mutation) -> None:
    """Refuse a mutation that no message could carry.

    Raises:
        FeedError: says which field is wrong and why.
    """
    try:
        names.item_id(mutation.id)
        if isinstance(mutation, Put):
            _check_content(mutation)
        if not isinstance(mutation, Delete):
            names.folder(mutation.folder or "")
            names.flags(mutation.flags or ())
    except ValueError as error:
        raise FeedError(str(error)) from error


def _check_content(put: Put) -> None:
    names.kind(put.kind)
    names.media_type(put.media_type)
    if len(put.content) > limits.CONTENT_BYTES_MAX:
        raise ValueError(
            f"the content has {len(put.content)} bytes, and an item has at most"
            f" {limits.CONTENT_BYTES_MAX}"
        )
    for moment in (put.date, put.until):
        if moment is not None and abs(moment) > limits.INTEGER_MAX:
            raise ValueError("a date is Unix seconds, and that is not a time")


class FeedSnapshot(Protocol):
    """One feed at one moment, after a commit (F2). Not for use outside its `with`."""

    @property
    def head(self) -> int:
        """The newest seq, 0 for a feed that never changed."""

    @property
    def purged(self) -> int:
        """The newest seq that a purge ever removed (F4), 0 if none ever did."""

    @property
    def item_count(self) -> int:
        """How many items are live."""

    def epoch(self, epoch_id: bytes) -> EpochSpan | None:
        """The epoch of that id, if this feed ever opened it."""

    def newest_epoch(self) -> EpochSpan:
        """The epoch that is open now."""

    def places(self) -> Sequence[Place]:
        """All places in which items are or have been, in order."""

    def rows(
        self,
        first: int,
        last: int,
        *,
        places: Collection[Place] | None = None,
        newest_first: bool = False,
    ) -> Iterator[Row]:
        """The rows with first <= seq <= last in order of seq, read as they are taken.

        What is quarantined is not among them. Only live ones in `places`, if these are given, which
        costs a little for each of them, and nothing for rows elsewhere.
        """

    def leavings(
        self, first: int, last: int, *, places: Collection[Place], newest_first: bool = False
    ) -> Iterator[tuple[int, Row]]:
        """When items last left one of `places`, first <= that seq <= last, in order of it.

        With the item's row as it is now, in that place again or not, quarantined or not.
        """

    def row(self, item_id: str) -> Row | None:
        """The row of one item, delete markers and quarantined ones included."""

    def quarantined(self) -> Sequence[Row]:
        """The rows of the items that are held back, in order of id."""

    def items(self, *, after: str | None, limit: int) -> Sequence[Row]:
        """Up to `limit` live rows in order of id, from the first id greater than `after` on."""

    def entries(self, first: bytes, last: bytes) -> Iterator[Entry]:
        """The live items whose id hash lies in first .. last, in order of it."""

    def content(
        self, item_id: str, *, offset: int, bytes_max: int, representation: str = NATIVE
    ) -> bytes:
        """Up to `bytes_max` bytes of a live item's content from `offset` on; see viewed.content."""

    def representations(self) -> Mapping[str, FeedRepresentation]:
        """In which contents are rendered, by name."""

    def rendering(self, item_id: str, representation: str) -> Rendering | None:
        """A live item as it was rendered; None if it was not."""

    def unrendered(
        self, representation: str, *, after: str | None = None, limit: int
    ) -> Sequence[Row]:
        """Up to `limit` live rows whose contents are still to be rendered so.

        In order of id, from the first id greater than `after` on.
        """

    def problems(self) -> Sequence[tuple[Row, str, str]]:
        """(row, representation, why) of the live items that could not be rendered so."""


class FeedTransaction(Protocol):
    """Changes to feeds that are kept together or not at all."""

    def add_feed(self, name: str, *, epoch_id: bytes, now: int) -> None:
        """Make an empty feed with its first epoch. FeedError if there is one of that name."""

    def remove_feed(self, name: str) -> None:
        """Delete a feed with all its items. NoSuchFeedError if there is none."""

    def open_epoch(self, feed: str, *, epoch_id: bytes) -> None:
        """Begin an epoch with the next change (F3)."""

    def apply(self, feed: str, mutation: Mutation, *, now: int) -> Row | None:
        """Apply `mutation`; the new row, or None if it changes nothing.

        Raises:
            FeedError: no such feed or item, or a value that no message could carry.
            NotRenderedError: a new content lacks renderings.
        """

    def begin_rendering(self, feed: str, representation: FeedRepresentation) -> None:
        """Have all contents of a feed rendered so from now on; those of old are still to be."""

    def end_rendering(self, feed: str, representation: str) -> bool:
        """Devices may see the feed so if all of it is rendered; whether it is."""

    def stop_rendering(self, feed: str, representation: str) -> None:
        """Forget a representation of a feed."""

    def set_rendering(self, feed: str, row: Row, representation: str, made: Made) -> None:
        """Keep what a content of old was rendered to, unless it is another by now."""

    def quarantine(self, feed: str, item_id: str, *, seq: int, why: str) -> bool:
        """Hold an item back from devices (F7); False if it is, or its newest change is another.

        It takes the next seq, at which no row stands: else a backup from before, restored at the
        same head, would bring the item back to devices that have passed it.
        """

    def retry(
        self,
        feed: str,
        item_id: str,
        *,
        seq: int,
        now: int,
        renderings: Mapping[str, Made],
    ) -> Row:
        """Let an item out of quarantine, and replace its renderings, as a new change (F7).

        Args:
            feed: that it is in.
            item_id: of it.
            seq: of its newest change when `renderings` were made.
            now: Unix seconds.
            renderings: of its content.

        Raises:
            FeedError: it is neither in quarantine nor failed to be rendered.
            NotRenderedError: it has changed since, or lacks renderings.
        """

    def purge(self, feed: str, *, before: int) -> int:
        """Forget delete markers and left places from before `before` (F4); how many went."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what is done inside if it raises, and only that."""


class FeedStore(Protocol):
    """Where feeds are kept. One writer at a time; any number of readers beside it."""

    def feeds(self) -> Sequence[str]:
        """The names of the feeds, sorted."""

    def transaction(self) -> AbstractContextManager[FeedTransaction]:
        """Changes that are durable once the `with` is left."""

    def snapshot(self, feed: str) -> AbstractContextManager[FeedSnapshot]:
        """One feed as it is now. NoSuchFeedError if there is none."""


def feed_items(snapshot: FeedSnapshot, *, page: int = 500) -> Iterator[Row]:
    """All live rows in order of id, `page` at a time."""
    after: str | None = None
    while rows := snapshot.items(after=after, limit=page):
        yield from rows
        after = rows[-1].id


def digest_rows(rows: Iterable[Row]) -> Iterator[tuple[str, bytes, str, tuple[str, ...]]]:
    """What `replica_digest` takes of rows."""
    return ((row.id, row.digest, row.folder, row.flags) for row in rows)
