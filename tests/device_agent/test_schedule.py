"""When a replica asks, on a clock that the test turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.schedule import RETRY_AFTER_S_MAX, RETRY_AFTER_S_MIN, Schedule, Waits

WAITS = Waits(debounce_s=0.2, period_s=900, request_timeout_s=10, backoff_s=1, backoff_s_max=60)
NOW = 1000.0
chances = st.floats(0, 1)


def failed_times(count: int, chance: float) -> Schedule:
    schedule = Schedule()
    for _ in range(count):
        schedule = schedule.sent(NOW, WAITS).failed(NOW, chance, WAITS)
    return schedule


def test_nothing_is_due_at_first() -> None:
    assert Schedule().next_timer is None


def test_a_connect_asks_at_once_whatever_was_planned() -> None:
    planned = Schedule().idle(NOW, 0, WAITS)
    assert planned.at_once(NOW + 1) == Schedule(due=NOW + 1)


@given(chances)
def test_a_gap_waits_for_the_debounce_less_up_to_half(chance: float) -> None:
    due = Schedule().soon(0, chance, WAITS, forced=False).next_timer
    assert due is not None
    assert 0.1 <= due <= 0.2


def test_further_gaps_do_not_put_it_off() -> None:
    first = Schedule().soon(NOW, 0, WAITS, forced=False)
    assert first.soon(NOW + 0.15, 0, WAITS, forced=False) == first


def test_a_gap_comes_before_the_period() -> None:
    idle = Schedule().idle(NOW, 0, WAITS)
    gap = idle.soon(NOW, 0, WAITS, forced=False)
    assert gap.next_timer == NOW + 0.2
    assert not gap.is_due(NOW + 0.2)


def test_a_gap_that_filled_by_itself_does_not_put_off_the_period() -> None:
    idle = Schedule().idle(NOW, 0, WAITS)
    assert idle.soon(NOW + 800, 0, WAITS, forced=False).looked() == idle


def test_a_strange_push_forces_a_sync_and_a_later_gap_leaves_it_forced() -> None:
    strange = Schedule().soon(NOW, 0, WAITS, forced=True)
    assert strange.soon(NOW, 0, WAITS, forced=False).is_due(NOW + 0.2)


def test_while_the_gateway_does_not_answer_a_gap_does_not_hurry() -> None:
    failed = failed_times(3, 1)
    assert failed.soon(NOW, 0, WAITS, forced=True) == failed


def test_while_a_request_is_out_only_its_deadline_counts() -> None:
    sent = Schedule().at_once(NOW).sent(NOW, WAITS)
    assert sent.next_timer == NOW + 10
    assert sent.at_once(NOW + 1).next_timer == NOW + 10


@pytest.mark.parametrize(("count", "bound"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)])
def test_the_backoff_doubles_up_to_its_bound(count: int, bound: int) -> None:
    assert failed_times(count, 1).due == NOW + bound
    assert failed_times(count, 0).due == NOW
    assert failed_times(count, 0.5).due == NOW + bound / 2
    assert failed_times(count, 1).deadline is None


def test_a_gateway_that_is_busy_is_given_the_time_it_asks_for() -> None:
    sent = failed_times(5, 1).sent(NOW, WAITS)
    for chance, at in ((0, NOW + 30), (1, NOW + 45)):
        assert sent.put_off(NOW, chance, 30) == Schedule(due=at, attempts=5, not_before=at)


def test_pushes_do_not_shorten_what_a_busy_gateway_asks_for() -> None:
    put_off = Schedule().sent(NOW, WAITS).put_off(NOW, 0, 30)
    for forced in (False, True):
        assert put_off.soon(NOW + 1, 0, WAITS, forced=forced).next_timer == NOW + 30
    assert put_off.soon(NOW + 40, 0, WAITS, forced=True).next_timer == NOW + 30
    assert put_off.at_once(NOW + 1).next_timer == NOW + 1  # a user, or a connect
    assert put_off.sent(NOW + 30, WAITS).not_before is None


def test_what_a_gateway_asks_for_has_bounds() -> None:
    sent = Schedule().sent(NOW, WAITS)
    assert sent.put_off(NOW, 0, 0).due == NOW + RETRY_AFTER_S_MIN == NOW + 1
    assert sent.put_off(NOW, 0, 10**9).due == NOW + RETRY_AFTER_S_MAX == NOW + 3600


@given(chances)
def test_after_the_last_answer_comes_the_period_less_up_to_half(chance: float) -> None:
    sent = failed_times(3, 1).sent(NOW, WAITS)
    idle = sent.answered(NOW, chance, WAITS, again=False, progress=True)
    assert idle.due is not None
    assert 450 <= idle.due - NOW <= 900
    assert idle == Schedule(due=idle.due)


def test_the_next_page_is_asked_for_at_once() -> None:
    sent = failed_times(3, 1).sent(NOW, WAITS)
    again = sent.answered(NOW, 0, WAITS, again=True, progress=True)
    assert again == Schedule(due=NOW)


def test_an_answer_that_did_not_help_is_followed_by_the_backoff() -> None:
    sent = failed_times(2, 1).sent(NOW, WAITS)
    again = sent.answered(NOW, 1, WAITS, again=True, progress=False)
    assert (again.due, again.attempts) == (NOW + 4, 3)


def test_who_asks_while_a_request_is_out_gets_another() -> None:
    sent = Schedule().sent(NOW, WAITS).at_once(NOW + 1)
    assert sent.asked_again
    answered = sent.answered(NOW + 2, 0, WAITS, again=False, progress=True)
    assert answered == Schedule(due=NOW + 1)


def test_without_a_connection_nothing_is_due() -> None:
    assert failed_times(3, 1).disconnected().next_timer is None


def test_progress_that_goes_round_does_not_end_the_backoff() -> None:
    sent = failed_times(3, 1).sent(NOW, WAITS)
    round_again = sent.answered(NOW, 0, WAITS, again=True, progress=True, goes_round=True)
    assert round_again == Schedule(due=NOW, attempts=3)
    assert round_again.sent(NOW, WAITS).failed(NOW, 1, WAITS).due == NOW + 8
