"""What the SQLite store adds to the contract: files, threads, kills, full disks and devices."""

import contextlib
import hashlib
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.device import Allowed, Device, DeviceError, NoSuchDeviceError
from gateway.feed import FeedError, FeedRepresentation, NoSuchFeedError, StorageError, feed_items
from gateway.feed_schema import STATE_VERSION
from gateway.rows import Delete
from gateway.state_file import SqliteStore
from tests.gateway.damage import break_page
from tests.gateway.killed import kill_while_writing, write_items
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, changed, contents, head, put

KILLS = 25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    with store.transaction() as transaction:
        transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
    yield store
    store.close()


def check_whole(store: SqliteStore) -> None:
    """The head is that of the newest row, and every content has the digest of its row."""
    with store.snapshot(FEED) as snapshot:
        rows = list(snapshot.rows(1, snapshot.head + 100))
        assert rows[-1].seq == snapshot.head
        assert snapshot.item_count == len(list(feed_items(snapshot)))
        for item_id, content in contents(snapshot).items():
            row = snapshot.row(item_id)
            assert row is not None
            assert hashlib.sha256(content).digest() == row.digest


# The file


@pytest.mark.usefixtures("store")
def test_only_the_owner_reads_the_files(path: Path) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert path.name in modes
    assert set(modes.values()) == {0o600}


def test_what_was_committed_is_there_after_a_restart(store: SqliteStore, path: Path) -> None:
    change(store, put("ada", b"one", folder="Work"), put("bob"), Delete("bob"))
    store.close()
    again = SqliteStore(path)
    with again.snapshot(FEED) as snapshot:
        assert contents(snapshot) == {"ada": b"one"}
        assert (snapshot.head, snapshot.newest_epoch().id) == (3, EPOCH)
    again.close()


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"not a database " * (len(data) // 15),
        _cut,
        lambda data: data[:100],
        lambda data: bytes(4096) + data[4096:],
        lambda data: data[:100] + b"\xff" * 3996 + data[4096:],
    ],
    ids=["another file", "cut in half", "cut to the head", "no head", "no schema"],
)
def test_a_damaged_file_is_refused(
    store: SqliteStore, path: Path, damage: Callable[[bytes], bytes]
) -> None:
    change(store, *(put(f"item-{number}") for number in range(100)))
    store.close()
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(FeedError, match=rf"{path.name} is not .* damaged .*put a backup"):
        SqliteStore(path)
    assert path.read_bytes() == damaged  # nobody made it an empty one


@pytest.mark.parametrize(
    ("version", "cure"),
    [(STATE_VERSION + 1, "upgrade"), (STATE_VERSION - 1, "export .* import .* add its devices")],
)
def test_a_file_of_another_version_is_refused(
    store: SqliteStore, path: Path, version: int, cure: str
) -> None:
    store.close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with pytest.raises(FeedError, match=rf"another version of the gateway .*: {cure}"):
        SqliteStore(path)


def test_killed_at_any_moment_it_keeps_whole_transactions(store: SqliteStore, path: Path) -> None:
    changed(store, put("item-0"))
    store.close()
    for kill in range(KILLS):
        durable = kill_while_writing(write_items, path, seed=kill)
        store = SqliteStore(path)
        assert head(store) >= durable, f"kill {kill}"
        check_whole(store)
        store.close()


class SmallDisk(SqliteStore):
    """A store whose disk is full soon."""

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        db.execute("PRAGMA max_page_count = 100")
        return db


def _fill(store: SqliteStore) -> None:
    for number in range(100):
        change(store, put(f"item-{number}", bytes(20_000)))


def test_a_full_disk_refuses_the_change_and_keeps_the_last_state(path: Path) -> None:
    store = SmallDisk(path)
    with store.transaction() as transaction:
        transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
    with pytest.raises(StorageError, match="full"):
        _fill(store)
    stored = head(store)
    assert stored > 2
    check_whole(store)
    store.close()

    store = SmallDisk(path)
    assert head(store) == stored
    change(store, Delete("item-0"), Delete("item-1"))
    changed(store, put("small"))  # there is room again
    check_whole(store)
    store.close()


# Threads


