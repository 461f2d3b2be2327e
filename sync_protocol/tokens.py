"""Tokens: which change of which epoch, and the one small integer that travels for it."""

import hashlib
import struct
from typing import Annotated, Final

from annotated_types import Ge, Le, Len

from sync_protocol.limits import INTEGER_MAX

EPOCH_ID_BYTES: Final = 8

# An integer that every JSON reader keeps exact.
Integer = Annotated[int, Ge(-INTEGER_MAX), Le(INTEGER_MAX)]
Natural = Annotated[int, Ge(0), Le(INTEGER_MAX)]
Word32 = Annotated[int, Ge(0), Le(2**32 - 1)]
EpochId = Annotated[bytes, Len(EPOCH_ID_BYTES, EPOCH_ID_BYTES)]


def compress(seq: int, base: int) -> int:
    """The token of the change at `seq`, as a replica that was made at `base` knows it."""
    return seq - base


def expand(n: int, base: int) -> int:
    """The `seq` of the feed that a replica with this base knows as `n`."""
    return n + base


def oldest(base: int) -> int:
    """The oldest token that a replica with this base can have: that of seq 1.

    ``upto(x)`` of the protocol is ``oldest(base) .. x``.
    """
    return compress(1, base)


def lineage(
    epoch: bytes, *, base: int, view_id: int, renderer_version: int, generation: bytes
) -> int:
    """32 bits that name what a token means (P4): pushes of another lineage mean nothing.

    Args:
        epoch: id of an epoch of the feed.
        base: of the replica.
        view_id: of the replica.
        renderer_version: of the code that makes contents of this view.
        generation: of the device's enrolment, so that tokens end with it.
    """
    packed = struct.pack(">8sqII8s", epoch, base, view_id, renderer_version, generation)
    return int.from_bytes(hashlib.sha256(packed).digest()[:4], "big")
