"""A real device that asks a store, without a broker."""

import itertools

from device_agent.feed_sync import FeedSync, SyncDone
from device_agent.replica import Replica
from device_agent.results import AnswerFate
from device_agent.schedule import Waits
from device_agent.store_memory import MemoryReplicaStore
from gateway.feed import FeedStore
from gateway.notifier import Target, pushes
from gateway.responder import respond
from sync_protocol import limits, wire
from sync_protocol.messages import Notification, Request
from sync_protocol.wire import Format
from tests.gateway.asking import BOUNDS, GENERATION, VIEW_ID
from tests.gateway.sample_feeds import FEED

WAITS = Waits(debounce_s=0.2, period_s=900, request_timeout_s=10, backoff_s=1, backoff_s_max=60)
REQUESTS_MAX = 50


class Device:
    """One replica with its timetable, against a clock of its own."""

    def __init__(self, *, answer_bytes_max: int = limits.ANSWER_BYTES_MIN) -> None:
        numbers = itertools.count(1)
        self.store = MemoryReplicaStore()
        self.replica = Replica(self.store, make_view_id=lambda: VIEW_ID)
        self.sync = FeedSync(
            FEED,
            self.replica,
            waits=WAITS,
            chance=lambda: 1.0,
            request_id=lambda: next(numbers).to_bytes(8),
            answer_bytes_max=answer_bytes_max,
        )
        self.now = 0.0
        self.fates: list[AnswerFate] = []
        self.requests: list[Request] = []
        self.content_bytes = 0

    def ask(self, feeds: FeedStore) -> SyncDone | None:
        """Send what is due next, and take its answer; what that ended."""
        assert self.sync.next_timer is not None
        self.now = max(self.now, self.sync.next_timer)
        request = self.sync.on_timer(self.now)
        assert isinstance(request, Request)
        self.requests.append(request)
        with feeds.snapshot(FEED) as snapshot:
            response = respond(
                request,
                snapshot,
                view=request.view,
                generation=GENERATION,
                form=Format.CBOR,
                bounds=BOUNDS,
            )
        result, done = self.sync.on_answer(self.now, response.answer)
        self.fates.append(result.fate)
        if response.answer.delta is not None:
            puts = [it.put for it in response.answer.delta.changes if it.put is not None]
            self.content_bytes += sum(len(it.content or b"") for it in puts)
            self.content_bytes += sum(len(it.content) for it in response.answer.delta.remainders)
        return done

    def sync_with(self, feeds: FeedStore) -> list[AnswerFate]:
        """Sync at once, and ask until all is here; what became of the answers."""
        before = len(self.fates)
        self.sync.ask_now(self.now)
        while self.ask(feeds) is None:
            assert len(self.fates) - before < REQUESTS_MAX, "the sync does not end"
        return self.fates[before:]

    def take_pushes(self, feeds: FeedStore, *, after: int) -> None:
        """Be pushed what came after the seq `after`."""
        base = self.replica.state.base
        assert base is not None
        target = Target("phone", GENERATION, base, VIEW_ID, Format.CBOR)
        with feeds.snapshot(FEED) as snapshot:
            made = list(
                pushes(snapshot, cursor=after, targets=[target], notification_content_bytes_max=100)
            )
        for push in made:
            read = wire.decode(Notification, push.payload, bytes_max=limits.NOTIFICATION_BYTES_MAX)
            self.sync.on_push(self.now, read)

    @property
    def held(self) -> dict[str, bytes]:
        """The bytes held of each item."""
        return {it.id: b"".join(self.store.content(it.id)) for it in self.store.items()}
