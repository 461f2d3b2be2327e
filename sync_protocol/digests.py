"""Digests: what identifies rendered content."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Final

from annotated_types import Len

DIGEST_BYTES: Final = 16

Digest = Annotated[bytes, Len(DIGEST_BYTES, DIGEST_BYTES)]


def digest_of(content: Iterable[bytes]) -> bytes:
    """The digest on the wire: the first 16 bytes of the SHA-256 of the pieces of `content`."""
    sha = hashlib.sha256()
    for piece in content:
        sha.update(piece)
    return sha.digest()[:DIGEST_BYTES]


def replica_digest(items: Iterable[tuple[str, bytes, str, tuple[str, ...]]]) -> str:
    """One hex digest over all of a replica or a feed, to compare the two.

    Args:
        items: (item id, content digest, folder, flags) in any order.

    Returns:
        SHA-256, in hex, over the items sorted by id, each field with its length before it, so that
        no two different lists are the same bytes.
    """
    sha = hashlib.sha256()
    for item_id, digest, folder, flags in sorted(items):
        fields = [item_id.encode(), digest, folder.encode(), *(flag.encode() for flag in flags)]
        sha.update(b"%d;" % len(fields))
        for field in fields:
            sha.update(b"%d:%b" % (len(field), field))
    return sha.hexdigest()
