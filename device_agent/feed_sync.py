"""One replica with its timetable: what a message or a timer leads to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from device_agent.replica import Replica
from device_agent.results import AnswerFate, AnswerResult, Happened, PushResult
from device_agent.schedule import Schedule, Waits
from sync_protocol import messages
from sync_protocol.messages import Answer, Notification, Request

# Why the gateway refuses what it has not prepared yet (M9).
_BUSY: Final = "busy"


@dataclass(frozen=True, slots=True)
class SyncDone:
    """A sync ended: all is here (`error` None), or it failed and will be tried again.

    Attributes:
        refused: the gateway answered, and will say the same until somebody mends it. One that
            names a time to try again will not.
        put_off: nothing is wrong: the gateway still prepares what is wanted (V4), and named a time.
    """

    feed: str
    error: str | None = None
    refused: bool = False
    put_off: bool = False


class Observer(Protocol):
    """Somebody who watches an agent's traffic, for statistics. Called in the agent's thread."""

    def push_came(self, feed: str, push: Notification, payload: bytes, result: PushResult) -> None:
        """A push was handled."""

    def asked(self, feed: str, request: Request, payload: bytes) -> None:
        """A request is about to leave."""

    def answer_came(self, feed: str, answer: Answer, payload: bytes, result: AnswerResult) -> None:
        """An answer was handled."""


class FeedSync:
    """Joins the rules for one replica to the times at which it asks."""

    def __init__(
        self,
        feed: str,
        replica: Replica,
        *,
        waits: Waits,
        chance: Callable[[], float],
        request_id: Callable[[], bytes],
        answer_bytes_max: int,
    ) -> None:
        self.feed = feed
        self.replica = replica
        self._waits = waits
        self._chance = chance
        self._request_id = request_id
        self._answer_bytes_max = answer_bytes_max
        self._schedule = Schedule()

    @property
    def next_timer(self) -> float | None:
        """When `on_timer` wants to be called."""
        return self._schedule.next_timer

    def ask_now(self, now: float) -> None:
        """A connect or a person asks for a sync."""
        self._schedule = self._schedule.at_once(now)

    def ask_soon(self, now: float) -> None:
        """Something may have been missed."""
        self._schedule = self._schedule.soon(now, self._chance(), self._waits, forced=True)

    def move_window(self, now: float, since: int | None) -> tuple[Happened, ...]:
        """The time window begins at `since`, Unix seconds, from now on; see `Replica`."""
        view_id = self.replica.state.view_id
        happened = self.replica.move_window(since)
        if self.replica.state.view_id != view_id:  # what was asked before is closed (Q1)
            self._schedule = Schedule().soon(now, self._chance(), self._waits, forced=True)
        return happened

    def fetch(self, now: float, item_id: str) -> bool:
        """Want all of an item; False if there is none."""
        if not self.replica.fetch(item_id):
            return False
        self.look(now)
        return True

    def look(self, now: float) -> None:
        """Somebody may have asked for contents; what could not be had is tried again, too."""
        self.replica.try_again()
        if self.replica.needs_sync():
            self._schedule = self._schedule.soon(now, self._chance(), self._waits, forced=False)

    def gateway_returned(self, now: float) -> None:
        """The gateway is there again: what it was asked before is lost, and it will answer now."""
        self.replica.close_request()
        self._schedule = Schedule().soon(now, self._chance(), self._waits, forced=True)

    def disconnected(self) -> None:
        """Nothing can be sent or heard until the next connect."""
        self.replica.close_request()
        self._schedule = self._schedule.disconnected()

    def on_timer(self, now: float) -> Request | SyncDone | None:
        """What to send, if it is time; or that the request before was lost."""
        timer = self._schedule.next_timer
        if timer is None or now < timer:
            return None
        if self._schedule.deadline is not None:
            self.replica.close_request()
            self._schedule = self._schedule.failed(now, self._chance(), self._waits)
            return SyncDone(self.feed, "the gateway did not answer")
        if not self._schedule.is_due(now) and not self.replica.needs_sync():
            self._schedule = self._schedule.looked()
            return None
        self._schedule = self._schedule.sent(now, self._waits)
        return self.replica.request(self._request_id(), answer_bytes_max=self._answer_bytes_max)

    def on_push(self, now: float, push: Notification) -> tuple[PushResult, tuple[Happened, ...]]:
        """A push came."""
        result, happened = self.replica.on_push(push)
        strange = result is PushResult.STRANGE
        # A push was lost (D3), or this one brought a part that is to be completed (A5).
        if strange or self.replica.needs_sync():
            self._schedule = self._schedule.soon(now, self._chance(), self._waits, forced=strange)
        return result, happened

    def on_answer(self, now: float, answer: Answer) -> tuple[AnswerResult, SyncDone | None]:
        """An answer came; the second value is there when it ended the sync."""
        result = self.replica.on_answer(answer)
        match result.fate:
            case AnswerFate.NOT_AWAITED:
                return result, None
            case AnswerFate.REFUSED | AnswerFate.UNREADABLE:
                refused = result.refused or messages.Refused(
                    reason="unreadable", message="the gateway's answer cannot be read"
                )
                after_s = refused.retry_after_s
                self._schedule = (
                    self._schedule.failed(now, self._chance(), self._waits)
                    if after_s is None
                    else self._schedule.put_off(now, self._chance(), after_s)
                )
                error = f"{refused.reason}: {refused.message}"
                put_off = after_s is not None and refused.reason == _BUSY
                done = SyncDone(self.feed, error, refused=after_s is None, put_off=put_off)
                return result, done
            case AnswerFate.TAKEN | AnswerFate.VOID | AnswerFate.OVERTAKEN:
                again = result.fate is not AnswerFate.TAKEN or self.replica.needs_sync()
                asked_again = self._schedule.asked_again
                self._schedule = self._schedule.answered(
                    now,
                    self._chance(),
                    self._waits,
                    again=again,
                    progress=result.progress,
                    goes_round=self.replica.goes_round,
                )
                return result, None if again or asked_again else SyncDone(self.feed)
