"""Takes the events, tasks and journal entries out of an `.ics` file."""

from collections.abc import Iterator
from typing import Final

from gateway.importing.calendar_item import CalendarItem, Wrapping
from gateway.importing.calendar_part import Part, read_part, read_zone_name
from gateway.importing.calendar_scanner import (
    ICS_COMPONENTS_MAX,
    Calendar,
    CalendarScanner,
    Component,
    shown,
)
from gateway.importing.found import ICALENDAR, Found
from gateway.importing.taking import Taking

_KINDS: Final = {b"VEVENT": "event", b"VTODO": "task", b"VJOURNAL": "journal"}
_TIMEZONE: Final = b"VTIMEZONE"


def read_calendars(content: bytes, taking: Taking) -> Iterator[Found]:
    """The items of a file: all components of one UID are one (RFC 4791 section 4.1).

    An item that has the file to itself is the whole file byte for byte; any other, and one that
    stands without a VCALENDAR or in a broken one, is wrapped as a file of its own (`Wrapping`).
    Other components than events, tasks and journal entries are left; time zones go with the items
    that refer to them.
    """
    scanner = CalendarScanner()
    alone = True
    for problem in scanner.problems(content):
        alone = False
        yield taking.damaged(problem.reason, line=problem.line)
    if scanner.components_count > ICS_COMPONENTS_MAX:
        yield taking.damaged(f"more than {ICS_COMPONENTS_MAX} components: split the file")
        return
    items = _Items(content)
    for calendar in scanner.calendars:
        for component in calendar.components:
            reason = items.add(component, calendar)
            if reason is not None:
                alone = False
                yield taking.left(reason, line=component.line)
    if alone and not items.all:
        # A calendar without an entry is whole, and a file without a calendar is not.
        says = taking.left if scanner.calendars else taking.damaged
        yield says("no event, task or journal entry in it")
    alone = (
        alone and len(items.all) == len(scanner.calendars) == 1 and bool(scanner.calendars[0].begin)
    )
    wrapping = Wrapping(content)
    for item in items.all:
        first = item.first
        yield taking.item(
            content if alone else wrapping.wrapped(item),
            kind=_KINDS[first.component.name],
            media_type=ICALENDAR,
            claimed_id=first.uid,
            date=item.date,
            line=0 if alone else first.component.line,
        )


class _Items:
    """The items of one file.

    Attributes:
        all: of them, in the order of their first parts.
    """

    def __init__(self, content: bytes) -> None:
        self.all: list[CalendarItem] = []
        self._content = content
        self._by_uid: dict[bytes, CalendarItem] = {}

    def add(self, component: Component, calendar: Calendar) -> str | None:
        """Adds a component to the item that it is part of; the reason if it has to be left."""
        if component.name == _TIMEZONE:
            zone_name = read_zone_name(self._content, component)
            if zone_name is not None:
                calendar.zones.setdefault(zone_name, component)
            return None
        if component.name not in _KINDS:
            return f"{shown(component.name)} is no event, task or journal entry"
        part = read_part(self._content, component, calendar)
        item = None if part.uid is None else self._by_uid.get(part.uid)
        if item is not None:
            return self._add_to(item, part)
        item = CalendarItem({part.recurrence: part})
        self.all.append(item)
        if part.uid is not None:
            self._by_uid[part.uid] = item
        return None

    def _add_to(self, item: CalendarItem, part: Part) -> str | None:
        other = item.parts.get(part.recurrence)
        if other is not None and self._bytes_of(other) == self._bytes_of(part):
            return f"duplicate of line {other.component.line}"
        if item.first.component.name != part.component.name:
            kind = _KINDS[item.first.component.name]
            return f"its UID is already that of the {kind} on line {item.first.component.line}"
        if other is not None:
            return (
                f"its UID is already that of line {other.component.line}, which has other content"
            )
        item.parts[part.recurrence] = part
        return None

    def _bytes_of(self, part: Part) -> bytes:
        return self._content[part.component.begin : part.component.end]
