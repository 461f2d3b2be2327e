"""A backup from before a quarantine, restored after it, brings the item to everybody (F7)."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device_agent.results import AnswerFate
from gateway import backup_sqlite
from gateway.feed import FeedStore
from gateway.feed_memory import MemoryFeedStore
from gateway.state_file import SqliteStore
from tests.gateway.damage import hold_back
from tests.gateway.devices import Device
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, open_epoch, put

EPOCH_2 = b"epoch--2"
Backup = Callable[[], FeedStore]


@pytest.fixture(params=["memory", "sqlite"])
def feeds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[FeedStore, Backup]]:
    """A store, and what makes a copy of it: the store that a restore would bring back."""
    with contextlib.ExitStack() as stack:

        def opened(path: Path) -> SqliteStore:
            return stack.enter_context(contextlib.closing(SqliteStore(path)))

        def copied() -> SqliteStore:
            backup_sqlite.copy(tmp_path / "state.sqlite3", tmp_path / "backup.sqlite3")
            return opened(tmp_path / "backup.sqlite3")

        memory = MemoryFeedStore()
        store: FeedStore = memory
        backup: Backup = lambda: copy.deepcopy(memory)  # noqa: E731
        if request.param == "sqlite":
            store, backup = opened(tmp_path / "state.sqlite3"), copied
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        change(store, *(put(f"item-{number}", b"%d" % number) for number in range(5)))
        yield store, backup


def restored(saved: FeedStore) -> FeedStore:
    """What a gateway serves that starts with a backup (F3)."""
    open_epoch(saved, EPOCH_2)
    return saved


def test_to_who_synced_while_it_was_held_back(feeds: tuple[FeedStore, Backup]) -> None:
    store, backup = feeds
    device = Device()
    device.sync_with(store)
    change(store, put("x", b"while the device is away"))
    saved = backup()
    hold_back(store, "x")
    assert device.sync_with(store) == [AnswerFate.TAKEN]
    assert "x" not in device.held
    fates = device.sync_with(restored(saved))
    assert fates == [AnswerFate.VOID, AnswerFate.TAKEN, AnswerFate.TAKEN]
    assert device.requests[-2].inventory, "compared, and nothing travels twice"
    assert device.held["x"] == b"while the device is away"
    assert not device.replica.needs_sync()


def test_to_who_was_pushed_past_it(feeds: tuple[FeedStore, Backup]) -> None:
    store, backup = feeds
    device = Device()
    device.sync_with(store)
    change(store, put("x", b"its push is lost"), put("y", b"pushed"))
    saved = backup()
    hold_back(store, "x")
    device.take_pushes(store, after=6)
    assert not device.replica.needs_sync(), "the push of y says that nothing is before it"
    assert "y" in device.held
    device.sync_with(restored(saved))
    assert device.held["x"] == b"its push is lost"
    assert not device.replica.needs_sync()


def test_to_who_took_an_inventory_while_it_was_held_back(feeds: tuple[FeedStore, Backup]) -> None:
    store, backup = feeds
    change(store, put("x", b"never heard of"))
    saved = backup()
    hold_back(store, "x")
    device = Device()
    device.sync_with(store)
    assert "x" not in device.held
    assert device.sync_with(restored(saved))[0] is AnswerFate.VOID
    assert device.held["x"] == b"never heard of"
    assert not device.replica.needs_sync()


def test_to_who_holds_it_nothing_is_sent_again(feeds: tuple[FeedStore, Backup]) -> None:
    store, backup = feeds
    change(store, put("x", b"held before"))
    device = Device()
    device.sync_with(store)
    saved = backup()
    hold_back(store, "x")
    device.sync_with(store)
    assert device.held["x"] == b"held before"
    before = device.content_bytes
    device.sync_with(restored(saved))
    assert device.held["x"] == b"held before"
    assert device.content_bytes == before
