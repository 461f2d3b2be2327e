"""The device's SQLite file: whose it is, and the replicas in it."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_agent.store_sqlite import ERRORS, SqliteReplicaStore, StoreError, damaged, in_words

_LOG: Final = logging.getLogger(__name__)

STATE_VERSION: Final = 2

# A content is kept in the pieces in which it came, so that a remainder is an insert.
_SCHEMA: Final = """
CREATE TABLE agent (
    device TEXT NOT NULL
) STRICT;
CREATE TABLE replica (
    number INTEGER PRIMARY KEY,
    feed TEXT NOT NULL UNIQUE,
    view_id INTEGER NOT NULL DEFAULT 0,
    base INTEGER,
    lineage INTEGER,
    epoch BLOB,
    asof INTEGER,
    p0 INTEGER,
    tokens BLOB,
    floor INTEGER,
    more INTEGER NOT NULL DEFAULT 0,
    made INTEGER NOT NULL DEFAULT 0,
    synced_at INTEGER,
    view TEXT NOT NULL DEFAULT '{}',
    narrowed INTEGER,
    time_window TEXT
) STRICT;
CREATE TABLE inventory (
    replica INTEGER PRIMARY KEY REFERENCES replica(number) ON DELETE CASCADE,
    todo TEXT NOT NULL,
    epoch BLOB,
    p0 INTEGER,
    upto INTEGER,
    head INTEGER,
    lineage INTEGER,
    held BLOB
) STRICT;
CREATE TABLE item (
    replica INTEGER NOT NULL REFERENCES replica(number) ON DELETE CASCADE,
    id TEXT NOT NULL,
    n INTEGER,
    kind TEXT NOT NULL,
    folder TEXT NOT NULL,
    flags TEXT NOT NULL,
    date INTEGER,
    media_type TEXT NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    held_bytes INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    until INTEGER,
    is_fetched INTEGER NOT NULL,
    is_withheld INTEGER NOT NULL,
    id_hash BLOB NOT NULL,
    etag BLOB NOT NULL,
    PRIMARY KEY (replica, id)
) STRICT, WITHOUT ROWID;
-- Whether anything is wanted is asked with each push, and nearly always nothing is.
CREATE INDEX item_fetched ON item (replica, n DESC, id) WHERE is_fetched AND NOT whole;
CREATE INDEX item_wanted ON item (replica, n DESC, id) WHERE NOT is_fetched AND NOT whole;
CREATE INDEX item_small ON item (replica, size) WHERE NOT is_fetched AND NOT whole;
CREATE INDEX item_empty ON item (replica, id)
    WHERE NOT held_bytes AND NOT is_fetched AND NOT whole;
