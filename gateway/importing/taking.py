"""Decides on size, id and conflicts of all that readers cut out, alike for all of them."""

import hashlib

from gateway.importing.found import Found, FoundItem, Left, Missing
from gateway.importing.identity import IdRegistry, item_id, located
from sync_protocol import limits


class Taking:
    """Turns what a reader cut out of one file into items, or says why it is left.

    Args:
        where: the file, printable.
        folder: that its items go to.
        ids: of the whole import.
    """

    def __init__(self, where: str, *, folder: str, ids: IdRegistry) -> None:
        self._where = where
        self._folder = folder
        self._ids = ids
        ids.open_file(where)

    def item(
        self,
        content: bytes,
        *,
        kind: str,
        media_type: str,
        claimed_id: bytes | None,
        date: int | None = None,
        line: int = 0,
    ) -> Found:
        """The item, or why it is left: too large, a duplicate, or its id is another item's.

        Args:
            content: of the item, a valid file of its own.
            kind: `contact`, `event`, `task`, `journal` or `mail`.
            media_type: of the content.
            claimed_id: its UID or Message-ID as it stands in the file, if it has one.
            date: Unix seconds, or None.
            line: where it begins in the file, or 0 if it is the whole file.
        """
        if len(content) > limits.CONTENT_BYTES_MAX:
            return self.too_large(line=line)
        digest = hashlib.sha256(content).digest()
        id_ = item_id(claimed_id, digest)
        conflict = self._ids.claim(id_, digest, line=line)
        if conflict is not None:
            return self.left(conflict, line=line)
        return FoundItem(id_, kind, self._folder, date, media_type, content)

    def left(self, reason: str, *, line: int = 0) -> Left:
        """Something in this file that is not taken, from `line` on if that is not 0."""
        return Left(located(self._where, line), reason)

    def damaged(self, reason: str, *, line: int = 0) -> Left:
        """Something that is not taken and may have been items of this file."""
        return Left(located(self._where, line), reason, Missing.DAMAGED)

    def too_large(self, *, line: int = 0) -> Left:
        """An item that is over the limit for one."""
        mib = limits.CONTENT_BYTES_MAX // limits.MIB
        return self.damaged(f"larger than {mib} MiB, which is the limit for one item", line=line)