def test_a_snapshot_stays_as_it_was_while_a_writer_commits(store: SqliteStore) -> None:
    change(store, put("ada", b"one"), put("bob"))
    with store.snapshot(FEED) as snapshot:
        with ThreadPoolExecutor(1) as writer:
            writer.submit(change, store, put("ada", b"two"), Delete("bob"), put("cyd")).result()
            # A snapshot taken now, in another thread, sees what was committed.
            assert writer.submit(head, store).result() == 5
        assert snapshot.head == 2
        assert contents(snapshot) == {"ada": b"one", "bob": b"BEGIN:VCARD"}
        assert [row.seq for row in snapshot.rows(1, 9)] == [1, 2]
        assert [row.seq for row in snapshot.rows(1, 9, newest_first=True)] == [2, 1]
        assert snapshot.item_count == 2
    with store.snapshot(FEED) as snapshot:
        assert contents(snapshot) == {"ada": b"two", "cyd": b"BEGIN:VCARD"}


def test_a_transaction_under_way_is_seen_by_nobody(store: SqliteStore) -> None:
    with store.transaction() as transaction:
        transaction.apply(FEED, put(), now=NOW)
        assert head(store) == 0
    assert head(store) == 1


def test_each_thread_has_its_own_snapshot(store: SqliteStore) -> None:
    threads = 4
    meet = threading.Barrier(threads + 1, timeout=10)

    def look() -> tuple[int, int]:
        with store.snapshot(FEED) as snapshot:
            before = snapshot.head
            meet.wait()  # all have one
            meet.wait()  # a change was committed
            assert [row.seq for row in snapshot.rows(1, 99)] == [before]
        return before, head(store)

    changed(store, put("ada"))
    with ThreadPoolExecutor(threads) as pool:
        looks = [pool.submit(look) for _ in range(threads)]
        meet.wait()
        changed(store, put("bob"))
        meet.wait()
        assert [look.result() for look in looks] == [(1, 2)] * threads


def test_readers_cannot_write(store: SqliteStore) -> None:
    with store.snapshot(FEED) as snapshot, pytest.raises(AttributeError):
        snapshot.apply(FEED, put(), now=NOW)  # type: ignore[attr-defined]  # there is no such thing


# Devices


def _device(device_id: str, *feeds: str, generation: bytes = b"11111111") -> Device:
    return Device(device_id, f"hash of {device_id}", generation, feeds)


def _enrol(store: SqliteStore, *devices: Device) -> None:
    with store.transaction() as transaction:
        for device in devices:
            transaction.add_device(device, now=NOW)


@pytest.fixture
def _more_feeds(store: SqliteStore) -> None:
    with store.transaction() as transaction:
        for name in ("mail", "work"):
            transaction.add_feed(name, epoch_id=EPOCH, now=NOW)


@pytest.mark.usefixtures("_more_feeds")
def test_devices_and_the_feeds_they_may_hold(store: SqliteStore) -> None:
    tablet, phone = _device("tablet", "mail"), _device("phone", FEED, "work")
    _enrol(store, tablet, phone, _device("watch"))
    assert store.devices() == [phone, tablet, _device("watch")]
    assert store.device("phone") == phone
    assert store.device("watch") == _device("watch")
    assert store.device("eve") is None


@pytest.mark.usefixtures("_more_feeds")
def test_a_removed_feed_is_held_by_nobody(store: SqliteStore) -> None:
    _enrol(store, _device("phone", FEED, "mail"))
    with store.transaction() as transaction:
        transaction.remove_feed(FEED)
    assert store.device("phone") == _device("phone", "mail")
    with store.transaction() as transaction:
        transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
    assert store.device("phone") == _device("phone", "mail")  # another feed of that name


def test_a_removed_device_leaves_nothing_to_one_of_its_name(store: SqliteStore) -> None:
    _enrol(store, _device("phone", FEED))
    with store.transaction() as transaction:
        transaction.remove_device("phone")
    assert store.device("phone") is None
    _enrol(store, _device("phone", generation=b"22222222"))
    assert store.devices() == [_device("phone", generation=b"22222222")]


def test_a_device_id_is_taken_once(store: SqliteStore) -> None:
    _enrol(store, _device("phone", FEED))
    with pytest.raises(DeviceError, match="gateway device remove phone"):
        _enrol(store, _device("tablet"), _device("phone"))
    assert store.devices() == [_device("phone", FEED)]


def test_no_device_of_a_feed_that_is_not_there(store: SqliteStore) -> None:
    with pytest.raises(NoSuchFeedError):
        _enrol(store, _device("phone", FEED, "none"))
    assert store.devices() == []


def test_no_removal_of_a_device_that_is_not_there(store: SqliteStore) -> None:
    with pytest.raises(NoSuchDeviceError, match="gateway device list"), store.transaction() as it:
        it.remove_device("phone")


