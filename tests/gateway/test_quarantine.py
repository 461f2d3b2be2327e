"""Which items are held back because they break something (docs/protocol.md, F7)."""

import pytest

from gateway.feed import PoisonError
from gateway.quarantine import FORGOTTEN_S, SUSPECTS_MAX, TRIES_APART_S, TRIES_MAX, Suspects
from tests.gateway.sample_feeds import FEED

# When each of the tries is made, of which the last is one too many.
APART = [TRIES_APART_S * number for number in range(TRIES_MAX)]
BEFORE_LAST, LAST = APART[:-1], APART[-1]


def unreadable(item_id: str = "ada", seq: int = 1) -> PoisonError:
    return PoisonError(item_id, seq, "cannot be read", lasting=False)


def test_what_is_wrong_for_good_is_held_back_at_once() -> None:
    suspects = Suspects()
    lasting = PoisonError("ada", 1, "breaks everything")
    assert [suspects.again(FEED, lasting, now=0.0) for _ in range(2)] == [True, True]


def test_what_cannot_be_read_is_held_back_the_third_time() -> None:
    suspects = Suspects()
    assert [suspects.again(FEED, unreadable(), now=now) for now in APART] == [False, False, True]


def test_tries_that_are_too_near_are_one() -> None:
    suspects = Suspects()
    near = [TRIES_APART_S * part for part in (0.0, 0.1, 0.9, 0.99)]
    assert not any(suspects.again(FEED, unreadable(), now=now) for now in near * 9)
    told = [suspects.again(FEED, unreadable(), now=TRIES_APART_S * n) for n in (1.0, 1.5, 1.9, 2.0)]
    assert told == [False, False, False, True]


def test_the_clock_may_begin_anywhere() -> None:
    suspects = Suspects()
    told = [suspects.again(FEED, unreadable(), now=now - 1e6) for now in APART]
    assert told == [False, False, True]


@pytest.mark.parametrize(("after_s", "held_back"), [(FORGOTTEN_S, True), (FORGOTTEN_S + 1, False)])
def test_tries_are_forgotten_after_an_hour(after_s: float, *, held_back: bool) -> None:
    suspects = Suspects()
    for now in BEFORE_LAST:
        assert not suspects.again(FEED, unreadable(), now=now)
    last = BEFORE_LAST[-1] + after_s
    assert suspects.again(FEED, unreadable(), now=last) == held_back
    if not held_back:
        told = [suspects.again(FEED, unreadable(), now=last + now) for now in APART[1:]]
        assert told == [False, True]


def test_each_change_of_each_item_of_each_feed_counts_alone() -> None:
    suspects = Suspects()
    for now in BEFORE_LAST:
        assert not suspects.again(FEED, unreadable(), now=now)
        assert not suspects.again(FEED, unreadable("bob"), now=now)
        assert not suspects.again(FEED, unreadable(seq=2), now=now)
        assert not suspects.again("other", unreadable(), now=now)
    assert suspects.again(FEED, unreadable("bob"), now=LAST)
    assert suspects.again("other", unreadable(), now=LAST)


def test_what_was_held_back_begins_anew() -> None:
    suspects = Suspects()
    told = [
        suspects.again(FEED, unreadable(), now=TRIES_APART_S * number)
        for number in range(2 * TRIES_MAX)
    ]
    assert told == [False, False, True] * 2


def test_so_many_are_remembered_and_the_oldest_is_forgotten() -> None:
    suspects = Suspects()
    for number in range(SUSPECTS_MAX + 1):
        for now in BEFORE_LAST:
            assert not suspects.again(FEED, unreadable(f"item-{number}"), now=now)
    assert not suspects.again(FEED, unreadable("item-0"), now=LAST)
    assert suspects.again(FEED, unreadable("item-2"), now=LAST)
    assert suspects.again(FEED, unreadable(f"item-{SUSPECTS_MAX}"), now=LAST)


def test_a_suspect_that_breaks_again_is_not_the_oldest() -> None:
    suspects = Suspects()
    first, second, third = APART
    suspects.again(FEED, unreadable("first"), now=first)
    for number in range(SUSPECTS_MAX - 1):
        suspects.again(FEED, unreadable(f"item-{number}"), now=first)
    suspects.again(FEED, unreadable("first"), now=second)
    suspects.again(FEED, unreadable("one more"), now=second)
    assert suspects.again(FEED, unreadable("first"), now=third)


def test_the_message_names_the_item_and_what_is_wrong() -> None:
    assert str(PoisonError("ada", 1, "breaks everything")) == "item 'ada' breaks everything"
