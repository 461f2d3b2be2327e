"""What of a feed a replica wants, and what that makes of the feed's changes."""

from typing import Final

from gateway.feed import FeedSnapshot
from sync_protocol import tokens

# The version of the code that renders contents: part of the lineage (P4), because new bytes for
# old content are a change that no seq tells of. `native` bytes never change.
NATIVE_RENDERER_VERSION: Final = 1


def lineage(epoch: bytes, *, base: int, view_id: int) -> int:
    """The lineage of a replica whose view wants the whole feed in its native form (P4)."""
    return tokens.lineage(
        epoch, base=base, view_id=view_id, renderer_version=NATIVE_RENDERER_VERSION
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
