"""A gateway that answers requests, without a broker; its parts are in the reach of a test."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal
from unittest import mock

from gateway.counters import Counters
from gateway.device import Device
from gateway.device_limits import Bounds
from gateway.feed import PoisonError, StorageError
from gateway.feed_sqlite import SqliteTransaction
from gateway.inbox import Inbox, Waiting, WaitingFlood, WaitingRequest
from gateway.ledger import MemoryLedger
from gateway.limiting import Limiting
from gateway.quarantine import Suspects
from gateway.registry import Registry
from gateway.rendering import Rendering
from gateway.responder import AnswerLimits
from gateway.responding import Responding
from gateway.snapshot_sqlite import SqliteSnapshot
from gateway.state_file import SqliteStore
from sync_protocol.topics import Topics
from tests.gateway.asking import GENERATION, REQUEST_ID
from tests.gateway.damage import hold_back
from tests.gateway.outboxes import Answered, Outbox
from tests.gateway.renderers import HalvingSandbox, rendering_of
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, put

UNLIMITED = Bounds(requests_per_minute_max=10**6, bytes_per_hour_max=10**12, work_share_max=1.0)


class BreakingStore(SqliteStore):
    """A store that fails once when it is `broken`, or its file is `damaged`."""

    broken = False
    damaged = False

    @contextlib.contextmanager
    def snapshot(self, feed: str) -> Iterator[SqliteSnapshot]:
        if self.broken:
            self.broken = False
            raise sqlite3.OperationalError("disk I/O error in the secret part")
        with super().snapshot(feed) as snapshot:
            if self.damaged:
                self.damaged = False
                raise sqlite3.DatabaseError("the secret part is malformed")
            yield snapshot


class OneByOne(Inbox):
    """An inbox in which nothing replaces anything: who puts waits until it was worked off."""

    def __init__(self) -> None:
        super().__init__()
        self._worked_off = threading.Semaphore(0)
        self._is_working = False

    def put_status(self, device: str, payload: bytes) -> bool:
        is_in = super().put_status(device, payload)
        assert self._worked_off.acquire(timeout=60)
        return is_in

    def put_request(self, request: WaitingRequest) -> Literal["taken", "replaced", "full"]:
        outcome = super().put_request(request)
        assert self._worked_off.acquire(timeout=60)
        return outcome

    def put_flood(self, flood: WaitingFlood) -> None:
        super().put_flood(flood)
        assert self._worked_off.acquire(timeout=60)

    def take(self) -> Waiting | None:
        if self._is_working:
            self._worked_off.release()
        waiting = super().take()
        self._is_working = waiting is not None
        return waiting


@dataclass
class Gateway:
    """A store with two feeds, of which phone may hold one, and all that answers."""

    store: BreakingStore
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    registry: Registry = field(default_factory=Registry)
    outbox: Outbox = field(default_factory=Outbox)
    counters: Counters = field(default_factory=Counters)
    suspects: Suspects = field(default_factory=Suspects)
    now_s: float = 0.0
    unreadable: list[str] = field(default_factory=list)
    sandbox: HalvingSandbox = field(default_factory=HalvingSandbox)
    rendering: Rendering = field(init=False)
    limits: Bounds = UNLIMITED
    floods: list[tuple[str, float]] = field(default_factory=list)
    work_s: float = 0.0  # that each request seems to take

    def __post_init__(self) -> None:
        self.rendering = rendering_of(
            self.store, write=self.write, sandbox=self.sandbox, counters=self.counters
        )
        with self.store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
            transaction.add_feed("private", epoch_id=EPOCH, now=NOW)
            transaction.add_device(Device("phone", "", GENERATION, (FEED,)), now=NOW)
        change(self.store, put("ada"), put("bob"))

    def responding(self) -> Responding:
        return Responding(
            store=self.store,
            ledger=self.ledger,
            registry=self.registry,
            outbound=self.outbox,
            topic_names=Topics(),
            bounds=AnswerLimits(),
            counters=self.counters,
            unix_time=lambda: 1234.5,
            on_poison=self.poisoned,
            on_unreadable=self.cannot_read,
            rendering=self.rendering,
            limiting=Limiting(self.limits, monotonic=self.monotonic),
            on_flood=lambda device, seconds: self.floods.append((device, seconds)),
        )

    def monotonic(self) -> float:
        """What the responder's clock says: it goes on with each request, and only then."""
        return len(self.outbox.answers) * self.work_s

    def write(self, work: Callable[[SqliteTransaction], object]) -> object:
        """What the service does."""
        with self.store.transaction() as transaction:
            return work(transaction)

    def poisoned(self, feed: str, poison: PoisonError) -> bool:
        """What the service does."""
        assert feed == FEED
        if not self.suspects.again(feed, poison, now=self.now_s):
            return False
        hold_back(self.store, poison.item_id, why=poison.why)
        return True

    def cannot_read(self, error: StorageError) -> None:
        """What the service does."""
        self.unreadable.append(str(error))

    def take(self, *taken: tuple[str, bytes]) -> list[Answered]:
        """What messages lead to, each of them worked off before the next comes."""
        before = len(self.outbox.answers)
        with mock.patch("gateway.responding.Inbox", OneByOne):
            responding = self.responding()
        responding.start()
        for topic, payload in taken:
            responding.take(topic, payload)
        responding.close()
        return self.outbox.answers[before:]

    def counts(self, *names: str) -> list[int]:
        return [self.counters.read().get(name, 0) for name in names]


def refusal(answered: Answered) -> tuple[str, str]:
    """Reason and message."""
    refused = answered.answer.refused
    assert refused is not None
    assert answered.answer.id == REQUEST_ID
    return refused.reason, refused.message
