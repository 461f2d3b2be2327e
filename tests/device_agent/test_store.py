"""What every place that keeps a replica must do, in memory and in SQLite."""

import abc
import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from device_agent.agent_file import AgentFile
from device_agent.store import (
    Begun,
    Collection,
    HeldItem,
    Inventory,
    ReplicaState,
    ReplicaStore,
    mark_fetched,
)
from device_agent.store_memory import MemoryReplicaStore
from device_agent.store_sqlite import SqliteReplicaStore
from sync_protocol import inventory
from sync_protocol.limits import INTEGER_MAX, TOKEN_SET_BYTES_MAX
from sync_protocol.token_set import TokenSet
from sync_protocol.views import ShownAs, View
from tests.device_agent.builders import EPOCH, digest

STATE = ReplicaState(
    view_id=2**32 - 1,
    base=3,
    known=Collection(7, EPOCH, 9, 1, TokenSet.of([1, 2, 5])),
    floor=-4,
    more=True,
    view=View(
        kinds=("contact", "mail"),
        folders=("", "Ablage/Ä"),
        since=-5,
        shown_as=(ShownAs(kind="mail", representation="compact"),),
        portion_bytes=0,
        item_bytes_max=INTEGER_MAX,
    ),
    narrowed=-3,
    window="since -5",
)
BEGUN = Begun(EPOCH, 1, upto=9, head=12, lineage=7, held=TokenSet.of([1, 2, 5]))


def held(
    item_id: str,
    n: int | None = 1,
    *,
    whole: bool = True,
    flags: tuple[str, ...] = (),
    date: int | None = -5,
    until: int | None = None,
    is_fetched: bool = False,
    is_withheld: bool = False,
) -> HeldItem:
    return HeldItem(
        id=item_id,
        n=n,
        kind="contact",
        folder="Ablage/Ä",
        flags=flags,
        date=date,
        media_type="text/vcard",
        digest=digest(b"abc"),
        size=3,
        held_bytes=3 if whole else 1,
        whole=whole,
        until=until,
        is_fetched=is_fetched,
        is_withheld=is_withheld,
    )


def interrupted(store: ReplicaStore) -> None:
    store.set_state(ReplicaState(view_id=1))
    store.set_item(held("b"))
    store.append_content("a", 2, b"c")
    store.delete_item("a")
    store.remember("gone", 2)
    store.forget_tokens()
    raise KeyboardInterrupt


def wanted(store: ReplicaStore, size_max: int | None, *, limit: int = 10) -> list[str]:
    return [item.id for item in store.wanted(limit, size_max=size_max)]


def held_of(state: ReplicaState) -> TokenSet:
    if isinstance(state.known, Collection):
        return state.known.held
    assert state.known.begun is not None
    return state.known.begun.held


