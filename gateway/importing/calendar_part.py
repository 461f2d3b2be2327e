"""Reads the few properties of a calendar's component that decide where it belongs."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.importing import content_lines, dates
from gateway.importing.calendar_scanner import Calendar, Component
from gateway.importing.content_lines import Property

_UID: Final = b"UID"
_RECURRENCE_ID: Final = b"RECURRENCE-ID"
_DTSTART: Final = b"DTSTART"
_DUE: Final = b"DUE"
_TZID: Final = b"TZID"
# How the names of those begin, and BEGIN and END: most other lines need not be parsed.
_BEGINNINGS: Final = frozenset({b"UID", b"REC", b"DTS", b"DUE", b"TZI", b"BEG", b"END"})


@dataclass(frozen=True, slots=True)
class Part:
    """One component of an item: what recurs, or an exception to it.

    Attributes:
        component: where it is in the file.
        calendar: that it is in.
        uid: as it stands there, or None.
        recurrence: value and parameters of its RECURRENCE-ID; empty if this is no exception.
        date: Unix seconds, or None.
        zone_names: the TZIDs that it refers to.
    """

    component: Component
    calendar: Calendar
    uid: bytes | None
    recurrence: bytes
    date: int | None
    zone_names: tuple[bytes, ...]


def read_part(content: bytes, component: Component, calendar: Calendar) -> Part:
    """The part of an item that the component is.

    Its date is that of DTSTART, and of a task rather that of DUE (RFC 5545 section 3.8.2).
    """
    properties, zone_names = _read(content[component.begin : component.end])
    uid = properties.get(_UID)
    recurrence = properties.get(_RECURRENCE_ID)
    moment = properties.get(_DTSTART)
    if component.name == b"VTODO":
        moment = properties.get(_DUE, moment)
    return Part(
        component,
        calendar,
        uid=uid.value or None if uid else None,
        recurrence=recurrence.value + recurrence.parameters if recurrence else b"",
        date=dates.calendar_date(moment.value, moment.parameter(_TZID)) if moment else None,
        # Nearly all parts refer to the same zone: one tuple is enough for them.
        zone_names=calendar.zone_names.setdefault(zone_names, zone_names),
    )


def read_zone_name(content: bytes, component: Component) -> bytes | None:
    """The TZID of a VTIMEZONE (RFC 5545 section 3.6.5), or None without one."""
    properties, _ = _read(content[component.begin : component.end])
    name = properties.get(_TZID)
    # Commas are escaped in a property of text and not in a parameter (sections 3.3.11 and 3.2).
    return name.value.replace(b"\\,", b",").replace(b"\\;", b";") if name else None


def _read(component: bytes) -> tuple[dict[bytes, Property], tuple[bytes, ...]]:
    """Its properties by name, of several the first, and the TZIDs in it and in what it contains."""
    properties: dict[bytes, Property] = {}
    zone_names: dict[bytes, None] = {}
    depth = 0
    for property_ in _properties(component):
        zone_name = property_.parameter(_TZID)
        if zone_name is not None:
            zone_names[zone_name] = None
        if property_.name == b"BEGIN":
            depth += 1
        elif property_.name == b"END":
            depth -= 1
        elif depth == 1:
            properties.setdefault(property_.name, property_)
    return properties, tuple(zone_names)


def _properties(component: bytes) -> Iterator[Property]:
    """All properties that may be of interest, and some that are not."""
    lines = content_lines.physical_lines(io.BytesIO(component))
    for group in content_lines.content_lines(lines):
        line = group[0].upper()
        if line[:3] in _BEGINNINGS or len(group) > 1 or _TZID in line:
            property_ = content_lines.parsed(content_lines.unfolded(group))
            if property_ is not None:
                yield property_
