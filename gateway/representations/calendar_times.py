"""Times, durations and zones as JSCalendar writes them (RFC 8984 section 1.4)."""

import functools
import zoneinfo
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

UTC_NAME: Final = "Etc/UTC"
# A name such as /mozilla.org/20070129_1/America/New_York ends in that of the zone.
_ZONE_PARTS_MAX: Final = 3
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Moment:
    """When something begins or ends.

    Attributes:
        local: the local time there, without a zone.
        zone: its name as IANA's, or None: the time is the same everywhere, or nobody knows.
        is_day: whether it is a whole day.
    """

    local: datetime
    zone: str | None
    is_day: bool

    @property
    def text(self) -> str:
        """As a LocalDateTime (1.4.5)."""
        return local_text(self.local)

    def at(self, zone: str | None) -> "Moment":
        """The same moment in another zone, if both are known."""
        here, there = zone_of(self.zone), zone_of(zone)
        if self.is_day or here is None or there is None:
            return self
        return Moment(_moved(self.local, here, there), zone, is_day=False)

    def until(self, other: "Moment") -> timedelta:
        """How long it is to `other`; negative if that is before."""
        here, there = zone_of(self.zone), zone_of(other.zone)
        if here is None or there is None:
            return other.local - self.local
        return other.local.replace(tzinfo=there) - self.local.replace(tzinfo=here)


def _moved(local: datetime, here: zoneinfo.ZoneInfo, there: zoneinfo.ZoneInfo) -> datetime:
    try:
        return local.replace(tzinfo=here).astimezone(there).replace(tzinfo=None)
    except OverflowError:  # at the end of the calendar
        return local


def moment(property_: object) -> Moment | None:
    """The Moment of a DATE or DATE-TIME; None for anything else."""
    return moment_of(attribute(property_, "dt"), parameter(property_, "TZID"))


def attribute(property_: object, name: str) -> Any:  # noqa: ANN401 - the attribute of any property
    """An attribute of icalendar's property; None if that lacks it or could not be read."""
    try:
        return getattr(property_, name, None)
    except ValueError:  # a property of icalendar's that is broken
        return None


def parameter(property_: object, name: str) -> str:
    """A parameter of icalendar's property; empty without one."""
    parameters = attribute(property_, "params") or {}
    return str(parameters.get(name) or "")


def moment_of(value: object, zone_name: str = "") -> Moment | None:
    """The Moment of a date or datetime, which is in the zone `zone_name` if it has one."""
    if isinstance(value, datetime):
        zone = zone_named(zone_name)
        if zone is None and value.tzinfo is not None and value.tzname() == "UTC":
            zone = UTC_NAME
        return Moment(value.replace(tzinfo=None, microsecond=0, fold=0), zone, is_day=False)
    if isinstance(value, date):
        return Moment(datetime.combine(value, time()), None, is_day=True)
    return None


@functools.lru_cache(maxsize=256)
def zone_named(name: str) -> str | None:
    """IANA's name for a TZID: that itself, the end of it, or what Windows's name stands for."""
    parts = name.strip().strip("/").split("/")
    candidates = ["/".join(parts[-count:]) for count in range(_ZONE_PARTS_MAX, 0, -1)]
    for candidate in [*candidates, WINDOWS_TO_OLSON.get(name.strip(), "")]:
        if candidate and zone_of(candidate) is not None:
            return UTC_NAME if candidate in {"UTC", "GMT", "Z"} else candidate
    return None


@functools.lru_cache(maxsize=256)
def zone_of(name: str | None) -> zoneinfo.ZoneInfo | None:
    """The zone of that name, or None."""
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        return None


def local_text(local: datetime) -> str:
    """As a LocalDateTime (1.4.5), with all four digits of early years."""
    return local.replace(tzinfo=None, microsecond=0).isoformat()


def utc_text(value: object, zone_name: str = "") -> str | None:
    """A moment as a UTCDateTime (1.4.4); None where its zone is not known."""
    found = moment_of(value, zone_name)
    if found is None or found.zone is None:
        return None
    return found.at(UTC_NAME).text + "Z"


def duration_text(duration: timedelta) -> str:
    """As a SignedDuration (1.4.7)."""
    seconds = int(duration.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    days, seconds = divmod(seconds, _DAY_SECONDS)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    clock = "".join(
        f"{number}{unit}"
        for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S"))
        if number
    )
    day = f"{days}D" if days else ""
    return f"{sign}P{day}T{clock}" if clock else f"{sign}P{day}" if day else "PT0S"
