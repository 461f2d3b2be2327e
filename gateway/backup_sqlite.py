"""The state file as a whole: copied while it is in use, checked, and brought to rest."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.feed_schema import STATE_VERSION

# Tables of the gateway in every version of the state.
_OURS: Final = frozenset({"feed", "epoch", "item"})
# For somebody who looks into the file of a gateway that rests.
_READER_S_MAX: Final = 1.0


class BackupError(Exception):
    """No backup was made or restored, and nothing was changed; the message says how to mend it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a state file holds: live items, and its size."""

    feeds: int
    items: int
    devices: int
    size_bytes: int


def copy(source: Path, target: Path) -> None:
    """Write one snapshot of `source`, which may be in use, to `target`, which is empty.

    Raises:
        BackupError: it cannot be read, or there is no room; what is in `target` is of no use.
    """
    try:
        with contextlib.closing(sqlite3.connect(source)) as db:
            db.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise BackupError(
            f"{source} cannot be copied to {target.parent} ({error}): see to the room there, and"
            " whether the state file is damaged"
        ) from error


def check(path: Path) -> Contents:
    """What a state file of this version holds. It is only read, and nothing is made beside it.

    Raises:
        BackupError: it is no such file, or it is damaged.
    """
    try:
        with _untouched(path) as db:
            found = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            if not found >= _OURS:
                raise BackupError(f"{path} is not a state file of the gateway")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version != STATE_VERSION:
                raise BackupError(
                    f"{path} was written by another version of the gateway (state {version}, and"
                    f" this one reads {STATE_VERSION}): use it with that version"
                )
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                why = verdict.splitlines()[-1]
                raise BackupError(f"{path} is damaged ({why}): use an earlier backup")
            feeds, items = db.execute("SELECT count(*), total(item_count) FROM feed").fetchone()
            (devices,) = db.execute("SELECT count(*) FROM device").fetchone()
    except sqlite3.Error as error:
        raise BackupError(
            f"{path} is not a state file of the gateway, or it is damaged ({error}): use an earlier"
            " backup"
        ) from error
    return Contents(feeds, int(items), devices, path.stat().st_size)


@contextlib.contextmanager
def _untouched(path: Path) -> Iterator[sqlite3.Connection]:
    # Immutable, or SQLite would make a journal beside a file that was once in use.
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
        yield db


def settle(path: Path) -> bool:
    """Bring what is in the journal of a state file into the file.

    Returns:
        False if the file is damaged; SQLite may have taken the journal away all the same.

    Raises:
        BackupError: another program uses it, or the disk does not take it.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_READER_S_MAX)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        raise BackupError(
            f"{path} cannot be brought to rest ({error}): see to the disk, or move the file away"
        ) from error
    except sqlite3.DatabaseError:
        return False
    if busy:
        raise BackupError(f"another program reads {path}: end it first")
    return True