CREATE INDEX item_ends ON item (replica, coalesce(until, date));
CREATE INDEX item_entry ON item (replica, id_hash, etag);
CREATE TABLE removed (
    replica INTEGER NOT NULL REFERENCES replica(number) ON DELETE CASCADE,
    id TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (replica, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE portion (
    replica INTEGER NOT NULL REFERENCES replica(number) ON DELETE CASCADE,
    item TEXT NOT NULL,
    start INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (replica, item, start)
) STRICT;
"""


# Files of before it have none, and get it when they are next written to.
_HINDRANCE: Final = """
CREATE TABLE IF NOT EXISTS hindrance (
    text TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT
"""
# What a broker says may be in it.
HINDRANCE_CHARS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What keeps the agent from its broker.

    Attributes:
        text: for people.
        since: when that was first so, in Unix seconds.
    """

    text: str
    since: int


class AgentFile:
    """The device's file, for one thread; one opened `readonly` may look at the same time."""

    def __init__(self, path: Path, *, readonly: bool = False, device: str | None = None) -> None:
        """Open the file, or make it.

        Args:
            path: of the file.
            readonly: only look.
            device: whose file it is to be; from the first time on it is no other's.

        Raises:
            StoreError: it cannot be used.
        """
        was_there = _is_there(path, readonly=readonly)
        try:
            if not readonly:
                path.touch(mode=0o600)
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rw'}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path} cannot be opened ({error}): --data names another") from error
        try:
            made = self._prepare(path, readonly=readonly)
            if made and was_there:
                _LOG.warning("%s was empty; the next sync fetches everything", path)
            if device is not None:
                self._belong_to(path, device)
        except sqlite3.OperationalError as error:
            self._db.close()
            raise StoreError(
                f"{path} cannot be used ({error}): the file and its directory must be writable,"
                " even to look into it while no agent runs"
            ) from error
        except ERRORS as error:
            self._db.close()
            raise StoreError(damaged(path, error)) from error
        except StoreError:
            self._db.close()
            raise

    def _prepare(self, path: Path, *, readonly: bool) -> bool:
        """Bring the file to what this version reads; whether it was empty."""
        self._db.execute("PRAGMA busy_timeout = 5000")
        self._db.execute("PRAGMA foreign_keys = ON")
        if not readonly:
            self._db.execute("PRAGMA journal_mode = WAL")
            # A power cut may take the last transactions, whole: the next sync brings them again.
            self._db.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0 and not readonly:
            self._db.executescript(
                f"BEGIN; {_SCHEMA} {_HINDRANCE}; PRAGMA user_version = {STATE_VERSION}; COMMIT;"
            )
        elif version == STATE_VERSION:
            # All tables but the contents, whose damage their digests tell.
            for table in ("agent", "replica", "inventory", "item", "removed"):
                (problem, *_) = self._db.execute(f"PRAGMA quick_check({table})").fetchall()
                if problem != ("ok",):
                    raise sqlite3.DatabaseError(*problem)
            if not readonly:
                self._db.execute(_HINDRANCE)
        else:
            raise StoreError(
                f"{path} was written by another version of the agent (state {version}, and this"
                f" one reads {STATE_VERSION}): "
                + (
                    "upgrade the agent"
                    if version > STATE_VERSION
                    else "move it away, and the next sync fetches everything again"
                )
            )
        return bool(version == 0)

    def _belong_to(self, path: Path, device: str) -> None:
        found = self._db.execute("SELECT device FROM agent").fetchone()
        if found is None:
            self._db.execute("INSERT INTO agent VALUES (?)", (device,))
        elif found[0] != device:
            raise StoreError(
                f"{path} is the file of device {found[0]}, not of {device}: name another directory"
                " with --data DIR"
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read inside is of one moment, whatever an agent writes meanwhile."""
        with in_words():
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.in_transaction:  # SQLite ends it by itself when the disk fails
                    self._db.execute("ROLLBACK")

    @property
    @in_words()
    def device(self) -> str | None:
        """Whose file it is; None as long as it is nobody's."""
        found = self._db.execute("SELECT device FROM agent").fetchone()
        return None if found is None else str(found[0])

    @property
    @in_words()
    def hindrance(self) -> Hindrance | None:
        """What keeps the agent from its broker, or did when it ended; None if nothing does."""
        tables = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'hindrance'"
        if self._db.execute(tables).fetchone() is None:
            return None
        found = self._db.execute("SELECT text, since FROM hindrance").fetchone()
        return None if found is None else Hindrance(str(found[0]), int(found[1]))

    def set_hindrance(self, text: str | None, *, unix_time: float) -> None:
        """Keep what keeps the agent from its broker, for others to see; None if nothing does.

        What is kept already is left as it is, so that trying on writes nothing.
        """
        kept = self.hindrance
        text = None if text is None else text[:HINDRANCE_CHARS_MAX]
        if text == (None if kept is None else kept.text):
            return
        with in_words():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.execute("DELETE FROM hindrance")
                if text is not None:
                    self._db.execute("INSERT INTO hindrance VALUES (?, ?)", (text, int(unix_time)))
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @in_words()
    def feeds(self) -> Sequence[str]:
        """The feeds that this device has a replica of, sorted."""
        return [feed for (feed,) in self._db.execute("SELECT feed FROM replica ORDER BY feed")]

    @in_words()
    def replica(self, feed: str) -> SqliteReplicaStore:
        """The replica of `feed`, made when it is not there yet (in a file that may be written)."""
        found = self._db.execute("SELECT number FROM replica WHERE feed = ?", (feed,)).fetchone()
        if found is None:
            made = self._db.execute("INSERT INTO replica (feed) VALUES (?)", (feed,))
            return SqliteReplicaStore(self._db, made.lastrowid or 0)
        return SqliteReplicaStore(self._db, found[0])


def _is_there(path: Path, *, readonly: bool) -> bool:
    """Whether the file need not be made.

    Raises:
        StoreError: it cannot be told, or it is not there and may not be made.
    """
    journal = path.with_name(f"{path.name}-wal")
    try:
        if path.exists():
            return True
        is_journal_left = journal.exists()
    except OSError as error:  # a folder above it is closed to this user, say
        raise StoreError(
            f"{path} cannot be opened ({error.strerror}): --data names another"
        ) from error
    if readonly:
        raise StoreError(
            f"there is no {path}: 'device-agent run' or 'device-agent sync' makes it, and"
            " --data says which directory"
        )
    if is_journal_left:  # which SQLite would throw away
        raise StoreError(
            f"{path} is gone, and its journal is still there: put the file back, or move"
            f" {journal.name} away, too, and the next sync fetches everything again"
        )
    return False
