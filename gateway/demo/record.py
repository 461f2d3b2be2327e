"""What each device of the demo was sent and took, told without any token set or collection."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from device_agent.results import AnswerFate, AnswerResult, PushResult
from gateway.notifier import Push
from gateway.outbound import Outbound
from gateway.responder import Response
from sync_protocol.messages import Answer, Notification, Request

Taken = tuple[str, int]


@dataclass(slots=True)
class Figures:
    """The counts of one device, named as in the demo's summary."""

    pushes_sent: int = 0
    pushes_received: int = 0
    sync_requests: int = 0
    changes_first: int = 0
    changes_resent: int = 0
    changes_missing: int = 0
    remainders: int = 0
    bytes_pushed: int = 0
    bytes_requests: int = 0
    bytes_responses: int = 0


@dataclass(slots=True)
class _Made:
    """An answer: how many of its changes the device lacked, and how many it held."""

    missing: int = 0
    held: int = 0
    counted: bool = False


class DeviceRecord:
    """A plain set of the (item, seq) that one device has taken, and what follows from it.

    Called from the gateway's threads and from the agent's.
    """

    def __init__(self, random: Random, *, loss: float) -> None:
        self.figures = Figures()
        self.away = False
        self._random = random
        self._loss = loss
        self._lock = threading.Lock()
        self._clock = 0
        self._taken: dict[Taken, int] = {}  # a set, with when each was taken
        self._flying: set[Taken] = set()
        self._tried: set[Taken] = set()  # to push, lost or not
        self._early: dict[Taken, _Made] = {}  # answered before their push was tried
        self._asked: dict[bytes, int] = {}
        self._made: dict[bytes, _Made] = {}
        self._base: int | None = None
        self._filled = False

    def sends(self, item: Taken, size_bytes: int) -> bool:
        """A push is about to be published; False loses it."""
        with self._lock:
            self.figures.pushes_sent += 1
            self.figures.bytes_pushed += size_bytes
            self._tried.add(item)
            early = self._early.pop(item, None)
            if self._random.random() < self._loss or self.away:
                return False
            self._flying.add(item)
            if early is not None:
                self._crosses(early)
            return True

    def not_sent(self, item: Taken) -> None:
        """The connection did not take a push."""
        with self._lock:
            self._flying.discard(item)

    def makes_answer(self, request_id: bytes, sent: Iterable[Taken]) -> None:
        """The gateway made an answer: look each of its changes up.

        What the device had taken when it asked was held. What it had not, it lacked, unless the
        push is or was under way, or is about to be: such a push and the answer cross, and the
        change counts in neither.
        """
        with self._lock:
            asked = self._asked.get(request_id, 0)
            made = self._made[request_id] = _Made()
            for item in sent:
                taken = self._taken.get(item)
                if taken is not None and taken <= asked:
                    made.held += 1
                elif taken is None and item not in self._flying:
                    made.missing += 1
                    if item not in self._tried:
                        self._early[item] = made

    def gone(self) -> None:
        """The device has disconnected: what is under way to it is lost."""
        with self._lock:
            self._flying.clear()
            self._early.clear()

    def flying(self) -> int:
        """How many pushes are under way."""
        with self._lock:
            return len(self._flying)

    # What the agent tells (`device_agent.feed_sync.Observer`)

    def push_came(self, feed: str, push: Notification, payload: bytes, result: PushResult) -> None:
        """A push was handled."""
        del feed, payload
        with self._lock:
            self.figures.pushes_received += 1
            if self._base is None:
                return
            item = (push.item_id, push.n + self._base)
            self._flying.discard(item)
            if result in {PushResult.STORED, PushResult.GAP}:
                self._take(item)

    def asked(self, feed: str, request: Request, payload: bytes) -> None:
        """A request is about to leave."""
        del feed
        with self._lock:
            self.figures.sync_requests += 1
            self.figures.bytes_requests += len(payload)
            self._asked[request.id] = self._clock

    def answer_came(self, feed: str, answer: Answer, payload: bytes, result: AnswerResult) -> None:
        """An answer was handled."""
        del feed
        with self._lock:
            self.figures.bytes_responses += len(payload)
            if result.fate is not AnswerFate.TAKEN:
                return
            if answer.inventory is not None:
                self._base = answer.inventory.base  # pushes are taken from its end on
            if answer.delta is None:
                return
            self._base = answer.delta.base
            made = self._made[answer.id]
            if self._filled:
                made.counted = True
                self.figures.changes_resent += made.missing + made.held
                self.figures.changes_missing += made.missing
            else:
                self.figures.changes_first += len(answer.delta.changes)
            self.figures.remainders += len(answer.delta.remainders)
            for change in answer.delta.changes:
                self._take((change.item_id, change.n + answer.delta.base))
            self._filled = self._filled or not answer.delta.more

    def _crosses(self, made: _Made) -> None:
        """A push goes out after all for a change that an answer was quicker with."""
        made.missing -= 1
        if made.counted:
            self.figures.changes_resent -= 1
            self.figures.changes_missing -= 1

    def _take(self, item: Taken) -> None:
        self._clock += 1
        self._taken[item] = self._clock


class LossyOutbound:
    """Between the gateway and its connection: loses a share of the notifications."""

    def __init__(self, outbound: Outbound, records: dict[str, DeviceRecord]) -> None:
        self._outbound = outbound
        self._records = records

    def push(self, feed: str, push: Push) -> bool:
        """See `Outbound`. What is lost looks sent."""
        record = self._records[push.device]
        item = (push.item_id, push.seq)
        if not record.sends(item, len(push.payload)):
            return True
        if self._outbound.push(feed, push):
            return True
        record.not_sent(item)
        return False

    def answer(self, device: str, feed: str, payload: bytes, response: Response) -> None:
        """See `Outbound`."""
        self._records[device].makes_answer(response.answer.id, response.sent)
        self._outbound.answer(device, feed, payload, response)
