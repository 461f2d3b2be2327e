"""The date of an item: a coarse key to sort and to filter by, never shown as a time."""

import email.utils
import functools
import zoneinfo
from datetime import UTC, datetime, tzinfo
from typing import Final

_DAY_DIGITS: Final = 8
_CLOCK_DIGITS: Final = 6
_SECOND_MAX: Final = 59
# A header field of a date is about 40 characters long; what is longer is not worth looking at.
_MAIL_DATE_BYTES_MAX: Final = 256


def calendar_date(value: bytes, zone_name: bytes | None) -> int | None:
    """Unix seconds of a DATE or DATE-TIME (RFC 5545 sections 3.3.4 and 3.3.5); None for others.

    A day is its midnight in UTC. Local time is taken in its zone if this machine knows a zone of
    that name; else as if it were UTC, since the VTIMEZONE of the file is not evaluated: off by
    14 hours at most.
    """
    day, _, clock = value.upper().partition(b"T")
    is_utc = clock.endswith(b"Z")
    clock = clock.removesuffix(b"Z") or b"000000"
    if not (len(day) == _DAY_DIGITS and len(clock) == _CLOCK_DIGITS and (day + clock).isdigit()):
        return None
    hour, minute, second = int(clock[:2]), int(clock[2:4]), int(clock[4:])
    zone = _zone(zone_name) if zone_name and not is_utc else UTC
    try:
        moment = datetime(
            int(day[:4]),
            int(day[4:6]),
            int(day[6:]),
            hour,
            minute,
            min(second, _SECOND_MAX),  # a leap second is 60
            tzinfo=zone,
        )
        return int(moment.timestamp())
    except (ValueError, OverflowError):
        return None


@functools.lru_cache(maxsize=256)
def _zone(name: bytes) -> tzinfo:
    try:
        return zoneinfo.ZoneInfo(name.decode())
    except (KeyError, ValueError, OSError):
        return UTC


def mail_date(value: bytes) -> int | None:
    """Unix seconds of a Date field (RFC 5322 section 3.3); None if it cannot be read."""
    try:
        moment = email.utils.parsedate_to_datetime(value[:_MAIL_DATE_BYTES_MAX].decode("latin-1"))
        if moment.tzinfo is None:  # "-0000": the time is UTC, the sender's zone unknown
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
