import pytest

from gateway.importing.calendar_part import Part, read_part, read_zone_name
from gateway.importing.calendar_scanner import Calendar, Component

_CALENDAR = Calendar(1)


def _part(name: str, *lines: str) -> Part:
    content = "\r\n".join(["junk", f"BEGIN:{name}", *lines, f"END:{name}", "junk"]).encode()
    return read_part(content, Component(name.encode(), 6, len(content) - 4, 2), _CALENDAR)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["UID:a"], b"a"),
        (["uid;X=1: a "], b"a"),
        (["UID", " :a"], b"a"),
        (["U", " ID:a"], b"a"),
        (["UID:a", "UID:b"], b"a"),
        (["BEGIN:VALARM", "UID:b", "END:VALARM", "UID:a"], b"a"),
        (["BEGIN:VALARM", "UID:b", "END:VALARM"], None),
        (["SUMMARY:x", " UID:b"], None),
        (["UID:"], None),
        (["UID"], None),
        ([], None),
    ],
)
def test_the_uid_of_a_component(lines: list[str], expected: bytes | None) -> None:
    assert _part("VEVENT", *lines).uid == expected


@pytest.mark.parametrize(
    ("name", "lines", "expected"),
    [
        ("VEVENT", ["DTSTART:20250115T100000Z"], 1_736_935_200),
        ("VEVENT", ["DTSTART;TZID=Europe/Berlin:20250115T110000"], 1_736_935_200),
        ("VEVENT", ["DTSTART;VALUE=DATE:20250115", "DTSTART:20260115"], 1_736_899_200),
        ("VEVENT", ["DTSTAMP:20250115T100000Z", "DUE:20250115T100000Z"], None),
        ("VEVENT", ["DTSTART:soon"], None),
        ("VTODO", ["DTSTART:20240101", "DUE:20250115"], 1_736_899_200),
        ("VTODO", ["DTSTART:20250115"], 1_736_899_200),
        ("VJOURNAL", ["DTSTART:20250115"], 1_736_899_200),
    ],
)
def test_the_date_of_a_component(name: str, lines: list[str], expected: int | None) -> None:
    assert _part(name, *lines).date == expected


def test_exceptions_are_told_apart_by_what_they_replace() -> None:
    assert _part("VEVENT").recurrence == b""
    recurrences = {
        _part("VEVENT", line).recurrence
        for line in ("RECURRENCE-ID:20250115", "RECURRENCE-ID;TZID=UTC:20250115")
    }
    assert len(recurrences) == 2
    assert b"" not in recurrences


def test_zones_are_found_wherever_they_are_referred_to() -> None:
    part = _part(
        "VEVENT",
        "DTSTART;TZID=A:20250115T100000",
        'X-THING;X=1;TZID="B: b":1',
        "EXDATE;VALUE=DATE-TIME;TZ",
        " ID=C:20250115T100000",
        "BEGIN:VALARM",
        "TRIGGER;tzid=D:20250115T100000",
        "END:VALARM",
        "DESCRIPTION:;TZID=E",
        "DTEND;TZID=A:20250115T110000",
    )
    assert part.zone_names == (b"A", b"B: b", b"C", b"D")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("TZID:Europe/Berlin\n", b"Europe/Berlin"),
        ("TZID:(UTC+01:00) A\\, B\\; C\n", b"(UTC+01:00) A, B; C"),
        ("BEGIN:STANDARD\nTZID:X\nEND:STANDARD\n", None),
        ("", None),
    ],
)
def test_the_name_of_a_zone(lines: str, expected: bytes | None) -> None:
    content = f"BEGIN:VTIMEZONE\n{lines}END:VTIMEZONE\n".encode()
    assert read_zone_name(content, Component(b"VTIMEZONE", 0, len(content), 1)) == expected
