"""Changes with which items enter and leave views."""

import email.utils
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from gateway.demo.dated import DAY_S, DatedWorkload
from gateway.demo.views import CARD_PORTION_BYTES, FOLDER, MAIL_PORTION_BYTES
from gateway.feed_memory import MemoryFeedStore
from gateway.importing.dates import calendar_date
from gateway.representations import occurrences
from gateway.rows import Put, Row

FEED = "feed"
SINCE = 20_000 * DAY_S


@dataclass(slots=True)
class _Played:
    """What was put, what happened to items how often, and what is there in the end."""

    live: Mapping[str, Row]
    puts: list[Put] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)


def _played(seed: int, changes: int) -> _Played:
    store = MemoryFeedStore()
    store.add_feed(FEED, epoch_id=b"demo-epo", now=0)
    workload = DatedWorkload(Random(seed), {}, since=SINCE)
    played = _Played(workload.live)
    for number in range(changes):
        kind, item_id = workload.draw()
        content = _content(store, item_id) if kind == "edit" else b""
        mutation = workload.mutation(kind, item_id, content)
        if isinstance(mutation, Put):
            played.puts.append(mutation)
        before = workload.live.get(item_id)
        after = store.apply(FEED, mutation, now=number)
        workload.done(item_id, after)
        if before is not None and after is not None and not after.deleted:
            assert after.kind == before.kind
            played.did.update(_came_and_went(before, after))
    return played


def _content(store: MemoryFeedStore, item_id: str) -> bytes:
    with store.snapshot(FEED) as snapshot:
        return snapshot.content(item_id, offset=0, bytes_max=10**6)


def _date_of(put: Put) -> int | None:
    """The date that the content tells."""
    name = "Date: " if put.kind == "mail" else "DTSTART:"
    line = next(line for line in put.content.decode().splitlines() if line.startswith(name))
    value = line.removeprefix(name)
    if put.kind == "mail":
        return int(email.utils.parsedate_to_datetime(value).timestamp())
    return calendar_date(value.encode(), None)


def _came_and_went(before: Row, after: Row) -> list[str]:
    did = []
    if (before.folder == FOLDER) != (after.folder == FOLDER):
        did.append(f"{'entered' if after.folder == FOLDER else 'left'} the folder")
    if before.date is not None and after.date is not None:
        was, is_in = (row.date is not None and row.date >= SINCE for row in (before, after))
        if was != is_in:
            did.append(f"{after.kind} {'entered' if is_in else 'left'} the window")
    return did


def test_items_enter_and_leave_the_folder_and_the_window() -> None:
    assert set(_played(1, 1000).did) == {
        "entered the folder", "left the folder",
        "event entered the window", "event left the window",
        "task entered the window", "task left the window",
        "mail entered the window", "mail left the window",
    }  # fmt: skip


def test_a_content_and_its_date_say_the_same() -> None:
    dated = [put for put in _played(2, 500).puts if put.kind != "contact"]
    assert {put.kind for put in dated} == {"event", "task", "mail"}
    assert all(_date_of(put) == put.date for put in dated)


def test_there_is_more_of_mails_and_cards_than_a_portion_and_less() -> None:
    for kind, portion in ("mail", MAIL_PORTION_BYTES), ("contact", CARD_PORTION_BYTES):
        sizes = [len(put.content) for put in _played(3, 500).puts if put.kind == kind]
        assert min(sizes) < portion < 4 * 1024 < max(sizes)


def test_some_dates_fall_just_within_the_window_or_just_without() -> None:
    dates = {put.date for put in _played(4, 1000).puts}
    assert {SINCE, SINCE - 1, SINCE - 3600, SINCE - 3601} <= dates


def test_some_events_last_longer_than_their_date_says() -> None:
    ends = [
        (put.date, occurrences.until("event", put.content, last=lambda _: None))
        for put in _played(5, 500).puts
        if put.kind == "event"
    ]
    assert any(date is not None and date < SINCE and end == date + 3600 for date, end in ends)
    assert any(end == occurrences.NO_END for _, end in ends)


def test_the_same_seed_draws_the_same() -> None:
    assert _played(6, 200) == _played(6, 200)
    assert _played(6, 200).live != _played(7, 200).live


def test_a_mail_that_tells_no_date_keeps_the_one_it_has() -> None:
    store = MemoryFeedStore()
    store.add_feed(FEED, epoch_id=b"demo-epo", now=0)
    content = b"Subject: a\r\n\r\ntext\r\n"
    row = store.apply(FEED, Put("a", content, "mail", "message/rfc822", date=7), now=0)
    assert row is not None
    workload = DatedWorkload(Random(1), {"a": row}, since=SINCE)
    for _ in range(20):
        edit = workload.mutation("edit", "a", content)
        assert isinstance(edit, Put)
        assert edit.date == 7
