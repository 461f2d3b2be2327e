"""How much one device may ask for, be sent, and have worked for it (docs/protocol.md, G8)."""

from dataclasses import dataclass
from enum import Enum, auto
from math import ceil
from typing import Final

from gateway.token_bucket import TokenBucket

# A device may have so many seconds of the answering thread at once, so that the first sync of a
# large feed is not slowed: some 30 MB. Afterwards it has its share. That holds also while nobody
# else asks: who comes then would find the thread in the middle of a long answer each time, and the
# API, which is never seen to wait here, would find it at work without end.
WORK_BURST_S: Final = 3.0
# Statuses are cheap, and tell little when there are many.
STATUSES_PER_MINUTE_MAX: Final = 60
# A flood of refusals would be one, too: the first few are told, then one a second.
REFUSALS_BURST: Final = 10
REFUSALS_PER_S_MAX: Final = 1.0
RETRY_AFTER_S_MAX: Final = 3_600
# So many times what it may ask for is no mistake: it is shut out, each time for twice as long.
FLOOD_FACTOR: Final = 10
SHUT_OUT_S: Final = 60.0
SHUT_OUT_S_MAX: Final = 3_600.0
# Well behaved for so long, a device is as good as new.
FLOODS_FORGOTTEN_S: Final = 24 * 3_600.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What each device may have.

    Attributes:
        requests_per_minute_max: that many at once, too.
        bytes_per_hour_max: of answers and notifications; that many at once, too.
        work_share_max: of the time of the thread that answers, on average.
    """

    requests_per_minute_max: int
    bytes_per_hour_max: int
    work_share_max: float


class Verdict(Enum):
    """What is to be done with a message of a device."""

    TAKE = auto()
    REFUSE = auto()
    DROP = auto()


class DeviceLimits:
    """One device's. `now` is seconds of a clock that never goes back.

    What a request costs is known only when it was answered. So it is begun as long as nothing is
    owed, and what it cost beyond that is waited for before the next one.
    """

    def __init__(self, bounds: Bounds, *, now: float) -> None:
        per_minute = bounds.requests_per_minute_max
        per_hour = bounds.bytes_per_hour_max
        flood = FLOOD_FACTOR * max(per_minute, STATUSES_PER_MINUTE_MAX)
        self._requests = TokenBucket(per_minute, refill_per_s=per_minute / 60, now=now)
        self._bytes = TokenBucket(per_hour, refill_per_s=per_hour / 3_600, now=now)
        self._work_s = TokenBucket(WORK_BURST_S, refill_per_s=bounds.work_share_max, now=now)
        self._statuses = TokenBucket(
            STATUSES_PER_MINUTE_MAX, refill_per_s=STATUSES_PER_MINUTE_MAX / 60, now=now
        )
        self._refusals = TokenBucket(REFUSALS_BURST, refill_per_s=REFUSALS_PER_S_MAX, now=now)
        self._flood = TokenBucket(flood, refill_per_s=flood / 60, now=now)
        self._shut_out_s = 0.0
        self._flooded_at = now

    def flooded(self, now: float) -> float | None:
        """A message came; for how many seconds the device is to be shut out for it, if it is."""
        is_out = now < self._flooded_at + self._shut_out_s  # what comes was under way before
        if is_out or self._flood.take(1, now):
            return None
        self._flood.fill(now)
        if now - self._flooded_at > FLOODS_FORGOTTEN_S:
            self._shut_out_s = 0.0
        self._flooded_at = now
        self._shut_out_s = min(max(SHUT_OUT_S, 2 * self._shut_out_s), SHUT_OUT_S_MAX)
        return self._shut_out_s

    def asked(self, now: float) -> Verdict:
        """A request came."""
        if self._requests.take(1, now):
            return Verdict.TAKE
        return Verdict.REFUSE if self.may_be_refused(now) else Verdict.DROP

    def may_be_refused(self, now: float) -> bool:
        """Whether a request that is not answered is refused, rather than dropped."""
        return self._refusals.take(1, now)

    def told(self, now: float) -> bool:
        """A status came; whether it is taken."""
        return self._statuses.take(1, now)

    def is_exhausted(self, now: float) -> bool:
        """Whether the device has used up its bytes or its share of the work."""
        return self._bytes.owes(now) or self._work_s.owes(now)

    def retry_after_s(self, now: float) -> int:
        """When a request of the device will be answered again, in whole seconds."""
        waits_s = (
            self._requests.wait_s(1, now),
            self._bytes.wait_s(0, now),
            self._work_s.wait_s(0, now),
        )
        return min(max(1, ceil(max(waits_s))), RETRY_AFTER_S_MAX)

    def worked(self, seconds: float, now: float) -> None:
        """So long the thread worked for the device."""
        self._work_s.spend(seconds, now)

    def answered(self, byte_count: int, now: float) -> None:
        """So much was sent to the device."""
        self._bytes.spend(byte_count, now)

    def may_be_pushed(self, byte_count: int, now: float) -> bool:
        """Whether a notification of that size may be sent, which counts then."""
        if self._bytes.owes(now):
            return False
        self._bytes.spend(byte_count, now)
        return True
