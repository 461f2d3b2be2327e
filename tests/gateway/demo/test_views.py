"""What a device is to hold of a feed, told apart from the gateway's own idea of it."""

import contextlib
import json
from collections.abc import Iterator

import pytest

from device_agent.views import WantedView
from gateway.demo.views import VIEWERS, Shown, view_json
from gateway.representations.sandbox import Sandbox
from gateway.rows import Put, Row, next_row
from sync_protocol.views import View

DAY = 86_400
NOON = 20_000 * DAY + DAY // 2
SINCE = 20_000 * DAY - 30 * DAY
CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada\r\nEND:VCARD\r\n"
LINES = [b"Subject: a\r\n", b"X-Long: %b\r\n" % (b"x" * 900), b"X-Last: %b\r\n" % (b"y" * 200)]
MAIL = b"%b\r\n%b" % (b"".join(LINES), b"text\r\n" * 1000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with contextlib.closing(Sandbox()) as sandbox:
        yield sandbox


def _row(
    kind: str, content: bytes, media_type: str, *, folder: str = "", date: int | None = None
) -> Row:
    put = Put("a", content, kind, media_type, folder=folder, date=date)
    row = next_row(None, put, seq=1, now=0)
    assert row is not None
    return row


def _mail(date: int | None = None, folder: str = "") -> Row:
    return _row("mail", MAIL, "message/rfc822", folder=folder, date=date)


def _of(sandbox: Sandbox, name: str) -> Shown:
    wanted = next(viewer.wanted for viewer in VIEWERS if viewer.name == name)
    return Shown(wanted, wanted.view_at(NOON), sandbox)


def test_a_pager_has_the_beginning_of_a_compact_card(sandbox: Sandbox) -> None:
    pager = _of(sandbox, "pager")
    row = _row("contact", CARD, "text/vcard")
    whole = b'{\n"@type":"Card",\n"version":"1.0",\n"name":{"full":"Ada"}\n}'
    assert pager.of(row, CARD) == whole
    noted = CARD.replace(b"FN:Ada\r\n", b"FN:Ada\r\nNOTE:%b\r\n" % (b"n" * 300))
    assert pager.of(row, noted) == whole.removesuffix(b"\n}") + b",\n"
    assert pager.of(row, b"no card") is None
    assert pager.of(_mail(), MAIL) is None


def test_heads_are_mails_up_to_a_whole_line_of_their_header(sandbox: Sandbox) -> None:
    heads = _of(sandbox, "heads")
    assert heads.of(_mail(), MAIL) == b"".join(LINES[:2])
    assert heads.of(_mail(), MAIL[:1024]) == MAIL[:1024]
    assert heads.of(_row("contact", CARD, "text/vcard"), CARD) is None


def test_a_window_has_what_is_about_its_first_second_or_later(sandbox: Sandbox) -> None:
    recent = _of(sandbox, "recent")
    assert recent.of(_mail(SINCE), MAIL) == MAIL
    assert recent.of(_mail(), MAIL) == MAIL
    assert recent.of(_mail(SINCE - 1), MAIL) is None


@pytest.mark.parametrize(
    ("rule", "is_in_view"),
    [
        ("", False),
        ("RRULE:FREQ=WEEKLY;COUNT=2\r\n", True),
        ("RRULE:FREQ=WEEKLY;COUNT=1\r\n", False),
    ],
)
def test_an_event_is_about_its_last_occurrence(
    rule: str, *, is_in_view: bool, sandbox: Sandbox
) -> None:
    event = (
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20240901T000000Z\r\n"
        f"{rule}END:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()
    row = _row("event", event, "text/calendar", date=1_725_148_800)
    assert (SINCE, NOON) == (1_725_408_000, 1_728_043_200)  # 4 September and 4 October 2024
    found = _of(sandbox, "recent").of(row, event)
    assert found == (event if is_in_view else None)


def test_a_folder_is_without_those_below_it(sandbox: Sandbox) -> None:
    inbox = _of(sandbox, "inbox")
    assert inbox.of(_mail(folder="Inbox"), MAIL) == MAIL
    assert inbox.of(_mail(folder="Inbox/Work"), MAIL) is None
    assert inbox.of(_mail(), MAIL) is None


def test_what_the_device_completes_by_itself_is_whole(sandbox: Sandbox) -> None:
    view = View(portion_bytes=100)
    assert Shown(WantedView(view), view, sandbox).of(_mail(), MAIL) == MAIL
    limited = WantedView(view, remainder_bytes_max=200)
    assert Shown(limited, view, sandbox).of(_mail(), MAIL[:200]) == MAIL[:200]
    assert Shown(limited, view, sandbox).of(_mail(), MAIL[:201]) == LINES[0]


def test_views_are_told_as_the_api_tells_them() -> None:
    told = {viewer.name: view_json(viewer.wanted.view_at(NOON)) for viewer in VIEWERS}
    assert json.loads(json.dumps(told)) == {
        "pager": {
            "kinds": ["contact"],
            "portion_bytes": 256,
            "shown_as": {"contact": "compact"},
        },
        "heads": {"kinds": ["mail"], "portion_bytes": 1024},
        "recent": {"since": SINCE},
        "inbox": {"folders": ["Inbox"]},
        "pc": {},
    }