class StoreContract(abc.ABC):
    """Inherited by the tests of each store."""

    @pytest.fixture
    @abc.abstractmethod
    def store(self, tmp_path: Path) -> ReplicaStore | Iterator[ReplicaStore]:
        """An empty one."""

    def test_begins_with_nothing(self, store: ReplicaStore) -> None:
        assert store.state() is None
        assert list(store.items()) == []
        assert store.item("a") is None
        assert store.remembered("a") is None
        assert list(store.entries(*inventory.bounds(""))) == []
        assert list(store.hashed(inventory.id_hash("a"))) == []
        assert list(store.wanted(10, size_max=None)) == []
        assert list(store.ended(INTEGER_MAX)) == []
        assert b"".join(store.content("a")) == b""

    @pytest.mark.parametrize(
        "state",
        [
            STATE,
            ReplicaState(view_id=0),
            ReplicaState(
                view_id=1,
                base=INTEGER_MAX,
                known=Collection(0, EPOCH, -INTEGER_MAX, None, TokenSet()),
            ),
            ReplicaState(view_id=1, base=3, known=Inventory(("0", "1f", "f" * 12), BEGUN)),
            ReplicaState(
                view_id=1,
                base=INTEGER_MAX,
                known=Inventory(("",), Begun(EPOCH, None, 0, -INTEGER_MAX, 0, TokenSet())),
            ),
        ],
        ids=["all", "least", "extremes", "inventory", "inventory of nothing"],
    )
    def test_keeps_the_state(self, store: ReplicaStore, state: ReplicaState) -> None:
        store.set_state(STATE)
        store.set_state(state)
        assert store.state() == state

    def test_keeps_items_in_order_of_id(self, store: ReplicaStore) -> None:
        items = [
            held("b", flags=("$seen", "\\Draft"), until=-3),
            held("a", None),
            held("ä", whole=False, is_fetched=True),
            held("ö", whole=False, is_withheld=True, date=None),
        ]
        for item in items:
            store.set_item(item)
        assert list(store.items()) == [items[1], items[0], *items[2:]]
        assert store.item("b") == items[0]

    def test_replaces_an_item_and_leaves_its_content(self, store: ReplicaStore) -> None:
        store.set_item(held("a"))
        store.append_content("a", 0, b"abc")
        other = held("a", 2, flags=("$seen",), until=7, is_fetched=True, is_withheld=True)
        store.set_item(other)
        assert store.item("a") == other
        assert b"".join(store.content("a")) == b"abc"

    def test_deletes_an_item_with_its_content(self, store: ReplicaStore) -> None:
        for item_id in ("a", "b"):
            store.set_item(held(item_id))
            store.append_content(item_id, 0, b"abc")
        store.delete_item("a")
        store.delete_item("never there")
        assert list(store.items()) == [held("b")]
        assert b"".join(store.content("a")) == b""
        assert b"".join(store.content("b")) == b"abc"

    def test_content_grows_in_pieces(self, store: ReplicaStore) -> None:
        for offset, piece in ((0, b"abc"), (3, b"d"), (4, b"ef")):
            store.append_content("a", offset, piece)
        assert b"".join(store.content("a")) == b"abcdef"
        store.clear_content("a")
        store.append_content("a", 0, b"new")
        assert b"".join(store.content("a")) == b"new"

    def test_remembers_removes_until_they_are_forgotten(self, store: ReplicaStore) -> None:
        for item_id, n in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
            store.remember(item_id, n)
        store.forget_removed(2)
        assert [store.remembered(each) for each in "abc"] == [4, None, 3]
        store.forget_removed(None)
        assert [store.remembered(each) for each in "abc"] == [None, None, None]

    def test_forgets_tokens_and_nothing_else(self, store: ReplicaStore) -> None:
        store.set_item(held("a", 3))
        store.append_content("a", 0, b"abc")
        store.forget_tokens()
        store.set_item(held("b", 4))
        assert store.item("a") == held("a", None)
        assert b"".join(store.content("a")) == b"abc"

    def test_wanted_is_what_is_not_whole_newest_first(self, store: ReplicaStore) -> None:
        for item in (
            held("whole", 9),
            held("old", -1, whole=False),
            held("newer", 7, whole=False),
            held("new", 3, whole=False),
            held("new too", 3, whole=False),
            held("of unknown n", None, whole=False),
        ):
            store.set_item(item)
        newest_first = ["newer", "new", "new too", "old", "of unknown n"]
        assert wanted(store, None) == newest_first
        assert wanted(store, None, limit=2) == newest_first[:2]

    def test_wanted_is_not_what_is_too_large_unless_it_is_fetched(
        self, store: ReplicaStore
    ) -> None:
        for n, size in enumerate((9, 10, 11, INTEGER_MAX), 1):
            store.set_item(replace(held(f"of {size}", n, whole=False), size=size))
        assert wanted(store, 0) == []
        assert wanted(store, 10) == ["of 10", "of 9"]
        assert len(wanted(store, None)) == len(wanted(store, INTEGER_MAX)) == 4
        for size in (11, INTEGER_MAX):
            assert mark_fetched(store, f"of {size}")
        assert wanted(store, 0) == [f"of {INTEGER_MAX}", "of 11"]
        assert wanted(store, 9) == [f"of {INTEGER_MAX}", "of 11", "of 9"]
        store.set_item(held("of 11", 3, is_fetched=True))
        assert wanted(store, 0) == [f"of {INTEGER_MAX}"], "what is whole is not wanted"

    def test_wanted_is_first_what_is_fetched(self, store: ReplicaStore) -> None:
        for item in (
            held("new", 9, whole=False),
            held("fetched", 2, whole=False, is_fetched=True),
            held("fetched later", 3, whole=False, is_fetched=True),
            held("fetched, of unknown n", None, whole=False, is_fetched=True),
            held("fetched and whole", 8, is_fetched=True),
            held("old", 1, whole=False),
        ):
            store.set_item(item)
        ordered = ["fetched later", "fetched", "fetched, of unknown n", "new", "old"]
        for size_max in (None, INTEGER_MAX):
            assert wanted(store, size_max) == ordered
            for limit in range(1, 5):
                assert wanted(store, size_max, limit=limit) == ordered[:limit]
        assert [it.id for it in store.wanted(9, size_max=-1, portions=False)] == ordered[:3]

    def test_a_mark_changes_nothing_else_of_an_item(self, store: ReplicaStore) -> None:
        before = held("a", whole=False, is_withheld=True)
        store.set_item(before)
        store.append_content("a", 0, b"a")
        assert mark_fetched(store, "a") == before
        assert store.item("a") == replace(before, is_fetched=True, is_withheld=False)
        assert b"".join(store.content("a")) == b"a"
        assert mark_fetched(store, "never there") is None
        assert list(store.items()) == [store.item("a")]

    def test_ended_is_what_is_about_nothing_later(self, store: ReplicaStore) -> None:
        for item in (
            held("at 9", date=9),
            held("at 10", date=10),
            held("from 1 to 9", date=1, until=9),
            held("from 1 to 10", date=1, until=10),
            held("from 20 to 9", date=20, until=9),
            held("to 9", date=None, until=9),
            held("always", date=None),
        ):
            store.set_item(item)
        ended = ["at 9", "from 1 to 9", "from 20 to 9", "to 9"]
        assert sorted(item.id for item in store.ended(10)) == ended
        assert {item.id: item for item in store.ended(10)}["at 9"] == held("at 9", date=9)
        store.set_item(held("at 9", date=10))
        assert sorted(item.id for item in store.ended(10)) == ended[1:]
        assert list(store.ended(-INTEGER_MAX)) == []

    def test_entries_are_those_of_a_range_in_order_of_their_hashes(
        self, store: ReplicaStore
    ) -> None:
        items = [held(f"item-{number}", None if number % 2 else number) for number in range(50)]
        for item in items:
            store.set_item(item)
        entries = sorted((inventory.id_hash(item.id), item.etag) for item in items)
        assert list(store.entries(*inventory.bounds(""))) == entries
        for prefix in inventory.parts(""):
            within = [it for it in entries if it[0].hex().startswith(prefix)]
            assert list(store.entries(*inventory.bounds(prefix))) == within
        first, last = entries[3][0], entries[7][0]
        assert list(store.entries(first, last)) == entries[3:8], "both ends are in it"
        assert list(store.hashed(entries[0][0])) == [
            item.id for item in items if inventory.id_hash(item.id) == entries[0][0]
        ]
        assert list(store.hashed(bytes(6))) == []

    def test_an_entry_is_of_the_item_as_it_is_now(self, store: ReplicaStore) -> None:
        store.set_item(held("a"))
        before = store.entries(*inventory.bounds(""))
        changed = held("a", 2, flags=("$seen",))
        store.set_item(changed)
        assert list(store.entries(*inventory.bounds(""))) == [(before[0][0], changed.etag)]
        assert before[0][1] != changed.etag
        longer = held("a", 2, flags=("$seen",), until=7)
        store.set_item(longer)
        assert list(store.entries(*inventory.bounds(""))) == [(before[0][0], longer.etag)]
        assert longer.etag != changed.etag
        store.set_item(replace(longer, is_fetched=True, is_withheld=True))
        assert list(store.entries(*inventory.bounds(""))) == [(before[0][0], longer.etag)]
        store.delete_item("a")
        assert list(store.entries(*inventory.bounds(""))) == []
        assert list(store.hashed(inventory.id_hash("a"))) == []

    def test_a_transaction_that_fails_leaves_nothing(self, store: ReplicaStore) -> None:
        with store.transaction():
            store.set_state(STATE)
            store.set_item(held("a"))
            store.append_content("a", 0, b"ab")
            store.remember("gone", 1)
        with pytest.raises(KeyboardInterrupt), store.transaction():
            interrupted(store)
        assert store.state() == STATE
        assert list(store.items()) == [held("a")]
        assert b"".join(store.content("a")) == b"ab"
        assert store.remembered("gone") == 1
        with store.transaction():
            store.delete_item("a")
        assert list(store.items()) == []


class TestMemoryReplicaStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ReplicaStore:
        del tmp_path
        return MemoryReplicaStore()


class TestSqliteReplicaStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ReplicaStore]:
        with contextlib.closing(AgentFile(tmp_path / "agent.sqlite3")) as file:
            file.replica("another").set_state(ReplicaState(view_id=5))
            yield file.replica("feed")
            assert file.replica("another").state() == ReplicaState(view_id=5)

    @pytest.mark.parametrize("fetched", [0, 1])
    def test_what_is_wanted_is_found_among_many_that_are_not(
        self, tmp_path: Path, fetched: int
    ) -> None:
        """It is asked with each push."""
        path = tmp_path / "many.sqlite3"
        with contextlib.closing(AgentFile(path)) as file:
            made = file.replica("feed")
            with made.transaction():
                for n in range(2_000):
                    item = held(f"item-{n}", n, whole=False, is_fetched=n < fetched)
                    made.set_item(replace(item, size=11, held_bytes=1))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            steps = itertools.count()
            db.set_progress_handler(lambda: next(steps) < 0, 10)
            found = SqliteReplicaStore(db, 1).wanted(10, size_max=10)
            assert next(steps) < 30
            assert len(found) == fetched

    def test_a_set_too_long_to_be_read_again_loses_its_oldest(self, store: ReplicaStore) -> None:
        tokens = TokenSet.of(token * 2**39 for token in range(8_000))
        assert len(tokens.encode()) > TOKEN_SET_BYTES_MAX
        for known in (
            Collection(1, EPOCH, 1, None, tokens),
            Inventory(("",), replace(BEGUN, held=tokens)),
        ):
            store.set_state(ReplicaState(1, 1, known))
            state = store.state()
            assert state is not None
            kept = held_of(state)
            assert tokens.last in kept
            assert not kept - tokens


def test_a_mark_is_one_step_with_what_it_looks_at() -> None:
    """The agent may change the item meanwhile, in another process."""

    class Watched(MemoryReplicaStore):
        inside = False

        @contextlib.contextmanager
        def transaction(self) -> Iterator[None]:
            self.inside = True
            with super().transaction():
                yield
            self.inside = False

        def item(self, item_id: str) -> HeldItem | None:
            assert self.inside
            return super().item(item_id)

    store = Watched()
    store.set_item(held("a"))
    assert mark_fetched(store, "a") == held("a")
