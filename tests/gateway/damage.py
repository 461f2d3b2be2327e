"""What a bad disk does to one item of a state file, and the quarantine that comes of it."""

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gateway.feed import FeedStore
from gateway.rows import Made, Row
from gateway.service import STORE_FILE, Service
from gateway.state_file import SqliteStore
from tests.gateway.sample_feeds import FEED, NOW

WHY = "breaks everything"
_NEXT_PAGE_BYTES = 4


def lose_content(path: Path, item_id: str) -> None:
    """Take all bytes of an item's content out of the file."""
    _execute(path, "DELETE FROM content WHERE item = ?", item_id)


def flip_byte(path: Path, item_id: str) -> None:
    """Make the last byte of an item's content another one."""
    _execute(
        path,
        "UPDATE content SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || '~' AS BLOB)"
        " WHERE item = ?",
        item_id,
    )


def cut_content(path: Path, item_id: str) -> None:
    """Take the last byte off an item's content."""
    _execute(
        path,
        "UPDATE content SET bytes = substr(bytes, 1, length(bytes) - 1) WHERE item = ?",
        item_id,
    )


def break_page(path: Path, content: bytes) -> None:
    """Flip one bit in the middle of a content of one byte, repeated, so that no end of it is found.

    A large content is a chain of pages, and each begins with the number of the next (SQLite's
    file format, section 1.7). Nobody may have the file open.
    """
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = db.execute("PRAGMA page_size").fetchone()
    file = bytearray(path.read_bytes())
    inside = content[: size - _NEXT_PAGE_BYTES]
    pages = range(0, len(file), size)
    chain = [at for at in pages if file[at + _NEXT_PAGE_BYTES : at + size] == inside]
    file[chain[len(chain) // 2]] ^= 0x40
    path.write_bytes(file)


def _execute(path: Path, statement: str, item_id: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement, (item_id,)).rowcount == 1


def hold_back(store: FeedStore, item_id: str = "ada", *, feed: str = FEED, why: str = WHY) -> None:
    """Quarantine an item as it is now."""
    with store.snapshot(feed) as snapshot:
        row = snapshot.row(item_id)
    assert row is not None
    with store.transaction() as transaction:
        assert transaction.quarantine(feed, item_id, seq=row.seq, why=why)


def hold_back_in(service: Service, feed: str, item_id: str, *, why: str = WHY) -> None:
    """Quarantine an item of a service that runs, from beside it."""
    with contextlib.closing(SqliteStore(service.settings.data_dir / STORE_FILE)) as store:
        hold_back(store, item_id, feed=feed, why=why)


def retry(
    store: FeedStore,
    item_id: str = "ada",
    *,
    now: int = NOW,
    renderings: Mapping[str, Made] = MappingProxyType({}),
) -> Row:
    with store.snapshot(FEED) as snapshot:
        row = snapshot.row(item_id)
    seq = 0 if row is None else row.seq
    with store.transaction() as transaction:
        return transaction.retry(FEED, item_id, seq=seq, now=now, renderings=renderings)
