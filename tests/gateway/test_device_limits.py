"""What one device may ask for, be sent, and have worked for it, each bound gone past."""

import pytest

from device_agent import schedule
from gateway import device_limits, limiting
from gateway.device_limits import (
    FLOOD_FACTOR,
    FLOODS_FORGOTTEN_S,
    REFUSALS_BURST,
    RETRY_AFTER_S_MAX,
    SHUT_OUT_S,
    SHUT_OUT_S_MAX,
    STATUSES_PER_MINUTE_MAX,
    WORK_BURST_S,
    Bounds,
    DeviceLimits,
    Verdict,
)
from gateway.limiting import Limiting

BOUNDS = Bounds(requests_per_minute_max=60, bytes_per_hour_max=3_600_000, work_share_max=0.25)


@pytest.fixture
def limits() -> DeviceLimits:
    return DeviceLimits(BOUNDS, now=0)


def ask_for_all(limits: DeviceLimits, now: float = 0) -> None:
    for _ in range(BOUNDS.requests_per_minute_max):
        assert limits.asked(now) is Verdict.TAKE


class TestRequests:
    def test_of_a_minute_may_come_at_once_and_then_each_in_its_time(
        self, limits: DeviceLimits
    ) -> None:
        ask_for_all(limits)
        assert limits.asked(0) is Verdict.REFUSE
        assert limits.retry_after_s(0) == 1
        assert limits.asked(1) is Verdict.TAKE
        assert limits.asked(1) is Verdict.REFUSE

    def test_of_an_hour_are_no_more_than_the_minutes_have(self, limits: DeviceLimits) -> None:
        taken = sum(limits.asked(tenth / 10) is Verdict.TAKE for tenth in range(36_000))
        assert 60 * 60 <= taken <= 61 * 60

    def test_that_are_too_many_are_refused_a_few_times_then_once_a_second(
        self, limits: DeviceLimits
    ) -> None:
        ask_for_all(limits)
        verdicts = [limits.asked(0) for _ in range(REFUSALS_BURST + 100)]
        assert verdicts == [Verdict.REFUSE] * REFUSALS_BURST + [Verdict.DROP] * 100
        later = [limits.asked(1) for _ in range(100)]
        assert later == [Verdict.TAKE, Verdict.REFUSE] + [Verdict.DROP] * 98

    def test_are_told_to_come_back_when_all_is_paid_off(self, limits: DeviceLimits) -> None:
        ask_for_all(limits)
        limits.worked(WORK_BURST_S + 1, 0)
        assert limits.retry_after_s(0) == 4
        limits.answered(BOUNDS.bytes_per_hour_max + 30_001, 0)
        assert limits.retry_after_s(0) == 31
        limits.answered(10 * BOUNDS.bytes_per_hour_max, 0)
        assert limits.retry_after_s(0) == RETRY_AFTER_S_MAX


class TestWork:
    def test_may_be_a_burst_and_then_its_share(self, limits: DeviceLimits) -> None:
        limits.worked(WORK_BURST_S, 0)
        assert not limits.is_exhausted(0)
        limits.worked(0.5, 0)
        assert limits.is_exhausted(1.9)
        assert not limits.is_exhausted(2)

    def test_of_one_who_asks_without_end_is_its_share(self, limits: DeviceLimits) -> None:
        now, worked = 0.0, 0.0
        while now < 10_000:
            if limits.is_exhausted(now):
                now += 0.1
            else:
                now, worked = now + 0.8, worked + 0.8
                limits.worked(0.8, now)
        assert worked <= WORK_BURST_S + 10_000 * BOUNDS.work_share_max + 0.8
        assert worked >= 10_000 * BOUNDS.work_share_max


class TestBytes:
    def test_of_an_hour_may_come_at_once(self, limits: DeviceLimits) -> None:
        limits.answered(BOUNDS.bytes_per_hour_max, 0)
        assert not limits.is_exhausted(0)
        limits.answered(2_000, 0)
        assert limits.is_exhausted(1)
        assert not limits.is_exhausted(2)

    def test_withhold_pushes(self, limits: DeviceLimits) -> None:
        assert limits.may_be_pushed(BOUNDS.bytes_per_hour_max + 1_000, 0)
        assert not limits.may_be_pushed(1, 0)
        assert not limits.may_be_pushed(1, 0.9)
        assert limits.may_be_pushed(1, 1.01)


