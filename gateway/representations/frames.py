"""What gateway and sandbox say to each other: frames of bytes, and nothing that is evaluated."""

from typing import Final

from sync_protocol import limits

# The head of a request or an answer: some words.
HEAD_BYTES_MAX: Final = 4 * limits.KIB
REASON_CHARS_MAX: Final = 200

RENDER: Final = b"render"
UNTIL: Final = b"until"
READY: Final = b"ready"
DONE: Final = b"done"
FAILED: Final = b"failed"
OUT_OF_MEMORY: Final = b"memory"
_BETWEEN: Final = b"\0"


def head(*words: bytes) -> bytes:
    """A head of words, none of which has a NUL in it."""
    return _BETWEEN.join(words)


def words(data: bytes) -> list[bytes]:
    """The words of a head."""
    return data.split(_BETWEEN)


def reason(text: str) -> str:
    """`text` as a reason may be: on one line, printable and not too long."""
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * REASON_CHARS_MAX])
    line = " ".join(line.split())
    return line if len(line) <= REASON_CHARS_MAX else line[: REASON_CHARS_MAX - 3] + "..."
