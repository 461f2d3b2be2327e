"""The last moment that an event or a task is about, for windows of time."""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.importing import content_lines, dates
from gateway.importing.content_lines import Property
from sync_protocol import limits

NO_END: Final = limits.INTEGER_MAX
# A rule with more occurrences counts as having no end, and so does an item with more that RDATEs
# add, more rules to count, or more lines (a folded one is one).
OCCURRENCES_MAX: Final = 10_000
COUNTED_RULES_MAX: Final = 16
LINES_MAX: Final = 100_000
# Of a line longer than this no rule and no date is read.
LINE_BYTES_MAX: Final = 64 * limits.KIB
DURATION_SECONDS_MAX: Final = 100 * 366 * 86_400

_DAY_SECONDS: Final = 86_400
_DAY_DIGITS: Final = 8
_COMPONENTS: Final = {"event": b"VEVENT", "task": b"VTODO"}
KINDS: Final = frozenset(_COMPONENTS)
_DURATION: Final = re.compile(
    rb"([+-]?)P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?"
)
_DURATION_UNITS: Final = (7 * _DAY_SECONDS, _DAY_SECONDS, 3600, 60, 1)
_FREQUENCIES: Final = frozenset(
    {b"SECONDLY", b"MINUTELY", b"HOURLY", b"DAILY", b"WEEKLY", b"MONTHLY", b"YEARLY"}
)
# How the lines begin that are of interest; most others need not be parsed.
_BEGINNINGS: Final = (
    b"BEGIN", b"COMPL", b"DTEND", b"DTSTA", b"DUE", b"DURAT", b"END", b"PERCE", b"RDATE", b"RRULE",
    b"STATU",
)  # fmt: skip
_DONE: Final = frozenset({b"COMPLETED", b"CANCELLED"})


@dataclass(frozen=True, slots=True)
class CountedRule:
    """A rule with COUNT, which has to be followed to know where it ends.

    Attributes:
        start: local time or day of the first occurrence, as in DTSTART.
        rule: as in RRULE.
    """

    start: str
    rule: str


Last: TypeAlias = Callable[[CountedRule], str | None]
"""The start of a rule's last occurrence, in the form of `start`; None if it has no end."""


class _TooMuchError(Exception):
    """There is more of an item than is followed: it counts as having no end."""


@dataclass(slots=True)
class _Component:
    properties: dict[bytes, list[Property]] = field(default_factory=dict)

    def first(self, name: bytes) -> Property | None:
        return next(iter(self.properties.get(name, ())), None)

    def moment(self, name: bytes) -> int | None:
        """Unix seconds of the first property of that name."""
        property_ = self.first(name)
        return _moment(property_.value, property_) if property_ else None


def until(kind: str, content: bytes, *, last: Last) -> int | None:
    """Unix seconds of the last moment that an item is about; `NO_END` if there is none.

    None if that cannot be told, or the kind is none of `KINDS`. A large content may be made to take
    seconds, beside what `last` takes. Local times of zones that this machine does not know are
    taken as UTC (`dates.calendar_date`). Occurrences that are left out by EXDATE count as well: an
    event that ends sooner than it seems is kept in a window somewhat longer.
    """
    name = _COMPONENTS.get(kind)
    if name is None:
        return None
    try:
        components = list(_components(content, name))
        ends = _task_ends(components) if kind == "task" else _event_ends(components, last)
        end = max(ends, default=None)
    except _TooMuchError:
        return NO_END
    return None if end is None else max(-limits.INTEGER_MAX, min(end, NO_END))


def _components(content: bytes, name: bytes) -> Iterator[_Component]:
    """The components called `name`, without what is within them."""
    component = None
    depth = 0
    lines = content_lines.physical_lines(io.BytesIO(content_lines.without_mark(content)))
    for number, group in enumerate(content_lines.content_lines(lines)):
        if number == LINES_MAX:
            raise _TooMuchError
        # A name that is folded within is nothing that any program writes.
        if not group[0].upper().startswith(_BEGINNINGS):
            continue
        property_ = content_lines.parsed(content_lines.unfolded(group)[:LINE_BYTES_MAX])
        if property_ is None:
            continue
        if property_.name == b"BEGIN":
            if component is None and property_.value.upper() == name:
                component = _Component()
                depth = 0
            depth += 1
        elif property_.name == b"END":
            depth -= 1
            if component is not None and depth <= 0:
                yield component
                component = None
        elif component is not None and depth == 1:
            component.properties.setdefault(property_.name, []).append(property_)


