"""Components of a calendar that are one item, and the file that is made of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.importing import content_lines
from gateway.importing.calendar_part import Part
from gateway.importing.calendar_scanner import Calendar, Component

_VERSION: Final = b"VERSION"
_PRODID: Final = b"PRODID"
# What says how the components are to be read: RFC 5545 section 3.7, and the zone of local times in
# files of Apple and Google. A calendar's name, colour or UID is not that of an item in it, and when
# they change the items do not.
_HEADER: Final = frozenset({_VERSION, _PRODID, b"CALSCALE", b"METHOD", b"X-WR-TIMEZONE"})


@dataclass(slots=True)
class CalendarItem:
    """An event, a task or a journal entry, with its exceptions.

    Attributes:
        parts: by their `recurrence`, in the order of the file; at least one.
    """

    parts: dict[bytes, Part] = field(default_factory=dict)

    @property
    def first(self) -> Part:
        """The part that stands first in the file."""
        return next(iter(self.parts.values()))

    @property
    def date(self) -> int | None:
        """The date of what recurs, or of the first exception if only exceptions are there."""
        return self.parts.get(b"", self.first).date


class Wrapping:
    """Makes valid files (RFC 5545 section 3.4) of items that share the file `content`.

    Such a file has the VCALENDAR of the item's first part with the properties that are needed to
    read it, the VTIMEZONEs that the item refers to, and its parts, all byte for byte. Where the
    calendar has no VERSION or PRODID, or there is no calendar at all, they are added.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._heads: dict[int, list[bytes]] = {}

    def wrapped(self, item: CalendarItem) -> bytes:
        """The file with nothing but `item`."""
        calendar = item.first.calendar
        line_end = self._line_end(calendar)
        if calendar.line not in self._heads:
            self._heads[calendar.line] = list(_head(calendar, line_end))
        zones = sorted(_zones(item), key=lambda zone: zone.begin)
        parts = [part.component for part in item.parts.values()]
        lines = [
            *self._heads[calendar.line],
            *(self._content[component.begin : component.end] for component in zones + parts),
            b"END:VCALENDAR" + line_end,
        ]
        # The last line of a file may have no line end.
        return b"".join(
            line if line.endswith((b"\n", b"\r")) else line + line_end for line in lines
        )

    def _line_end(self, calendar: Calendar) -> bytes:
        first = calendar.components[0]
        text = calendar.begin or self._content[first.begin : first.end]
        at = text.find(b"\n")
        return b"\n" if at > 0 and text[at - 1 : at] != b"\r" else b"\r\n"


def _head(calendar: Calendar, line_end: bytes) -> Iterator[bytes]:
    yield calendar.begin or b"BEGIN:VCALENDAR" + line_end
    properties: dict[bytes, bytes] = {}
    for group in content_lines.content_lines(calendar.header):
        property_ = content_lines.parsed(content_lines.unfolded(group))
        if property_ is not None and property_.name in _HEADER:
            properties.setdefault(property_.name, b"".join(group))
    properties.setdefault(_VERSION, b"VERSION:2.0" + line_end)
    properties.setdefault(_PRODID, b"PRODID:-//tallysync//import//EN" + line_end)
    yield from properties.values()


def _zones(item: CalendarItem) -> set[Component]:
    """The VTIMEZONEs that are needed; where two calendars of a file differ in one, the first."""
    zones: dict[bytes, Component] = {}
    for part in item.parts.values():
        for name in part.zone_names:
            if name in part.calendar.zones:
                zones.setdefault(name, part.calendar.zones[name])
    return set(zones.values())
