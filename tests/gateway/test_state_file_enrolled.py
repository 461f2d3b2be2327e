"""The devices of a state file, read while a gateway may use it."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.device import Device
from gateway.feed import StorageError
from gateway.feed_schema import STATE_VERSION
from gateway.state_file import SqliteStore, enrolled
from tests.gateway.sample_feeds import EPOCH, FEED, NOW

PHONE = Device("phone", "hash", b"12345678", (FEED,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


def add(store: SqliteStore, device: Device) -> None:
    with store.transaction() as transaction:
        if device.feeds:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        transaction.add_device(device, now=NOW)


def test_also_what_is_only_in_the_journal_of_a_gateway_that_runs(path: Path) -> None:
    store = SqliteStore(path)
    assert enrolled(path) == []
    add(store, PHONE)
    assert enrolled(path) == [PHONE]
    with store.transaction() as transaction:
        transaction.add_device(Device("tab", "hash", b"12345678", ()), now=NOW)
        # Not while it is being written.
        assert enrolled(path) == [PHONE]
    store.close()
    assert [device.id for device in enrolled(path)] == ["phone", "tab"]


def test_it_is_only_read(path: Path) -> None:
    store = SqliteStore(path)
    add(store, PHONE)
    store.close()
    before = path.read_bytes()
    enrolled(path)
    assert path.read_bytes() == before


def _set_version(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {STATE_VERSION + 1}")
    db.close()


def _damage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_set_version, "another version of the gateway"),
        (_empty, "another version of the gateway"),
        (_damage, "cannot be read or written"),
        (Path.unlink, "cannot be read or written"),
    ],
)
def test_what_cannot_be_read_is_told_of(
    path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    SqliteStore(path).close()
    spoil(path)
    with pytest.raises(StorageError, match=why):
        enrolled(path)