class TestStatuses:
    def test_have_a_limit_of_their_own(self, limits: DeviceLimits) -> None:
        ask_for_all(limits)
        assert all(limits.told(0) for _ in range(STATUSES_PER_MINUTE_MAX))
        assert not limits.told(0)
        assert limits.told(1)


class TestFlood:
    ALLOWED = FLOOD_FACTOR * BOUNDS.requests_per_minute_max

    def flood(self, limits: DeviceLimits, now: float) -> float | None:
        told = [limits.flooded(now) for _ in range(self.ALLOWED + 1)]
        assert told[:-1] == [None] * self.ALLOWED
        return told[-1]

    def test_is_many_times_what_is_allowed_and_told_once(self, limits: DeviceLimits) -> None:
        assert self.flood(limits, 0) == SHUT_OUT_S

    def test_has_an_end_that_was_under_way_and_does_not_count(self, limits: DeviceLimits) -> None:
        self.flood(limits, 0)
        assert not any(limits.flooded(SHUT_OUT_S - 1) for _ in range(10 * self.ALLOWED))
        assert self.flood(limits, SHUT_OUT_S) == 2 * SHUT_OUT_S

    def test_shuts_out_for_longer_each_time_up_to_a_bound(self, limits: DeviceLimits) -> None:
        told = [self.flood(limits, hour * 3_600) for hour in range(8)]
        assert told == [60, 120, 240, 480, 960, 1_920, SHUT_OUT_S_MAX, SHUT_OUT_S_MAX]

    def test_is_forgotten_in_time(self, limits: DeviceLimits) -> None:
        self.flood(limits, 0)
        self.flood(limits, 60)
        assert self.flood(limits, 61 + FLOODS_FORGOTTEN_S) == SHUT_OUT_S

    def test_is_not_what_an_eager_device_sends(self, limits: DeviceLimits) -> None:
        # Twice as fast as it is served, for a day.
        assert not any(limits.flooded(half / 2) for half in range(2 * 24 * 3_600))

    def test_of_few_requests_a_minute_leaves_statuses_their_room(self) -> None:
        limits = DeviceLimits(Bounds(1, BOUNDS.bytes_per_hour_max, 0.25), now=0)
        assert not any(limits.flooded(0) for _ in range(STATUSES_PER_MINUTE_MAX))


class TestOfAll:
    def test_each_has_its_own(self) -> None:
        limiting = Limiting(BOUNDS, monotonic=lambda: 0.0)
        for _ in range(BOUNDS.requests_per_minute_max):
            assert limiting.asked("eve") is Verdict.TAKE
        assert limiting.asked("eve") is Verdict.REFUSE
        assert limiting.asked("phone") is Verdict.TAKE

    def test_are_remembered_of_so_many_devices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limiting, "DEVICES_MAX", 2)
        limits = Limiting(BOUNDS, monotonic=lambda: 0.0)
        limits.answered("eve", 2 * BOUNDS.bytes_per_hour_max)
        limits.asked("phone")
        assert limits.begun("eve") is Verdict.REFUSE
        limits.asked("tablet")
        assert limits.begun("eve") is Verdict.REFUSE  # heard of since the phone
        limits.asked("phone")
        limits.asked("tablet")
        assert limits.begun("eve") is Verdict.TAKE  # forgotten

    def test_are_refused_a_few_times_only(self) -> None:
        limits = Limiting(BOUNDS, monotonic=lambda: 0.0)
        limits.answered("eve", 2 * BOUNDS.bytes_per_hour_max)
        verdicts = [limits.begun("eve") for _ in range(REFUSALS_BURST + 1)]
        assert verdicts == [Verdict.REFUSE] * REFUSALS_BURST + [Verdict.DROP]

    def test_count_the_time_that_passed(self) -> None:
        now = 0.0
        limits = Limiting(BOUNDS, monotonic=lambda: now)
        began = limits.now()
        now = WORK_BURST_S + 1
        limits.worked("eve", since=began)
        assert limits.begun("eve") is Verdict.REFUSE
        assert limits.retry_after_s("eve") == 4


def test_an_agent_takes_the_longest_wait_at_its_word() -> None:
    assert device_limits.RETRY_AFTER_S_MAX <= schedule.RETRY_AFTER_S_MAX
