"""Token buckets: so much at once, so much a second."""

import pytest

from gateway.token_bucket import TokenBucket


def test_so_much_is_there_at_once_and_no_more() -> None:
    bucket = TokenBucket(3, refill_per_s=1, now=0)
    assert [bucket.take(1, 0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(1, 0) == 1
    assert not bucket.take(1, 0.9)
    assert bucket.take(1, 1)


def test_it_never_holds_more_than_its_capacity() -> None:
    bucket = TokenBucket(3, refill_per_s=1, now=0)
    assert not bucket.take(3.5, 1_000)
    assert bucket.take(3, 1_000)
    assert bucket.wait_s(10, 1_000) == 3  # it will never hold 10


def test_what_is_spent_may_be_owed_and_is_paid_off_in_time() -> None:
    bucket = TokenBucket(10, refill_per_s=0.25, now=0)
    bucket.spend(10, 0)
    assert not bucket.owes(0)
    bucket.spend(2, 0)
    assert bucket.owes(0)
    assert bucket.wait_s(0, 0) == 8
    assert bucket.owes(7.9)
    assert not bucket.owes(8)
    assert bucket.wait_s(0, 20) == 0


def test_a_clock_read_earlier_gives_nothing_twice() -> None:
    bucket = TokenBucket(2, refill_per_s=1, now=0)
    bucket.spend(2, 10)
    assert not bucket.take(1, 9)
    assert not bucket.take(1, 10.9)
    assert bucket.take(1, 11)


def test_what_was_used_can_be_forgotten() -> None:
    bucket = TokenBucket(2, refill_per_s=1, now=0)
    bucket.spend(50, 0)
    bucket.fill(0)
    assert bucket.take(2, 0)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_over_time_it_lets_through_its_refill(share: float) -> None:
    bucket = TokenBucket(10, refill_per_s=share, now=0)
    used = 0.0
    for second in range(1_000):
        while not bucket.owes(second):
            bucket.spend(0.3, second)
            used += 0.3
    assert 10 + share * 1_000 - 1 < used < 10 + share * 1_000 + 1
