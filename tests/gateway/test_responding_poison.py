"""Items that break answers: refused for a while, then held back (docs/protocol.md, F7)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.quarantine import TRIES_MAX
from gateway.responding import POISON_RETRY_S
from sync_protocol import wire
from sync_protocol.digests import digest_of
from sync_protocol.messages import Request, Wanted
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.gateway.answering import BreakingStore, Gateway, refusal
from tests.gateway.asking import REQUEST_ID, VIEW_ID, collection
from tests.gateway.damage import flip_byte, hold_back, lose_content, retry
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


def changes_of(answered: Answered) -> list[tuple[str, int, bool]]:
    """Item id, n and whether its content came, of each change."""
    assert answered.answer.delta is not None
    return [
        (it.item_id, it.n, it.put is not None and it.put.content is not None)
        for it in answered.answer.delta.changes
    ]


@pytest.mark.parametrize("break_item", [lose_content, flip_byte])
def test_the_third_time_it_is_held_back_and_the_rest_comes(
    gateway: Gateway, path: Path, break_item: Callable[[Path, str], None]
) -> None:
    break_item(path, "ada")
    *refused, last = gateway.take(*[(REQUESTS, asked())] * (TRIES_MAX + 1))
    for answered in refused:
        assert refusal(answered)[0] == "poison"
        assert "ada" not in refusal(answered)[1]
        assert answered.answer.refused is not None
        assert answered.answer.refused.retry_after_s == POISON_RETRY_S
    assert changes_of(last) == [("bob", 2, True)]
    assert last.answer.delta is not None
    # Its token is claimed: nothing is pending.
    assert list(TokenSet.decode(last.answer.delta.tokens)) == [(1, 2)]
    assert not last.answer.delta.more
    assert gateway.counts("errors in a handler") == [0]


def test_let_out_it_comes_as_a_new_change(gateway: Gateway) -> None:
    hold_back(gateway.store)
    (before,) = gateway.take((REQUESTS, asked()))
    assert changes_of(before) == [("bob", 2, True)]
    retry(gateway.store)
    held = before.response.replica
    assert held is not None
    (answered,) = gateway.take((REQUESTS, asked(*held.held)))
    # Its content is as old as the token claimed for it: who lacks it wants it.
    assert changes_of(answered) == [("ada", 3, False)]
    ada = Wanted(id="ada", digest=digest_of([b"BEGIN:VCARD"]))
    (answered,) = gateway.take((REQUESTS, asked((1, 3), wanted=(ada,))))
    assert answered.answer.delta is not None
    assert [it.content for it in answered.answer.delta.remainders] == [b"BEGIN:VCARD"]


def test_who_never_heard_of_it_is_sent_its_content(gateway: Gateway) -> None:
    hold_back(gateway.store)
    retry(gateway.store)
    (answered,) = gateway.take((REQUESTS, asked()))
    assert changes_of(answered) == [("ada", 3, True), ("bob", 2, True)]


def test_what_is_held_back_is_wanted_in_vain(
    gateway: Gateway, path: Path, held_in_part: Wanted
) -> None:
    lose_content(path, "bob")
    *refused, last = gateway.take(
        *[(REQUESTS, asked((1, 3), wanted=(held_in_part,)))] * (TRIES_MAX + 1)
    )
    assert [refusal(it)[0] for it in refused] == ["poison"] * TRIES_MAX
    assert last.answer.delta is not None
    assert (last.answer.delta.changes, last.answer.delta.remainders) == ((), ())
    # Healed, the rest of it comes to who waits for it.
    change(gateway.store, put("bob", b"new bytes"))
    (answered,) = gateway.take((REQUESTS, asked((1, 3), wanted=(held_in_part,))))
    assert changes_of(answered) == [("bob", 4, False)]
    assert answered.answer.delta is not None
    assert [it.content for it in answered.answer.delta.remainders] == [b" bytes"]