def _task_ends(components: list[_Component]) -> Iterator[int]:
    for component in components:
        status, percent = component.first(b"STATUS"), component.first(b"PERCENT-COMPLETE")
        is_done = (
            (status is not None and status.value.upper() in _DONE)
            or component.first(b"COMPLETED") is not None
            or (percent is not None and percent.value == b"100")
        )
        if not is_done:
            yield NO_END
            continue
        for name in (b"COMPLETED", b"DUE", b"DTSTART"):
            moment = component.moment(name)
            if moment is not None:
                yield moment
                break


def _event_ends(components: list[_Component], last: Last) -> Iterator[int]:
    added = counted = 0
    for component in components:
        start = component.first(b"DTSTART")
        begin = component.moment(b"DTSTART")
        length = _length(component, begin)
        if begin is not None:
            yield begin + length
        for end in _added_ends(component, length):
            added += 1
            if added > OCCURRENCES_MAX:
                raise _TooMuchError
            if end is not None:
                yield end
        for rule in component.properties.get(b"RRULE", ()):
            parts = _rule_parts(rule.value)
            if start is None or begin is None or parts.get(b"FREQ") not in _FREQUENCIES:
                continue
            counted += b"COUNT" in parts
            if counted > COUNTED_RULES_MAX:
                raise _TooMuchError
            yield _rule_end(rule, parts, start, length, last)


def _length(component: _Component, begin: int | None) -> int:
    """Seconds from the start of the event to its end (RFC 5545 section 3.6.1)."""
    start, duration = component.first(b"DTSTART"), component.first(b"DURATION")
    end = component.moment(b"DTEND")
    if begin is not None and end is not None:
        return max(0, end - begin)
    if duration is not None:
        return _seconds(duration.value) or 0
    return _DAY_SECONDS if start is not None and len(start.value) == _DAY_DIGITS else 0


def _seconds(value: bytes) -> int | None:
    """Seconds of a DURATION (RFC 5545 section 3.3.6); none are less than zero, or too many."""
    match = _DURATION.fullmatch(value.upper())
    if match is None or match[1] == b"-":
        return None
    numbers = (int(number or 0) for number in match.groups()[1:])
    total = sum(number * unit for number, unit in zip(numbers, _DURATION_UNITS, strict=True))
    return min(total, DURATION_SECONDS_MAX)


def _moment(value: bytes, property_: Property) -> int | None:
    return dates.calendar_date(value, property_.parameter(b"TZID"))


def _added_ends(component: _Component, length: int) -> Iterator[int | None]:
    """The ends of the occurrences that RDATE adds, times, days and periods; None for no time."""
    for property_ in component.properties.get(b"RDATE", ()):
        zone = property_.parameter(b"TZID")
        for value in property_.value.split(b","):
            first, _, second = value.strip().partition(b"/")
            begin = dates.calendar_date(first, zone)
            end = dates.calendar_date(second, zone) if second else None
            if end is None and begin is not None:
                end = begin + (length if not second else _seconds(second) or 0)
            yield end


def _rule_parts(value: bytes) -> dict[bytes, bytes]:
    pairs = (part.partition(b"=") for part in value.upper().split(b";"))
    return {name.strip(): text.strip() for name, _, text in pairs}


def _rule_end(
    rule: Property, parts: dict[bytes, bytes], start: Property, length: int, last: Last
) -> int:
    """When the last occurrence of a rule ends (RFC 5545 section 3.3.10)."""
    if b"UNTIL" in parts:
        end = _moment(parts[b"UNTIL"], start)
        if end is None:
            return NO_END
        # On a day that is the last, the last may begin at any time.
        is_day = len(parts[b"UNTIL"]) == _DAY_DIGITS
        return end + (max(length, _DAY_SECONDS) if is_day else length)
    count = parts.get(b"COUNT", b"")
    if not count.isdigit() or not 1 <= int(count[:9]) <= OCCURRENCES_MAX:
        return NO_END
    asked = CountedRule(
        start.value.decode("ascii", "replace"), rule.value.decode("ascii", "replace")
    )
    found = last(asked)
    begin = _moment(found.encode(), start) if found is not None else None
    return NO_END if begin is None else begin + length
