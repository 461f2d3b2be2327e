"""A feed: one row per item with its newest change, and the rules by which rows change."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from sync_protocol import inventory, limits, names
from sync_protocol.digests import DIGEST_BYTES


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


@dataclass(frozen=True, slots=True)
class Put:
    """Make an item, or replace its content and date.

    A folder or flags of None keep those that are there, if it is.
    """

    id: str
    content: bytes
    kind: str
    media_type: str
    folder: str | None = None
    flags: tuple[str, ...] | None = None
    date: int | None = None


@dataclass(frozen=True, slots=True)
class Alter:
    """Move an item to another folder or set its flags, leaving its content alone."""

    id: str
    folder: str | None = None
    flags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an item."""

    id: str


Mutation = Put | Alter | Delete


@dataclass(frozen=True, slots=True)
class Left:
    """When an item left a folder (F1)."""

    seq: int
    at: int


@dataclass(frozen=True, slots=True)
class Row:
    """An item's newest change (F1).

    Attributes:
        seq: where in the feed that change stands.
        c: seq of the change that last altered the content.
        deleted: whether the change deleted the item; then all below but `left` is of old.
        date: Unix seconds, or None.
        digest: SHA-256 of the content, all 32 bytes.
        size: bytes of the content.
        left: folder -> when the item last left it.
        at: Unix seconds of the change, for the retention of delete markers only (F4).
        quarantined: why the item is held back from devices, if it is (F7).
    """

    id: str
    seq: int
    c: int
    deleted: bool
    kind: str
    folder: str
    flags: tuple[str, ...]
    date: int | None
    media_type: str
    digest: bytes
    size: int
    at: int
    left: Mapping[str, Left] = field(default_factory=dict)
    quarantined: str | None = None

    @property
    def wire_digest(self) -> bytes:
        """The digest as it travels."""
        return self.digest[:DIGEST_BYTES]

    @property
    def etag(self) -> bytes:
        """What stands for the item's whole state in an inventory (I2)."""
        return inventory.etag(
            self.digest,
            kind=self.kind,
            folder=self.folder,
            flags=self.flags,
            date=self.date,
            media_type=self.media_type,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A live item as an inventory compares it; the other fields are those of its `Row`."""

    id_hash: bytes
    etag: bytes
    id: str
    seq: int
    c: int
    quarantined: str | None


@dataclass(frozen=True, slots=True)
class EpochSpan:
    """An epoch (F3): `first`, and `end` = first of the next - 1; the newest has no end."""

    id: bytes
    first: int
    end: int | None


def next_row(old: Row | None, mutation: Mutation, *, seq: int, now: int) -> Row | None:
    """The row that `mutation` makes of `old` at `seq`, or None if it changes nothing.

    Raises:
        LookupError: `Alter` or `Delete` of an item that is not there.
    """
    live = old is not None and not old.deleted
    match mutation:
        case Put():
            return _put(old, mutation, seq=seq, now=now)
        case Alter():
            if old is None or not live:
                raise LookupError(mutation.id)
            folder = old.folder if mutation.folder is None else mutation.folder
            flags = old.flags if mutation.flags is None else names.flags(mutation.flags)
            if (folder, flags) == (old.folder, old.flags):
                return None
            left = _leave(old, seq=seq, now=now) if folder != old.folder else old.left
            return replace(old, seq=seq, folder=folder, flags=flags, left=left, at=now)
        case Delete():
            if old is None or not live:
                raise LookupError(mutation.id)
            left = _leave(old, seq=seq, now=now)
            return replace(old, seq=seq, deleted=True, left=left, at=now, quarantined=None)


def _put(old: Row | None, put: Put, *, seq: int, now: int) -> Row | None:
    live = old if old is not None and not old.deleted else None
    digest = hashlib.sha256(put.content).digest()
    new = Row(
        id=put.id,
        seq=seq,
        c=live.c if live is not None and live.digest == digest else seq,
        deleted=False,
        kind=put.kind,
        folder=put.folder if put.folder is not None else (live.folder if live else ""),
        flags=names.flags(put.flags) if put.flags is not None else (live.flags if live else ()),
        date=put.date,
        media_type=put.media_type,
        digest=digest,
        size=len(put.content),
        at=now,
        left=old.left if old is not None else {},
    )
    if live is None:
        return new
    if new == replace(live, seq=seq, at=now):
        return None
    return replace(new, left=_leave(live, seq=seq, now=now)) if new.folder != live.folder else new


def _leave(row: Row, *, seq: int, now: int) -> Mapping[str, Left]:
    return {**row.left, row.folder: Left(seq, now)}


def retried_row(row: Row | None, *, seq: int, now: int) -> Row | None:
    """The row of an item that leaves quarantine at `seq`, or None if it is not there.

    Its content is as old as it was: who holds it is not sent it again, and who does not wants it.
    """
    if row is None or row.quarantined is None:
        return None
    return replace(row, seq=seq, at=now, quarantined=None)


def not_quarantined(feed: str, item_id: str) -> FeedError:
    """What to say of an item that is to leave a quarantine in which it is not."""
    return FeedError(
        f"item {item_id!r} of feed {feed!r} is not in quarantine: 'gateway quarantine list' shows"
        " what is"
    )


def purged_row(row: Row, *, before: int) -> tuple[Row | None, int]:
    """`row` without what is older than `before` (Unix seconds), and the newest seq so removed (F4).

    The row is None when it was a delete marker with nothing left to say. The seq is 0 when
    nothing was removed.
    """
    gone = {name: left for name, left in row.left.items() if left.at < before}
    newest = max((left.seq for left in gone.values()), default=0)
    if row.deleted and row.at < before:
        return None, max(newest, row.seq)
    if not gone:
        return row, 0
    kept = {name: left for name, left in row.left.items() if name not in gone}
    return replace(row, left=kept), newest


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
    if put.date is not None and abs(put.date) > limits.INTEGER_MAX:
        raise ValueError("the date is Unix seconds, and that is not a time")


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

    def rows(self, first: int, last: int, *, newest_first: bool = False) -> Iterator[Row]:
        """The rows with first <= seq <= last in order of seq, read as they are taken.

        What is quarantined is not among them.
        """

    def newest_below(self, seq: int) -> int | None:
        """The newest seq of such a row below `seq`."""

    def row(self, item_id: str) -> Row | None:
        """The row of one item, delete markers and quarantined ones included."""

    def quarantined(self) -> Sequence[Row]:
        """The rows of the items that are held back, in order of id."""

    def items(self, *, after: str | None, limit: int) -> Sequence[Row]:
        """Up to `limit` live rows in order of id, from the first id greater than `after` on."""

    def entries(self, first: bytes, last: bytes) -> Iterator[Entry]:
        """The live items whose id hash lies in first .. last, in order of it."""

    def content(self, item_id: str, *, offset: int, bytes_max: int) -> bytes:
        """Up to `bytes_max` bytes of a live item's content from `offset` on; see view.content."""


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
        """

    def quarantine(self, feed: str, item_id: str, *, seq: int, why: str) -> bool:
        """Hold an item back from devices (F7); False if it is, or its newest change is another.

        It takes the next seq, at which no row stands: else a backup from before, restored at the
        same head, would bring the item back to devices that have passed it.
        """

    def retry(self, feed: str, item_id: str, *, now: int) -> Row:
        """Let an item out of quarantine, as a new change (F7). FeedError if it is not there."""

    def purge(self, feed: str, *, before: int) -> int:
        """Forget delete markers and left folders from before `before` (F4); how many went."""

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
