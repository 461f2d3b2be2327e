from typing import Any

import pytest

from gateway.representations import calendars


def _event(lines: str) -> dict[str, Any]:
    content = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n".encode()
    return calendars.event(content).model_dump(by_alias=True, exclude_none=True)


_START = "DTSTART;TZID=Europe/Berlin:20250115T100000\n"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY", {"frequency": "daily"}),
        ("FREQ=DAILY;INTERVAL=1;COUNT=3", {"frequency": "daily", "count": 3}),
        (
            "FREQ=MONTHLY;INTERVAL=2;BYDAY=MO,-1SU,+2TU",
            {
                "frequency": "monthly",
                "interval": 2,
                "byDay": (
                    {"day": "mo"},
                    {"day": "su", "nthOfPeriod": -1},
                    {"day": "tu", "nthOfPeriod": 2},
                ),
            },
        ),
        (
            "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=1,-1;BYYEARDAY=5;BYWEEKNO=6;WKST=SU;BYSETPOS=-1",
            {
                "frequency": "yearly",
                "firstDayOfWeek": "su",
                "byMonth": ("3",),
                "byMonthDay": (1, -1),
                "byYearDay": (5,),
                "byWeekNo": (6,),
                "bySetPosition": (-1,),
            },
        ),
        (
            "FREQ=HOURLY;BYHOUR=1;BYMINUTE=0;BYSECOND=3",
            {"frequency": "hourly", "byHour": (1,), "byMinute": (0,), "bySecond": (3,)},
        ),
        (
            "RSCALE=CHINESE;FREQ=YEARLY;SKIP=FORWARD",
            {"frequency": "yearly", "rscale": "chinese", "skip": "forward"},
        ),
        (
            "FREQ=DAILY;UNTIL=20250201T090000Z",
            {"frequency": "daily", "until": "2025-02-01T10:00:00"},
        ),
        ("FREQ=DAILY;UNTIL=20250201", {"frequency": "daily", "until": "2025-02-01T23:59:59"}),
    ],
)
def test_rules(rule: str, expected: dict[str, Any]) -> None:
    assert _event(f"{_START}RRULE:{rule}")["recurrenceRules"] == (expected,)
    assert _event(f"{_START}EXRULE:{rule}")["excludedRecurrenceRules"] == (expected,)


@pytest.mark.parametrize("rule", ["FREQ=NEVER", "COUNT=3", "", "x", "FREQ=DAILY;UNTIL=x"])
def test_rules_that_cannot_be_read_are_left_out(rule: str) -> None:
    assert "recurrenceRules" not in _event(f"{_START}RRULE:{rule}")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("EXDATE:20250116T090000Z", {"2025-01-16T10:00:00": {"excluded": True}}),
        (
            "EXDATE;TZID=Europe/Berlin:20250117T100000,20250116T100000",
            {
                "2025-01-16T10:00:00": {"excluded": True},
                "2025-01-17T10:00:00": {"excluded": True},
            },
        ),
        ("RDATE:20250116T110000Z", {"2025-01-16T12:00:00": {}}),
        ("RDATE;VALUE=PERIOD:20250116T110000Z/PT1H", {"2025-01-16T12:00:00": {}}),
        ("RDATE;TZID=Europe/Berlin:20250115T100000", None),
        ("EXDATE:", None),
    ],
)
def test_single_days(lines: str, expected: dict[str, Any] | None) -> None:
    assert _event(_START + lines).get("recurrenceOverrides") == expected


def test_days_of_an_event_without_times() -> None:
    shown = _event(
        "DTSTART;VALUE=DATE:20250115\nRRULE:FREQ=DAILY;UNTIL=20250117\nEXDATE;VALUE=DATE:20250116"
    )
    assert shown["recurrenceRules"][0]["until"] == "2025-01-17T00:00:00"
    assert shown["recurrenceOverrides"] == {"2025-01-16T00:00:00": {"excluded": True}}
