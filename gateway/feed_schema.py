"""How feeds and devices are laid out in SQLite."""

import json
from typing import Any, Final

from gateway.feed import FeedRepresentation, StorageError
from gateway.rows import Left, Place, Rendering, Row
from sync_protocol import inventory

STATE_VERSION: Final = 3

# `content` stands apart from `item`, so that a change of flags does not rewrite 25 MiB. `leaving`
# is what `item.leavings` tells, to be found by seq and by place; nothing is ever taken out of
# `place`. Bytes come last in their rows, so that nobody reads over them.
#
# `unsettled_account` has the devices that are not enrolled, and whose accounts may be at the broker
# all the same: those that are being enrolled, and those that were removed, until the broker has
# confirmed it. The gateway takes these accounts away and no others: it may run with another state
# than that of the broker.
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
    until INTEGER,
    id_hash BLOB NOT NULL,
    etag BLOB NOT NULL,
    PRIMARY KEY (feed, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX item_seq ON item (feed, seq);
CREATE INDEX item_quarantined ON item (feed, id) WHERE quarantined IS NOT NULL;
CREATE INDEX item_place ON item (feed, kind, folder, seq)
    WHERE NOT deleted AND quarantined IS NULL;
CREATE INDEX item_entry ON item
    (feed, id_hash, etag, seq, c, quarantined, kind, folder, date, until, size) WHERE NOT deleted;
CREATE TABLE place (
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    folder TEXT NOT NULL,
    PRIMARY KEY (feed, kind, folder)
) STRICT, WITHOUT ROWID;
CREATE TABLE leaving (
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    item TEXT NOT NULL,
    kind TEXT NOT NULL,
    folder TEXT NOT NULL,
    PRIMARY KEY (feed, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX leaving_place ON leaving (feed, kind, folder, seq);
CREATE TABLE content (
    rowid INTEGER PRIMARY KEY,
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    item TEXT NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (feed, item)
) STRICT;
CREATE TABLE representation (
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    kinds TEXT NOT NULL,
    complete INTEGER NOT NULL,
    PRIMARY KEY (feed, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE rendering (
    rowid INTEGER PRIMARY KEY,
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    item TEXT NOT NULL,
    representation TEXT NOT NULL,
    c INTEGER NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    problem TEXT,
    bytes BLOB NOT NULL,
    UNIQUE (feed, item, representation)
) STRICT;
CREATE INDEX rendering_problem ON rendering (feed, item, representation)
    WHERE problem IS NOT NULL;
CREATE TABLE device (
    id TEXT PRIMARY KEY,
    secret_hash TEXT NOT NULL,
    generation BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    allowed TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE device_feed (
    device TEXT NOT NULL REFERENCES device(id) ON DELETE CASCADE,
    feed INTEGER NOT NULL REFERENCES feed(id) ON DELETE CASCADE,
    PRIMARY KEY (device, feed)
) STRICT, WITHOUT ROWID;
CREATE TABLE unsettled_account (
    device TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
"""
COLUMNS: Final = (
    "id, seq, c, deleted, kind, folder, flags, date, media_type, digest, size, at, leavings,"
    " quarantined, until"
)
RENDERING_COLUMNS: Final = "c, digest, size, media_type, problem"


def row_of(values: tuple[object, ...]) -> Row:
    """The row that `COLUMNS` of a table row hold."""
    fields = list(values)
    fields[3] = bool(fields[3])
    try:
        fields[6] = tuple(json.loads(str(fields[6]))) if fields[6] != "[]" else ()
        left = json.loads(str(fields[12])) if fields[12] != "[]" else []
        fields[12] = {Place(kind, folder): Left(seq, at) for kind, folder, seq, at in left}
    except (ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            f"a row of an item in the state file is damaged ({type(error).__name__}): put a backup"
            " in its place"
        ) from error
    return Row(*fields)  # type: ignore[arg-type]  # the columns are STRICT


def values_of(row: Row) -> tuple[object, ...]:
    """What `COLUMNS`, `id_hash` and `etag` of a table row hold for `row`."""
    left = [(*place, left.seq, left.at) for place, left in row.left.items()]
    return (
        row.id, row.seq, row.c, int(row.deleted), row.kind, row.folder,
        json.dumps(row.flags) if row.flags else "[]", row.date, row.media_type, row.digest,
        row.size, row.at, json.dumps(left) if left else "[]", row.quarantined,
        row.until, inventory.id_hash(row.id), row.etag(row.native),
    )  # fmt: skip


def representation_of(values: tuple[Any, ...]) -> FeedRepresentation:
    """The representation that name, version, kinds and complete of a table row hold."""
    name, version, kinds, complete = values
    try:
        return FeedRepresentation(name, version, frozenset(json.loads(kinds)), bool(complete))
    except (ValueError, TypeError) as error:
        raise StorageError(
            f"a row of a representation in the state file is damaged ({type(error).__name__}): put"
            " a backup in its place"
        ) from error


def rendering_values(rendering: Rendering) -> tuple[object, ...]:
    """What `RENDERING_COLUMNS` of a table row hold for `rendering`."""
    return (
        rendering.c, rendering.digest, rendering.size, rendering.media_type, rendering.problem,
    )  # fmt: skip