def test_a_new_generation_changes_nothing_else(store: SqliteStore) -> None:
    _enrol(store, _device("phone", FEED), _device("tablet", FEED))
    with store.transaction() as transaction:
        transaction.set_generation("phone", b"the new!")
    assert store.devices() == [
        replace(_device("phone", FEED), generation=b"the new!"),
        _device("tablet", FEED),
    ]
    with pytest.raises(NoSuchDeviceError, match="gateway device list"), store.transaction() as it:
        it.set_generation("watch", b"the new!")


def test_what_a_device_is_allowed_is_kept_until_it_is_allowed_something_else(
    store: SqliteStore, path: Path
) -> None:
    limited = replace(
        _device("phone", FEED),
        allowed=Allowed(kinds=("mail",), folders=("", "größe"), days_max=0, item_bytes_max=0),
    )
    _enrol(store, limited, _device("tablet", FEED))
    with store.transaction() as transaction:
        transaction.set_generation("phone", b"the new!")
    limited = replace(limited, generation=b"the new!")
    with contextlib.closing(SqliteStore(path)) as again:
        assert again.devices() == [limited, _device("tablet", FEED)]
        assert again.device("phone") == limited
    with store.transaction() as transaction:
        transaction.set_allowed("phone", Allowed(days_max=7), b"newer!!!")
    expected = replace(limited, generation=b"newer!!!", allowed=Allowed(days_max=7))
    assert store.devices() == [expected, _device("tablet", FEED)]
    with pytest.raises(NoSuchDeviceError), store.transaction() as transaction:
        transaction.set_allowed("watch", Allowed(), b"newer!!!")


@pytest.mark.parametrize("damage", ["", "[]", '{"kinds": []}', '{"more": 1}'])
def test_a_device_that_is_allowed_nobody_knows_what_is_said_with_its_cure(
    store: SqliteStore, path: Path, damage: str
) -> None:
    _enrol(store, _device("phone", FEED))
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE device SET allowed = ?", (damage,))
    for look in (store.devices, lambda: store.device("phone")):
        with pytest.raises(StorageError, match=r"device 'phone' .* is damaged: .*restore"):
            look()


@pytest.mark.parametrize("damage", ["", "[", "5", "[[]]"])
def test_a_representation_of_nobody_knows_what_is_said_with_its_cure(
    store: SqliteStore, path: Path, damage: str
) -> None:
    with store.transaction() as transaction:
        transaction.begin_rendering(FEED, FeedRepresentation("half", 1, frozenset({"contact"})))
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE representation SET kinds = ?", (damage,))
    with (
        store.snapshot(FEED) as snapshot,
        pytest.raises(StorageError, match=r"a representation .* is damaged .*: put a backup"),
    ):
        snapshot.representations()


def test_damage_behind_the_header_is_said_with_its_cure(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite3"
    SqliteStore(path).close()
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(FeedError, match="put a backup in its place"):
        SqliteStore(path)


def test_a_content_that_is_missing_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite3"
    with contextlib.closing(SqliteStore(path)) as store, store.transaction() as transaction:
        transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        transaction.apply(FEED, put("a", b"bytes"), now=NOW)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM content")
    with contextlib.closing(SqliteStore(path)) as store, store.snapshot(FEED) as snapshot:
        assert snapshot.content("a", offset=0, bytes_max=10) == b""


def test_a_content_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    path, content = tmp_path / "gateway.sqlite3", b"A" * 40_000
    with contextlib.closing(SqliteStore(path)) as store, store.transaction() as transaction:
        transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        transaction.apply(FEED, put("a", content), now=NOW)
        transaction.apply(FEED, put("b", b"bytes"), now=NOW)
    break_page(path, content)
    with contextlib.closing(SqliteStore(path)) as store, store.snapshot(FEED) as snapshot:
        with pytest.raises(StorageError, match="a content cannot be read from the state file"):
            snapshot.content("a", offset=0, bytes_max=len(content))
        assert snapshot.content("b", offset=0, bytes_max=10) == b"bytes"


def test_a_lone_journal_is_no_empty_start(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    journal = tmp_path / "state.sqlite3-wal"
    journal.write_bytes(b"what was committed last")
    with pytest.raises(FeedError, match="is gone, and its journal is still there"):
        SqliteStore(path)
    assert not path.exists()
    assert journal.read_bytes() == b"what was committed last"
