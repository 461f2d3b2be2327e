"""Items that break answers: held back, at once or after some tries (docs/protocol.md, F7)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.quarantine import TRIES_APART_S, TRIES_MAX
from gateway.responding import POISON_ITEMS_MAX, POISON_RETRY_S
from sync_protocol import wire
from sync_protocol.digests import digest_of
from sync_protocol.messages import Request, Wanted
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.gateway.answering import BreakingStore, Gateway, refusal
from tests.gateway.asking import REQUEST_ID, VIEW_ID, collection
from tests.gateway.damage import break_page, flip_byte, hold_back, lose_content, retry
from tests.gateway.outboxes import Answered
from tests.gateway.sample_feeds import FEED, change, put

REQUESTS = f"sync/v1/phone/{FEED}/request"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
def gateway(path: Path) -> Iterator[Gateway]:
    store = BreakingStore(path)
    yield Gateway(store)
    store.close()


@pytest.fixture
def held_in_part(gateway: Gateway) -> Wanted:
    """What a device asks for that holds the first three bytes of bob."""
    change(gateway.store, put("bob", b"new bytes"))
    return Wanted(id="bob", digest=digest_of([b"new bytes"]), offset=3)


def asked(*held: tuple[int, int], wanted: tuple[Wanted, ...] = ()) -> bytes:
    made = Request(
        v=1,
        id=REQUEST_ID,
        view_id=VIEW_ID,
        base=0,
        collection=collection(*held),
        wanted=wanted,
    )
    return wire.encode(made, Format.CBOR)


def quarantined(gateway: Gateway) -> list[str]:
    with gateway.store.snapshot(FEED) as snapshot:
        return [row.id for row in snapshot.quarantined()]


def changes_of(answered: Answered) -> list[tuple[str, int, bool]]:
    """Item id, n and whether its content came, of each change."""
    assert answered.answer.delta is not None
    return [
        (it.item_id, it.n, it.put is not None and it.put.content is not None)
        for it in answered.answer.delta.changes
    ]


@pytest.mark.parametrize("break_item", [lose_content, flip_byte])
def test_what_is_damaged_is_held_back_at_once_and_the_rest_comes(
    gateway: Gateway, path: Path, break_item: Callable[[Path, str], None]
) -> None:
    break_item(path, "ada")
    (answered,) = gateway.take((REQUESTS, asked()))
    assert changes_of(answered) == [("bob", 2, True)]
    assert quarantined(gateway) == ["ada"]
    delta = answered.answer.delta
    assert delta is not None
    # Its token and that of its quarantine are claimed: nothing is pending.
    assert (delta.head, list(TokenSet.decode(delta.tokens)), delta.more) == (3, [(1, 3)], False)
    assert gateway.counts("errors in a handler", "requests refused: poison") == [0, 0]


def test_one_request_finds_all_that_is_damaged(gateway: Gateway, path: Path) -> None:
    broken = [f"broken-{number:02}" for number in range(12)]
    change(gateway.store, *(put(it) for it in (*broken, "cyd")))
    for number, item_id in enumerate(broken):
        (lose_content, flip_byte)[number % 2](path, item_id)
    (answered,) = gateway.take((REQUESTS, asked()))
    assert changes_of(answered) == [("cyd", 15, True), ("bob", 2, True), ("ada", 1, True)]
    assert answered.answer.delta is not None
    assert not answered.answer.delta.more
    assert quarantined(gateway) == broken


def test_so_many_at_most_are_found_by_one_request(gateway: Gateway, path: Path) -> None:
    broken = [f"broken-{number:03}" for number in range(POISON_ITEMS_MAX + 1)]
    change(gateway.store, *(put(it) for it in broken))
    for item_id in broken:
        lose_content(path, item_id)
    first, second = gateway.take(*[(REQUESTS, asked())] * 2)
    assert refusal(first)[0] == "poison"
    assert changes_of(second) == [("bob", 2, True), ("ada", 1, True)]
    assert quarantined(gateway) == broken


@pytest.fixture
def unreadable(gateway: Gateway, path: Path) -> str:
    """An item in the middle of whose content the file has one wrong bit; ada and bob are sound."""
    content = b"A" * 60_000
    change(gateway.store, put("large", content), put("cyd"))
    gateway.store.close()
    break_page(path, content)
    gateway.store = BreakingStore(path)
    return "large"


def test_what_cannot_be_read_is_held_back_after_tries_that_are_apart(
    gateway: Gateway, unreadable: str
) -> None:
    for number in range(TRIES_MAX - 1):
        gateway.now_s = number * TRIES_APART_S
        for answered in gateway.take(*[(REQUESTS, asked())] * 5):
            assert refusal(answered)[0] == "poison"
            assert unreadable not in refusal(answered)[1]
            assert answered.answer.refused is not None
            assert answered.answer.refused.retry_after_s == POISON_RETRY_S
    assert quarantined(gateway) == []
    gateway.now_s += TRIES_APART_S
    (answered,) = gateway.take((REQUESTS, asked()))
    assert quarantined(gateway) == [unreadable]
    assert changes_of(answered) == [("cyd", 4, True), ("bob", 2, True), ("ada", 1, True)]
    assert gateway.counts("requests refused: poison", "errors in a handler") == [0, 0]
    assert gateway.unreadable == []


def test_what_cannot_be_read_spoils_no_request_that_does_not_need_it(
    gateway: Gateway, unreadable: str
) -> None:
    (answered,) = gateway.take((REQUESTS, asked((3, 3))))
    assert changes_of(answered) == [("cyd", 4, True), ("bob", 2, True), ("ada", 1, True)]
    assert quarantined(gateway) == []
    with gateway.store.snapshot(FEED) as snapshot:
        assert snapshot.row(unreadable) is not None


def test_a_device_asks_again_no_sooner_than_a_try_counts() -> None:
    assert POISON_RETRY_S >= TRIES_APART_S


def test_a_file_that_cannot_be_read_is_told(gateway: Gateway) -> None:
    gateway.store.damaged = True
    first, second = gateway.take(*[(REQUESTS, asked())] * 2)
    assert refusal(first) == ("internal", "the gateway failed; try later")
    (told,) = gateway.unreadable
    assert "malformed" in told
    assert changes_of(second) == [("bob", 2, True), ("ada", 1, True)]


def test_let_out_it_comes_as_a_new_change(gateway: Gateway) -> None:
    hold_back(gateway.store)
    (before,) = gateway.take((REQUESTS, asked()))
    assert changes_of(before) == [("bob", 2, True)]
    retry(gateway.store)
    held = before.response.replica
    assert held is not None
    (answered,) = gateway.take((REQUESTS, asked(*held.held)))
    # Its content is as old as the token claimed for it: who lacks it wants it.
    assert changes_of(answered) == [("ada", 4, False)]
    ada = Wanted(id="ada", digest=digest_of([b"BEGIN:VCARD"]))
    (answered,) = gateway.take((REQUESTS, asked((1, 4), wanted=(ada,))))
    assert answered.answer.delta is not None
    assert [it.content for it in answered.answer.delta.remainders] == [b"BEGIN:VCARD"]


def test_who_never_heard_of_it_is_sent_its_content(gateway: Gateway) -> None:
    hold_back(gateway.store)
    retry(gateway.store)
    (answered,) = gateway.take((REQUESTS, asked()))
    assert changes_of(answered) == [("ada", 4, True), ("bob", 2, True)]


def test_what_is_held_back_is_wanted_in_vain(
    gateway: Gateway, path: Path, held_in_part: Wanted
) -> None:
    lose_content(path, "bob")
    (answered,) = gateway.take((REQUESTS, asked((1, 3), wanted=(held_in_part,))))
    delta = answered.answer.delta
    assert delta is not None
    assert (delta.changes, delta.remainders, delta.withheld) == ((), (), ("bob",))
    # Healed, the rest of it comes to who waits for it.
    change(gateway.store, put("bob", b"new bytes"))
    (answered,) = gateway.take((REQUESTS, asked((1, 3), wanted=(held_in_part,))))
    assert changes_of(answered) == [("bob", 5, False)]
    assert answered.answer.delta is not None
    assert [it.content for it in answered.answer.delta.remainders] == [b" bytes"]
