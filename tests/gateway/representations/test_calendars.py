from typing import Any

import pytest

from gateway.representations import calendars
from gateway.representations.registry import RenderError

_BERLIN = "DTSTART;TZID=Europe/Berlin:20250115T100000"


def _file(name: str, *components: str) -> bytes:
    parts = [f"BEGIN:{name}\r\n{lines}\r\nEND:{name}" for lines in components]
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *parts, "END:VCALENDAR", ""]).encode()


def _event(*components: str) -> dict[str, Any]:
    shown = calendars.event(_file("VEVENT", *components)).model_dump(
        by_alias=True, exclude_none=True
    )
    assert shown.pop("@type") == "Event"
    return shown


def _task(lines: str) -> dict[str, Any]:
    shown = calendars.task(_file("VTODO", lines)).model_dump(by_alias=True, exclude_none=True)
    assert shown.pop("@type") == "Task"
    return shown


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "DTSTART:20250115T100000Z\nDTEND:20250115T113000Z",
            {"start": "2025-01-15T10:00:00", "timeZone": "Etc/UTC", "duration": "PT1H30M"},
        ),
        (
            f"{_BERLIN}\nDURATION:P1D",
            {"start": "2025-01-15T10:00:00", "timeZone": "Europe/Berlin", "duration": "P1D"},
        ),
        (
            "DTSTART;TZID=Nowhere:20250115T100000",
            {"start": "2025-01-15T10:00:00"},
        ),
        (
            "DTSTART;VALUE=DATE:20250115",
            {"start": "2025-01-15T00:00:00", "duration": "P1D", "showWithoutTime": True},
        ),
        (
            f"{_BERLIN}\nDTEND;TZID=Europe/Berlin:20250115T090000",
            {"start": "2025-01-15T10:00:00", "timeZone": "Europe/Berlin"},
        ),
    ],
)
def test_when_an_event_is(lines: str, expected: dict[str, Any]) -> None:
    assert _event(lines) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("UID:1", {"uid": "1"}),
        ("STATUS:TENTATIVE", {"status": "tentative"}),
        ("STATUS:NEEDS-ACTION", {}),
        ("PRIORITY:1", {"priority": 1}),
        ("PRIORITY:0", {}),
        ("PRIORITY:10", {}),
        ("PRIORITY:high", {}),
        ("LOCATION:A\\, b", {"locations": {"1": {"name": "A, b"}}}),
        ("GEO:1.5;-2", {"locations": {"1": {"coordinates": "geo:1.5,-2.0"}}}),
        (
            "CONFERENCE;VALUE=URI;LABEL=Join:https://a.example",
            {"virtualLocations": {"1": {"uri": "https://a.example", "name": "Join"}}},
        ),
        ("TRANSP:TRANSPARENT", {"freeBusyStatus": "free"}),
        ("CLASS:PRIVATE", {"privacy": "private"}),
        ("CATEGORIES:B,A\r\nCATEGORIES:C", {"keywords": {"B": True, "A": True, "C": True}}),
        ("DESCRIPTION:a\\nb", {"description": "a\nb"}),
        ("URL:https://a.example", {"links": {"1": {"href": "https://a.example"}}}),
        (
            "ORGANIZER;CN=Bo:mailto:b@example.org",
            {
                "participants": {
                    "1": {"name": "Bo", "email": "b@example.org", "roles": {"owner": True}}
                }
            },
        ),
        (
            "ATTENDEE;ROLE=CHAIR;PARTSTAT=ACCEPTED:MAILTO:b@example.org",
            {
                "participants": {
                    "1": {
                        "email": "b@example.org",
                        "roles": {"attendee": True, "chair": True},
                        "participationStatus": "accepted",
                    }
                }
            },
        ),
        ("ATTENDEE:", {}),
        (
            "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER;RELATED=END:-PT5M\r\nEND:VALARM",
            {
                "alerts": {
                    "1": {
                        "trigger": {
                            "@type": "OffsetTrigger",
                            "offset": "-PT5M",
                            "relativeTo": "end",
                        },
                        "action": "display",
                    }
                }
            },
        ),
        (
            "BEGIN:VALARM\r\nTRIGGER;VALUE=DATE-TIME:20250115T090000Z\r\nEND:VALARM",
            {
                "alerts": {
                    "1": {"trigger": {"@type": "AbsoluteTrigger", "when": "2025-01-15T09:00:00Z"}}
                }
            },
        ),
        ("BEGIN:VALARM\r\nTRIGGER:soon\r\nEND:VALARM", {}),
        (
            (
                "ATTACH;VALUE=BINARY;ENCODING=BASE64;FMTTYPE=image/png:iVBOR/8=\r\n"
                "ATTACH:https://a.example/b"
            ),
            {
                "links": {
                    "1": {"href": "https://a.example/b", "rel": "enclosure"},
                    "2": {
                        "href": "data:image/png;base64,iVBOR/8=",
                        "contentType": "image/png",
                        "rel": "enclosure",
                    },
                }
            },
        ),
    ],
)
def test_properties(line: str, expected: dict[str, Any]) -> None:
    assert _event(f"SUMMARY:A\r\n{line}") == {"title": "A", **expected}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "DUE;TZID=Europe/Berlin:20250115T100000\nDTSTART:20250115T080000Z",
            {
                "start": "2025-01-15T08:00:00",
                "due": "2025-01-15T09:00:00",
                "timeZone": "Etc/UTC",
            },
        ),
        ("DUE;VALUE=DATE:20250115", {"due": "2025-01-15T00:00:00", "showWithoutTime": True}),
        ("DURATION:PT1H", {"estimatedDuration": "PT1H"}),
        (
            "STATUS:IN-PROCESS\nPERCENT-COMPLETE:50",
            {"progress": "in-process", "percentComplete": 50},
        ),
        (
            "STATUS:COMPLETED\nCOMPLETED:20250115T100000Z",
            {"progress": "completed", "progressUpdated": "2025-01-15T10:00:00Z"},
        ),
    ],
)
def test_tasks(lines: str, expected: dict[str, Any]) -> None:
    assert _task(f"SUMMARY:A\n{lines}") == {"title": "A", **expected}


