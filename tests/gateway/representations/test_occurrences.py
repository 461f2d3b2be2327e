from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.representations import occurrences
from gateway.representations.occurrences import NO_END, CountedRule
from sync_protocol import limits

_HOUR = 3600
_DAY = 24 * _HOUR


def _at(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


def _nobody_asks(asked: CountedRule) -> str | None:
    raise AssertionError(asked)


def _file(name: str, *components: str) -> bytes:
    parts = [f"BEGIN:{name}\n{lines}\nEND:{name}" for lines in components]
    return "\n".join(["BEGIN:VCALENDAR", *parts, "END:VCALENDAR", ""]).encode()


def _event(*components: str) -> int | None:
    return occurrences.until("event", _file("VEVENT", *components), last=_nobody_asks)


def _task(*components: str) -> int | None:
    return occurrences.until("task", _file("VTODO", *components), last=_nobody_asks)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("DTSTART:20250115T100000Z\nDTEND:20250115T120000Z", _at(2025, 1, 15, 12)),
        ("DTSTART:20250115T100000Z\nDURATION:P1DT2H", _at(2025, 1, 16, 12)),
        ("DTSTART:20250115T100000Z\nDURATION:-PT1H", _at(2025, 1, 15, 10)),
        ("DTSTART:20250115T100000Z\nDTEND:20250115T080000Z", _at(2025, 1, 15, 10)),
        ("DTSTART:20250115T100000Z", _at(2025, 1, 15, 10)),
        ("DTSTART;VALUE=DATE:20250115", _at(2025, 1, 16)),
        ("DTSTART;VALUE=DATE:20250115\nDTEND;VALUE=DATE:20250118", _at(2025, 1, 18)),
        ("DTSTART;VALUE=DATE:20250115\nDURATION:P1W", _at(2025, 1, 22)),
        ("DTSTART;TZID=Europe/Berlin:20250115T100000", _at(2025, 1, 15, 9)),
        ("DTSTART:20250115T100000Z\nBEGIN:VALARM\nDURATION:P9D\nEND:VALARM", _at(2025, 1, 15, 10)),
        ("DTSTART:whenever", None),
        ("SUMMARY:never", None),
    ],
)
def test_an_event_that_happens_once(lines: str, expected: int | None) -> None:
    assert _event(lines) == expected


_START = "DTSTART:20250115T100000Z\nDURATION:PT2H\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("RDATE:20250201T100000Z,20250120T100000Z", _at(2025, 2, 1, 12)),
        ("RDATE:20250201T100000Z\nRDATE;VALUE=DATE:20250301", _at(2025, 3, 1, 2)),
        ("RDATE;VALUE=PERIOD:20250201T100000Z/20250201T110000Z", _at(2025, 2, 1, 11)),
        ("RDATE;VALUE=PERIOD:20250201T100000Z/P1D", _at(2025, 2, 2, 10)),
        ("RDATE:,x/y", _at(2025, 1, 15, 12)),
        ("RRULE:FREQ=DAILY;UNTIL=20250301T100000Z", _at(2025, 3, 1, 12)),
        ("rrule:freq=daily;until=20250301T100000Z", _at(2025, 3, 1, 12)),
        ("RRULE:FREQ=DAILY;UNTIL=20250301", _at(2025, 3, 2)),
        ("RRULE:FREQ=DAILY;UNTIL=x", NO_END),
        ("RRULE:FREQ=DAILY", NO_END),
        ("RRULE:FREQ=DAILY;COUNT=10001", NO_END),
        ("RRULE:FREQ=DAILY;COUNT=99999999999", NO_END),
        ("RRULE:FREQ=DAILY;COUNT=0", NO_END),
        ("RRULE:FREQ=DAILY;COUNT=x", NO_END),
        ("RRULE:FREQ=NEVER", _at(2025, 1, 15, 12)),
        ("RRULE:", _at(2025, 1, 15, 12)),
    ],
)
def test_an_event_that_recurs(lines: str, expected: int) -> None:
    assert _event(_START + lines) == expected


def test_more_added_occurrences_than_are_followed_have_no_end() -> None:
    many = "RDATE:20250201T100000Z\n" * occurrences.OCCURRENCES_MAX
    assert _event(_START + many.rstrip()) == _at(2025, 2, 1, 12)
    assert _event(_START + many + "RDATE:20250201T100000Z") == NO_END


