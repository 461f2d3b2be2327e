"""An observer who notes what a device took, and whether any of it came again."""

from collections import Counter

from device_agent.results import AnswerFate, AnswerResult, PushResult
from sync_protocol.messages import Answer, Notification, Put, Request

Taken = frozenset[tuple[str, int]]


class Witness:
    """Sees all traffic of one device, over its restarts. Called in the agent's thread."""

    def __init__(self) -> None:
        self.resent: list[str] = []
        self.counts: Counter[str] = Counter()
        self._base: int | None = None
        self._taken: set[tuple[str, int]] = set()
        self._contents: dict[str, bytes] = {}
        # For each request, what the device held when it asked.
        self._asked: dict[bytes, tuple[Taken, dict[str, bytes]]] = {}

    def push_came(self, feed: str, push: Notification, payload: bytes, result: PushResult) -> None:
        """See `Observer`."""
        del feed, payload
        self.counts[f"pushes {result}"] += 1
        if result in {PushResult.STORED, PushResult.GAP} and self._base is not None:
            self._take(push.item_id, push.n + self._base, push.put)

    def asked(self, feed: str, request: Request, payload: bytes) -> None:
        """See `Observer`."""
        del feed, payload
        self._asked[request.id] = (frozenset(self._taken), dict(self._contents))

    def answer_came(self, feed: str, answer: Answer, payload: bytes, result: AnswerResult) -> None:
        """See `Observer`."""
        del feed, payload
        self.counts[f"answers {result.fate}"] += 1
        if result.fate is not AnswerFate.TAKEN or answer.delta is None:
            return
        self._base = answer.delta.base
        taken, contents = self._asked[answer.id]
        for change in answer.delta.changes:
            seq = change.n + self._base
            if (change.item_id, seq) in taken:
                self.resent.append(f"change {seq} of {change.item_id}")
            put = change.put
            if put is not None and put.content and contents.get(put.id) == put.digest:
                self.resent.append(f"content of {put.id}, with change {seq}")
            self._take(change.item_id, seq, put)

    def _take(self, item_id: str, seq: int, put: Put | None) -> None:
        self._taken.add((item_id, seq))
        if put is None:
            self._contents.pop(item_id, None)
        elif put.content:
            self._contents[item_id] = put.digest
        elif self._contents.get(item_id) != put.digest:
            self._contents.pop(item_id, None)
