"""The three stores, each with a series of changes, what it shows, and a twin in memory."""

import contextlib
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final, Protocol

from device_agent.agent_file import AgentFile
from device_agent.store import Collection, HeldItem, ReplicaState, ReplicaStore
from device_agent.store_memory import MemoryReplicaStore
from device_agent.store_sqlite import StoreError
from gateway import viewed
from gateway.feed import (
    FeedError,
    FeedRepresentation,
    FeedSnapshot,
    FeedStore,
    FeedTransaction,
    PoisonError,
    StorageError,
    feed_items,
)
from gateway.feed_memory import MemoryFeedStore
from gateway.ledger import Ledger, MemoryLedger, Record
from gateway.ledger_tinydb import TinyDbLedger
from gateway.representations.representation import Rendered
from gateway.rows import Alter, Delete, Put, Row
from gateway.state_file import SqliteStore
from sync_protocol.token_set import TokenSet
from tests.gateway.killed import DEVICE, GENERATION, records

# Before this change the store is closed and opened again: that is when SQLite empties its journal.
REOPENED_BEFORE: Final = 3
# One change more than are made while the disk may fail: the one that shows that work goes on.
CHANGES: Final = 8
LAST: Final = CHANGES - 1


class Opened(Protocol):
    """A store in use."""

    def change(self, number: int) -> None:
        """Make one of the changes 0 to `LAST`; it is durable when this returns."""

    def look(self) -> str:
        """All that it holds, after a check that it agrees with itself."""

    def close(self) -> None:
        """Close it."""


class Subject(Hashable, Protocol):
    """A store under test."""

    name: str
    # What the store raises when it cannot do what is asked.
    errors: tuple[type[Exception], ...]
    # Whether damage is put aside and told in the log, because a request brings all of it again.
    told_in_log: bool

    def open(self, folder: Path) -> Opened:
        """Open the store in `folder`, or make it."""

    def twin(self) -> Opened:
        """One in memory, as new as one that `open` makes."""


@functools.cache
def expected(subject: Subject, count: int) -> str:
    """What the store shows after the first `count` changes."""
    twin = subject.twin()
    for number in range(count):
        twin.change(number)
    return twin.look()


def _bytes(name: str, size_bytes: int = 40) -> bytes:
    return Random(name).randbytes(size_bytes)


# The gateway's state file


_FEED: Final = "contacts"
_OTHER_FEED: Final = "mail"
_EPOCHS: Final = (b"epoch--1", b"epoch--2")
_SHORT: Final = FeedRepresentation("short", 1, frozenset({"contact"}))


