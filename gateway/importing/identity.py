"""Which id an item gets, and that no two items of one import get the same one."""

import hashlib
from typing import Final

from sync_protocol import limits, names

_DIGEST_ID_HEX_CHARS: Final = 32
_DIGEST_BYTES: Final = 16
_FILE_BYTES: Final = 4
_LINE_BYTES: Final = 6
_LINE_AT: Final = _DIGEST_BYTES + _FILE_BYTES


def located(where: str, line: int) -> str:
    """The file `where` with the number of a line in it; 0 is the file as a whole."""
    return f"{where}:{line}" if line else where


def item_id(claimed: bytes | None, content_sha256: bytes) -> str:
    """The id of an item that calls itself `claimed` and whose content has that digest.

    The claim is kept if an item may be called that (`sync_protocol.names.item_id`). Without one, or
    with one that is empty, too long, no UTF-8 or has control characters, the digest names the item:
    the same bytes are the same item.
    """
    if claimed is not None:
        try:
            text = claimed.decode().strip()
            # Most ids are short and plain, which is seen much faster than by character classes.
            if text.isascii() and text.isprintable() and 0 < len(text) <= limits.ITEM_ID_BYTES_MAX:
                return text
            return names.item_id(text)
        except ValueError:
            pass
    return "sha256-" + content_sha256.hex()[:_DIGEST_ID_HEX_CHARS]


class IdRegistry:
    """The ids of one import: the first item to claim an id keeps it to the end of the import.

    Otherwise two items that claim the same id would overwrite each other in turns, and importing
    the same files again would never come to rest. Files are read in sorted order, so the first is
    always the same one.

    What is kept of an item are 42 bytes (16 of the digest of its id, 16 of its content's, where it
    is), which take 150 to 200 bytes in a dict of Python; besides, each file's name.
    """

    def __init__(self) -> None:
        self._claims: dict[bytes, bytes] = {}
        self._files: list[str] = []

    def __len__(self) -> int:
        return len(self._claims)

    def __contains__(self, id_: str) -> bool:
        """Whether an item of this import has that id: a mirror must not delete it."""
        return _digest(id_) in self._claims

    def open_file(self, where: str) -> None:
        """Says that the claims to come are made by items of the file `where`."""
        self._files.append(where)

    def claim(self, id_: str, content_sha256: bytes, *, line: int) -> str | None:
        """None if the item may have the id; else the reason why it has to be left.

        Args:
            id_: the id.
            content_sha256: digest of the item's content, to tell a copy from a conflict.
            line: where the item begins in the file opened last, or 0 if it is that whole file.
        """
        key = _digest(id_)
        content_digest = content_sha256[:_DIGEST_BYTES]
        claim = self._claims.get(key)
        if claim is None:
            file = (len(self._files) - 1).to_bytes(_FILE_BYTES, "big")
            self._claims[key] = content_digest + file + line.to_bytes(_LINE_BYTES, "big")
            return None
        first = self._place(claim)
        if claim.startswith(content_digest):
            return f"duplicate of {first}"
        return f"its id is already that of {first}, which has other content"

    def _place(self, claim: bytes) -> str:
        file = self._files[int.from_bytes(claim[_DIGEST_BYTES:_LINE_AT], "big")]
        return located(file, int.from_bytes(claim[_LINE_AT:], "big"))


def _digest(id_: str) -> bytes:
    return hashlib.blake2b(id_.encode(), digest_size=_DIGEST_BYTES).digest()
