"""The state file as a whole: copied while it is in use, checked, and brought to rest."""

import contextlib
import hashlib
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
# Items with damaged contents that are named; beyond it they are counted.
DAMAGED_NAMED_MAX: Final = 5
_PIECE_BYTES: Final = 1024 * 1024


class BackupError(Exception):
    """No backup was made or restored, and nothing was changed; the message says how to mend it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a state file holds.

    Attributes:
        feeds: how many.
        items: how many are live.
        devices: how many are enrolled.
        size_bytes: of the file.
        damaged_items: how many items have lost or damaged contents.
        damaged_named: the first `DAMAGED_NAMED_MAX` of these, each as FEED/ID.
    """

    feeds: int
    items: int
    devices: int
    size_bytes: int
    damaged_items: int = 0
    damaged_named: tuple[str, ...] = ()


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

    Items whose contents are lost or damaged are told of; the others are good without them.

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
            damaged_items = 0
            named: list[str] = []
            for name in _damaged(db):
                damaged_items += 1
                if len(named) < DAMAGED_NAMED_MAX:
                    named.append(name)
    except sqlite3.Error as error:
        raise BackupError(
            f"{path} is not a state file of the gateway, or it is damaged ({error}): use an earlier"
            " backup"
        ) from error
    return Contents(feeds, int(items), devices, path.stat().st_size, damaged_items, tuple(named))


def _damaged(db: sqlite3.Connection) -> Iterator[str]:
    """The items, as FEED/ID, whose contents are not what was put."""
    found = db.execute(
        "SELECT feed.name, item.id, item.size, item.digest, content.rowid FROM item"
        " JOIN feed ON feed.id = item.feed"
        " LEFT JOIN content ON content.feed = item.feed AND content.item = item.id"
        " WHERE NOT item.deleted ORDER BY item.feed, item.id"
    )
    for feed, item_id, size_bytes, digest, content in found:
        if content is None or _size_and_digest(db, content) != (size_bytes, digest):
            yield f"{feed}/{item_id}"


def _size_and_digest(db: sqlite3.Connection, content: int) -> tuple[int, bytes]:
    sha = hashlib.sha256()
    with db.blobopen("content", "bytes", content, readonly=True) as blob:
        while piece := blob.read(_PIECE_BYTES):
            sha.update(piece)
        return len(blob), sha.digest()


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
