"""What of a feed a replica wants, and what that makes of the feed's changes."""

import hashlib
from typing import Final

from pydantic import ValidationError

from gateway.feed import FeedSnapshot, PoisonError, Row, StorageError
from sync_protocol import tokens
from sync_protocol.messages import Put

# The version of the code that renders contents: part of the lineage (P4), because new bytes for
# old content are a change that no seq tells of. `native` bytes never change.
NATIVE_RENDERER_VERSION: Final = 1


def lineage(epoch: bytes, *, base: int, view_id: int, generation: bytes) -> int:
    """The lineage of a replica whose view wants the whole feed in its native form (P4)."""
    return tokens.lineage(
        epoch,
        base=base,
        view_id=view_id,
        renderer_version=NATIVE_RENDERER_VERSION,
        generation=generation,
    )


def previous(snapshot: FeedSnapshot, seq: int) -> int | None:
    """The newest seq before `seq` that a device must hold to have missed nothing (P3).

    Every row of the feed is effective in a view that wants the whole feed: a live item as a put, a
    deleted one as a remove. What a purge took away may have lain between, so after one the
    device must also be past that.
    """
    newest = snapshot.newest_below(seq)
    if not snapshot.purged:
        return newest
    return min(max(newest or 0, snapshot.purged), seq - 1) or None


def purge_mark(snapshot: FeedSnapshot, base: int) -> int | None:
    """`P` as a token (F4), or None if nothing was ever purged."""
    return tokens.compress(snapshot.purged, base) if snapshot.purged else None


def content(snapshot: FeedSnapshot, row: Row, *, offset: int, bytes_max: int) -> bytes:
    """Up to `bytes_max` bytes of a live item's content from `offset` on.

    Who reads its end has it checked against its digest, so that no damage passes for the whole.

    Raises:
        PoisonError: the bytes are missing, cannot be read, or are others than were put.
    """
    found = _read(snapshot, row, offset, bytes_max)
    if len(found) != min(bytes_max, max(0, row.size - offset)):
        lost = "has lost its content" if not found else "has a content of another length"
        raise PoisonError(row.id, row.seq, f"{lost}: put it again")
    if found and offset + len(found) == row.size:
        whole = _read(snapshot, row, 0, row.size) if offset else found
        if hashlib.sha256(whole).digest() != row.digest:
            raise PoisonError(row.id, row.seq, "has a damaged content: put it again")
    return found


def _read(snapshot: FeedSnapshot, row: Row, offset: int, bytes_max: int) -> bytes:
    try:
        return snapshot.content(row.id, offset=offset, bytes_max=bytes_max)
    except StorageError as error:
        why = "has a content that cannot be read: look after the disk, and restore a backup"
        raise PoisonError(row.id, row.seq, why, lasting=False) from error


def put_of(row: Row, content: bytes | None) -> Put:
    """A live row as a message says it. PoisonError if none can."""
    try:
        return _put_of(row, content)
    except ValidationError as error:
        where = error.errors(include_url=False)[0]["loc"]
        what = f"field {where[0]!r}" if where else "value"
        raise PoisonError(
            row.id, row.seq, f"has a {what} that no message can carry: put it again"
        ) from None


def _put_of(row: Row, content: bytes | None) -> Put:
    return Put(
        id=row.id,
        kind=row.kind,
        folder=row.folder,
        flags=row.flags,
        date=row.date,
        digest=row.wire_digest,
        size=row.size,
        media_type=row.media_type,
        content=content,
    )
