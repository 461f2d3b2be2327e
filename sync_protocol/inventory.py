"""The inventory's words: what names an item and its state in a few bytes (docs/protocol.md, I)."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

from annotated_types import Len
from pydantic import AfterValidator

ID_HASH_BYTES: Final = 6
_DIGEST_PART_BYTES: Final = 5
_META_PART_BYTES: Final = 3
ETAG_BYTES: Final = _DIGEST_PART_BYTES + _META_PART_BYTES
ENTRY_BYTES: Final = ID_HASH_BYTES + ETAG_BYTES
FINGERPRINT_BYTES: Final = 6

# A range of ids is named by the first hexadecimal digits of their hashes; each digit more is a
# sixteenth of it. One with all digits holds ids of equal hashes only.
DIGITS: Final = "0123456789abcdef"
PREFIX_DIGITS_MAX: Final = 2 * ID_HASH_BYTES
_PREFIX: Final = re.compile(f"[0-9a-f]{{0,{PREFIX_DIGITS_MAX}}}")

Fingerprint = Annotated[bytes, Len(FINGERPRINT_BYTES, FINGERPRINT_BYTES)]


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"a range is 0 to {PREFIX_DIGITS_MAX} hexadecimal digits, in lower case")
    return text


Prefix = Annotated[str, AfterValidator(_prefix)]


def id_hash(item_id: str) -> bytes:
    """What stands for an item's id in an inventory: the first bytes of its SHA-256 (I1)."""
    return hashlib.sha256(item_id.encode()).digest()[:ID_HASH_BYTES]


def etag(
    digest: bytes,
    *,
    kind: str,
    folder: str,
    flags: Iterable[str],
    date: int | None,
    until: int | None,
    media_type: str,
) -> bytes:
    """What stands for an item's whole state in an inventory (I2).

    Args:
        digest: of its content, at least as many bytes as travel.
        kind: as in a `Put`, like all that follow.
        folder: where the item is.
        flags: sorted.
        date: Unix seconds, or None.
        until: Unix seconds, or None.
        media_type: of the content.
    """
    moments = ["" if moment is None else str(moment) for moment in (date, until)]
    fields = [kind, folder, media_type, *moments, *flags]
    sha = hashlib.sha256()
    for field in fields:
        encoded = field.encode()
        sha.update(b"%d:%b" % (len(encoded), encoded))
    return digest[:_DIGEST_PART_BYTES] + sha.digest()[:_META_PART_BYTES]


def is_same_content(one: bytes, other: bytes) -> bool:
    """Whether two etags tell of the same content, whatever else differs."""
    return one[:_DIGEST_PART_BYTES] == other[:_DIGEST_PART_BYTES]


def pack(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """(id hash, etag) of each item, ascending, behind each other (I3)."""
    return b"".join(sorted(id_hash + etag for id_hash, etag in entries))


def unpack(packed: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What `pack` packed."""
    for entry in cut(packed, ENTRY_BYTES):
        yield entry[:ID_HASH_BYTES], entry[ID_HASH_BYTES:]


def cut(data: bytes, size_bytes: int) -> Iterator[bytes]:
    """The pieces of that size that stand behind each other in `data`."""
    return (data[start : start + size_bytes] for start in range(0, len(data), size_bytes))


def fingerprint(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A few bytes that tell whether two sides hold the same (I4)."""
    return hashlib.sha256(pack(entries)).digest()[:FINGERPRINT_BYTES]


def parts(prefix: str) -> list[str]:
    """The sixteen parts of a range, ascending."""
    return [prefix + digit for digit in DIGITS]


def by_part(
    prefix: str, entries: Iterable[tuple[bytes, bytes]]
) -> dict[str, list[tuple[bytes, bytes]]]:
    """`entries`, all of the range `prefix`, by the part that each is in; every part is there."""
    found: dict[str, list[tuple[bytes, bytes]]] = {part: [] for part in parts(prefix)}
    for entry in entries:
        found[entry[0].hex()[: len(prefix) + 1]].append(entry)
    return found


def bounds(prefix: str) -> tuple[bytes, bytes]:
    """The first and the last id hash of a range."""
    return (
        bytes.fromhex(prefix.ljust(PREFIX_DIGITS_MAX, "0")),
        bytes.fromhex(prefix.ljust(PREFIX_DIGITS_MAX, "f")),
    )
