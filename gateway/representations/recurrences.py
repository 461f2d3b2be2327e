"""How events and tasks recur, as JSCalendar writes it (RFC 8984 section 4.3)."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.representations import texts
from gateway.representations.calendar_times import Moment, attribute, moment_of, parameter
from gateway.representations.models import NDay, Override, RecurrenceRule

_FREQUENCIES: Final = frozenset(
    {"secondly", "minutely", "hourly", "daily", "weekly", "monthly", "yearly"}
)
_NUMBERS: Final = {
    "by_month_day": "BYMONTHDAY",
    "by_year_day": "BYYEARDAY",
    "by_week_no": "BYWEEKNO",
    "by_hour": "BYHOUR",
    "by_minute": "BYMINUTE",
    "by_second": "BYSECOND",
    "by_set_position": "BYSETPOS",
}
_DAYS: Final = frozenset({"mo", "tu", "we", "th", "fr", "sa", "su"})


def rules(properties: Iterable[Any], start: Moment | None) -> tuple[RecurrenceRule, ...] | None:
    """The rules of RRULE or EXRULE properties; those that cannot be read are left out."""
    found = (_rule(property_, start) for property_ in properties)
    return tuple(itertools.islice(filter(None, found), texts.ENTRIES_MAX)) or None


def _rule(property_: Any, start: Moment | None) -> RecurrenceRule | None:  # noqa: ANN401 - no type fits all
    if not isinstance(property_, Mapping):
        return None
    parts = {str(name).upper(): _list(value) for name, value in property_.items()}
    frequency = _word(parts, "FREQ")
    if frequency not in _FREQUENCIES:
        return None
    numbers = {field: _numbers(parts, name) for field, name in _NUMBERS.items()}
    months = tuple(str(month) for month in parts.get("BYMONTH", ())[: texts.ENTRIES_MAX])
    interval = _number(parts, "INTERVAL")
    return RecurrenceRule(
        frequency=frequency,
        interval=interval if interval and interval > 1 else None,
        rscale=_word(parts, "RSCALE"),
        skip=_word(parts, "SKIP"),
        first_day_of_week=_word(parts, "WKST"),
        by_day=tuple(_days(parts)) or None,
        by_month=months or None,
        count=_number(parts, "COUNT"),
        until=_until(parts, start),
        **numbers,
    )


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _word(parts: Mapping[str, Sequence[Any]], name: str) -> str | None:
    # Some are enumerations of icalendar's.
    values = (getattr(value, "value", value) for value in parts.get(name, ()))
    return next((texts.line(str(value).lower()) for value in values), None)


def _numbers(parts: Mapping[str, Sequence[Any]], name: str) -> tuple[int, ...] | None:
    values = parts.get(name, ())[: texts.ENTRIES_MAX]
    return tuple(int(value) for value in values if isinstance(value, int)) or None


def _number(parts: Mapping[str, Sequence[Any]], name: str) -> int | None:
    return (_numbers(parts, name) or (None,))[0]


def _days(parts: Mapping[str, Sequence[Any]]) -> Iterator[NDay]:
    """BYDAY, such as -1SU for the last Sunday."""
    for value in parts.get("BYDAY", ())[: texts.ENTRIES_MAX]:
        text = str(value).strip().lower()
        number, day = text[:-2], text[-2:]
        if day in _DAYS:
            digits = number.lstrip("+-")
            nth = int(digits[:3]) if digits.isdecimal() else None
            yield NDay(day=day, nth_of_period=-nth if nth and number[0] == "-" else nth)


def _until(parts: Mapping[str, Sequence[Any]], start: Moment | None) -> str | None:
    """UNTIL in the zone of the start, as JSCalendar has it; there a day is the whole day."""
    for value in parts.get("UNTIL", ()):
        found = moment_of(value)
        if found is None:
            return None
        if found.is_day and start is not None and not start.is_day:
            return found.text.replace("T00:00:00", "T23:59:59")
        return found.at(start.zone if start else None).text
    return None


def moments(properties: Iterable[Any]) -> Iterator[Moment]:
    """The beginnings of EXDATE and RDATE properties; those that cannot be read are left out."""
    for property_ in properties:
        zone_name = parameter(property_, "TZID")
        for entry in attribute(property_, "dts") or ():
            value = attribute(entry, "dt")
            found = moment_of(value[0] if isinstance(value, tuple) else value, zone_name)
            if found is not None:
                yield found


def overrides(
    excluded: Iterable[Moment],
    added: Iterable[Moment],
    changed: Iterable[tuple[Moment, Override]],
    *,
    start: Moment | None,
) -> Mapping[str, Override] | None:
    """What is different on single days, by the local times that they would have been at (4.3.5)."""
    zone = start.zone if start else None
    found: dict[str, Override] = {}
    for moment in excluded:
        found[moment.at(zone).text] = Override(excluded=True)
    for moment in added:
        text = moment.at(zone).text
        if start is None or text != start.text:
            found.setdefault(text, Override())
    for moment, override in changed:
        found[moment.at(zone).text] = override
    return dict(itertools.islice(sorted(found.items()), texts.ENTRIES_MAX)) or None
