import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.importing.found import Found, FoundItem, Left, Missing
from gateway.importing.icalendars import read_calendars
from gateway.importing.identity import IdRegistry
from gateway.importing.taking import Taking

_HEAD = "BEGIN:VCALENDAR VERSION:2.0 PRODID:x "
_END = "END:VCALENDAR "
_EVENT = "BEGIN:VEVENT UID:1 DTSTART:20250115 END:VEVENT "
_TASK = "BEGIN:VTODO UID:2 END:VTODO "
_ZONE = "BEGIN:VTIMEZONE TZID:Z END:VTIMEZONE "


def _bytes(text: str, line_end: str = "\n") -> bytes:
    """A file, with blanks for its line ends."""
    return text.replace(" ", line_end).encode()


def _read(content: bytes) -> list[Found]:
    taking = Taking("c.ics", folder="", ids=IdRegistry())
    return list(read_calendars(content, taking))


def _contents(text: str, line_end: str = "\n") -> list[str]:
    """What the items of a file consist of, with blanks for their line ends."""
    found = _read(_bytes(text, line_end))
    assert not [left for left in found if isinstance(left, Left)]
    return [
        item.content.decode().replace(line_end, " ")
        for item in found
        if isinstance(item, FoundItem)
    ]


def test_an_item_alone_is_the_whole_file() -> None:
    for text in (
        _HEAD + _EVENT + _END,
        " " + _HEAD + _ZONE + "X-WR-CALNAME:n " + _EVENT + "X:1 " + _END + " ",
        "\ufeff" + _HEAD + _EVENT + _END,
        _HEAD + _EVENT + "END:VCALENDAR",
    ):
        assert _read(_bytes(text)) == [
            FoundItem("1", "event", "", 1_736_899_200, "text/calendar", _bytes(text))
        ]


def test_several_items_are_wrapped() -> None:
    head = "BEGIN:VCALENDAR PRODID:x VERSION:2.0 X-WR-CALNAME:n METHOD;X=1:A   B CALSCALE:G "
    kept = "BEGIN:VCALENDAR PRODID:x VERSION:2.0 METHOD;X=1:A B CALSCALE:G "
    for line_end in ("\n", "\r\n"):
        assert _contents(head + _EVENT + _TASK + _END, line_end) == [
            kept.replace(":A B", ":A") + _EVENT + _END,
            kept.replace(":A B", ":A") + _TASK + _END,
        ]


def test_kinds_and_ids_of_items() -> None:
    text = _HEAD + _EVENT + _TASK + "BEGIN:VJOURNAL END:VJOURNAL " + _END
    items = [item for item in _read(_bytes(text)) if isinstance(item, FoundItem)]
    assert [(item.kind, item.id) for item in items[:2]] == [("event", "1"), ("task", "2")]
    assert items[2].kind == "journal"
    assert items[2].id == "sha256-" + hashlib.sha256(items[2].content).hexdigest()[:32]


def test_folded_properties_of_the_calendar_are_kept_as_they_are() -> None:
    content = b"BEGIN:VCALENDAR\nVERSION\n\n :2.0\nPRODID:a\n b\nBEGIN:VTODO\nEND:VTODO\n"
    item = _read(content)[1]
    assert isinstance(item, FoundItem)
    assert item.content == (
        b"BEGIN:VCALENDAR\nVERSION\n :2.0\nPRODID:a\n b\nBEGIN:VTODO\nEND:VTODO\nEND:VCALENDAR\n"
    )


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_an_item_without_a_calendar_gets_one(line_end: str) -> None:
    wrapped = "BEGIN:VCALENDAR VERSION:2.0 PRODID:-//tallysync//import//EN " + _EVENT + _END
    assert _contents(_EVENT, line_end) == [wrapped]
    assert _contents(_EVENT.rstrip(), line_end) == [wrapped]


def test_what_a_calendar_lacks_is_added() -> None:
    assert _contents("BEGIN:VCALENDAR PRODID:x " + _EVENT + _TASK + _END)[0] == (
        "BEGIN:VCALENDAR PRODID:x VERSION:2.0 " + _EVENT + _END
    )


def test_exceptions_belong_to_what_recurs() -> None:
    exception = "BEGIN:VEVENT UID:1 RECURRENCE-ID:20250116 DTSTART:20250117 END:VEVENT "
    text = _HEAD + exception + _TASK + _EVENT + _END
    event, task = _read(_bytes(text))
    assert isinstance(event, FoundItem)
    assert event.content == _bytes(_HEAD + exception + _EVENT + _END)
    assert event.date == 1_736_899_200
    assert isinstance(task, FoundItem)
    assert _contents(_HEAD + exception + _EVENT + _END) == [_HEAD + exception + _EVENT + _END]
    alone = _read(_bytes(_HEAD + exception + _END))
    assert [item.date for item in alone if isinstance(item, FoundItem)] == [1_737_072_000]


def test_an_item_takes_the_zones_with_it_that_it_refers_to() -> None:
    zoned = _EVENT.replace("DTSTART", "DTSTART;TZID=Z")
    other = "BEGIN:VTIMEZONE TZID:Y END:VTIMEZONE "
    late = "BEGIN:VTIMEZONE TZID:X END:VTIMEZONE "
    text = _HEAD + other + _ZONE + zoned + _TASK.replace("UID", "DUE;TZID=X:1 UID") + late + _END
    event, task = _contents(text)
    assert event == _HEAD + _ZONE + zoned + _END
    assert task == _HEAD + late + _TASK.replace("UID", "DUE;TZID=X:1 UID") + _END


