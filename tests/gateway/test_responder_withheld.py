"""Contents that are wanted and held back, and the device that waits for them (F7, G4, A5)."""

import pytest

from gateway.feed import FeedStore
from sync_protocol import limits, wire
from sync_protocol.digests import digest_of
from sync_protocol.limits import ANSWER_BYTES_MIN
from sync_protocol.messages import Wanted
from sync_protocol.wire import Format
from tests.gateway.asking import ask, collection, delta_of, held_in
from tests.gateway.damage import hold_back, retry
from tests.gateway.devices import WAITS, Device
from tests.gateway.sample_feeds import change, memory_feed, put

LARGE = bytes(range(256)) * 100


def wanted(item_id: str, content: bytes, offset: int = 3) -> Wanted:
    return Wanted(id=item_id, digest=digest_of([content]), offset=offset)


# The answer


def test_f7_what_is_held_back_is_named_and_not_sent() -> None:
    store = memory_feed(put("ada", LARGE), put("bob", LARGE))
    hold_back(store, "ada")
    asked = [wanted("ada", LARGE, 5), wanted("bob", LARGE, 5)]
    delta = delta_of(ask(store, collection((1, 2), asof=2), wanted=asked))
    assert [it.id for it in delta.remainders] == ["bob"]
    assert delta.withheld == ("ada",)
    assert held_in(delta) == [(1, 3)]


def test_f7_an_earlier_content_of_what_is_held_back_cannot_be_had_either() -> None:
    # Its newest change reaches nobody, so that the device goes on wanting what it heard of.
    store = memory_feed(put("ada", LARGE))
    hold_back(store, "ada")
    asked = [wanted("ada", b"an older version", 3)]
    delta = delta_of(ask(store, collection((1, 1), asof=1), wanted=asked))
    assert (delta.remainders, delta.withheld) == ((), ("ada",))


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("answer_bytes_max", [ANSWER_BYTES_MIN, 32_768])
def test_what_is_withheld_takes_room_of_the_answer(form: Format, answer_bytes_max: int) -> None:
    ids = [f"{number:02}" + "\U0001f600" * 63 for number in range(limits.REQUEST_WANTED_MAX - 1)]
    store = memory_feed(*(put(it) for it in ids), put("large", bytes(100_000)))
    for item_id in ids:
        hold_back(store, item_id)
    names = dict.fromkeys(ids, b"BEGIN:VCARD") | {"large": bytes(100_000)}
    answers = []
    while names:
        asked = [wanted(item_id, content, 3) for item_id, content in names.items()]
        presented = collection((1, 64), asof=64)
        answer = ask(
            store, presented, wanted=asked, answer_bytes_max=answer_bytes_max, form=form
        ).answer
        assert answer.delta is not None
        assert len(wire.encode(answer, form)) <= answer_bytes_max
        told = [*answer.delta.withheld, *(it.id for it in answer.delta.remainders)]
        assert told == list(names)[: len(told)]
        assert told
        for item_id in told:
            del names[item_id]
        answers.append(told)
    assert (len(answers) == 1) == (answer_bytes_max > ANSWER_BYTES_MIN)


# The device


@pytest.fixture
def store() -> FeedStore:
    return memory_feed(put("ada"), put("large", LARGE))


@pytest.fixture
def device(store: FeedStore) -> Device:
    """One that holds a part of `large`, which is held back, and has synced since."""
    device = Device()
    device.sync.ask_now(0)
    device.ask(store)  # the inventory
    device.ask(store)
    assert 0 < len(device.held["large"]) < len(LARGE)
    hold_back(store, "large")
    device.sync_with(store)
    return device


def test_its_sync_ends_and_it_keeps_what_it_has(device: Device) -> None:
    (wanted,) = device.requests[-1].wanted
    assert wanted.id == "large"
    assert LARGE.startswith(device.held["large"])
    item = device.store.item("large")
    assert item is not None
    assert not item.whole
    assert not device.replica.needs_sync()


def test_it_does_not_ask_again_before_the_period(device: Device, store: FeedStore) -> None:
    assert device.sync.next_timer is not None
    assert device.sync.next_timer >= device.now + WAITS.period_s / 2
    assert device.ask(store) is not None
    assert device.requests[-1].wanted == ()


def test_a_lost_push_of_another_is_repaired_as_soon_as_ever(
    device: Device, store: FeedStore
) -> None:
    change(store, put("bob"), put("cyd"))
    asked = len(device.requests)
    device.take_pushes(store, after=4)
    assert device.sync.next_timer is not None
    assert device.sync.next_timer <= device.now + WAITS.debounce_s
    assert device.ask(store) is not None
    assert {"ada", "bob", "cyd"} <= device.held.keys()
    assert len(device.requests) == asked + 1


def test_the_sync_ends_though_another_content_is_held_back_than_it_holds(
    device: Device, store: FeedStore
) -> None:
    retry(store, "large")
    device.sync.ask_now(device.now)
    change(store, put("large", LARGE[::-1]))
    hold_back(store, "large")
    device.sync.disconnected()
    device.sync_with(store)
    assert LARGE.startswith(device.held["large"])
    assert not device.replica.needs_sync()


def test_let_out_it_is_completed(device: Device, store: FeedStore) -> None:
    retry(store, "large")
    before = device.content_bytes
    held = len(device.held["large"])
    device.sync_with(store)
    assert device.held["large"] == LARGE
    assert device.content_bytes - before == len(LARGE) - held, "no byte travels twice"


def test_let_out_it_is_completed_after_the_push_of_it(device: Device, store: FeedStore) -> None:
    retry(store, "large")
    device.take_pushes(store, after=3)
    while device.ask(store) is None:
        pass
    assert device.held["large"] == LARGE


@pytest.mark.parametrize("content", [LARGE, LARGE[::-1]], ids=["the same", "another"])
def test_put_again_it_is_completed(device: Device, store: FeedStore, content: bytes) -> None:
    change(store, put("large", content))
    device.sync_with(store)
    assert device.held["large"] == content


def test_a_new_connection_asks_for_it_again(device: Device, store: FeedStore) -> None:
    device.sync.disconnected()
    device.sync_with(store)
    assert [it.id for it in device.requests[-1].wanted] == ["large"]
    assert not device.replica.needs_sync()
