"""Lines of vCard and iCalendar files, unfolded only where a property has to be read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.importing.found import Readable
from sync_protocol import limits

CHUNK_BYTES: Final = 64 * limits.KIB
_LONG_LINE_CHUNK_BYTES: Final = 1 * limits.MIB
# A photo may be one line of base64, so the only bound on a line is the one on an item.
LINE_BYTES_MAX: Final = limits.CONTENT_BYTES_MAX
# All that is read from a content line is far shorter than this; photos need not be unfolded.
FOLDS_MAX: Final = 1_000

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_LINE_ENDS: Final = b"\r\n"


def physical_lines(file: Readable, *, line_bytes_max: int = LINE_BYTES_MAX) -> Iterator[bytes]:
    r"""Lines of a file with their line ends; joined, they are the file again.

    A line ends with LF, CR LF, a bare CR (old Macintosh files) or CR CR LF (files that went through
    text mode twice). A line longer than `line_bytes_max` comes in pieces, all but the last without
    a line end.
    """
    rest = b""
    # A long line is looked through again with every chunk: the longer it is, the larger the chunk.
    while chunk := file.read(min(max(CHUNK_BYTES, len(rest)), _LONG_LINE_CHUNK_BYTES)):
        chunk = rest + chunk
        lines = chunk.splitlines(keepends=True)
        if b"\r\r\n" in chunk:
            lines = _doubled_returns_joined(lines)
        rest = b""
        if not lines[-1].endswith(b"\n"):
            rest = lines.pop()
            if rest == b"\r" and lines and not lines[-1].endswith(b"\n"):
                rest = lines.pop() + rest  # the first half of a CR CR LF
        yield from lines
        if len(rest) > line_bytes_max:
            yield rest
            rest = b""
    if rest:
        yield from rest.splitlines(keepends=True)


def _doubled_returns_joined(lines: list[bytes]) -> list[bytes]:
    joined: list[bytes] = []
    for line in lines:
        if line == b"\r\n" and joined and joined[-1].endswith(b"\r"):
            joined[-1] += line
        else:
            joined.append(line)
    return joined


def without_mark(line: bytes) -> bytes:
    """`line` without a byte order mark at its beginning."""
    return line.removeprefix(BYTE_ORDER_MARK)


def is_utf16(beginning: bytes) -> bool:
    """Whether a file that begins like this is text of two-byte characters."""
    return beginning.startswith(_UTF16_MARKS)


def content_lines(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Physical lines, grouped into content lines (RFC 5545 section 3.1, RFC 6350 section 3.2).

    A line that begins with a blank continues the one before; so does any line after a soft line
    break of quoted-printable text (vCard 2.1, section 2.1.3). Blank lines are nothing, not even
    between a line and its continuation: there are calendars like that. Of a content line of more
    than `FOLDS_MAX` lines the rest is dropped.
    """
    group: list[bytes] = []
    quoted_printable = soft_break = False
    for line in lines:
        text = line.rstrip(_LINE_ENDS)
        if not text:
            soft_break = False
            continue
        if group and (soft_break or text[0] in b" \t"):
            if len(group) < FOLDS_MAX:
                group.append(line)
        else:
            if group:
                yield group
            group = [line]
            quoted_printable = _is_quoted_printable(line)
        soft_break = text.endswith(b"=") and quoted_printable
    if group:
        yield group


def _is_quoted_printable(line: bytes) -> bool:
    return b"QUOTED-PRINTABLE" in line.partition(b":")[0].upper()


class SoftBreaks:
    """Whether the lines of one component, which only ever grows, end in a soft line break.

    It goes on where it stopped the last time, so that no file can make this slow.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._quoted_printable = False
        self._soft_break = False

    def at_end_of(self, lines: list[bytes]) -> bool:
        """Whether whatever comes after `lines` belongs to their last content line."""
        for line in lines[self._seen :]:
            text = line.rstrip(_LINE_ENDS)
            if text and not self._soft_break and text[0] not in b" \t":
                self._quoted_printable = _is_quoted_printable(text)
            self._soft_break = text.endswith(b"=") and self._quoted_printable
        self._seen = len(lines)
        return self._soft_break


def unfolded(group: list[bytes]) -> bytes:
    """One content line without its line ends and folds."""
    if len(group) == 1:
        return group[0].rstrip(_LINE_ENDS)
    pieces = [group[0].rstrip(_LINE_ENDS)]
    for line in group[1:]:
        text = line.rstrip(_LINE_ENDS)
        if text[0] in b" \t":
            pieces.append(text[1:])
        else:
            pieces[-1] = pieces[-1].removesuffix(b"=")
            pieces.append(text)
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Property:
    """A property, as far as it is read here.

    Attributes:
        name: in capitals, without the group (`item1.` in `item1.TEL`, RFC 6350 section 3.3).
        parameters: what stands between the name and the value, from the first `;` on.
        value: the rest, neither decoded nor unescaped, without blanks around it.
    """

    name: bytes
    parameters: bytes
    value: bytes

    def parameter(self, name: bytes) -> bytes | None:
        """The value of the parameter `name` (in capitals), without quotes; None without one."""
        if not self.parameters:
            return None
        wanted = b";" + name + b"="
        at = self.parameters.upper().find(wanted)
        if at < 0:
            return None
        text = self.parameters[at + len(wanted) :]
        if text.startswith(b'"'):
            return text[1:].partition(b'"')[0]
        return text.partition(b";")[0].strip()


def parsed(line: bytes) -> Property | None:
    """An unfolded content line as a property; None for a line without a colon."""
    colon = _value_colon(line)
    if colon < 0:
        return None
    name, semicolon, parameters = line[:colon].partition(b";")
    name = name.rpartition(b".")[2].strip().upper()
    return Property(name, semicolon + parameters, line[colon + 1 :].strip())


def _value_colon(line: bytes) -> int:
    """Where the value begins: at the first colon that is not within a quoted parameter."""
    first = colon = line.find(b":")
    if b'"' not in line:
        return first
    begun, quotes = 0, 0
    while colon >= 0:
        quotes += line.count(b'"', begun, colon)
        if quotes % 2 == 0:
            return colon
        begun, colon = colon, line.find(b":", colon + 1)
    return first  # a quote that is never closed: better the nearest colon than none
