"""A replica, and how tests talk to it."""

import itertools
from collections.abc import Callable

from device_agent.replica import Replica
from device_agent.results import AnswerFate, AnswerResult
from device_agent.store import HeldItem, ReplicaStore
from sync_protocol.messages import Answer, Remainder, Request
from sync_protocol.token_set import TokenSet
from sync_protocol.views import WHOLE_FEED, View
from tests.device_agent.builders import (
    BASE,
    compared,
    delta,
    digest,
)

VIEW_ID = 99
FIRST = 1 - BASE
ANSWER_BYTES_MAX = 50_000


class Device:
    """A replica and how tests talk to it."""

    def __init__(self, store: ReplicaStore, view: View = WHOLE_FEED) -> None:
        self.store = store
        self.ids = (number.to_bytes(8) for number in itertools.count(1))
        self._view_ids = itertools.count(VIEW_ID)
        self.start(view)

    def start(
        self,
        view: View = WHOLE_FEED,
        *,
        remainder_bytes_max: int | None = None,
        window: str | None = None,
    ) -> "Device":
        """Start, or start again; each new view has another id than all before."""
        self.replica = Replica(
            self.store,
            make_view_id=lambda: next(self._view_ids),
            view=view,
            remainder_bytes_max=remainder_bytes_max,
            window=window,
        )
        return self

    def ask(self) -> Request:
        return self.replica.request(next(self.ids), answer_bytes_max=ANSWER_BYTES_MAX)

    def sync(self, make_answer: Callable[[bytes], Answer]) -> AnswerResult:
        return self.replica.on_answer(make_answer(self.ask().id))

    def compared(self, head: int = 5, *, base: int = BASE) -> "Device":
        """With a collection, after an inventory of a feed without items that was at `head`."""
        answered = self.sync(lambda it: compared(it, head=head, base=base))
        assert answered.fate is AnswerFate.TAKEN
        return self

    def filled(self, head: int = 5) -> "Device":
        """Synced when the feed, without items, was at `head`."""
        self.compared(head)
        assert self.sync(lambda request: delta(request, head=head)).fate is AnswerFate.TAKEN
        return self

    def item(self, item_id: str) -> HeldItem:
        item = self.store.item(item_id)
        assert item is not None
        return item

    def content(self, item_id: str) -> bytes:
        return b"".join(self.store.content(item_id))

    @property
    def held(self) -> TokenSet:
        collection = self.replica.state.collection
        assert collection is not None
        return collection.held

    @property
    def asof(self) -> int:
        collection = self.replica.state.collection
        assert collection is not None
        return collection.asof


def remainder(item_id: str, content: bytes, offset: int, end: int | None = None) -> Remainder:
    return Remainder(id=item_id, digest=digest(content), offset=offset, content=content[offset:end])
