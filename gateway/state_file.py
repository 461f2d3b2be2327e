"""The gateway's state file: everything that must survive, in one SQLite file."""

import contextlib
import itertools
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gateway.device import Allowed, Device
from gateway.feed import FeedError, StorageError
from gateway.feed_schema import SCHEMA, STATE_VERSION
from gateway.feed_sqlite import SqliteTransaction
from gateway.snapshot_sqlite import SqliteSnapshot

JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024

_LOG: Final = logging.getLogger(__name__)
_EMPTY: Final = (
    "the gateway begins anew; if it held anything, put a backup in its place: 'gateway restore DIR'"
)
# SQLite may quote damaged text in what it says, which Python then cannot read.
_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Say what SQLite finds wrong as an error of the store."""
    try:
        yield
    except _ERRORS as error:
        raise StorageError(
            f"the state file cannot be read or written ({error}): look after its disk, and if the"
            " file is damaged, put a backup in its place: 'gateway restore DIR'"
        ) from error


def _check(db: sqlite3.Connection) -> None:
    """Look through all tables but the contents, whose damage their digests tell."""
    # Of a content nothing but its length is read: one that is damaged is no reason not to start.
    for table in ("content", "rendering"):
        db.execute(f"SELECT item, length(bytes) FROM {table} LIMIT 1").fetchone()  # noqa: S608 - our own tables
    for table in (
        "feed", "epoch", "item", "place", "leaving", "representation", "device", "device_feed",
        "unsettled_account",
    ):  # fmt: skip
        db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()  # noqa: S608 - our own tables
        (found, *_) = db.execute(f"PRAGMA integrity_check({table})").fetchall()
        if found != ("ok",):
            raise sqlite3.DatabaseError(*found)


class SqliteStore:
    """One writer at a time, and a reading connection for each thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._writer = self._open()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA busy_timeout = 5000")
            # What a large import made of it is given back at the next checkpoint.
            db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
        except _ERRORS:
            db.close()
            raise
        return db

    def _open(self) -> sqlite3.Connection:
        """The writing connection, to a file of this version."""
        with contextlib.ExitStack() as undo:
            was_there = self._path.exists()
            journal = self._path.with_name(f"{self._path.name}-wal")
            if not was_there and journal.exists():  # which SQLite would throw away
                raise FeedError(
                    f"{self._path} is gone, and its journal is still there: put the file back, or"
                    " a backup: 'gateway restore DIR'"
                )
            try:
                self._path.touch(mode=0o600)
                db = self._connect()
                undo.callback(db.close)
                (version,) = db.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    db.executescript(
                        f"BEGIN; {SCHEMA} PRAGMA user_version = {STATE_VERSION}; COMMIT;"
                    )
                    if was_there:
                        _LOG.warning("%s was empty: %s", self._path, _EMPTY)
                elif version == STATE_VERSION:
                    _check(db)
            except (OSError, *_ERRORS) as error:
                raise FeedError(
                    f"{self._path} is not a state file of the gateway, or it or its disk is"
                    f" damaged ({error}): look after the disk, or put a backup in its place:"
                    " 'gateway restore DIR'"
                ) from error
            if version not in (0, STATE_VERSION):
                cure = (
                    "upgrade the gateway"
                    if version > STATE_VERSION
                    else "export its feeds with that version ('gateway export FEED DIR'), move the"
                    " file and its ledger away, import them again, and add its devices again"
                )
                raise FeedError(
                    f"{self._path} was written by another version of the gateway (state {version},"
                    f" and this one reads {STATE_VERSION}): {cure}"
                )
            undo.pop_all()
            return db

    def _reader(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = self._connect()
            db.execute("PRAGMA query_only = ON")
            with self._lock:
                self._readers.append(db)
        return db

    def close(self) -> None:
        """Close all connections; no thread may use the store afterwards."""
        with self._lock:
            for db in self._readers:
                db.close()
            self._readers.clear()
        self._writer.close()

    @_in_words()
    def feeds(self) -> Sequence[str]:
        """See `FeedStore`."""
        found = self._reader().execute("SELECT name FROM feed ORDER BY name")
        return [name for (name,) in found]

    @_in_words()
    def quarantined_count(self) -> int:
        """How many items of all feeds are held back from devices."""
        found = self._reader().execute("SELECT count(*) FROM item WHERE quarantined IS NOT NULL")
        (count,) = found.fetchone()
        return int(count)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """See `FeedStore`. For one thread at a time."""
        with _in_words():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteTransaction(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def snapshot(self, feed: str) -> Iterator[SqliteSnapshot]:
        """See `FeedStore`."""
        with _in_words():
            db = self._reader()
            db.execute("BEGIN")
            try:
                yield SqliteSnapshot(db, feed)
            finally:
                if db.in_transaction:  # SQLite ends it by itself when the disk fails
                    db.execute("ROLLBACK")

    @_in_words()
    def devices(self) -> Sequence[Device]:
        """All devices, sorted by id."""
        return _devices(self._reader())

    @_in_words()
    def device(self, device_id: str) -> Device | None:
        """One device, if it is enrolled."""
        found = (
            self._reader()
            .execute(
                "SELECT secret_hash, generation, allowed FROM device WHERE id = ?", (device_id,)
            )
            .fetchone()
        )
        if found is None:
            return None
        feeds = self._reader().execute(
            "SELECT feed.name FROM device_feed JOIN feed ON feed.id = device_feed.feed"
            " WHERE device = ? ORDER BY feed.name",
            (device_id,),
        )
        return _device((device_id, *found), tuple(name for (name,) in feeds))

    @_in_words()
    def unsettled_accounts(self) -> frozenset[str]:
        """The devices not enrolled of which the broker may have an account all the same."""
        found = self._reader().execute("SELECT device FROM unsettled_account")
        return frozenset(device for (device,) in found)


@_in_words()
def enrolled(path: Path) -> Sequence[Device]:
    """The devices in a state file, which a gateway may use meanwhile; it is only read.

    Raises:
        StorageError: it cannot be read, or is of another version.
    """
    address = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != STATE_VERSION:
            raise StorageError(
                f"{path} was written by another version of the gateway (state {version}, and this"
                f" one reads {STATE_VERSION}): 'gateway run' says what to do"
            )
        return _devices(db)


def _devices(db: sqlite3.Connection) -> Sequence[Device]:
    found = db.execute(
        "SELECT device.id, secret_hash, generation, allowed, feed.name FROM device"
        " LEFT JOIN device_feed ON device_feed.device = device.id"
        " LEFT JOIN feed ON feed.id = device_feed.feed ORDER BY device.id, feed.name"
    )
    groups = itertools.groupby(found, key=lambda values: values[:4])
    return [_device(device, tuple(row[4] for row in rows if row[4])) for device, rows in groups]


def _device(values: Sequence[Any], feeds: tuple[str, ...]) -> Device:
    device_id, secret_hash, generation, allowed = values
    try:
        return Device(
            device_id, secret_hash, generation, feeds, Allowed.model_validate_json(allowed)
        )
    except ValidationError as error:
        raise StorageError(
            f"the row of device {device_id!a} in the state file is damaged: put a backup in its"
            " place: 'gateway restore DIR'"
        ) from error
