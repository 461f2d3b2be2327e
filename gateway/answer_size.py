"""How many bytes what goes into an answer takes on the wire, at most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.viewed import Effective
from sync_protocol.wire import Format

# What a message needs beside texts, contents and token sets, when its numbers are the largest.
ANSWER_OVERHEAD_BYTES: Final = 256
_CHANGE_OVERHEAD_BYTES: Final[Mapping[Format, int]] = {Format.CBOR: 82, Format.JSON: 211}
_FLAG_OVERHEAD_BYTES: Final = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes in one form of the wire."""

    form: Format

    def head(self, item_id: str) -> int:
        """A change or a remainder without what it tells of the item."""
        return _CHANGE_OVERHEAD_BYTES[self.form] + self.text(item_id)

    def change(self, change: Effective) -> int:
        """A change without its content."""
        row = change.row
        size = self.head(row.id)
        if change.rendering is not None:
            texts = (row.kind, row.folder, change.rendering.media_type)
            size += sum(self.text(it) for it in texts)
            size += sum(self.text(it) + _FLAG_OVERHEAD_BYTES for it in row.flags)
        return size

    def sent(self, size_bytes: int) -> int:
        """That many bytes: JSON has them in base64."""
        return size_bytes if self.form is Format.CBOR else -(-size_bytes // 3) * 4

    def room(self, left_bytes: int) -> int:
        """How many bytes of content fit into what is left."""
        left = max(0, left_bytes)
        return left if self.form is Format.CBOR else left // 4 * 3

    def text(self, text: str) -> int:
        """A text: JSON escapes two of the characters that it may have."""
        escapes = 0 if self.form is Format.CBOR else text.count('"') + text.count("\\")
        return len(text.encode()) + escapes
