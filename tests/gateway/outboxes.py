"""What the gateway would have published, in lists."""

from dataclasses import dataclass, field

from gateway.notifier import Push
from gateway.responder import Response
from sync_protocol import wire
from sync_protocol.limits import ANSWER_BYTES_MAX, NOTIFICATION_BYTES_MAX
from sync_protocol.messages import Answer, Notification


@dataclass(frozen=True)
class Answered:
    device: str
    feed: str
    payload: bytes
    response: Response

    @property
    def answer(self) -> Answer:
        return wire.decode(Answer, self.payload, bytes_max=ANSWER_BYTES_MAX)


@dataclass
class Outbox:
    """An outbound without a broker. `broken`: it raises, which it must not."""

    pushes: list[tuple[str, Push]] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    broken: bool = False

    def push(self, feed: str, push: Push) -> bool:
        self._check()
        self.pushes.append((feed, push))
        return True

    def answer(self, device: str, feed: str, payload: bytes, response: Response) -> None:
        self._check()
        self.answers.append(Answered(device, feed, payload, response))

    def _check(self) -> None:
        if self.broken:
            self.broken = False
            raise RuntimeError("the outbound is broken")

    def notifications(self) -> list[tuple[str, str, str, int]]:
        """(device, feed, item id, n) of each push."""
        return [
            (push.device, feed, read.item_id, read.n)
            for feed, push in self.pushes
            for read in [wire.decode(Notification, push.payload, bytes_max=NOTIFICATION_BYTES_MAX)]
        ]
