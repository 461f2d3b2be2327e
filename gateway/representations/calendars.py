"""Renders events and tasks of iCalendar as JSCalendar (RFC 8984)."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import icalendar

from gateway.representations import calendar_lines, recurrences, texts
from gateway.representations.calendar_times import (
    Moment,
    attribute,
    duration_text,
    moment,
    parameter,
    utc_text,
)
from gateway.representations.models import (
    Alert,
    CalendarLink,
    CalendarObject,
    Location,
    Override,
    Participant,
    Trigger,
    VirtualLocation,
)
from gateway.representations.representation import RenderError

_DAY: Final = timedelta(days=1)
_MAILTO: Final = "mailto:"
_PRIORITY_MAX: Final = 9
_PERCENT_MAX: Final = 100
# Values of iCalendar that JSCalendar has in small letters (RFC 8984 sections 4.4.1, 5.1.3 ...).
_STATUSES: Final = frozenset({"confirmed", "cancelled", "tentative"})
_PROGRESSES: Final = frozenset({"needs-action", "in-process", "completed", "failed", "cancelled"})
_PRIVACIES: Final = {"PRIVATE": "private", "CONFIDENTIAL": "secret"}
_PARTICIPATIONS: Final = frozenset({"accepted", "declined", "tentative", "delegated"})
_ROLES: Final = {
    "CHAIR": "chair",
    "OPT-PARTICIPANT": "optional",
    "NON-PARTICIPANT": "informational",
}
_ACTIONS: Final = {"DISPLAY": "display", "AUDIO": "display", "EMAIL": "email"}

Component = Any  # icalendar's components are dictionaries of anything
Type = Literal["Event", "Task"]


def event(content: bytes) -> CalendarObject:
    """The Event of a file with a VEVENT; RenderError if there is nothing to be shown of it."""
    return _rendered(content, "VEVENT", "Event")


def task(content: bytes) -> CalendarObject:
    """The Task of a file with a VTODO; RenderError if there is nothing to be shown of it."""
    return _rendered(content, "VTODO", "Task")


def _rendered(content: bytes, name: str, type_: Type) -> CalendarObject:
    """What recurs, or else the first exception, with the others as overrides.

    If icalendar refuses the file, or reads no title or no start, plain lines say more.
    """
    found = None
    try:
        components = list(icalendar.Calendar.from_ical(content).walk(name))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        components = []
    main = next((part for part in components if "RECURRENCE-ID" not in part), None)
    main = main if main is not None else next(iter(components), None)
    if main is not None:
        others = [part for part in components if part is not main and "RECURRENCE-ID" in part]
        found = _Reader(main, type_).object(others)
    if found is None or not (found.title and found.start):
        plain = calendar_lines.plain(content, name.encode(), type_)
        found = plain if found is None else found.model_copy(update=_added(found, plain))
    if not found.model_dump(exclude_none=True, exclude={"type", "uid"}):
        what = "an event" if type_ == "Event" else "a task"
        raise RenderError(f"there is nothing to be shown of {what} in it")
    return found


def _added(found: CalendarObject, plain: CalendarObject) -> dict[str, object]:
    """The fields of `plain` that `found` lacks."""
    return {name: value for name, value in plain if getattr(found, name) is None}


class _Reader:
    """Reads one component."""

    def __init__(self, component: Component, type_: Type) -> None:
        self._component = component
        self._type: Type = type_
        self.start = moment(self.one("DTSTART"))
        self.due = moment(self.one("DUE")) if type_ == "Task" else None
        begin = self.start or self.due
        self.zone = begin.zone if begin else None

    def all(self, name: str) -> list[Any]:
        """All properties of that name."""
        value = self._component.get(name)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]

    def one(self, name: str) -> Any:  # noqa: ANN401 - a property is anything
        """The first property of that name, or None."""
        return next(iter(self.all(name)), None)

    def line(self, name: str) -> str | None:
        """Its text on one line."""
        value = self.one(name)
        return None if value is None else texts.line(str(value))

    def word(self, name: str) -> str:
        """Its text as a word in capitals; empty without one."""
        return (self.line(name) or "").upper()

    def number(self, name: str, *, most: int) -> int | None:
        """Its number, if it is from 1 to `most`."""
        text = self.line(name) or ""
        if not text.isdecimal() or len(text) > len(str(most)):
            return None
        return int(text) if 1 <= int(text) <= most else None

    def length(self) -> timedelta | None:
        """From its start to its end, or its DURATION."""
        span = attribute(self.one("DURATION"), "dt")
        end = moment(self.one("DTEND"))
        if end is not None and self.start is not None:
            span = self.start.until(end)
        elif not isinstance(span, timedelta):
            span = _DAY if self.start is not None and self.start.is_day else None
        return span if span is None or span >= timedelta() else None

    def object(self, others: Iterable[Component]) -> CalendarObject:
        """The event or task, with `others` as exceptions to it."""
        is_task = self._type == "Task"
        status = self.word("STATUS").lower()
        length = self.length()
        duration = duration_text(length) if length else None
        exception = moment(self.one("RECURRENCE-ID"))
        return CalendarObject(
            type=self._type,
            uid=self.line("UID"),
            title=self.line("SUMMARY"),
            start=self.start.text if self.start else None,
            due=self.due.at(self.zone).text if self.due else None,
            time_zone=self.zone,
            duration=None if is_task else duration,
            estimated_duration=duration if is_task and self.one("DURATION") is not None else None,
            show_without_time=any(it and it.is_day for it in (self.start, self.due)) or None,
            status=status if not is_task and status in _STATUSES else None,
            progress=status if is_task and status in _PROGRESSES else None,
            percent_complete=self.number("PERCENT-COMPLETE", most=_PERCENT_MAX),
            progress_updated=self._utc("COMPLETED") if is_task else None,
            priority=self.number("PRIORITY", most=_PRIORITY_MAX),
            locations=texts.numbered([self._location()]),
            virtual_locations=texts.each(_virtual_location, self.all("CONFERENCE")),
            recurrence_id=exception.text if exception else None,
            recurrence_id_time_zone=exception.zone if exception else None,
            recurrence_rules=recurrences.rules(self.all("RRULE"), self.start),
            excluded_recurrence_rules=recurrences.rules(self.all("EXRULE"), self.start),
            recurrence_overrides=recurrences.overrides(
                recurrences.moments(self.all("EXDATE")),
                recurrences.moments(self.all("RDATE")),
                self._changed(others, length),
                start=self.start,
            ),
            free_busy_status="free" if self.word("TRANSP") == "TRANSPARENT" else None,
            privacy=_PRIVACIES.get(self.word("CLASS")),
            alerts=texts.each(_alert, self._component.walk("VALARM")),
            participants=texts.numbered(self._participants()),
            keywords=texts.true_for(self._keywords()),
            description=texts.whole(str(self.one("DESCRIPTION") or "")),
            links=texts.numbered(self._links()),
        )

    def _utc(self, name: str) -> str | None:
        return utc_text(attribute(self.one(name), "dt"))

    def _location(self) -> Location | None:
        name = self.line("LOCATION")
        geo = self.one("GEO")
        latitude, longitude = attribute(geo, "latitude"), attribute(geo, "longitude")
        coordinates = None if latitude is None else f"geo:{latitude},{longitude}"
        return Location(name=name, coordinates=coordinates) if name or coordinates else None

    def _changed(
        self, others: Iterable[Component], length: timedelta | None
    ) -> Iterator[tuple[Moment, Override]]:
        for component in others:
            other = _Reader(component, self._type)
            at = moment(other.one("RECURRENCE-ID"))
            if at is None:
                continue
            if other.word("STATUS") == "CANCELLED":
                yield at, Override(excluded=True)
                continue
            title = other.line("SUMMARY")
            start = other.start.at(self.zone).text if other.start else None
            due = other.due.at(self.zone).text if other.due else None
            other_length = other.length()
            same_length = other_length is None or other_length == length
            yield (
                at,
                Override(
                    title=title if title != self.line("SUMMARY") else None,
                    start=start if start != at.at(self.zone).text else None,
                    due=due,
                    duration=None if same_length else duration_text(other_length or timedelta()),
                ),
            )

    def _participants(self) -> Iterator[Participant | None]:
        for organizer in self.all("ORGANIZER")[:1]:
            yield _participant(organizer, "owner")
        for attendee in self.all("ATTENDEE"):
            yield _participant(attendee, "attendee")

    def _keywords(self) -> Iterator[str | None]:
        for property_ in self.all("CATEGORIES"):
            for category in attribute(property_, "cats") or ():
                yield texts.line(str(category))

    def _links(self) -> Iterator[CalendarLink | None]:
        """Its page, then what is attached, and what is in the file itself at the very end."""
        url = self.line("URL")
        yield CalendarLink(href=url) if url else None
        attached = [_attachment(property_) for property_ in self.all("ATTACH")]
        yield from sorted(filter(None, attached), key=lambda link: link.href.startswith("data:"))


def _virtual_location(property_: object) -> VirtualLocation | None:
    uri = texts.line(str(property_), chars_max=texts.LONG_NAME_CHARS_MAX)
    label = texts.line(parameter(property_, "LABEL"))
    return VirtualLocation(uri=uri, name=label) if uri else None


def _participant(property_: object, role: str) -> Participant | None:
    address = texts.line(str(property_)) or ""
    email = address[len(_MAILTO) :] if address.lower().startswith(_MAILTO) else address
    name = texts.line(parameter(property_, "CN"))
    roles = texts.true_for([role, _ROLES.get(parameter(property_, "ROLE").upper())])
    email = email if "@" in email else ""
    if roles is None or not (email or name):
        return None
    status = parameter(property_, "PARTSTAT").lower()
    return Participant(
        name=name,
        email=email or None,
        roles=roles,
        participation_status=status if status in _PARTICIPATIONS else None,
    )


def _alert(component: Component) -> Alert | None:
    trigger = component.get("TRIGGER")
    value = attribute(trigger, "dt")
    action = _ACTIONS.get(str(component.get("ACTION", "")).upper())
    if isinstance(value, timedelta):
        at_end = parameter(trigger, "RELATED").upper() == "END"
        offset = Trigger(
            type="OffsetTrigger",
            offset=duration_text(value),
            relative_to="end" if at_end else None,
        )
        return Alert(trigger=offset, action=action)
    when = utc_text(value) if isinstance(value, datetime) else None
    return (
        Alert(trigger=Trigger(type="AbsoluteTrigger", when=when), action=action) if when else None
    )


def _attachment(property_: object) -> CalendarLink | None:
    content_type = texts.line(parameter(property_, "FMTTYPE").lower())
    title = texts.line(parameter(property_, "FILENAME") or parameter(property_, "X-FILENAME"))
    if isinstance(property_, icalendar.vBinary):
        data = str(property_.to_ical(), "ascii")
        href: str | None = f"data:{content_type or 'application/octet-stream'};base64,{data}"
    else:
        href = texts.line(str(property_), chars_max=texts.LONG_NAME_CHARS_MAX)
    if not href:
        return None
    return CalendarLink(href=href, content_type=content_type, rel="enclosure", title=title)