def _put(item_id: str, content: bytes, folder: str = "") -> Put:
    made = Put(item_id, content, "contact", "text/vcard", folder, ("$seen",), 5, until=9)
    # Two thirds of the beginning, so that it is no beginning of the content.
    rendered = Rendered(content[1 : 1 + len(content) * 2 // 3], "text/plain")
    return replace(made, renderings={_SHORT.name: rendered})


def _make_feed(transaction: FeedTransaction) -> None:
    transaction.add_feed(_FEED, epoch_id=_EPOCHS[0], now=1)
    transaction.begin_rendering(_FEED, _SHORT)
    for item_id in ("ada", "bob", "cyd"):
        transaction.apply(_FEED, _put(item_id, _bytes(item_id), "Work"), now=1)


def _put_large(transaction: FeedTransaction) -> None:
    transaction.apply(_FEED, _put("large", _bytes("large", 9_000)), now=2)


def _delete_and_move(transaction: FeedTransaction) -> None:
    transaction.apply(_FEED, Delete("ada"), now=3)
    transaction.apply(_FEED, Alter("bob", folder="Home", flags=("$flagged",)), now=3)


def _open_epoch(transaction: FeedTransaction) -> None:
    transaction.open_epoch(_FEED, epoch_id=_EPOCHS[1])
    transaction.apply(_FEED, _put("dot", _bytes("dot")), now=4)


def _put_again(transaction: FeedTransaction) -> None:
    transaction.apply(_FEED, _put("cyd", _bytes("cyd, later", 5_000)), now=5)


def _purge(transaction: FeedTransaction) -> None:
    transaction.purge(_FEED, before=4)
    transaction.end_rendering(_FEED, _SHORT.name)


def _add_feed(transaction: FeedTransaction) -> None:
    transaction.add_feed(_OTHER_FEED, epoch_id=_EPOCHS[0], now=6)
    transaction.apply(_OTHER_FEED, _put("mail", _bytes("mail", 3_000)), now=6)


def _put_some(transaction: FeedTransaction) -> None:
    for number in range(4):
        transaction.apply(_FEED, _put(f"some-{number}", _bytes("some", 1_500)), now=7)


_FEED_CHANGES: Final[Sequence[Callable[[FeedTransaction], None]]] = (
    _make_feed,
    _put_large,
    _delete_and_move,
    _open_epoch,
    _put_again,
    _purge,
    _add_feed,
    _put_some,
)


class _Feeds:
    def __init__(self, store: FeedStore, close: Callable[[], None]) -> None:
        self._store = store
        self.close = close

    def change(self, number: int) -> None:
        with self._store.transaction() as transaction:
            _FEED_CHANGES[number](transaction)

    def look(self) -> str:
        shown = []
        for feed in self._store.feeds():
            with self._store.snapshot(feed) as snapshot:
                shown.append(f"{feed}: {_shown(snapshot)}")
        return "\n".join(shown)


def _shown(snapshot: FeedSnapshot) -> str:
    rows = list(snapshot.rows(1, 2**40))
    items = list(feed_items(snapshot))
    assert [row for row in rows if not row.deleted] == sorted(items, key=lambda row: row.seq)
    assert snapshot.item_count == len(items)
    # A purge may have taken the newest row.
    assert snapshot.head >= max([snapshot.purged, *(row.seq for row in rows)])
    for row in items:
        assert snapshot.row(row.id) == row
        content = viewed.content(snapshot, row, row.native, offset=0, bytes_max=row.size)
        if hashlib.sha256(content).digest() != row.digest:
            raise ValueError(f"{row.id} is shown with a content that is not its own")
    places = snapshot.places()
    left = [(seq, row.id) for seq, row in snapshot.leavings(1, 2**40, places=places)]
    assert left == sorted((it.seq, row.id) for row in rows for it in row.left.values())
    assert [row.seq for row in snapshot.rows(1, 2**40, places=places)] == [
        row.seq for row in rows if not row.deleted
    ]
    lines = [f"head {snapshot.head}, purged {snapshot.purged}, {snapshot.newest_epoch()}"]
    lines += [str(snapshot.epoch(epoch_id)) for epoch_id in _EPOCHS]
    lines += map(str, [places, left, *snapshot.representations().values()])
    return "\n  ".join([*lines, *map(str, rows), *_renderings(snapshot, items)])


def _renderings(snapshot: FeedSnapshot, items: Sequence[Row]) -> Iterator[str]:
    for row in items:
        rendering = snapshot.rendering(row.id, _SHORT.name)
        if rendering is None:
            continue
        content = viewed.content(
            snapshot, row, rendering, offset=0, bytes_max=rendering.size, representation=_SHORT.name
        )
        if hashlib.sha256(content).digest() != rendering.digest:
            raise ValueError(f"{row.id} is shown with a rendering that is not its own")
        yield f"{row.id}: {rendering}"


class GatewayFile:
    """The gateway's state file."""

    name = "gateway"
    errors: tuple[type[Exception], ...] = (FeedError, StorageError, PoisonError)
    told_in_log = False

    def open(self, folder: Path) -> Opened:
        store = SqliteStore(folder / "gateway.sqlite3")
        return _Feeds(store, store.close)

    def twin(self) -> Opened:
        return _Feeds(MemoryFeedStore(), lambda: None)


# The ledger


def _small(number: int) -> dict[str, Record]:
    held = TokenSet.span(1, number + 1)
    return {feed: replace(record, held=held) for feed, record in records(number).items()}


class _Records:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def change(self, number: int) -> None:
        self._ledger.save(DEVICE, GENERATION, _small(number))

    def look(self) -> str:
        return str(self._ledger.load(DEVICE, GENERATION))

    def close(self) -> None:
        pass


class LedgerFile:
    """A device's file in the ledger."""

    name = "ledger"
    # Whoever writes the ledger behind the answers takes what the disk says, and goes on.
    errors: tuple[type[Exception], ...] = (OSError,)
    told_in_log = True

    def open(self, folder: Path) -> Opened:
        return _Records(TinyDbLedger(folder))

    def twin(self) -> Opened:
        return _Records(MemoryLedger())


# The agent's file


_REPLICA_IDS: Final = ("ada", "bob", "cyd", "large")


def _held(name: str, n: int, content: bytes, held_bytes: int | None = None) -> HeldItem:
    return HeldItem(
        id=name,
        n=n,
        kind="contact",
        folder="Work",
        flags=("$seen",),
        date=5,
        media_type="text/vcard",
        digest=hashlib.sha256(content).digest()[:16],
        size=len(content),
        held_bytes=len(content) if held_bytes is None else held_bytes,
        whole=held_bytes is None,
    )


def _take(store: ReplicaStore, name: str, n: int, content: bytes) -> None:
    store.clear_content(name)
    store.append_content(name, 0, content)
    store.set_item(_held(name, n, content))


def _have(store: ReplicaStore, newest: int) -> None:
    held = TokenSet.of(range(-3, newest + 1))
    store.set_state(ReplicaState(1, 3, Collection(7, b"epoch--1", newest, None, held), 0))


def _large(name: str = "large") -> bytes:
    return _bytes(name, 9_000)


def _change_replica(store: ReplicaStore, number: int) -> None:
    match number:
        case 0:
            for name in ("ada", "bob", "cyd"):
                _take(store, name, 0, _bytes(name))
        case 1:
            store.append_content("large", 0, _large()[:5_000])
            store.set_item(_held("large", 1, _large(), 5_000))
        case 2:
            store.remember("ada", 2)
            store.delete_item("ada")
        case 3:
            _take(store, "cyd", 3, _bytes("cyd, later", 5_000))
        case 4:
            store.forget_removed(2)
        case 5:
            _take(store, "large", 5, _large("large, later"))
        case 6:
            store.forget_tokens()
        case _:
            _take(store, "bob", 7, _bytes("bob, later", 3_000))
    _have(store, number)


class _Replica:
    def __init__(
        self,
        store: ReplicaStore,
        content: Callable[[HeldItem], Iterable[bytes]],
        close: Callable[[], None],
    ) -> None:
        self._store = store
        self._content = content
        self.close = close

    def change(self, number: int) -> None:
        with self._store.transaction():
            _change_replica(self._store, number)

    def look(self) -> str:
        lines = [str(self._store.state())]
        for item in self._store.items():
            content = b"".join(self._content(item))
            assert self._store.item(item.id) == item
            if item.whole and hashlib.sha256(content).digest()[:16] != item.digest:
                raise ValueError(f"{item.id} is shown with a content that is not its own")
            lines.append(f"{item} {content.hex()}")
        lines += [f"removed {it}: {self._store.remembered(it)}" for it in _REPLICA_IDS]
        lines.append(f"wanted: {self._store.wanted(9, size_max=None)}")
        return "\n  ".join(lines)


class ReplicaFile:
    """The agent's file."""

    name = "agent"
    errors: tuple[type[Exception], ...] = (StoreError,)
    told_in_log = False

    def open(self, folder: Path) -> Opened:
        file = AgentFile(folder / "agent.sqlite3", device="phone")
        try:
            store = file.replica("feed")
            return _Replica(store, store.checked_content, file.close)
        except BaseException:
            file.close()
            raise

    def twin(self) -> Opened:
        store = MemoryReplicaStore()
        return _Replica(store, lambda item: store.content(item.id), lambda: None)


SUBJECTS: Final[Sequence[Subject]] = (GatewayFile(), LedgerFile(), ReplicaFile())


@contextlib.contextmanager
def opened(subject: Subject, folder: Path) -> Iterator[Opened]:
    """The store in `folder`, open."""
    with contextlib.closing(subject.open(folder)) as store:
        yield store


def as_killed_after(subject: Subject, changes: int, folder: Path) -> None:
    """Put into `folder` what a process leaves that makes the first `changes` and is killed."""
    with tempfile.TemporaryDirectory() as name:
        used = Path(name)
        with opened(subject, used) as store:
            for number in range(min(changes, REOPENED_BEFORE)):
                store.change(number)
            if changes <= REOPENED_BEFORE:
                shutil.copytree(used, folder, dirs_exist_ok=True)
        if changes > REOPENED_BEFORE:
            with opened(subject, used) as store:
                for number in range(REOPENED_BEFORE, changes):
                    store.change(number)
                shutil.copytree(used, folder, dirs_exist_ok=True)
