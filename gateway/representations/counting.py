"""Follows the rules of what recurs to their last occurrence, with dateutil."""

from datetime import datetime
from typing import Final

from dateutil.rrule import rrulestr

from gateway.representations.occurrences import OCCURRENCES_MAX, CountedRule

_FORMATS: Final = {8: "%Y%m%d", 15: "%Y%m%dT%H%M%S", 16: "%Y%m%dT%H%M%SZ"}


def last_occurrence(asked: CountedRule) -> str | None:
    """See `occurrences.Last`. A rule that cannot be read has no end.

    It may take for ever: rules can be such that next to nothing fits them.
    """
    form = _FORMATS.get(len(asked.start))
    if form is None:
        return None
    try:
        # Without a zone: what recurs does so by the clock on the wall.
        start = datetime.strptime(asked.start.upper(), form)  # noqa: DTZ007
        last = start
        for number, occurrence in enumerate(rrulestr(asked.rule, dtstart=start)):
            if number >= OCCURRENCES_MAX:
                return None
            last = occurrence
        return last.strftime(form).rjust(len(asked.start), "0")
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError):
        return None
