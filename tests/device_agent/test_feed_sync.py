"""One replica with its timetable, against a clock and a gateway that the test plays."""

import itertools
from collections.abc import Callable

import pytest

from device_agent.feed_sync import FeedSync, SyncDone
from device_agent.replica import TIMES_ANEW_MAX, Replica
from device_agent.results import AnswerFate, Event, Happened, PushResult
from device_agent.schedule import Waits
from device_agent.store_memory import MemoryReplicaStore
from sync_protocol.messages import Answer, Request
from sync_protocol.token_set import TokenSet
from tests.device_agent.builders import (
    BASE,
    OTHER_EPOCH,
    change,
    compared,
    delta,
    push,
    put,
    refused,
    served,
    void,
)

WAITS = Waits(debounce_s=0.2, period_s=900, request_timeout_s=10, backoff_s=1, backoff_s_max=60)
FIRST = 1 - BASE


def make_sync(*, remainder_bytes_max: int | None = None) -> FeedSync:
    numbers, view_ids = itertools.count(1), itertools.count(1)
    return FeedSync(
        "feed",
        Replica(
            MemoryReplicaStore(),
            make_view_id=lambda: next(view_ids),
            remainder_bytes_max=remainder_bytes_max,
        ),
        waits=WAITS,
        chance=lambda: 1.0,
        request_id=lambda: next(numbers).to_bytes(8),
        answer_bytes_max=10_000,
    )


@pytest.fixture
def sync() -> FeedSync:
    return make_sync()


def asked(sync: FeedSync, now: float) -> Request:
    request = sync.on_timer(now)
    assert isinstance(request, Request)
    return request


def fill(sync: FeedSync, now: float = 0.0) -> None:
    sync.ask_now(now)
    assert sync.on_answer(now, served(asked(sync, now), head=5))[1] is None
    assert sync.on_answer(now, served(asked(sync, now), head=5))[1] == SyncDone("feed")


def test_it_does_nothing_by_itself(sync: FeedSync) -> None:
    assert sync.next_timer is None
    assert sync.on_timer(0.0) is None


def test_a_connect_asks_and_the_answer_ends_it_until_the_period(sync: FeedSync) -> None:
    fill(sync)
    assert sync.next_timer == 450
    assert sync.on_timer(449) is None
    assert asked(sync, 450).collection is not None


def test_pages_follow_at_once_and_only_the_last_ends_the_sync(sync: FeedSync) -> None:
    sync.ask_now(0)
    first = compared(asked(sync, 0).id, head=5, split=["1"])
    assert sync.on_answer(1, first)[1] is None
    assert sync.on_answer(2, compared(asked(sync, 1).id, head=5, missing=[3, 4]))[1] is None
    assert sync.next_timer == 2
    page = delta(asked(sync, 2).id, head=5, held=TokenSet.of([4]), more=True)
    assert sync.on_answer(3, page)[1] is None
    assert sync.next_timer == 3
    assert sync.on_answer(4, delta(asked(sync, 3).id, head=5))[1] == SyncDone("feed")


def test_one_gap_leads_to_one_sync_after_the_debounce(sync: FeedSync) -> None:
    fill(sync)
    assert sync.on_push(10, push(8, put("a", b"A"), prev=7))[0] is PushResult.GAP
    assert sync.on_push(10.05, push(12, put("b", b"B"), prev=11))[0] is PushResult.GAP
    assert sync.next_timer == 10.1
    request = asked(sync, 10.1)
    sync.on_answer(10.2, delta(request.id, head=12, changes=[change(11, put("c", b"C"))]))
    assert sync.next_timer is not None
    assert sync.next_timer > 400


def test_a_gap_that_fills_by_itself_leads_to_none(sync: FeedSync) -> None:
    fill(sync)
    sync.on_push(10, push(7, put("a", b"A"), prev=6))
    sync.on_push(10.05, push(6, put("b", b"B")))
    assert sync.on_timer(10.1) is None
    assert sync.next_timer is not None
    assert sync.next_timer > 400


def test_a_push_that_means_nothing_leads_to_one_even_if_nothing_is_missing(
    sync: FeedSync,
) -> None:
    fill(sync)
    assert sync.on_push(10, push(6, "a", lineage=99))[0] is PushResult.STRANGE
    asked(sync, 10.1)


def test_no_second_request_while_one_is_out(sync: FeedSync) -> None:
    fill(sync)
    sync.ask_now(10)
    request = asked(sync, 10)
    sync.ask_now(11)
    sync.on_push(11, push(8, "a", prev=7))
    assert sync.on_timer(19.9) is None
    # The first answer does not end what was asked for afterwards.
    assert sync.on_answer(12, delta(request.id, head=8))[1] is None
    second = asked(sync, 12)
    assert second.id != request.id
    assert sync.on_answer(13, delta(second.id, head=8))[1] == SyncDone("feed")


