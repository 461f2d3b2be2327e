import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.importing.calendar_scanner import ICS_COMPONENTS_MAX, CalendarScanner


def _scan(text: str) -> tuple[list[tuple[str, list[tuple[str, int]]]], list[tuple[int, str]]]:
    """Each calendar's header and (component, line)s; and the problems. A blank is a line end."""
    content = text.replace(" ", "\n").encode() + b"\n"
    scanner = CalendarScanner()
    problems = [(problem.line, problem.reason) for problem in scanner.problems(content)]
    calendars = []
    for calendar in scanner.calendars:
        components = []
        for component in calendar.components:
            cutting = content[component.begin : component.end].decode()
            assert cutting.endswith(f"END:{component.name.decode()}\n")
            components.append((cutting.replace("\n", " ").strip(), component.line))
        header = b"".join([calendar.begin, *calendar.header]).decode().replace("\n", " ").strip()
        calendars.append((header, components))
    return calendars, problems


def test_components_of_calendars() -> None:
    text = (
        "BEGIN:VCALENDAR VERSION:2.0 BEGIN:VEVENT UID:1 END:VEVENT X:1 BEGIN:VTODO END:VTODO "
        "END:VCALENDAR BEGIN:VCALENDAR END:VCALENDAR"
    )
    assert _scan(text) == (
        [
            (
                "BEGIN:VCALENDAR VERSION:2.0",
                [("BEGIN:VEVENT UID:1 END:VEVENT", 3), ("BEGIN:VTODO END:VTODO", 7)],
            ),
            ("BEGIN:VCALENDAR", []),
        ],
        [],
    )


def test_components_without_a_calendar() -> None:
    text = "BEGIN:VEVENT END:VEVENT BEGIN:VTIMEZONE END:VTIMEZONE"
    assert _scan(text) == (
        [("", [("BEGIN:VEVENT END:VEVENT", 1), ("BEGIN:VTIMEZONE END:VTIMEZONE", 3)])],
        [],
    )


@pytest.mark.parametrize(
    "component",
    [
        "BEGIN:VEVENT BEGIN:VALARM END:VALARM END:VEVENT",
        "BEGIN:VEVENT BEGIN:VALARM END:VEVENT",
        "BEGIN:VEVENT END:VTODO END:VALARM END:VEVENT",
        "BEGIN:X-A BEGIN:VEVENT END:VEVENT BEGIN:X-A END:X-A END:X-A",
        "BEGIN:VEVENT " + "BEGIN:X " * 100 + "END:VEVENT",
    ],
)
def test_what_a_component_contains_is_part_of_it(component: str) -> None:
    assert _scan(component) == ([("", [(component, 1)])], [])


def test_an_event_within_an_event_shows_that_the_first_lost_its_end() -> None:
    text = "BEGIN:VCALENDAR BEGIN:VEVENT UID:1 BEGIN:VEVENT END:VEVENT END:VCALENDAR"
    assert _scan(text) == (
        [("BEGIN:VCALENDAR", [("BEGIN:VEVENT END:VEVENT", 4)])],
        [(2, "BEGIN:VEVENT without its END: cut off")],
    )


@pytest.mark.parametrize("end", ["END:VCALENDAR", "BEGIN:VCALENDAR END:VCALENDAR", "X:1"])
def test_a_component_is_cut_off_by_the_end_of_its_calendar(end: str) -> None:
    _, problems = _scan("BEGIN:VCALENDAR BEGIN:VTODO " + end)
    assert problems[0] == (2, "BEGIN:VTODO without its END: cut off")


def test_the_end_of_a_calendar_is_never_part_of_a_component() -> None:
    assert _scan("BEGIN:VEVENT END:VCALENDAR END:VEVENT") == (
        [],
        [(1, "BEGIN:VEVENT without its END: cut off")],
    )


@pytest.mark.parametrize("end", ["", "END:VCALENDARD", "BEGIN:VCALENDAR END:VCALENDAR"])
def test_a_calendar_without_end(end: str) -> None:
    calendars, problems = _scan("BEGIN:VCALENDAR BEGIN:VTODO END:VTODO " + end)
    assert calendars[0] == ("BEGIN:VCALENDAR", [("BEGIN:VTODO END:VTODO", 2)])
    assert problems == [(1, "BEGIN:VCALENDAR without its END: only what is whole in it is taken")]


def test_text_outside_is_told_once() -> None:
    text = "hello BEGIN:VCALENDAR END:VCALENDAR bye END:VCALENDAR"
    assert _scan(text)[1] == [(1, "text outside of the calendar")]
    assert _scan("hello") == ([], [])


def test_marks_may_be_written_in_any_way() -> None:
    content = b"\xef\xbb\xbfbegin:vcalendar\r\nBegin : vEvent \r\nEND:VEVENT\rend:VCALENDAR"
    scanner = CalendarScanner()
    assert not list(scanner.problems(content))
    (calendar,) = scanner.calendars
    assert calendar.begin == b"begin:vcalendar\r\n"
    (component,) = calendar.components
    assert content[component.begin : component.end] == b"Begin : vEvent \r\nEND:VEVENT\r"


def test_a_byte_order_mark_is_not_part_of_a_component() -> None:
    content = b"\xef\xbb\xbfBEGIN:VEVENT\nEND:VEVENT\n"
    scanner = CalendarScanner()
    assert not list(scanner.problems(content))
    assert scanner.calendars[0].components[0].begin == 3


def test_marks_that_are_none() -> None:
    assert _scan("BEGIN END BEGINNING:VEVENT ENDE:X") == ([], [])
    assert _scan("BEGIN:VEVENT \tEND:VEVENT")[0] == []


def test_names_from_files_are_shown_safely() -> None:
    _, problems = _scan("BEGIN:\x1b" + "X" * 99)
    assert problems == [(1, f"BEGIN:\\x1b{'X' * 31} without its END: cut off")]


@pytest.mark.parametrize("content", [b"BEGIN:VEVENT\nEND:VEVENT\n", b"BEGIN:VCALENDAR\n"])
def test_scanning_stops_after_too_many_components(content: bytes) -> None:
    scanner = CalendarScanner()
    for _ in scanner.problems(content * (ICS_COMPONENTS_MAX + 9)):
        pass
    assert scanner.components_count == ICS_COMPONENTS_MAX + 1


_MARKS = [
    f"{keyword}:{name}"
    for keyword, name in itertools.product(
        ("BEGIN", "END"), ("VCALENDAR", "VEVENT", "VTODO", "VTIMEZONE", "VALARM", "X-A")
    )
]


@given(st.lists(st.sampled_from([*_MARKS, "UID:1"]), max_size=30))
def test_components_never_overlap(lines: list[str]) -> None:
    calendars, _ = _scan(" ".join(lines))
    found = sorted(
        (line, line + len(cutting.split()))
        for _, components in calendars
        for cutting, line in components
    )
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(found))


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd(content: bytes) -> None:
    for before in (b"", b"BEGIN:VCALENDAR\n", b"BEGIN:"):
        list(CalendarScanner().problems(before + content))
