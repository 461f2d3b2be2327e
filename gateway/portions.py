"""How much of a content that is too large to be pushed whole its first portion has."""

import codecs
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.importing import content_lines
from gateway.importing.content_lines import Property, SoftBreaks
from gateway.importing.found import ICALENDAR, MESSAGE, VCARD

_LINE_ENDS: Final = b"\r\n"
# What a line begins with that continues the one before.
_FOLDS: Final = b" \t"
# A structured value that names nothing still has its semicolons: `N:;;;;` (RFC 6350, 6.2.2).
_NO_NAME: Final = b" \t;"
# A UTF-8 sequence that is cut off has one byte less than the longest (RFC 3629, section 3).
_CUT_OFF_BYTES_MAX: Final = 3

_Cut: TypeAlias = Callable[[bytes], int]


def portion_bytes(beginning: bytes, *, media_type: str, size: int, bytes_max: int) -> int:
    """How many bytes of a content, from byte 0 on, its first portion has.

    It ends where a reader of that media type can make something of what it has: at a whole property
    or line. Where not even one fits it ends within one, as some bytes are better than none.

    Args:
        beginning: the first min(`size`, `bytes_max`) bytes of the content.
        media_type: of the content, in lower case and without parameters.
        size: of the whole content, in bytes.
        bytes_max: the most that a portion may have.

    Returns:
        `size` if the whole fits, else up to `bytes_max`; 0 only if one of them is.
    """
    assert len(beginning) == min(size, bytes_max)  # noqa: S101 - our own caller
    if not beginning or size <= bytes_max:
        return len(beginning)
    return _cut_of(media_type)(beginning)


def _cut_of(media_type: str) -> _Cut:
    if cut := _CUTS.get(media_type):
        return cut
    # RFC 6839 section 3.1 for the suffix. A compact document has a line for each property.
    is_json = media_type == "application/json" or media_type.endswith("+json")
    return _at_line if is_json or media_type.startswith("text/") else len


def _at_line(beginning: bytes) -> int:
    return _line_end(beginning) or _character_end(beginning)


def _line_end(beginning: bytes) -> int:
    """Where the last line ends that is known to be whole; 0 if none is.

    A CR as the last byte may be half of a line end.
    """
    known = beginning.rstrip(b"\r")
    return max(known.rfind(b"\n"), known.rfind(b"\r")) + 1


def _character_end(beginning: bytes) -> int:
    """Where the last whole character ends, if this is UTF-8; never 0."""
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    decoder.decode(beginning[-_CUT_OFF_BYTES_MAX:])
    cut_off, _ = decoder.getstate()
    return len(beginning) - len(cut_off) or len(beginning)


def _physical_lines(beginning: bytes) -> Iterator[bytes]:
    return content_lines.physical_lines(io.BytesIO(beginning))


def _message(beginning: bytes) -> int:
    """A mail's header with the beginning of its text, or the fields that fit of the header.

    A line that begins with a blank continues a field, and the first empty line ends the header
    (RFC 5322 sections 2.1 and 2.2.3).
    """
    fields_end = line_begin = 0
    for line in _physical_lines(beginning):
        line_end = line_begin + len(line)
        if not line.strip(_LINE_ENDS):
            if line.endswith(b"\n") or line_end < len(beginning):
                return _message_text(beginning, header_bytes=line_end)
        elif line[0] not in _FOLDS:
            fields_end = line_begin
        line_begin = line_end
    return fields_end or _character_end(beginning)


def _message_text(beginning: bytes, *, header_bytes: int) -> int:
    line_end = _line_end(beginning)
    return line_end if line_end > header_bytes else _character_end(beginning)


@dataclass(frozen=True, slots=True)
class _ContentLine:
    """A content line, from byte `begin` up to byte `end`, as the physical lines with its text."""

    begin: int
    end: int
    lines: list[bytes]

    def property(self) -> Property | None:
        """What it says; None without a colon."""
        return content_lines.parsed(content_lines.without_mark(content_lines.unfolded(self.lines)))


def _whole_content_lines(beginning: bytes) -> Iterator[_ContentLine]:
    """All content lines that are known to end: another one begins after each.

    Lines belong together as for the import (`content_lines.content_lines`), but none is dropped,
    so that their ends are places in the content.
    """
    begin = at = 0
    of_one: list[bytes] = []
    lines: list[bytes] = []
    soft_breaks = SoftBreaks()
    for line in _physical_lines(beginning):
        if line.strip(_LINE_ENDS):
            if of_one and line[0] not in _FOLDS and not soft_breaks.at_end_of(lines):
                yield _ContentLine(begin, at, of_one)
                begin, of_one = at, []
            of_one.append(line)
        lines.append(line)
        at += len(line)


@dataclass(frozen=True, slots=True)
class _Form:
    """What matters in a form that has content lines; all names in capitals.

    Attributes:
        names: the properties that name an item to a person.
        components: those that are items: what names something within them does not name them.
        depth_max: how deep an item is nested.
        heavy: the properties that are worth less than the room they take.
    """

    names: frozenset[bytes]
    components: frozenset[bytes]
    depth_max: int
    heavy: frozenset[bytes]

    def cut(self, beginning: bytes) -> int:
        """The end of the last content line before the heavy ones, or of the last that fits.

        The latter where the first heavy one comes before the item's name.
        """
        end = 0
        nesting = _Nesting()
        named = heavy = False
        for line in _whole_content_lines(beginning):
            if not heavy and (found := line.property()):
                heavy = found.name in self.heavy
                if heavy and named:
                    break
                named = named or self._is_name(found, nesting)
                nesting.take(found)
            end = line.end
        return end or _character_end(beginning)

    def _is_name(self, found: Property, nesting: "_Nesting") -> bool:
        return (
            found.name in self.names
            and bool(found.value.strip(_NO_NAME))
            and nesting.depth <= self.depth_max
            and nesting.innermost in self.components
        )


class _Nesting:
    """Which components are open."""

    def __init__(self) -> None:
        self._open: list[bytes] = []

    @property
    def depth(self) -> int:
        return len(self._open)

    @property
    def innermost(self) -> bytes:
        return self._open[-1] if self._open else b""

    def take(self, found: Property) -> None:
        """Goes past a property. An END of whatever name ends the innermost component."""
        match found.name, found.value.upper():
            # A card within another may begin on the line of its AGENT (vCard 2.1, section 2.8).
            case (b"BEGIN", name) | (b"AGENT", b"BEGIN:VCARD" as name):
                self._open.append(name)
            case b"END", _ if self._open:
                self._open.pop()


# RFC 6350 sections 6.2.1 and 6.2.2 name a card; sections 6.2.4, 6.6.3, 6.7.5 and 6.8.1 are heavy.
_CARD: Final = _Form(
    names=frozenset({b"FN", b"N"}),
    components=frozenset({b"VCARD"}),
    depth_max=1,
    heavy=frozenset({b"PHOTO", b"LOGO", b"SOUND", b"KEY"}),
)
# RFC 5545 sections 3.6.1 to 3.6.3 are items; an alarm within one has a SUMMARY too (3.6.6).
_CALENDAR: Final = _Form(
    names=frozenset({b"SUMMARY"}),
    components=frozenset({b"VEVENT", b"VTODO", b"VJOURNAL"}),
    depth_max=2,
    heavy=frozenset({b"ATTACH"}),
)

_CUTS: Final[Mapping[str, _Cut]] = {
    VCARD: _CARD.cut,
    ICALENDAR: _CALENDAR.cut,
    MESSAGE: _message,
}
