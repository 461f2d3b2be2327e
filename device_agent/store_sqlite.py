"""A replica in the device's SQLite file: items, tokens and collection change together."""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from device_agent.errors import AgentError
from device_agent.store import Begun, Collection, HeldItem, Inventory, ReplicaState
from sync_protocol import inventory
from sync_protocol.errors import ProtocolError
from sync_protocol.limits import INTEGER_MAX, TOKEN_SET_BYTES_MAX
from sync_protocol.token_set import TokenSet
from sync_protocol.views import View

_COLUMNS: Final = (
    "id, n, kind, folder, flags, date, media_type, digest, size, held_bytes, whole,"
    " until, is_fetched, is_withheld"
)


class StoreError(AgentError):
    """The device's file cannot be used; the message says how to mend it."""


# SQLite may quote damaged text in what it says, which Python then cannot read.
ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Say what SQLite finds wrong as an error of the store."""
    try:
        yield
    except ERRORS as error:
        raise StoreError(
            f"the agent's file cannot be read or written ({error}): look after its disk, and if the"
            " file is damaged, move it away: the next sync fetches everything again"
        ) from error


def damaged(path: Path, error: object) -> str:
    """What to say of a file that cannot be what it should."""
    return (
        f"{path} is not an agent's file, or it is damaged ({error}): move it away, and the next"
        " sync fetches everything again"
    )


class SqliteReplicaStore:
    """One replica's rows."""

    def __init__(self, db: sqlite3.Connection, number: int) -> None:
        self._db = db
        self._number = number

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See `ReplicaStore`."""
        with in_words():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @in_words()
    def state(self) -> ReplicaState | None:
        """See `ReplicaStore`."""
        (
            made, view_id, base, lineage, epoch, asof, p0, held, floor, more, view, narrowed,
            window,
        ) = self._db.execute(
            "SELECT made, view_id, base, lineage, epoch, asof, p0, tokens, floor, more, view,"
            " narrowed, time_window FROM replica WHERE number = ?",
            (self._number,),
        ).fetchone()  # fmt: skip
        if not made:
            return None
        known = (
            self._inventory()
            if lineage is None
            else Collection(lineage, epoch, asof, p0, _token_set(held))
        )
        return ReplicaState(view_id, base, known, floor, bool(more), _view(view), narrowed, window)

    def _inventory(self) -> Inventory:
        found = self._db.execute(
            "SELECT todo, epoch, p0, upto, head, lineage, held FROM inventory WHERE replica = ?",
            (self._number,),
        ).fetchone()
        if found is None:
            return Inventory()
        todo, epoch, p0, upto, head, lineage, held = found
        begun = None if epoch is None else Begun(epoch, p0, upto, head, lineage, _token_set(held))
        return Inventory(tuple(todo.split(",")), begun)

    def set_state(self, state: ReplicaState) -> None:
        """See `ReplicaStore`."""
        match state.known:
            case Collection() as kept:
                collection: tuple[object, ...] = (
                    kept.lineage, kept.epoch, kept.asof, kept.p0, _kept(kept.held),
                )  # fmt: skip
                self._db.execute("DELETE FROM inventory WHERE replica = ?", (self._number,))
            case Inventory() as under_way:
                collection = (None,) * 5
                self._set_inventory(under_way)
        self._db.execute(
            "UPDATE replica SET made = 1, view_id = ?, base = ?, lineage = ?, epoch = ?, asof = ?,"
            " p0 = ?, tokens = ?, floor = ?, more = ?, view = ?, narrowed = ?,"
            " time_window = ? WHERE number = ?",
            (
                state.view_id, state.base, *collection, state.floor, int(state.more),
                state.view.model_dump_json(exclude_defaults=True), state.narrowed, state.window,
                self._number,
            ),
        )  # fmt: skip

    def _set_inventory(self, under_way: Inventory) -> None:
        begun: tuple[object, ...] = (None,) * 6
        if (told := under_way.begun) is not None:
            begun = (told.epoch, told.p0, told.upto, told.head, told.lineage, _kept(told.held))
        self._db.execute(
            "INSERT OR REPLACE INTO inventory VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._number, ",".join(under_way.todo), *begun),
        )

    @in_words()
    def synced_at(self) -> int | None:
        """When the last sync was complete, in Unix seconds; for people only."""
        found = self._db.execute(
            "SELECT synced_at FROM replica WHERE number = ?", (self._number,)
        ).fetchone()
        at: int | None = found[0]
        return at

    @in_words()
    def set_synced_at(self, now: int) -> None:
        """Note that a sync was complete."""
        self._db.execute("UPDATE replica SET synced_at = ? WHERE number = ?", (now, self._number))

    @in_words()
    def item(self, item_id: str) -> HeldItem | None:
        """See `ReplicaStore`."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM item WHERE replica = ? AND id = ?",  # noqa: S608 - our own column names
            (self._number, item_id),
        ).fetchone()
        return _item(found) if found else None

    def items(self) -> Iterator[HeldItem]:
        """See `ReplicaStore`."""
        with in_words():
            found = self._db.execute(
                f"SELECT {_COLUMNS} FROM item WHERE replica = ? ORDER BY id",  # noqa: S608 - our own column names
                (self._number,),
            )
            yield from map(_item, found)

    @in_words()
    def item_count(self) -> int:
        """How many items are held."""
        found = self._db.execute("SELECT count(*) FROM item WHERE replica = ?", (self._number,))
        count: int = found.fetchone()[0]
        return count

    @in_words()
    def incomplete_count(self) -> int:
        """How many of them are not whole."""
        found = self._db.execute(
            "SELECT count(*) FROM item WHERE replica = ? AND NOT whole", (self._number,)
        )
        count: int = found.fetchone()[0]
        return count

    def set_item(self, item: HeldItem) -> None:
        """See `ReplicaStore`."""
        self._db.execute(
            f"INSERT INTO item (replica, {_COLUMNS}, id_hash, etag)"  # noqa: S608 - our own column names
            f" VALUES (?{', ?' * 16})"
            " ON CONFLICT (replica, id) DO UPDATE SET n = excluded.n, kind = excluded.kind,"
            " folder = excluded.folder, flags = excluded.flags, date = excluded.date,"
            " media_type = excluded.media_type, digest = excluded.digest, size = excluded.size,"
            " held_bytes = excluded.held_bytes, whole = excluded.whole, etag = excluded.etag,"
            " until = excluded.until, is_fetched = excluded.is_fetched,"
            " is_withheld = excluded.is_withheld",
            (
                self._number, item.id, item.n, item.kind, item.folder, json.dumps(item.flags),
                item.date, item.media_type, item.digest, item.size, item.held_bytes,
                int(item.whole), item.until, int(item.is_fetched), int(item.is_withheld),
                inventory.id_hash(item.id), item.etag,
            ),
        )  # fmt: skip

    def delete_item(self, item_id: str) -> None:
        """See `ReplicaStore`."""
        self._db.execute("DELETE FROM item WHERE replica = ? AND id = ?", (self._number, item_id))
        self.clear_content(item_id)

    @in_words()
    def remembered(self, item_id: str) -> int | None:
        """See `ReplicaStore`."""
        found = self._db.execute(
            "SELECT n FROM removed WHERE replica = ? AND id = ?", (self._number, item_id)
        ).fetchone()
        return found[0] if found else None

    def remember(self, item_id: str, n: int) -> None:
        """See `ReplicaStore`."""
        self._db.execute(
            "INSERT INTO removed VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = excluded.n",
            (self._number, item_id, n),
        )

    def forget_removed(self, upto: int | None) -> None:
        """See `ReplicaStore`."""
        self._db.execute(
            "DELETE FROM removed WHERE replica = ? AND (? IS NULL OR n <= ?)",
            (self._number, upto, upto),
        )

    def forget_tokens(self) -> None:
        """See `ReplicaStore`."""
        self._db.execute("UPDATE item SET n = NULL WHERE replica = ?", (self._number,))

    @in_words()
    def entries(self, first: bytes, last: bytes) -> Sequence[tuple[bytes, bytes]]:
        """See `ReplicaStore`."""
        return self._db.execute(
            "SELECT id_hash, etag FROM item WHERE replica = ? AND id_hash BETWEEN ? AND ?"
            " ORDER BY id_hash",
            (self._number, first, last),
        ).fetchall()

    @in_words()
    def hashed(self, id_hash: bytes) -> Sequence[str]:
        """See `ReplicaStore`."""
        found = self._db.execute(
            "SELECT id FROM item WHERE replica = ? AND id_hash = ?", (self._number, id_hash)
        )
        return [item_id for (item_id,) in found]

    @in_words()
    def wanted(
        self, limit: int, *, size_max: int | None, portions: bool = True
    ) -> Sequence[HeldItem]:
        """See `ReplicaStore`."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM item INDEXED BY item_fetched"  # noqa: S608 - our own column names
            " WHERE replica = ? AND NOT whole AND is_fetched"
            " ORDER BY n DESC, id LIMIT ?",  # SQLite sorts NULL below all numbers
            (self._number, limit),
        ).fetchall()
        room = limit - len(found)
        if room > 0 and (size_max is None or self._is_any_other(size_max, portions=portions)):
            found += self._db.execute(
                f"SELECT {_COLUMNS} FROM item"  # noqa: S608 - our own column names
                " WHERE replica = ? AND NOT whole AND NOT is_fetched"
                " AND (size <= ? OR ? AND NOT held_bytes)"
                " ORDER BY n DESC, id LIMIT ?",
                (self._number, INTEGER_MAX if size_max is None else size_max, portions, room),
            )
        return [_item(values) for values in found]

    def _is_any_other(self, size_max: int, *, portions: bool) -> bool:
        """Whether any is wanted beside those that are fetched."""
        # Each has an index. Without them it takes a look at all contents that are left in part.
        (found,) = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM item INDEXED BY item_small"
            " WHERE replica = ?1 AND NOT whole AND NOT is_fetched AND size <= ?2)"
            " OR ?3 AND EXISTS (SELECT 1 FROM item INDEXED BY item_empty"
            " WHERE replica = ?1 AND NOT whole AND NOT is_fetched AND NOT held_bytes)",
            (self._number, size_max, portions),
        ).fetchone()
        return bool(found)

    @in_words()
    def ended(self, before: int) -> Sequence[HeldItem]:
        """See `ReplicaStore`."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM item WHERE replica = ? AND coalesce(until, date) < ?",  # noqa: S608 - our own column names
            (self._number, before),
        )
        return [_item(values) for values in found]

    def clear_content(self, item_id: str) -> None:
        """See `ReplicaStore`."""
        self._db.execute(
            "DELETE FROM portion WHERE replica = ? AND item = ?", (self._number, item_id)
        )

    def append_content(self, item_id: str, offset: int, content: bytes) -> None:
        """See `ReplicaStore`."""
        self._db.execute(
            "INSERT INTO portion VALUES (?, ?, ?, ?)", (self._number, item_id, offset, content)
        )

    def content(self, item_id: str) -> Iterator[bytes]:
        """See `ReplicaStore`."""
        with in_words():
            found = self._db.execute(
                "SELECT bytes FROM portion WHERE replica = ? AND item = ? ORDER BY start",
                (self._number, item_id),
            )
            yield from (piece for (piece,) in found)

    def checked_content(self, item: HeldItem) -> Iterator[bytes]:
        """The bytes held of `item`, for who shows them to people.

        Raises:
            StoreError: at the end, if it is whole and these are not its bytes: the file is damaged.
        """
        sha256 = hashlib.sha256()
        for piece in self.content(item.id):
            sha256.update(piece)
            yield piece
        if item.whole and sha256.digest()[: len(item.digest)] != item.digest:
            raise StoreError(damaged(Path("the agent's file"), f"the content of {item.id!a}"))


def _view(text: str) -> View:
    try:
        return View.model_validate_json(text)
    except ValidationError as error:
        raise StoreError(damaged(Path("the agent's file"), "a view")) from error


def _token_set(coded: bytes) -> TokenSet:
    try:
        return TokenSet.decode(coded)
    except ProtocolError as error:
        raise StoreError(damaged(Path("the agent's file"), error)) from error


def _kept(held: TokenSet) -> bytes:
    """`held` as it is stored.

    What is too long to be read again loses its oldest tokens, which then travel again.
    """
    coded = held.encode()
    if len(coded) > TOKEN_SET_BYTES_MAX:
        return held.newest_within(TOKEN_SET_BYTES_MAX).encode()
    return coded


def _item(values: tuple[object, ...]) -> HeldItem:
    fields = list(values)
    try:
        fields[4] = tuple(json.loads(str(fields[4]))) if fields[4] != "[]" else ()
    except (ValueError, TypeError) as error:
        raise StoreError(damaged(Path("the agent's file"), error)) from error
    for flag in (10, 12, 13):
        fields[flag] = bool(fields[flag])
    return HeldItem(*fields)  # type: ignore[arg-type]  # the columns are STRICT
