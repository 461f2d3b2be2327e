"""A device whose every word a test chooses."""

import os
from types import TracebackType
from typing import Any, Self

from sync_protocol import limits, messages, wire
from sync_protocol.messages import Answer, Collection, Compared, Notification, Range, Request
from sync_protocol.token_set import TokenSet
from sync_protocol.tokens import oldest
from sync_protocol.wire import Format
from tests.abuse.worlds import ABUSER, FEED, Door
from tests.gateway.mqtt_probe import Heard

P = "sync/v1"


class Liar:
    """Logs in as a device, and asks the gateway what it likes.

    `pushes` and `others` are what came besides the answers that were waited for: notifications,
    and answers that nobody waited for.
    """

    pushes: list[Heard]
    others: list[Heard]

    def __init__(self, door: Door, device: str = ABUSER, *, feed: str = FEED) -> None:
        self._own = f"{P}/{device}"
        self._feed = feed
        self._view_id = int.from_bytes(os.urandom(4), "big")
        self.probe = door.probe(device)
        self.pushes = []
        self.others = []

    def __enter__(self) -> Self:
        self.probe.__enter__()
        own = f"{self._own}/{self._feed}"
        assert self.probe.subscribe(f"{own}/response", f"{own}/notify") == [1, 1]
        self.say_status(b"online")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.probe.__exit__(kind, error, traceback)

    def say_status(self, payload: bytes) -> None:
        """On its own status."""
        self.probe.publish(f"{self._own}/status", payload, retain=True)

    def send(self, payload: bytes, *, feed: str | None = None, retain: bool = False) -> None:
        """On its own requests."""
        self.probe.publish(f"{self._own}/{feed or self._feed}/request", payload, retain=retain)

    def request(self, **fields: Any) -> Request:  # noqa: ANN401 - of a request
        """A request; without a collection, an inventory of a device that holds nothing."""
        if "collection" not in fields:
            fields.setdefault("inventory", (Range(entries=b""),))
        fields.setdefault("view_id", self._view_id)
        return Request(v=messages.VERSION, id=os.urandom(messages.REQUEST_ID_BYTES), **fields)

    def ask(self, request: Request | None = None, **fields: Any) -> Answer:  # noqa: ANN401 - as above
        """The answer to a request."""
        request = request or self.request(**fields)
        return self.answer(wire.encode(request, Format.CBOR), request.id)

    def answer(self, payload: bytes, request_id: bytes, *, retain: bool = False) -> Answer:
        """The answer of that id to `payload`."""
        self.send(payload, retain=retain)
        while True:
            heard = self.probe.hear()
            if heard.topic.endswith("/notify"):
                self.pushes.append(heard)
                continue
            answer = wire.decode(Answer, heard.payload, bytes_max=limits.ANSWER_BYTES_MAX)
            if answer.id == request_id:
                return answer
            self.others.append(heard)

    def compared(self, **fields: Any) -> Compared:  # noqa: ANN401 - as above
        """What an inventory comes to; of who holds nothing, unless `fields` say otherwise."""
        compared = self.ask(**fields).inventory
        assert compared is not None
        return compared

    def pushed(self) -> Notification:
        """The next push."""
        while not self.pushes:
            heard = self.probe.hear()
            (self.pushes if heard.topic.endswith("/notify") else self.others).append(heard)
        payload = self.pushes.pop(0).payload
        return wire.decode(Notification, payload, bytes_max=limits.NOTIFICATION_BYTES_MAX)


def collected(compared: Compared, **changes: Any) -> Collection:  # noqa: ANN401 - of a collection
    """The collection that an honest device would make of an inventory's answer, and `changes`."""
    held = TokenSet.span(oldest(compared.base), compared.head) - TokenSet.decode(compared.missing)
    fields: dict[str, Any] = {
        "lineage": compared.lineage,
        "epoch": compared.epoch,
        "asof": compared.head,
        "p0": compared.p0,
        "tokens": held.encode(),
    }
    return Collection(**(fields | changes))
