"""Which items are held back because they break something (docs/protocol.md, F7)."""

from gateway.feed import PoisonError
from gateway.quarantine import SUSPECTS_MAX, TRIES_MAX, Suspects
from tests.gateway.sample_feeds import FEED


def poison(item_id: str = "ada", seq: int = 1) -> PoisonError:
    return PoisonError(item_id, seq, "breaks everything")


def test_the_third_time_is_too_much() -> None:
    suspects = Suspects()
    assert [suspects.again(FEED, poison()) for _ in range(TRIES_MAX)] == [False, False, True]


def test_each_change_of_each_item_of_each_feed_counts_alone() -> None:
    suspects = Suspects()
    for _ in range(TRIES_MAX - 1):
        assert not suspects.again(FEED, poison())
        assert not suspects.again(FEED, poison("bob"))
        assert not suspects.again(FEED, poison(seq=2))
        assert not suspects.again("other", poison())
    assert suspects.again(FEED, poison("bob"))
    assert suspects.again("other", poison())


def test_what_was_held_back_begins_anew() -> None:
    suspects = Suspects()
    told = [suspects.again(FEED, poison()) for _ in range(2 * TRIES_MAX)]
    assert told == [False, False, True] * 2


def test_so_many_are_remembered_and_the_oldest_is_forgotten() -> None:
    suspects = Suspects()
    for number in range(SUSPECTS_MAX + 1):
        for _ in range(TRIES_MAX - 1):
            assert not suspects.again(FEED, poison(f"item-{number}"))
    assert not suspects.again(FEED, poison("item-0"))
    assert suspects.again(FEED, poison("item-2"))
    assert suspects.again(FEED, poison(f"item-{SUSPECTS_MAX}"))


def test_a_suspect_that_breaks_again_is_not_the_oldest() -> None:
    suspects = Suspects()
    suspects.again(FEED, poison("first"))
    for number in range(SUSPECTS_MAX - 1):
        suspects.again(FEED, poison(f"item-{number}"))
    suspects.again(FEED, poison("first"))
    suspects.again(FEED, poison("one more"))
    assert suspects.again(FEED, poison("first"))


def test_the_message_names_the_item_and_what_is_wrong() -> None:
    assert str(poison()) == "item 'ada' breaks everything"