def test_without_an_answer_it_asks_again_with_new_ids_and_longer_waits(sync: FeedSync) -> None:
    sync.ask_now(0)
    now, ids, waits = 0.0, set(), []
    for _ in range(9):
        ids.add(asked(sync, now).id)
        assert sync.next_timer == now + 10
        now += 10
        assert sync.on_timer(now) == SyncDone("feed", "the gateway did not answer")
        assert sync.next_timer is not None
        waits.append(sync.next_timer - now)
        now = sync.next_timer
    assert len(ids) == 9
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_late_answer_is_not_taken(sync: FeedSync) -> None:
    sync.ask_now(0)
    request = asked(sync, 0)
    sync.on_timer(10)
    result, done = sync.on_answer(10.1, delta(request.id, head=5))
    assert (result.fate, done) == (AnswerFate.NOT_AWAITED, None)


def test_a_refusal_ends_the_sync_and_is_tried_again(sync: FeedSync) -> None:
    sync.ask_now(0)
    _, done = sync.on_answer(1, refused(asked(sync, 0).id))
    assert done == SyncDone("feed", "busy: later", refused=True)
    assert sync.next_timer == 2


def test_a_busy_gateway_is_waited_for(sync: FeedSync) -> None:
    sync.ask_now(0)
    _, done = sync.on_answer(1, refused(asked(sync, 0).id, retry_after_s=30))
    assert done == SyncDone("feed", "busy: later", refused=False, put_off=True)
    assert sync.next_timer == 46


def test_another_reason_with_a_time_is_no_preparation(sync: FeedSync) -> None:
    sync.ask_now(0)
    answer = refused(asked(sync, 0).id, retry_after_s=30)
    assert answer.refused is not None
    poison = answer.refused.model_copy(update={"reason": "poison"})
    _, done = sync.on_answer(1, answer.model_copy(update={"refused": poison}))
    assert done == SyncDone("feed", "poison: later")


def test_a_void_collection_leads_to_an_inventory_at_once(sync: FeedSync) -> None:
    fill(sync)
    sync.ask_now(10)
    result, done = sync.on_answer(11, void(asked(sync, 10).id))
    assert (result.fate, done) == (AnswerFate.VOID, None)
    assert asked(sync, 11).inventory


def test_an_answer_that_cannot_be_read_is_backed_off_from(sync: FeedSync) -> None:
    sync.ask_now(0)
    answer = compared(asked(sync, 0).id, head=5)
    assert answer.inventory is not None
    broken = answer.inventory.model_copy(update={"missing": b"\xff" * 9})
    result, done = sync.on_answer(1, answer.model_copy(update={"inventory": broken}))
    assert result.fate is AnswerFate.UNREADABLE
    assert done is not None
    assert done.refused
    assert sync.next_timer == 2


def test_answers_that_do_not_help_are_backed_off_from(sync: FeedSync) -> None:
    fill(sync)
    sync.on_push(10, push(6, put("a", b"abc", held=1)))
    sync.ask_now(10)
    now, waits = 10.0, []
    for _ in range(3):
        sync.on_answer(now, delta(asked(sync, now).id, head=6))
        assert sync.next_timer is not None
        waits.append(sync.next_timer - now)
        now = sync.next_timer
    assert waits == [1, 2, 4]


def test_a5_a_gateway_that_says_void_again_and_again_is_backed_off_from(sync: FeedSync) -> None:
    waits = waits_after(sync, AnswerFate.VOID, forever_void, count=6)
    assert waits[:TIMES_ANEW_MAX] == [0] * TIMES_ANEW_MAX
    assert min(waits[TIMES_ANEW_MAX:]) >= WAITS.backoff_s


def test_a5_a_gateway_with_a_new_lineage_in_each_answer_is_backed_off_from(sync: FeedSync) -> None:
    waits = waits_after(sync, AnswerFate.OVERTAKEN, ForeverNew(), count=6)
    assert waits[:TIMES_ANEW_MAX] == [0] * TIMES_ANEW_MAX
    assert min(waits[TIMES_ANEW_MAX:]) >= WAITS.backoff_s


def test_a5_answers_overtaken_by_pushes_again_and_again_are_backed_off_from(
    sync: FeedSync,
) -> None:
    fill(sync)
    sync.ask_now(10)
    now, waits = 10.0, []
    for n in range(6, 12):
        request = asked(sync, now)
        sync.on_push(now, push(n, put("a", b"A")))
        sync.on_answer(now, delta(request.id, head=5, epoch=OTHER_EPOCH))
        assert sync.next_timer is not None
        waits.append(sync.next_timer - now)
        now = sync.next_timer
    assert waits == [0] * TIMES_ANEW_MAX + [1, 2, 4]


def test_a5_a_complete_sync_lets_the_next_ones_begin_anew_at_once(sync: FeedSync) -> None:
    for now in range(0, 10_000, 1_000):  # restarts of a gateway that are far apart
        fill(sync, now)
        sync.ask_now(now)
        assert sync.on_answer(now, void(asked(sync, now).id))[0].progress


def forever_void(request: Request) -> Answer:
    return void(request.id) if request.collection else compared(request.id, head=5)


