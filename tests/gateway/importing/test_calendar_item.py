from gateway.importing.calendar_item import CalendarItem, Wrapping
from gateway.importing.calendar_part import Part
from gateway.importing.calendar_scanner import Calendar, Component

_CONTENT = b"BEGIN:VEVENT\nEND:VEVENT\nBEGIN:VTIMEZONE\nEND:VTIMEZONE"
_EVENT = Component(b"VEVENT", 0, 24, 1)
_ZONE = Component(b"VTIMEZONE", 24, len(_CONTENT), 3)


def _item(calendar: Calendar, **dates: int | None) -> CalendarItem:
    return CalendarItem(
        {
            name.encode(): Part(_EVENT, calendar, b"1", name.encode(), date, (b"Z", b"unknown"))
            for name, date in dates.items()
        }
    )


def test_the_date_is_that_of_what_recurs() -> None:
    calendar = Calendar(1)
    assert _item(calendar, a=1, b=2).date == 1
    assert _item(calendar, **{"a": 1, "": 2}).date == 2
    assert _item(calendar, **{"a": 1, "": None}).date is None


def test_the_first_part_is_the_first_of_the_file() -> None:
    assert _item(Calendar(1), b=1, a=2).first.recurrence == b"b"


def test_an_item_is_wrapped_in_what_it_needs() -> None:
    header = [b"X-WR-CALNAME:n\n", b"VERSION:2.0\n", b"VERSION:1.0\n", b"METHOD\n", b"PRODID:x"]
    calendar = Calendar(1, b"Begin:vCalendar\n", header, [_EVENT, _ZONE], {b"Z": _ZONE})
    expected = (
        b"Begin:vCalendar\nVERSION:2.0\nPRODID:x\nBEGIN:VTIMEZONE\nEND:VTIMEZONE\n"
        b"BEGIN:VEVENT\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    wrapping = Wrapping(_CONTENT)
    for _ in range(2):
        assert wrapping.wrapped(_item(calendar, a=1)) == expected


def test_line_ends_are_those_of_the_calendar() -> None:
    for begin, line_end in (
        (b"BEGIN:VCALENDAR\r\n", b"\r\n"),
        (b"BEGIN:VCALENDAR\r", b"\r\n"),
        (b"BEGIN:VCALENDAR\n", b"\n"),
        (b"", b"\n"),
    ):
        content = Wrapping(_CONTENT).wrapped(_item(Calendar(1, begin, [], [_EVENT]), a=1))
        assert content.endswith(b"END:VEVENT\nEND:VCALENDAR" + line_end)
        assert b"VERSION:2.0" + line_end in content