def test_zones_of_each_calendar_are_its_own() -> None:
    zoned = _EVENT.replace("DTSTART", "DTSTART;TZID=Z")
    first, second = _ZONE.replace("END", "X:1 END"), _ZONE.replace("END", "X:2 END")
    text = _HEAD + first + zoned + _END + _HEAD + second + zoned.replace("UID:1", "UID:3") + _END
    contents = _contents(text)
    assert contents[0] == _HEAD + first + zoned + _END
    assert contents[1] == _HEAD + second + zoned.replace("UID:1", "UID:3") + _END


def test_exceptions_may_be_in_another_calendar_of_the_file() -> None:
    exception = "BEGIN:VEVENT UID:1 RECURRENCE-ID;TZID=Z:20250116 END:VEVENT "
    text = _HEAD + _EVENT + _END + _HEAD + _ZONE + exception + _END
    assert _contents(text) == [_HEAD + _ZONE + _EVENT + exception + _END]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (_EVENT, "duplicate of line 4"),
        (
            _EVENT.replace("2025", "2026"),
            "its UID is already that of line 4, which has other content",
        ),
        ("BEGIN:VTODO UID:1 END:VTODO ", "its UID is already that of the event on line 4"),
    ],
)
def test_of_two_items_with_one_uid_the_first_is_taken(second: str, reason: str) -> None:
    left, item = _read(_bytes(_HEAD + _EVENT + second + _END))
    assert left == Left("c.ics:8", reason)
    assert isinstance(item, FoundItem)
    assert item.content == _bytes(_HEAD + _EVENT + _END)


def test_equal_items_without_uid_are_one() -> None:
    event = "BEGIN:VEVENT END:VEVENT "
    item, left = _read(_bytes(_HEAD + event + event + _END))
    assert isinstance(item, FoundItem)
    assert left == Left("c.ics:6", "duplicate of c.ics:4")


@pytest.mark.parametrize("name", ["VFREEBUSY", "VAVAILABILITY", "VALARM", "DAYLIGHT", "X-MINE"])
def test_other_components_are_left(name: str) -> None:
    component = f"BEGIN:{name} UID:1 END:{name} "
    left = Left("c.ics:4", f"{name} is no event, task or journal entry")
    assert _read(_bytes(_HEAD + component + _END)) == [left]
    item = _read(_bytes(_HEAD + component + _EVENT + _END))[1]
    assert isinstance(item, FoundItem)
    assert item.content == _bytes(_HEAD + _EVENT + _END)


@pytest.mark.parametrize("text", [_HEAD + _END, _HEAD + _ZONE + _END, _ZONE])
def test_a_calendar_without_items_is_left(text: str) -> None:
    assert _read(_bytes(text)) == [Left("c.ics", "no event, task or journal entry in it")]


@pytest.mark.parametrize("text", ["", " ", "hello", "\0"])
def test_in_a_file_without_a_calendar_items_may_be_missing(text: str) -> None:
    assert _read(_bytes(text)) == [
        Left("c.ics", "no event, task or journal entry in it", Missing.DAMAGED)
    ]


def test_the_end_of_a_component_that_lost_its_beginning() -> None:
    left, item = _read(_bytes(_HEAD + "UID:2 END:VTODO " + _EVENT + _END))
    assert left == Left("c.ics:5", "END:VTODO without its BEGIN: cut off", Missing.DAMAGED)
    assert isinstance(item, FoundItem)


def test_what_is_whole_in_a_broken_file_is_taken() -> None:
    text = _HEAD + _EVENT + "BEGIN:VTODO UID:2"
    assert _read(_bytes(text)) == [
        Left("c.ics:8", "BEGIN:VTODO without its END: cut off", Missing.DAMAGED),
        Left(
            "c.ics:1",
            "BEGIN:VCALENDAR without its END: only what is whole in it is taken",
            Missing.DAMAGED,
        ),
        FoundItem("1", "event", "", 1_736_899_200, "text/calendar", _bytes(_HEAD + _EVENT + _END)),
    ]


def test_text_outside_is_not_part_of_an_item() -> None:
    left, item = _read(_bytes(_HEAD + _EVENT + _END + "bye "))
    assert left == Left("c.ics:9", "text outside of the calendar", Missing.DAMAGED)
    assert isinstance(item, FoundItem)
    assert item.content == _bytes(_HEAD + _EVENT + _END)


def test_a_file_of_too_many_components_is_left() -> None:
    assert _read(_bytes("BEGIN:VEVENT END:VEVENT ") * 250_001) == [
        Left("c.ics", "more than 250000 components: split the file", Missing.DAMAGED)
    ]


_LINES = [
    *(f"{mark}:{name}" for mark in ("BEGIN", "END") for name in ("VCALENDAR", "VEVENT", "VTODO")),
    *("BEGIN:VTIMEZONE", "END:VTIMEZONE", "TZID:Z", "DTSTART;TZID=Z:20250115T100000"),
    *("UID:1", "UID:2", "RECURRENCE-ID:1", "VERSION:2.0", "PRODID;QUOTED-PRINTABLE:x=", " x", ""),
    *("BEGIN:X", "END:X", "junk", "\ufeffBEGIN:VEVENT", "END:VEVENT"),
]
_FILES = st.lists(st.tuples(st.sampled_from(_LINES), st.sampled_from(["\n", "\r\n", "\r"])))


@given(_FILES.map(lambda lines: "".join(line + end for line, end in lines).encode()))
def test_an_item_of_any_file_is_a_file_with_that_one_item(content: bytes) -> None:
    found = _read(content)
    assert found
    assert _read(content) == found
    for item in found:
        if isinstance(item, FoundItem):
            assert _read(item.content) == [item]


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd(content: bytes) -> None:
    assert _read(content)
    assert _read(_bytes(_HEAD + "BEGIN:VEVENT ") + content + b"\nEND:VEVENT\nEND:VCALENDAR\n")