def test_that_goes_for_all_of_an_item_together() -> None:
    many = "RDATE:x\n" * (occurrences.OCCURRENCES_MAX // 2)
    assert _event(_START + many, _START + many) == _at(2025, 1, 15, 12)
    assert _event(_START + many, _START + many + "RDATE:x") == NO_END


def test_what_has_more_lines_than_are_read_has_no_end() -> None:
    many = "STATUS:CONFIRMED\n" * (occurrences.LINES_MAX - 10)
    assert _event(_START, many) == _at(2025, 1, 15, 12)
    assert _event(_START, many + many) == NO_END
    assert _task("STATUS:COMPLETED\nDUE:20250115\n" + many + many) == NO_END


def test_exceptions_count_too() -> None:
    moved = "RECURRENCE-ID:20250115T100000Z\nDTSTART:20260115T100000Z"
    assert _event(_START, moved) == _at(2026, 1, 15, 10)


def test_counted_rules_are_asked_about() -> None:
    asked = []

    def last(rule: CountedRule) -> str:
        asked.append(rule)
        return "20250117T100000"

    lines = "DTSTART;TZID=Europe/Berlin:20250115T100000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3"
    end = occurrences.until("event", _file("VEVENT", lines), last=last)
    assert end == _at(2025, 1, 17, 10)
    assert asked == [CountedRule("20250115T100000", "FREQ=DAILY;COUNT=3")]


def test_a_counted_rule_of_which_nothing_is_found_has_no_end() -> None:
    content = _file("VEVENT", _START + "RRULE:FREQ=DAILY;COUNT=3")
    assert occurrences.until("event", content, last=lambda _: None) == NO_END


def test_not_any_number_of_rules_is_asked_about() -> None:
    asked = []

    def last(rule: CountedRule) -> str:
        asked.append(rule)
        return rule.start

    content = _file("VEVENT", *[_START + "RRULE:FREQ=DAILY;COUNT=3"] * 100)
    assert occurrences.until("event", content, last=last) == NO_END
    assert len(asked) == occurrences.COUNTED_RULES_MAX


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("DUE:20250115T100000Z", NO_END),
        ("STATUS:NEEDS-ACTION\nDUE:20250115", NO_END),
        ("STATUS:COMPLETED\nCOMPLETED:20250116T100000Z\nDUE:20250115", _at(2025, 1, 16, 10)),
        ("COMPLETED:20250116T100000Z", _at(2025, 1, 16, 10)),
        ("STATUS:CANCELLED\nDUE:20250115\nDTSTART:20250110", _at(2025, 1, 15)),
        ("PERCENT-COMPLETE:100\nDTSTART:20250110", _at(2025, 1, 10)),
        ("STATUS:completed\nCOMPLETED:x", None),
    ],
)
def test_a_task_is_never_out_of_date_while_it_is_open(lines: str, expected: int | None) -> None:
    assert _task(lines) == expected


def test_a_task_that_recurs_is_open_while_one_of_it_is() -> None:
    assert _task("STATUS:COMPLETED\nDUE:20250115", "DUE:20250116") == NO_END
    assert _task("STATUS:COMPLETED\nDUE:20250115", "STATUS:COMPLETED\nDUE:20250116") == _at(
        2025, 1, 16
    )


def test_other_kinds_have_no_such_moment() -> None:
    content = _file("VEVENT", "DTSTART:20250115")
    assert occurrences.until("mail", content, last=_nobody_asks) is None
    assert occurrences.until("task", content, last=_nobody_asks) is None


def test_folded_lines_and_odd_line_ends_are_read() -> None:
    content = _file("VEVENT", "DTSTART;TZID=Europe\n /Berlin:20250115T1000\n 00")
    for end in (b"\n", b"\r\n", b"\r"):
        found = occurrences.until("event", content.replace(b"\n", end), last=_nobody_asks)
        assert found == _at(2025, 1, 15, 9)


@given(
    st.lists(
        st.sampled_from(
            [
                "BEGIN:VEVENT", "END:VEVENT", "BEGIN:VTODO", "END:VTODO",
                "DTSTART:99991231T235959Z", "DTSTART;VALUE=DATE:20250115", "DTEND:00010101T000000Z",
                "DURATION:P999999W",
                "DURATION:PT", "RRULE:FREQ=DAILY;COUNT=5;UNTIL=", "RRULE:=;;=FREQ", "RDATE:/,/P1D",
                "RRULE:FREQ=DAILY;COUNT=7", "COMPLETED;X", "STATUS:COMPLETED", " FOLDED",
                "DUE:\u0661",
            ]
        ),
        max_size=20,
    ),
    st.sampled_from(["event", "task"]),
)  # fmt: skip
def test_no_lines_are_too_odd(lines: list[str], kind: str) -> None:
    content = "\n".join(lines).encode()
    end = occurrences.until(kind, content, last=lambda rule: rule.start)
    assert end is None or abs(end) <= limits.INTEGER_MAX


@given(st.binary(max_size=100))
def test_no_bytes_are_too_odd(content: bytes) -> None:
    occurrences.until("event", b"BEGIN:VEVENT\nDTSTART:" + content, last=lambda _: "20250101")
