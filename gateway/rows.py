"""What a feed keeps of each item, and the rules by which that changes (docs/protocol.md, F1)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.representations.representation import Problem, Rendered
from sync_protocol import inventory, names
from sync_protocol.digests import DIGEST_BYTES


class Place(NamedTuple):
    """Where in a feed an item is: what views choose by (V1)."""

    kind: str
    folder: str


# What became of rendering a content.
Made = Rendered | Problem


@dataclass(frozen=True, slots=True)
class Put:
    """Make an item, or replace its content and date.

    A folder or flags of None keep those that are there, if it is.

    Attributes:
        until: the last moment that it is about, Unix seconds; None if that is its date.
        renderings: name of a representation -> its content in that, or why there is none. A content
            that is new, or of an item in quarantine, needs those in which contents of its kind are
            rendered in the feed.
    """

    id: str
    content: bytes
    kind: str
    media_type: str
    folder: str | None = None
    flags: tuple[str, ...] | None = None
    date: int | None = None
    until: int | None = None
    renderings: Mapping[str, Made] = field(default_factory=dict)


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
    """When an item left a place (F1)."""

    seq: int
    at: int


@dataclass(frozen=True, slots=True)
class Rendering:
    """A live item's content in one representation (F1).

    Attributes:
        c: seq of the change that last altered these bytes.
        digest: SHA-256 of them, all 32 bytes.
        size: how many there are.
        problem: why there are none; then the others mean nothing.
    """

    c: int
    digest: bytes
    size: int
    media_type: str
    problem: str | None = None

    @property
    def wire_digest(self) -> bytes:
        """The digest as it travels."""
        return self.digest[:DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Row:
    """An item's newest change (F1).

    Attributes:
        seq: where in the feed that change stands.
        c: seq of the change that last altered the content.
        deleted: whether the change deleted the item; then all below but `left` is of old.
        date: Unix seconds, or None.
        until: the last moment that it is about, Unix seconds; None if that is its date.
        digest: SHA-256 of the content, all 32 bytes.
        size: bytes of the content.
        left: place -> when the item last left it.
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
    left: Mapping[Place, Left] = field(default_factory=dict)
    quarantined: str | None = None
    until: int | None = None

    @property
    def place(self) -> Place:
        """Where the item is, or was before it was deleted."""
        return Place(self.kind, self.folder)

    @property
    def native(self) -> Rendering:
        """The content as it is."""
        return Rendering(self.c, self.digest, self.size, self.media_type)

    @property
    def wire_digest(self) -> bytes:
        """The digest as it travels."""
        return self.digest[:DIGEST_BYTES]

    def etag(self, rendering: Rendering) -> bytes:
        """What stands for the item's whole state, so rendered, in an inventory (I2)."""
        return inventory.etag(
            rendering.digest,
            kind=self.kind,
            folder=self.folder,
            flags=self.flags,
            date=self.date,
            until=self.until,
            media_type=rendering.media_type,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A live item as an inventory compares it; the other fields are those of its `Row`.

    Attributes:
        etag: of its content as it is.
    """

    id_hash: bytes
    etag: bytes
    id: str
    seq: int
    c: int
    quarantined: str | None
    kind: str
    folder: str
    date: int | None
    until: int | None
    size: int


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
        until=put.until,
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
    return replace(new, left=_leave(live, seq=seq, now=now)) if new.place != live.place else new


def _leave(row: Row, *, seq: int, now: int) -> Mapping[Place, Left]:
    return {**row.left, row.place: Left(seq, now)}


def is_same_content(old: Row | None, new: Row) -> bool:
    """Whether what `old` was rendered to is what `new` is rendered to."""
    if old is None or old.deleted:
        return False
    return (old.kind, old.digest, old.media_type) == (new.kind, new.digest, new.media_type)


def is_to_be_rendered(old: Row | None, new: Row) -> bool:
    """Whether a put needs renderings: its content is new, or what is kept of it may be damaged."""
    return not is_same_content(old, new) or (old is not None and old.quarantined is not None)


def rendering_of(made: Made, *, seq: int, before: Rendering | None) -> Rendering:
    """What is kept of a content that was rendered.

    Args:
        made: what became of it.
        seq: of the change that altered the content, or has it rendered once more.
        before: what it was rendered to before, if it was.
    """
    match made:
        case Rendered():
            digest = hashlib.sha256(made.content).digest()
            was = None if before is None or before.problem is not None else before
            c = was.c if was is not None and was.digest == digest else seq
            return Rendering(c, digest, len(made.content), made.media_type)
        case Problem():
            return Rendering(seq, b"", 0, "", problem=made.why)


def retried_row(row: Row | None, *, is_rendered: bool, seq: int, now: int) -> Row | None:
    """The row of an item that leaves quarantine at `seq`, or None if there was nothing to retry.

    Its content is as old as it was: who holds it is not sent it again, and who does not wants it.

    Args:
        row: of the item.
        is_rendered: whether it is, in all representations.
        seq: of the change.
        now: Unix seconds.
    """
    if row is None or row.deleted or (row.quarantined is None and is_rendered):
        return None
    return replace(row, seq=seq, at=now, quarantined=None)


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
