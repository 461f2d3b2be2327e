"""The notifier's thread: a cursor for each feed, moved after commits (docs/protocol.md, P1)."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.counters import Counters
from gateway.device import Device
from gateway.ledger import Record
from gateway.limiting import Limiting
from gateway.notifier import Push
from gateway.notifying import Notifying
from gateway.registry import Registry
from gateway.rows import Delete, Mutation
from gateway.snapshot_sqlite import SqliteSnapshot
from gateway.state_file import SqliteStore
from sync_protocol import wire
from sync_protocol.messages import Notification
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.eventually import PATIENCE_S, eventually
from tests.gateway.answering import UNLIMITED
from tests.gateway.damage import flip_byte, lose_content
from tests.gateway.outboxes import Outbox
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, put


class BreakingStore(SqliteStore):
    """A store of which the next few reads fail."""

    failures = 0

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("disk I/O error")

    def feeds(self) -> Sequence[str]:
        self._fail()
        return super().feeds()

    @contextlib.contextmanager
    def snapshot(self, feed: str) -> Iterator[SqliteSnapshot]:
        self._fail()
        with super().snapshot(feed) as snapshot:
            yield snapshot


class WatchedOutbox(Outbox):
    """An outbox of which one can wait for the push of an item."""

    def __init__(self) -> None:
        super().__init__()
        self._news = threading.Condition()

    def push(self, feed: str, push: Push) -> bool:
        with self._news:
            self._news.notify_all()
            return super().push(feed, push)

    def wait_for(self, item_id: str) -> None:
        with self._news:
            assert self._news.wait_for(
                lambda: any(push.item_id == item_id for _, push in self.pushes), PATIENCE_S
            )


class Gateway:
    """A store with a feed, an online device that is known, and the notifier."""

    def __init__(self, store: BreakingStore) -> None:
        self.store = store
        self.registry = Registry()
        self.outbox = WatchedOutbox()
        self.counters = Counters()
        self.poisons: list[tuple[str, str]] = []
        self.limits = UNLIMITED
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        self.know("phone")
        self.registry.came_online("phone", 1.0)

    def know(self, device: str, feed: str = FEED) -> None:
        record = Record(b"one-time", 0, 7, Format.CBOR, EPOCH, TokenSet(), 5)
        self.registry.synced(device, feed, record)

    def notifying(self) -> Notifying:
        return Notifying(
            store=self.store,
            registry=self.registry,
            outbound=self.outbox,
            counters=self.counters,
            notification_content_bytes_max=100,
            on_poison=lambda feed, poison: self.poisons.append((feed, poison.item_id)),
            limiting=Limiting(self.limits, monotonic=lambda: 0.0),
        )

    @contextlib.contextmanager
    def started(self) -> Iterator[Notifying]:
        """A notifier that has published all that was committed when the `with` is left."""
        notifying = self.notifying()
        notifying.start()
        try:
            yield notifying
        finally:
            notifying.close()

    def errors(self) -> int:
        return self.counters.read().get("errors in a handler", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
def gateway(path: Path) -> Iterator[Gateway]:
    store = BreakingStore(path)
    yield Gateway(store)
    store.close()


def commit(gateway: Gateway, notifying: Notifying, *mutations: Mutation) -> None:
    change(gateway.store, *mutations)
    notifying.committed()


def test_what_is_committed_is_pushed_in_order(gateway: Gateway) -> None:
    with gateway.started() as notifying:
        commit(gateway, notifying, put("ada"), put("bob"))
        commit(gateway, notifying, Delete("ada"), put("cyd"))
        gateway.outbox.wait_for("cyd")
    pushed = [(item_id, n) for _, _, item_id, n in gateway.outbox.notifications()]
    assert pushed in (
        [("bob", 2), ("ada", 3), ("cyd", 4)],  # both commits at one look
        [("ada", 1), ("bob", 2), ("ada", 3), ("cyd", 4)],
    )
    assert notifying.cursors() == {FEED: 4}


def test_g8_pushes_to_who_was_sent_too_much_are_withheld(gateway: Gateway) -> None:
    gateway.limits = replace(gateway.limits, bytes_per_hour_max=10)
    with gateway.started() as notifying:
        commit(gateway, notifying, put("ada"))
        gateway.outbox.wait_for("ada")
        gateway.know("tablet")
        gateway.registry.came_online("tablet", 1.0)
        commit(gateway, notifying, put("bob"))
    pushed = [(device, item_id) for device, _, item_id, _ in gateway.outbox.notifications()]
    assert pushed == [("phone", "ada"), ("tablet", "bob")]
    assert gateway.counters.read()["pushes withheld, too many bytes"] == 1


def test_closing_publishes_what_was_committed(gateway: Gateway) -> None:
    with gateway.started() as notifying:
        commit(gateway, notifying, put("ada"))
    assert gateway.outbox.notifications() == [("phone", FEED, "ada", 1)]


def test_what_is_older_than_the_start_is_not_pushed(gateway: Gateway) -> None:
    change(gateway.store, put("old"))
    with gateway.started() as notifying:
        commit(gateway, notifying, put("new"))
    assert gateway.outbox.notifications() == [("phone", FEED, "new", 2)]


def test_nothing_is_pushed_twice(gateway: Gateway) -> None:
    with gateway.started() as notifying:
        commit(gateway, notifying, put("ada"))
        gateway.outbox.wait_for("ada")
        notifying.committed()
        commit(gateway, notifying, put("bob"))
        gateway.outbox.wait_for("bob")
        notifying.committed()
    assert [item_id for _, _, item_id, _ in gateway.outbox.notifications()] == ["ada", "bob"]


def test_many_commits_between_two_looks_are_one(gateway: Gateway) -> None:
    notifying = gateway.notifying()
    notifying.start()
    for number in range(50):
        change(gateway.store, put("ada", b"%d" % number))
    notifying.committed()
    notifying.close()
    assert gateway.outbox.notifications() == [("phone", FEED, "ada", 50)]


def test_only_who_is_online_and_known_is_pushed_to(gateway: Gateway) -> None:
    gateway.know("away")
    gateway.registry.came_online("new", 1.0)
    with gateway.started() as notifying:
        commit(gateway, notifying, put("ada"))
        gateway.outbox.wait_for("ada")
        gateway.registry.went_offline("phone")
        commit(gateway, notifying, put("bob"))
    assert gateway.outbox.notifications() == [("phone", FEED, "ada", 1)]
    assert notifying.cursors() == {FEED: 2}  # whoever comes back gets bob by a sync


def test_each_feed_has_a_cursor(gateway: Gateway) -> None:
    with gateway.started() as notifying:
        with gateway.store.transaction() as transaction:
            transaction.add_feed("mail", epoch_id=EPOCH, now=NOW)
            transaction.apply("mail", put("hello"), now=NOW)
        gateway.know("phone", "mail")
        commit(gateway, notifying, put("ada"))
    assert sorted(gateway.outbox.notifications()) == [
        ("phone", FEED, "ada", 1),
        ("phone", "mail", "hello", 1),
    ]
    assert notifying.cursors() == {FEED: 1, "mail": 1}


def test_a_feed_that_was_removed_is_forgotten(gateway: Gateway) -> None:
    with gateway.started() as notifying:
        commit(gateway, notifying, put("ada"))
        gateway.outbox.wait_for("ada")
        with gateway.store.transaction() as transaction:
            transaction.remove_feed(FEED)
        notifying.committed()
    assert notifying.cursors() == {}
    assert gateway.errors() == 0


def _break_outbox(gateway: Gateway) -> None:
    gateway.outbox.broken = True


def _break_store(failures: int) -> Callable[[Gateway], None]:
    def breaking(gateway: Gateway) -> None:
        gateway.store.failures = failures

    return breaking


@pytest.mark.parametrize(
    ("breaking", "errors", "pushed"),
    [
        (_break_outbox, 1, ["bob"]),
        (_break_store(1), 1, ["ada", "bob"]),  # the feeds: looked at again at the next commit
    ],
    ids=["outbound", "store"],
)
def test_a_failure_is_counted_and_survived(
    gateway: Gateway, breaking: Callable[[Gateway], None], errors: int, pushed: list[str]
) -> None:
    first = gateway.notifying()
    first.start()
    breaking(gateway)
    commit(gateway, first, put("ada"))
    assert eventually(lambda: gateway.errors() == errors)
    commit(gateway, first, put("bob"))
    first.close()
    assert [item_id for _, _, item_id, _ in gateway.outbox.notifications()] == pushed
    assert gateway.errors() == errors
    assert first.cursors() == {FEED: 2}


def test_what_failed_once_is_left_to_the_syncs(gateway: Gateway) -> None:
    with gateway.started() as notifying:
        gateway.outbox.broken = True
        commit(gateway, notifying, put("poison"))
        assert eventually(lambda: gateway.errors() == 1)
        commit(gateway, notifying, put("bob"))
    assert gateway.outbox.notifications() == [("phone", FEED, "bob", 2)]


def test_a_store_that_stays_broken_does_not_end_the_notifier(gateway: Gateway) -> None:
    with gateway.started() as notifying:
        counted = 0
        for failures in (1, 2, 3):
            gateway.store.failures = failures
            commit(gateway, notifying, put("ada", b"%d" % failures))
            counted += failures
            while gateway.store.failures:
                notifying.committed()
            assert eventually(partial(_counted, gateway, counted))
        gateway.store.failures = 0
        commit(gateway, notifying, put("bob"))
        gateway.outbox.wait_for("bob")


def test_the_others_go_on_after_an_item_that_breaks(gateway: Gateway, path: Path) -> None:
    gateway.know("tablet")
    gateway.registry.came_online("tablet", 1.0)
    with gateway.started() as notifying:
        change(gateway.store, *(put(it) for it in ("ada", "lost", "bob", "flipped", "cyd")))
        lose_content(path, "lost")
        flip_byte(path, "flipped")
        notifying.committed()
    for device in ("phone", "tablet"):
        pushed = [n for who, _, _, n in gateway.outbox.notifications() if who == device]
        assert pushed == [1, 3, 5]
    assert gateway.poisons == [(FEED, "lost"), (FEED, "flipped")]
    assert notifying.cursors() == {FEED: 5}
    assert gateway.errors() == 0


def test_the_newest_item_breaks(gateway: Gateway, path: Path) -> None:
    with gateway.started() as notifying:
        change(gateway.store, put("ada"), put("lost"))
        lose_content(path, "lost")
        notifying.committed()
        gateway.outbox.wait_for("ada")
        assert eventually(lambda: gateway.poisons)
        commit(gateway, notifying, put("bob"))
    assert [it for _, _, it, _ in gateway.outbox.notifications()] == ["ada", "bob"]
    assert gateway.poisons == [(FEED, "lost")]  # once: the cursor is past it


def enrol(gateway: Gateway, *feeds: str) -> None:
    """Let the phone hold these feeds, the first of which is there already."""
    with gateway.store.transaction() as transaction:
        for feed in (*feeds[1:], "others"):
            transaction.add_feed(feed, epoch_id=EPOCH, now=NOW)
        transaction.add_device(Device("phone", "", b"one-time", feeds), now=NOW)


def lineages(gateway: Gateway) -> list[tuple[str, int]]:
    """The feeds of what was pushed to the phone, and the lineages."""
    return [
        (feed, wire.decode(Notification, push.payload, bytes_max=1_000).lineage)
        for feed, push in gateway.outbox.pushes
        if push.device == "phone"
    ]


def test_a_device_is_reminded_in_all_its_feeds_known_or_not(gateway: Gateway) -> None:
    enrol(gateway, FEED, "mail", "never")
    gateway.know("phone", "mail")
    change(gateway.store, put("ada"))
    notifying = gateway.notifying()
    notifying.remind("phone")
    assert [feed for feed, _ in lineages(gateway)] == [FEED, "mail", "never"]
    # Nobody's lineage: it is another one each time.
    assert len({lineage for _, lineage in lineages(gateway)}) == 3
    gateway.registry.went_offline("phone")
    notifying.remind("phone")
    notifying.remind("stranger")
    assert len(gateway.outbox.pushes) == 3


def test_who_is_to_ask_first_is_reminded_with_each_change_until_it_does(gateway: Gateway) -> None:
    enrol(gateway, FEED)
    with gateway.started() as notifying:
        gateway.registry.let_be("phone", b"the new!")
        for number in (1, 2):  # a reminder may be lost
            commit(gateway, notifying, put(f"item-{number}"))
            assert eventually(lambda number=number: len(gateway.outbox.pushes) == number)  # type: ignore[misc]
        record = Record(b"the new!", 0, 7, Format.CBOR, EPOCH, TokenSet(), 5)
        gateway.registry.synced("phone", FEED, record)
        commit(gateway, notifying, put("ada"))
        gateway.outbox.wait_for("ada")
    assert [push.item_id for _, push in gateway.outbox.pushes] == ["-", "-", "ada"]


def _counted(gateway: Gateway, errors: int) -> bool:
    return gateway.errors() == errors


def test_closing_without_a_start_is_no_error(gateway: Gateway) -> None:
    gateway.notifying().close()


class InterruptedOutbox(WatchedOutbox):
    """An outbox that has something done at its first push."""

    def __init__(self, at_first: Callable[[], None]) -> None:
        super().__init__()
        self._at_first = at_first

    def push(self, feed: str, push: Push) -> bool:
        if not self.pushes:
            self._at_first()
        return super().push(feed, push)


def test_v5_what_is_being_pushed_to_a_device_stops_once_it_is_let_be(gateway: Gateway) -> None:
    started: list[Notifying] = []

    def limited() -> None:
        gateway.registry.let_be("phone", b"the new!")
        started[0].let_be("phone")

    gateway.know("tablet")
    gateway.registry.came_online("tablet", 1.0)
    gateway.outbox = InterruptedOutbox(limited)
    notifying = gateway.notifying()
    started.append(notifying)
    notifying.start()
    change(gateway.store, put("ada"), put("bob"), put("cyd"))
    notifying.committed()
    gateway.outbox.wait_for("cyd")
    notifying.close()
    pushed = [(push.device, push.item_id) for _, push in gateway.outbox.pushes]
    assert pushed == [("phone", "ada"), *(("tablet", it) for it in ("ada", "bob", "cyd"))]
