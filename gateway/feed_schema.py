"""How feeds and devices are laid out in SQLite."""

import json
from typing import Final

from gateway.feed import Left, Row, StorageError
from sync_protocol import inventory

STATE_VERSION: Final = 1

# `content` stands apart from `item`, so that a change of flags does not rewrite 25 MiB.
SCHEMA: Final = """
CREATE TABLE feed (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    head INTEGER NOT NULL DEFAULT 0,
    purged INTEGER NOT NULL DEFAULT 0,
    item_count INTEGER NOT NULL DEFAULT 0,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE epoch (
    ordinal INTEGER PRIMARY KEY,
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    id BLOB NOT NULL,
    first INTEGER NOT NULL,
    UNIQUE (feed, id)
) STRICT;
CREATE TABLE item (
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    c INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    kind TEXT NOT NULL,
    folder TEXT NOT NULL,
    flags TEXT NOT NULL,
    date INTEGER,
    media_type TEXT NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    at INTEGER NOT NULL,
    leavings TEXT NOT NULL,
    quarantined TEXT,
    id_hash BLOB NOT NULL,
    etag BLOB NOT NULL,
    PRIMARY KEY (feed, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX item_seq ON item (feed, seq);
CREATE INDEX item_quarantined ON item (feed, id) WHERE quarantined IS NOT NULL;
CREATE INDEX item_entry ON item (feed, id_hash, etag, seq, c, quarantined) WHERE NOT deleted;
CREATE TABLE content (
    rowid INTEGER PRIMARY KEY,
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    item TEXT NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (feed, item)
) STRICT;
CREATE TABLE device (
    id TEXT PRIMARY KEY,
    secret_hash TEXT NOT NULL,
    generation BLOB NOT NULL,
    made_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE device_feed (
    device TEXT NOT NULL REFERENCES device(id) ON DELETE CASCADE,
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    PRIMARY KEY (device, feed)
) STRICT, WITHOUT ROWID;
"""
COLUMNS: Final = (
    "id, seq, c, deleted, kind, folder, flags, date, media_type, digest, size, at, leavings,"
    " quarantined"
)


def row_of(values: tuple[object, ...]) -> Row:
    """The row that `COLUMNS` of a table row hold."""
    fields = list(values)
    fields[3] = bool(fields[3])
    try:
        fields[6] = tuple(json.loads(str(fields[6]))) if fields[6] != "[]" else ()
        left = json.loads(str(fields[12])) if fields[12] != "{}" else {}
        fields[12] = {name: Left(seq, at) for name, (seq, at) in left.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            f"a row of an item in the state file is damaged ({type(error).__name__}): put a backup"
            " in its place"
        ) from error
    return Row(*fields)  # type: ignore[arg-type]  # the columns are STRICT


def values_of(row: Row) -> tuple[object, ...]:
    """What `COLUMNS`, `id_hash` and `etag` of a table row hold for `row`."""
    left = {name: (left.seq, left.at) for name, left in row.left.items()}
    return (
        row.id, row.seq, row.c, int(row.deleted), row.kind, row.folder,
        json.dumps(row.flags) if row.flags else "[]", row.date, row.media_type, row.digest,
        row.size, row.at, json.dumps(left) if left else "{}", row.quarantined,
        inventory.id_hash(row.id), row.etag,
    )  # fmt: skip