def test_exceptions_say_only_what_is_different() -> None:
    main = f"UID:1\nSUMMARY:A\n{_BERLIN}\nDURATION:PT1H\nRRULE:FREQ=DAILY"
    same = "RECURRENCE-ID:20250116T090000Z\nSUMMARY:A\nDTSTART:20250116T090000Z\nDURATION:PT1H"
    other = "RECURRENCE-ID:20250117T090000Z\nSUMMARY:B\nDTSTART:20250117T110000Z\nDURATION:PT2H"
    gone = "RECURRENCE-ID:20250118T090000Z\nSUMMARY:A\nSTATUS:CANCELLED"
    shown = _event(same, main, other, gone, "UID:2\nRECURRENCE-ID:x\nSUMMARY:?")
    assert shown["title"] == "A"
    assert shown["recurrenceOverrides"] == {
        "2025-01-16T10:00:00": {},
        "2025-01-17T10:00:00": {
            "title": "B",
            "start": "2025-01-17T12:00:00",
            "duration": "PT2H",
        },
        "2025-01-18T10:00:00": {"excluded": True},
    }


def test_an_exception_alone_is_shown_as_it_is() -> None:
    shown = _event("SUMMARY:A\nRECURRENCE-ID:20250116T090000Z\nDTSTART:20250116T100000Z")
    assert shown == {
        "title": "A",
        "start": "2025-01-16T10:00:00",
        "timeZone": "Etc/UTC",
        "recurrenceId": "2025-01-16T09:00:00",
        "recurrenceIdTimeZone": "Etc/UTC",
    }


def test_what_names_the_event_is_first_and_what_is_heavy_last() -> None:
    shown = _event(
        f"ATTACH:https://a.example\nDESCRIPTION:a\nLOCATION:b\nDURATION:PT1H\n{_BERLIN}\n"
        "SUMMARY:A\nUID:1\nCATEGORIES:c"
    )
    assert list(shown) == [
        "uid", "title", "start", "timeZone", "duration", "locations", "keywords", "description",
        "links",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        (
            b"BEGIN:VCALENDAR\nX\nBEGIN:VEVENT\nSUMMARY:A\\, b\nDTSTART:20250115T100000Z\n"
            b"DTEND:20250115T110000Z\nLOCATION:c\nUID:1\nEND:VEVENT\n"
        ),
        (
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:A\\, b\nDTSTART;;X=Y:20250115T100000Z\n"
            b"UID:1\nLOCATION:c\nDURATION:PT1H\nDTEND:20250115T110000Z\nEND:VEVENT\n"
            b"END:VCALENDAR\n"
        ),
    ],
)
def test_plain_lines_say_what_icalendar_cannot_read(content: bytes) -> None:
    assert calendars.event(content).model_dump(by_alias=True, exclude_none=True) == {
        "@type": "Event",
        "uid": "1",
        "title": "A, b",
        "start": "2025-01-15T10:00:00",
        "timeZone": "Etc/UTC",
        "duration": "PT1H",
        "locations": {"1": {"name": "c"}},
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"BEGIN:VCALENDAR\nEND:VCALENDAR\n",
        _file("VEVENT", "UID:1"),
        _file("VTODO", "SUMMARY:A"),
    ],
)
def test_a_file_without_an_event_is_refused(content: bytes) -> None:
    with pytest.raises(RenderError, match="nothing to be shown of an event"):
        calendars.event(content)
    if b"VTODO" not in content:
        with pytest.raises(RenderError, match="nothing to be shown of a task"):
            calendars.task(content)
