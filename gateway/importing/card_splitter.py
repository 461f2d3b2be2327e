"""Finds where the cards of a `.vcf` file begin and end, whatever is in them."""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.importing import content_lines
from sync_protocol import limits


@dataclass(frozen=True, slots=True)
class Card:
    """A whole card, from BEGIN:VCARD on line `line` to the line end of its END:VCARD."""

    line: int
    content: bytes
    has_agent: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """A card that begins on line `line` and has no end, or is over the limit for one item."""

    line: int
    content: bytes = b""
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """A line that belongs to no card."""

    line: int
    content: bytes

    def is_blank(self) -> bool:
        """Whether nothing is lost without it."""
        return not self.content.strip() or self.content == content_lines.BYTE_ORDER_MARK


Piece: TypeAlias = Card | Broken | Between


class _Mark(enum.Enum):
    BEGIN = enum.auto()
    END = enum.auto()
    # BEGIN:VCARD as the value of AGENT on the same line (grammar of vCard 2.1, section 2.8).
    AGENT = enum.auto()


# How a line that may be a mark begins: BEGIN, END, AGENT, or a byte order mark before them.
_MARK_BYTES: Final = b"BbEeAa\xef"
_MARK_BEGINNINGS: Final = frozenset({b"BEG", b"END", b"AGE", content_lines.BYTE_ORDER_MARK})
_MARKS: Final = {
    b"BEGIN:VCARD\r\n": _Mark.BEGIN,
    b"BEGIN:VCARD\n": _Mark.BEGIN,
    b"END:VCARD\r\n": _Mark.END,
    b"END:VCARD\n": _Mark.END,
}


def _mark(line: bytes) -> _Mark | None:
    if mark := _MARKS.get(line):
        return mark
    if line[:3].upper() not in _MARK_BEGINNINGS:
        return None
    name, _, value = content_lines.without_mark(line).partition(b":")
    match name.partition(b";")[0].strip().upper(), value.strip().upper():
        case b"BEGIN", b"VCARD":
            return _Mark.BEGIN
        case b"END", b"VCARD":
            return _Mark.END
        case b"AGENT", b"BEGIN:VCARD":
            return _Mark.AGENT
        case _:
            return None


class CardSplitter:
    """Tells cards from each other and from what is between them.

    A card within the AGENT property of another (vCard 2.1, section 2.5.1) is part of that one. Any
    other BEGIN:VCARD within a card shows that the card before has lost its end.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._line = 0
        self._size_bytes = 0
        self._depth = 0
        self._has_agent = False
        self._soft_breaks = content_lines.SoftBreaks()

    def pieces(self, lines: Iterable[bytes]) -> Iterator[Piece]:
        """All that is in the physical lines of a file; joined, the pieces are the file again.

        Only a `Broken` piece does not say what is in it.
        """
        for number, line in enumerate(lines, 1):
            if line[0] in _MARK_BYTES and (mark := _mark(line)) and not self._within_value():
                yield from self._at_mark(mark, number, line)
            elif self._depth:
                self._append(line)
            else:
                yield Between(number, line)
        if self._depth:
            yield from self._cut_off()

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        self._size_bytes += len(line)
        if self._size_bytes > limits.CONTENT_BYTES_MAX:
            self._lines = [line]  # it will be left, so only its end is still of interest
            self._soft_breaks = content_lines.SoftBreaks()

    def _within_value(self) -> bool:
        """Whether the next line only continues a value, whatever it looks like."""
        if not self._depth:
            return False
        last = self._lines[-1]
        text = last.rstrip(b"\r\n")
        return text == last or (text.endswith(b"=") and self._soft_breaks.at_end_of(self._lines))

    def _at_mark(self, mark: _Mark, number: int, line: bytes) -> Iterator[Piece]:
        match mark:
            case _Mark.END if self._depth:
                self._append(line)
                self._depth -= 1
                if not self._depth:
                    yield self._finished(len(self._lines))
            case _Mark.AGENT if self._depth:
                self._nest(line)
            case _Mark.BEGIN if self._depth and self._at_agent():
                self._nest(line)
            case _Mark.BEGIN:
                if self._depth:
                    yield from self._cut_off()
                bare = content_lines.without_mark(line)
                if len(bare) < len(line):
                    yield Between(number, content_lines.BYTE_ORDER_MARK)
                self._begin(number, bare)
            case _:
                yield Between(number, line)

    def _begin(self, number: int, line: bytes) -> None:
        self._lines = []
        self._line = number
        self._size_bytes = 0
        self._depth = 1
        self._has_agent = False
        self._soft_breaks = content_lines.SoftBreaks()
        self._append(line)

    def _nest(self, line: bytes) -> None:
        self._append(line)
        self._depth += 1
        self._has_agent = True

    def _at_agent(self) -> bool:
        """Whether the last line is `AGENT:`, so that the next BEGIN:VCARD is its value."""
        agent = content_lines.parsed(self._lines[self._last_text()])
        return agent is not None and agent.name == b"AGENT" and not agent.value

    def _last_text(self) -> int:
        """Where the last line is that is not blank."""
        index = len(self._lines) - 1
        while index > 0 and not self._lines[index].strip():
            index -= 1
        return index

    def _finished(self, lines_count: int) -> Card | Broken:
        if self._size_bytes > limits.CONTENT_BYTES_MAX:
            return Broken(self._line, too_large=True)
        return Card(self._line, b"".join(self._lines[:lines_count]), self._has_agent)

    def _cut_off(self) -> Iterator[Piece]:
        """What becomes of a card when there is no END:VCARD for it.

        Some phones leave a soft line break at the end of the last value. Then the END:VCARD after
        it looks like a part of that value, but was meant.
        """
        end = self._last_text() + 1
        if self._depth == 1 and _mark(self._lines[end - 1]) is _Mark.END:
            yield self._finished(end)
            if end < len(self._lines):
                yield Between(self._line + end, b"".join(self._lines[end:]))
        else:
            yield Broken(self._line, too_large=self._size_bytes > limits.CONTENT_BYTES_MAX)
        self._depth = 0