class ForeverNew:
    """A gateway whose every answer is of another lineage, and leaves something to compare."""

    def __init__(self) -> None:
        self._lineages = itertools.count(1)

    def __call__(self, request: Request) -> Answer:
        (asked_for,) = request.inventory
        split = [] if asked_for.prefix else ["1"]
        return compared(request.id, head=5, lineage=next(self._lineages), split=split)


def waits_after(
    sync: FeedSync, fate: AnswerFate, answer: Callable[[Request], Answer], *, count: int
) -> list[float]:
    """How long the device waits after each of so many answers that have this fate."""
    sync.ask_now(0)
    now, waits = 0.0, list[float]()
    while len(waits) < count:
        result, _ = sync.on_answer(now, answer(asked(sync, now)))
        assert sync.next_timer is not None
        if result.fate is fate:
            waits.append(sync.next_timer - now)
        now = sync.next_timer
    return waits


def test_a_gateway_that_returns_is_asked_soon_whatever_was_out_or_put_off(
    sync: FeedSync,
) -> None:
    sync.ask_now(0)
    before = asked(sync, 0)
    sync.gateway_returned(1)
    assert sync.next_timer == 1.1
    assert sync.on_answer(1.05, delta(before.id, head=5))[0].fate is AnswerFate.NOT_AWAITED
    now = 1.1
    for _ in range(5):
        asked(sync, now)
        sync.on_timer(now + 10)
        now = sync.next_timer or 0
    sync.gateway_returned(1000)
    assert sync.next_timer == 1000.1


def test_a_lost_connection_closes_the_request_and_waits_for_the_next(sync: FeedSync) -> None:
    sync.ask_now(0)
    request = asked(sync, 0)
    sync.disconnected()
    assert sync.next_timer is None
    assert sync.on_answer(1, delta(request.id, head=5))[0].fate is AnswerFate.NOT_AWAITED
    fill(sync, 20)


class TestView:
    """The time window, and contents that somebody asks for."""

    @pytest.fixture
    def sync(self) -> FeedSync:
        """With a large content, of which a part is here, and nothing that is to be asked."""
        sync = make_sync(remainder_bytes_max=0)
        fill(sync)
        sync.on_push(1, push(6, put("a", b"abc", held=1, date=5)))
        assert sync.on_timer(1) is None
        assert sync.next_timer == 450
        return sync

    def test_a_window_that_moves_on_asks_for_nothing(self, sync: FeedSync) -> None:
        assert sync.move_window(2, 5) == ()
        assert sync.move_window(2, 6) == (Happened(Event.REMOVED, "a", 6),)
        assert sync.next_timer == 450

    def test_one_that_is_set_back_does(self, sync: FeedSync) -> None:
        sync.move_window(2, 5)
        assert sync.move_window(2, None) == ()
        assert sync.next_timer == 2.1
        assert asked(sync, 2.1).inventory

    def test_what_is_fetched_is_asked_for_soon(self, sync: FeedSync) -> None:
        assert not sync.fetch(2, "never there")
        assert sync.next_timer == 450
        assert sync.fetch(2, "a")
        assert sync.next_timer == 2.1
        assert [it.id for it in asked(sync, 2.1).wanted] == ["a"]

    def test_a_look_finds_what_somebody_marked(self, sync: FeedSync) -> None:
        sync.look(2)
        assert sync.next_timer == 450, "nothing is wanted"
        sync.replica.fetch("a")
        sync.look(2)
        assert [it.id for it in asked(sync, 2.1).wanted] == ["a"]

    def test_a_look_while_a_request_is_out_is_followed_by_another(self, sync: FeedSync) -> None:
        sync.ask_now(2)
        request = asked(sync, 2)
        sync.fetch(2.5, "a")
        assert sync.on_timer(2.7) is None
        assert sync.on_answer(3, delta(request.id, head=6))[1] is None
        # The answer told nothing new, so this takes the first wait of the backoff.
        assert [it.id for it in asked(sync, 4).wanted] == ["a"]

    def test_a_look_has_what_was_withheld_asked_for_again(self, sync: FeedSync) -> None:
        sync.fetch(2, "a")
        answer = delta(asked(sync, 2.1).id, head=6, withheld=["a"])
        assert sync.on_answer(3, answer)[1] == SyncDone("feed")
        assert not sync.replica.needs_sync()
        sync.look(5)
        assert [it.id for it in asked(sync, 5.1).wanted] == ["a"]


def test_a1_an_answer_that_was_discarded_is_asked_for_again(sync: FeedSync) -> None:
    fill(sync)
    sync.ask_now(1.0)
    request = asked(sync, 1.0)
    sync.on_push(1.1, push(6, put("a", b"A")))
    assert not sync.replica.needs_sync()
    result, done = sync.on_answer(1.2, delta(request.id, head=5, epoch=OTHER_EPOCH))
    assert (result.fate, done) == (AnswerFate.OVERTAKEN, None)
    asked(sync, 1.2)
