"""What becomes of items that break something, beside the store."""

from collections.abc import Callable

import pytest

from gateway.counters import Counters
from gateway.feed import NoSuchFeedError, PoisonError, StorageError
from gateway.feed_sqlite import SqliteTransaction
from gateway.holding_back import UNREAD_MAX, HoldingBack

LOST = PoisonError("ada", 3, "has lost its content")
UNREAD = PoisonError("ada", 3, "cannot be read", lasting=False)


def taken(work: Callable[[SqliteTransaction], bool]) -> bool:
    del work
    return True


def feed_is_gone(_work: Callable[[SqliteTransaction], bool]) -> bool:
    raise NoSuchFeedError("contacts")


def test_what_is_damaged_for_good_is_no_problem_once_it_is_held_back() -> None:
    counters = Counters()
    holding = HoldingBack(write=taken, counters=counters)
    assert not holding.poisoned("contacts", UNREAD)
    assert holding.problems() == ["feed contacts: item 'ada' cannot be read"]
    assert holding.poisoned("contacts", LOST)
    assert holding.problems() == []
    assert counters.read()["items quarantined"] == 1


def test_what_cannot_be_held_back_still_spoils(caplog: pytest.LogCaptureFixture) -> None:
    assert not HoldingBack(write=feed_is_gone, counters=Counters()).poisoned("contacts", LOST)
    assert "could not be held back" in caplog.text


def test_so_many_problems_are_told_and_each_once() -> None:
    holding = HoldingBack(write=taken, counters=Counters())
    for _ in range(2):
        holding.unreadable(StorageError("the disk fails"))
    assert holding.problems() == ["the disk fails"]
    for number in range(UNREAD_MAX):
        holding.poisoned("contacts", PoisonError(f"item-{number}", 1, "-", lasting=False))
    assert len(holding.problems()) == UNREAD_MAX
    assert "the disk fails" not in holding.problems()
