"""When to sync: reasons, timeouts and backoff, on a clock that is handed in."""

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the agent waits for what.

    Attributes:
        debounce_s: from the first sign of a lost push to the sync that repairs it.
        period_s: between syncs when nothing else asks for one.
        request_timeout_s: for the answer to one request.
        backoff_s: upper bound of the first wait after a request without an answer.
        backoff_s_max: upper bound of all later ones.
    """

    debounce_s: float = 0.2
    period_s: float = 900.0
    request_timeout_s: float = 10.0
    backoff_s: float = 1.0
    backoff_s_max: float = 60.0


# How much of a wait chance may take away, so that devices do not ask in step.
_JITTER_SHARE: Final = 0.5
# Whatever the gateway says of when to ask again.
RETRY_AFTER_S_MIN: Final = 1.0
RETRY_AFTER_S_MAX: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When one replica is to ask next. All times are seconds of a monotonic clock.

    Attributes:
        due: when to send a request, None while nothing asks for one.
        look: when to send one if something is known to be missing then.
        deadline: when the outstanding request counts as lost, None without one.
        attempts: requests in a row without an answer that helped.
        not_before: when the gateway will answer again; only a user or a connect asks earlier.
    """

    due: float | None = None
    look: float | None = None
    deadline: float | None = None
    attempts: int = 0
    not_before: float | None = None

    def at_once(self, now: float) -> "Schedule":
        """Somebody asks for a sync: the user or a connect."""
        return replace(self, due=now)

    def soon(self, now: float, chance: float, waits: Waits, *, forced: bool) -> "Schedule":
        """A push was lost (D3) or means nothing (D1). `chance` is a random number in 0 .. 1.

        Others may be under way in another order, so the sync waits a little, and unless
        `forced` it is not sent if they have filled the gap by then.
        """
        if self.attempts:
            return self  # the gateway does not answer: the backoff decides
        at = now + waits.debounce_s * _jitter(chance)
        if self.not_before is not None:
            at = max(at, self.not_before)
        if forced:
            return replace(self, due=at if self.due is None else min(self.due, at))
        return replace(self, look=at if self.look is None else min(self.look, at))

    def looked(self) -> "Schedule":
        """Nothing is missing any more."""
        return replace(self, look=None)

    def sent(self, now: float, waits: Waits) -> "Schedule":
        """A request was published."""
        return Schedule(deadline=now + waits.request_timeout_s, attempts=self.attempts)

    def idle(self, now: float, chance: float, waits: Waits) -> "Schedule":
        """All is here."""
        return Schedule(due=now + waits.period_s * _jitter(chance))

    def answered(
        self,
        now: float,
        chance: float,
        waits: Waits,
        *,
        again: bool,
        progress: bool,
        goes_round: bool = False,
    ) -> "Schedule":
        """An answer came; `again`: more is missing; `progress`: it helped.

        Where it all `goes_round`, progress does not end the backoff.
        """
        if not again:
            if self.asked_again:
                return Schedule(due=self.due)
            return self.idle(now, chance, waits)
        if progress:
            return Schedule(due=now, attempts=self.attempts if goes_round else 0)
        return self.failed(now, chance, waits)

    def failed(self, now: float, chance: float, waits: Waits) -> "Schedule":
        """No answer came, or a refusal: try again after a full-jitter backoff."""
        bound = min(waits.backoff_s_max, waits.backoff_s * 2 ** min(self.attempts, 16))
        return Schedule(due=now + bound * chance, attempts=self.attempts + 1)

    def put_off(self, now: float, chance: float, retry_after_s: float) -> "Schedule":
        """The gateway says when to ask again; it knows better than any backoff."""
        wait_s = min(max(retry_after_s, RETRY_AFTER_S_MIN), RETRY_AFTER_S_MAX) * (
            1.0 + _JITTER_SHARE * chance
        )
        return Schedule(due=now + wait_s, attempts=self.attempts, not_before=now + wait_s)

    def disconnected(self) -> "Schedule":
        """Nothing can be sent or heard: the next connect asks at once."""
        return Schedule()

    @property
    def asked_again(self) -> bool:
        """Whether another sync was asked for while the request was out."""
        return self.deadline is not None and self.due is not None

    def is_due(self, now: float) -> bool:
        """Whether to send a request even if nothing is known to be missing."""
        return self.due is not None and self.due <= now

    @property
    def next_timer(self) -> float | None:
        """When to look again: a request is due or lost. No new one while one is out (Q1)."""
        if self.deadline is not None:
            return self.deadline
        return min((at for at in (self.due, self.look) if at is not None), default=None)


def _jitter(chance: float) -> float:
    return 1.0 - _JITTER_SHARE * chance
