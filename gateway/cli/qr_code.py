"""A text as a QR code, drawn with half blocks for a terminal."""

import io
from typing import Final

import segno

# ISO/IEC 18004 wants 4 light modules all round; readers do with less where a terminal is narrow.
BORDERS: Final = (4, 2, 1)
# Bright white on black, or a terminal with dark letters would show the code's negative.
_COLOURS: Final = "\x1b[97;40m"
_RESET: Final = "\x1b[0m"


class QrCodeError(ValueError):
    """A text is more than a QR code holds, or a terminal shows; the message says what is needed."""


class QrCodeTooLargeError(QrCodeError):
    """A terminal is too small.

    Attributes:
        columns: that are needed.
        lines: that are needed.
    """

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(f"it needs {columns} columns and {lines} lines")
        self.columns: Final = columns
        self.lines: Final = lines


def drawn(text: str, *, columns: int, lines: int | None, packed_after: str) -> str:
    """The QR code of `text` in lines for a terminal.

    Args:
        text: what the code says.
        columns: how wide the terminal is.
        lines: how many of its lines there are for the code; None for as many as it takes.
        packed_after: behind it there are capitals and digits only, which take less room.

    Raises:
        QrCodeError: it does not fit.
    """
    head, mark, tail = text.partition(packed_after)
    parts = [head + mark, tail] if tail else text
    try:
        # Segments of their own modes are taken, though segno's types do not say so. Errors are
        # corrected little: a screen has no scratches, and a smaller code is easier to read.
        code = segno.make(parts, error="l", micro=False, boost_error=False)  # type: ignore[arg-type]
    except segno.DataOverflowError:
        raise QrCodeError("it is too long for a QR code") from None
    for border in BORDERS:
        width, height = map(int, code.symbol_size(border=border))
        rows = (height + 1) // 2
        if width <= columns and (lines is None or rows <= lines):
            drawing = io.StringIO()
            code.terminal(drawing, border=border, compact=True)
            return "\n".join(
                f"{_COLOURS}{line}{_RESET}" for line in drawing.getvalue().splitlines()
            )
    raise QrCodeTooLargeError(width, rows)
