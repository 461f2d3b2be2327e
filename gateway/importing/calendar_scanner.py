"""Finds where the components of an `.ics` file are, whatever is in them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.importing import content_lines
from sync_protocol import limits

# Components of one UID may be anywhere in a file, so a calendar is held as a whole.
ICS_FILE_BYTES_MAX: Final = 64 * limits.MIB
ICS_COMPONENTS_MAX: Final = 250_000
# BEGIN within a component deeper than this is a line like any other.
NESTING_MAX: Final = 32

_CALENDAR: Final = b"VCALENDAR"
# They are never part of each other (RFC 5545 section 3.6, RFC 7953 section 3.1): where one begins
# within another, that one has lost its end. Components of other names may hold anything.
_SIDE_BY_SIDE: Final = frozenset(
    {b"VEVENT", b"VTODO", b"VJOURNAL", b"VFREEBUSY", b"VTIMEZONE", b"VAVAILABILITY", _CALENDAR}
)
_SHOWN_BYTES_MAX: Final = 32
# How a line that may be a mark begins: BEGIN, END, or a byte order mark before them.
_MARK_BYTES: Final = b"BbEe\xef"


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a calendar: its name in capitals, its bytes in the file, its first line."""

    name: bytes
    begin: int
    end: int
    line: int


@dataclass(slots=True)
class Calendar:
    """A VCALENDAR, or the components that stand in a file without one.

    Attributes:
        line: where it begins.
        begin: its BEGIN line; empty if there is none.
        header: the lines from there to its first component.
        components: in it, in order.
        zones: its VTIMEZONEs by their TZID; filled by whoever reads the components.
        zone_names: the TZIDs that its components refer to, every combination once; filled likewise.
    """

    line: int
    begin: bytes = b""
    header: list[bytes] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    zones: dict[bytes, Component] = field(default_factory=dict)
    zone_names: dict[tuple[bytes, ...], tuple[bytes, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is in no component, or in none that ends."""

    line: int
    reason: str


@dataclass(slots=True)
class _Open:
    name: bytes
    begin: int
    line: int
    within: list[bytes] = field(default_factory=list)


class CalendarScanner:
    """Tells components from each other and from what is in none.

    Attributes:
        calendars: found so far, with what is in them.
        components_count: of all of them, themselves included.
    """

    def __init__(self) -> None:
        self.calendars: list[Calendar] = []
        self.components_count = 0
        self._calendar: Calendar | None = None
        self._bare: Calendar | None = None
        self._open: _Open | None = None
        self._stray_line = 0

    def problems(self, content: bytes) -> Iterator[Problem]:
        """Scans a file up to `ICS_COMPONENTS_MAX` components, and tells what it has to leave."""
        file = io.BytesIO(content)
        offset = 0
        lines = content_lines.physical_lines(file, line_bytes_max=ICS_FILE_BYTES_MAX)
        for number, line in enumerate(lines, 1):
            if line[0] in _MARK_BYTES and (mark := _mark(line)):
                keyword, name = mark
                if keyword == b"BEGIN":
                    yield from self._at_begin(name, number, offset, line)
                else:
                    yield from self._at_end(name, number, offset + len(line), line)
            elif self._open is None:
                self._outside(number, line)
            offset += len(line)
            if self.components_count > ICS_COMPONENTS_MAX:
                return
        yield from self._at_end_of_file()

    def _at_begin(self, name: bytes, number: int, offset: int, line: bytes) -> Iterator[Problem]:
        if self._open is not None:
            if name != _CALENDAR and not {name, self._open.name} <= _SIDE_BY_SIDE:
                if len(self._open.within) < NESTING_MAX:
                    self._open.within.append(name)
                return
            yield self._cut_off(self._open)
        bare = content_lines.without_mark(line)
        if name == _CALENDAR:
            if self._calendar is not None:
                yield _not_closed(self._calendar)
            self.components_count += 1
            self._calendar = Calendar(number, bare)
            self.calendars.append(self._calendar)
        else:
            self._open = _Open(name, offset + len(line) - len(bare), number)

    def _at_end(self, name: bytes, number: int, end: int, line: bytes) -> Iterator[Problem]:
        component = self._open
        if component is not None:
            if name in component.within:
                while component.within.pop() != name:
                    pass
                return
            if name == component.name:
                self._close(component, end)
                return
            if name != _CALENDAR:
                return
            yield self._cut_off(component)
        if name == _CALENDAR and self._calendar is not None:
            self._calendar = None
        elif self._calendar is not None and name in _SIDE_BY_SIDE:
            yield Problem(number, f"END:{shown(name)} without its BEGIN: cut off")
        else:
            self._outside(number, line)

    def _close(self, component: _Open, end: int) -> None:
        self._open = None
        self.components_count += 1
        calendar = self._calendar or self._bare
        if calendar is None:
            calendar = self._bare = Calendar(component.line)
            self.calendars.append(calendar)
        calendar.components.append(Component(component.name, component.begin, end, component.line))

    def _cut_off(self, component: _Open) -> Problem:
        self._open = None
        return Problem(component.line, f"BEGIN:{shown(component.name)} without its END: cut off")

    def _outside(self, number: int, line: bytes) -> None:
        if self._calendar is not None:
            if not self._calendar.components:
                self._calendar.header.append(line)
        elif not self._stray_line and content_lines.without_mark(line).strip():
            self._stray_line = number

    def _at_end_of_file(self) -> Iterator[Problem]:
        if self._open is not None:
            yield self._cut_off(self._open)
        if self._calendar is not None:
            yield _not_closed(self._calendar)
        if self._stray_line and self.calendars:
            yield Problem(self._stray_line, "text outside of the calendar")


def _mark(line: bytes) -> tuple[bytes, bytes] | None:
    """BEGIN or END, and the name of the component, in capitals."""
    keyword, colon, name = content_lines.without_mark(line).partition(b":")
    keyword = keyword.strip().upper()
    if colon and keyword in {b"BEGIN", b"END"}:
        return keyword, name.strip().upper()
    return None


def _not_closed(calendar: Calendar) -> Problem:
    return Problem(
        calendar.line, "BEGIN:VCALENDAR without its END: only what is whole in it is taken"
    )


def shown(name: bytes) -> str:
    """A name from a file, as it may be shown: a bad file can have anything there."""
    return repr(name[:_SHOWN_BYTES_MAX])[2:-1]
