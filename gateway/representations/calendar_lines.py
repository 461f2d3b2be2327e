"""Reads the plain lines of an event or a task that icalendar cannot read."""

import io
import re
from datetime import datetime
from typing import Final, Literal

from gateway.importing import content_lines, dates
from gateway.importing.content_lines import Property
from gateway.representations import texts
from gateway.representations.calendar_times import UTC_NAME, Moment, duration_text, zone_named
from gateway.representations.models import CalendarObject, Location

_NAMES: Final = frozenset({b"UID", b"SUMMARY", b"DTSTART", b"DTEND", b"DUE", b"LOCATION"})
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_TIME: Final = re.compile(rb"(\d{8})(?:T(\d{6})(Z?))?")


def plain(content: bytes, name: bytes, type_: Literal["Event", "Task"]) -> CalendarObject:
    """What the first component of that name says of itself."""
    properties = _properties(content, name)
    title = _text(properties.get(b"SUMMARY"))
    start = _moment(properties.get(b"DTSTART"))
    end = _moment(properties.get(b"DTEND"))
    due = _moment(properties.get(b"DUE")) if type_ == "Task" else None
    begin = start or due
    span = start.until(end) if start and end else None
    place = _text(properties.get(b"LOCATION"))
    return CalendarObject(
        type=type_,
        uid=_text(properties.get(b"UID")),
        title=title,
        start=start.text if start else None,
        due=due.at(begin.zone).text if due and begin else None,
        time_zone=begin.zone if begin else None,
        duration=duration_text(span) if span and span.total_seconds() > 0 else None,
        show_without_time=True if begin and begin.is_day else None,
        locations=texts.numbered([Location(name=place) if place else None]),
    )


def _properties(content: bytes, name: bytes) -> dict[bytes, Property]:
    """The first property of each name right in the first component called `name`."""
    properties: dict[bytes, Property] = {}
    depth = 0
    lines = content_lines.physical_lines(io.BytesIO(content_lines.without_mark(content)))
    for group in content_lines.content_lines(lines):
        property_ = content_lines.parsed(content_lines.unfolded(group))
        if property_ is None:
            continue
        if property_.name == b"BEGIN" and (depth or property_.value.upper() == name):
            depth += 1
        elif property_.name == b"END" and depth:
            depth -= 1
            if depth == 0:
                break
        elif depth == 1 and property_.name in _NAMES:
            properties.setdefault(property_.name, property_)
    return properties


def _text(property_: Property | None) -> str | None:
    if property_ is None:
        return None
    value = property_.value.decode("utf-8", "replace")
    return texts.line(_ESCAPE.sub(lambda match: " " if match[1] in "nN" else match[1], value))


def _moment(property_: Property | None) -> Moment | None:
    match = _TIME.fullmatch(property_.value.upper()) if property_ else None
    if property_ is None or match is None or dates.calendar_date(match[0], None) is None:
        return None
    clock = min(match[2] or b"000000", b"235959")
    local = datetime.strptime((match[1] + clock).decode(), "%Y%m%d%H%M%S")  # noqa: DTZ007 - local
    zone = (property_.parameter(b"TZID") or b"").decode("utf-8", "replace")
    return Moment(local, UTC_NAME if match[3] else zone_named(zone), is_day=match[2] is None)
