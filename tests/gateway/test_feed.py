"""Every feed store keeps one contract (docs/protocol.md, F1 to F4)."""

import hashlib
from collections.abc import Callable

import pytest

from gateway.feed import (
    EpochSpan,
    FeedError,
    FeedStore,
    FeedTransaction,
    NoSuchFeedError,
    NoSuchItemError,
    digest_rows,
    feed_items,
)
from gateway.feed_memory import MemoryFeedStore
from gateway.rows import Alter, Delete, Left, Mutation, Place
from sync_protocol import inventory, limits
from sync_protocol.digests import replica_digest
from tests.gateway.damage import WHY
from tests.gateway.feed_contract import FeedContract, InMemory, InSqlite
from tests.gateway.sample_feeds import (
    EPOCH,
    FEED,
    NOW,
    change,
    changed,
    contents,
    head,
    open_epoch,
    purge,
    put,
)

ALL_HASHES = inventory.bounds("")
WORK, HOME = Place("contact", "Work"), Place("contact", "Home")
WRONG_IDS = ("", "x" * 256, "ä" * 128, "a\nb", "a\0b", "\x7f", "\ud800")
WRONG_FOLDERS = ("x" * 256, "a\tb", "\ud800")
WRONG_FLAGS = ("", "a b", "ä", "x" * 65, "a(", "%", '"', "a\n")
WRONG_KINDS = ("", "Contact", "7up", "x" * 33, "con tact", "täsk")
WRONG_MEDIA_TYPES = ("", "text", "Text/vcard", "text/vcard; charset=utf-8", "a/" + "x" * 64)

WRONG: dict[str, Mutation] = {
    **{f"put id {bad!a}": put(bad) for bad in WRONG_IDS},
    **{f"alter id {bad!a}": Alter(bad, folder="x") for bad in WRONG_IDS},
    **{f"delete id {bad!a}": Delete(bad) for bad in WRONG_IDS},
    **{f"put folder {bad!a}": put(folder=bad) for bad in WRONG_FOLDERS},
    **{f"alter folder {bad!a}": Alter("ada", folder=bad) for bad in WRONG_FOLDERS},
    **{f"put flag {bad!a}": put(flags=(bad,)) for bad in WRONG_FLAGS},
    **{f"alter flag {bad!a}": Alter("ada", flags=(bad,)) for bad in WRONG_FLAGS},
    "put flags, too many": put(flags=tuple(f"f{number}" for number in range(33))),
    **{f"put kind {bad!a}": put(kind=bad) for bad in WRONG_KINDS},
    **{f"put media type {bad!a}": put(media_type=bad) for bad in WRONG_MEDIA_TYPES},
    "put date, too late": put(date=limits.INTEGER_MAX + 1),
    "put date, too early": put(date=-limits.INTEGER_MAX - 1),
    "put content, too large": put(content=bytes(limits.CONTENT_BYTES_MAX + 1)),
}


class FeedStoreContract(FeedContract):
    """What every store of feeds must do."""

    # What a row says, clause F1

    def test_an_item_is_one_row_its_newest_change(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"), put("ada", b"two", flags=("$seen",), date=7))
        with store.snapshot(FEED) as snapshot:
            assert [(row.id, row.seq) for row in snapshot.rows(1, 9)] == [("bob", 2), ("ada", 3)]
            row = snapshot.row("ada")
        assert row is not None
        assert row.digest == hashlib.sha256(b"two").digest()
        assert row.wire_digest == row.digest[:16]
        assert (row.kind, row.media_type, row.size) == ("contact", "text/vcard", 3)
        assert (row.flags, row.date, row.folder, row.deleted) == (("$seen",), 7, "", False)

    def test_c_moves_with_the_content_only(self, store: FeedStore) -> None:
        mutations = (
            (put(content=b"one"), 1),
            (Alter("ada", flags=("$seen",)), 1),
            (Alter("ada", folder="Work"), 1),
            (put(content=b"one", date=5), 1),
            (put(content=b"two"), 5),
            (put(content=b"one"), 6),
            (Delete("ada"), 6),
            (put(content=b"one"), 8),
        )
        assert [changed(store, mutation).c for mutation, _ in mutations] == [
            c for _, c in mutations
        ]

    def test_what_changes_nothing_is_no_change(self, store: FeedStore) -> None:
        first = put(folder="Work", flags=("b", "a"), date=5)
        same: tuple[Mutation, ...] = (
            first,
            put(date=5),
            put(flags=("a", "b", "a"), date=5),
            Alter("ada"),
            Alter("ada", folder="Work"),
            Alter("ada", flags=("b", "a")),
        )
        changed(store, first)
        assert change(store, *same, now=NOW + 1) == [None] * len(same)
        assert head(store) == 1

    def test_put_without_folder_and_flags_keeps_them(self, store: FeedStore) -> None:
        changed(store, put(folder="Work", flags=("$seen",)))
        row = changed(store, put(content=b"two"))
        assert (row.folder, row.flags) == ("Work", ("$seen",))

    def test_put_after_a_delete_begins_with_defaults(self, store: FeedStore) -> None:
        change(store, put(folder="Work", flags=("$seen",)), Delete("ada"))
        row = changed(store, put())
        assert (row.folder, row.flags) == ("", ())

    @pytest.mark.parametrize(
        "leave", [Alter("ada", folder="Home"), put(folder="Home"), Delete("ada")]
    )
    def test_left_tells_when_an_item_left_its_folder(
        self, store: FeedStore, leave: Mutation
    ) -> None:
        changed(store, put(folder="Work"))
        assert changed(store, leave, now=NOW + 5).left == {WORK: Left(2, NOW + 5)}

    def test_left_outlives_delete_and_put_and_keeps_the_newest(self, store: FeedStore) -> None:
        change(store, put(folder="Work"), Alter("ada", folder="Home"), Delete("ada"))
        row = changed(store, put(folder="Work"))
        assert row.left == {WORK: Left(2, NOW), HOME: Left(3, NOW)}
        row = changed(store, Alter("ada", folder="Home"))
        assert row.left == {WORK: Left(5, NOW), HOME: Left(3, NOW)}

    def test_flags_alone_leave_no_folder(self, store: FeedStore) -> None:
        changed(store, put(folder="Work"))
        assert changed(store, Alter("ada", flags=("$seen",))).left == {}

    def test_a_delete_keeps_a_marker_and_no_content(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"))
        assert changed(store, Delete("ada")).deleted
        with store.snapshot(FEED) as snapshot:
            assert [(row.id, row.deleted) for row in snapshot.rows(1, 9)] == [
                ("bob", False),
                ("ada", True),
            ]
            assert list(contents(snapshot)) == ["bob"]
            assert snapshot.item_count == 1

    # The order of changes, clause F2

    def test_seq_grows_by_one_with_each_change(self, store: FeedStore) -> None:
        rows = change(store, put("ada"), put("bob"), put("bob"), Alter("ada", folder="x"))
        assert [row and row.seq for row in rows] == [1, 2, None, 3]
        assert head(store) == 3

    def test_feeds_count_alone(self, store: FeedStore) -> None:
        change(store, put(), put("bob"))
        with store.transaction() as transaction:
            transaction.add_feed("other", epoch_id=EPOCH, now=NOW)
            row = transaction.apply("other", put(content=b"other"), now=NOW)
        assert row is not None
        assert row.seq == 1
        assert head(store) == 2
        with store.snapshot("other") as snapshot:
            assert contents(snapshot) == {"ada": b"other"}

    def test_a_new_feed_is_empty(self, store: FeedStore) -> None:
        with store.snapshot(FEED) as snapshot:
            assert (snapshot.head, snapshot.purged, snapshot.item_count) == (0, 0, 0)
            assert list(snapshot.rows(1, 10)) == []
            assert snapshot.row("ada") is None
            assert snapshot.newest_epoch() == EpochSpan(EPOCH, 1, None)

    # When epochs begin and end, clause F3

    def test_an_epoch_ends_where_the_next_begins(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"))
        open_epoch(store, b"epoch--2")
        open_epoch(store, b"epoch--3")
        changed(store, put("cyd"))
        open_epoch(store, b"epoch--4")
        with store.snapshot(FEED) as snapshot:
            assert snapshot.epoch(EPOCH) == EpochSpan(EPOCH, 1, 2)
            assert snapshot.epoch(b"epoch--2") == EpochSpan(b"epoch--2", 3, 2)
            assert snapshot.epoch(b"epoch--3") == EpochSpan(b"epoch--3", 3, 3)
            assert snapshot.epoch(b"epoch--4") == EpochSpan(b"epoch--4", 4, None)
            assert snapshot.newest_epoch() == EpochSpan(b"epoch--4", 4, None)
            assert snapshot.epoch(b"epoch--9") is None

    def test_an_epoch_of_another_feed_is_unknown(self, store: FeedStore) -> None:
        with store.transaction() as transaction:
            transaction.add_feed("other", epoch_id=b"epoch--9", now=NOW)
        with store.snapshot(FEED) as snapshot:
            assert snapshot.epoch(b"epoch--9") is None

    # What a purge forgets, clause F4

    def test_a_purge_forgets_old_delete_markers(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"), put("cyd"))
        changed(store, Delete("ada"), now=NOW + 1)
        changed(store, Delete("bob"), now=NOW + 2)
        assert purge(store, before=NOW + 2) == 1
        with store.snapshot(FEED) as snapshot:
            assert [row.id for row in snapshot.rows(1, 9)] == ["cyd", "bob"]
            assert snapshot.purged == 4
            assert (snapshot.head, snapshot.item_count) == (5, 1)

    def test_a_purge_forgets_old_folders_and_keeps_the_rest_of_a_row(
        self, store: FeedStore
    ) -> None:
        changed(store, put(folder="Work"))
        changed(store, Alter("ada", folder="Home"), now=NOW + 1)
        changed(store, Alter("ada", folder="Attic"), now=NOW + 2)
        assert purge(store, before=NOW + 2) == 1
        with store.snapshot(FEED) as snapshot:
            row = snapshot.row("ada")
            assert row is not None
            assert row.left == {HOME: Left(3, NOW + 2)}
            assert (row.seq, row.c, row.folder) == (3, 1, "Attic")
            assert snapshot.purged == 2
            assert [row.seq for row in snapshot.rows(1, 9)] == [3]

    def test_a_young_marker_loses_its_old_folders_only(self, store: FeedStore) -> None:
        change(store, put(folder="Work"), Alter("ada", folder="Home"))
        changed(store, Delete("ada"), now=NOW + 5)
        assert purge(store, before=NOW + 1) == 1
        with store.snapshot(FEED) as snapshot:
            row = snapshot.row("ada")
            assert row is not None
            assert row.deleted
            assert row.left == {HOME: Left(3, NOW + 5)}

    def test_a_purge_never_moves_p_back(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"))
        changed(store, Delete("bob"), now=NOW)
        changed(store, Delete("ada"), now=NOW + 9)
        purge(store, before=NOW + 10)
        changed(store, put("cyd"), now=NOW)
        assert purge(store, before=NOW + 10) == 0
        with store.snapshot(FEED) as snapshot:
            assert snapshot.purged == 4

    def test_a_purge_without_a_thing_to_forget_changes_nothing(self, store: FeedStore) -> None:
        changed(store, put())
        assert purge(store, before=NOW + 100) == 0
        with store.snapshot(FEED) as snapshot:
            assert (snapshot.purged, snapshot.item_count) == (0, 1)

    # Reading

    def test_rows_of_a_range_both_ways(self, store: FeedStore) -> None:
        change(store, *(put(f"item-{number}") for number in range(1, 7)), put("item-3", b"new"))
        with store.snapshot(FEED) as snapshot:
            assert [row.seq for row in snapshot.rows(2, 5)] == [2, 4, 5]
            assert [row.seq for row in snapshot.rows(2, 7, newest_first=True)] == [7, 6, 5, 4, 2]
            assert list(snapshot.rows(3, 3)) == []
            assert list(snapshot.rows(5, 2)) == []
            assert [row.seq for row in snapshot.rows(-(2**53), 2**54)] == [1, 2, 4, 5, 6, 7]

    def test_rows_are_read_as_they_are_taken(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"), put("cyd"))
        with store.snapshot(FEED) as snapshot:
            rows = snapshot.rows(1, 3)
            assert next(rows).id == "ada"
            assert [row.id for row in snapshot.rows(1, 2, newest_first=True)] == ["bob", "ada"]
            assert [row.id for row in rows] == ["bob", "cyd"]

    def test_the_newest_row_before_one_is_no_superseded_change(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"), put("bob", b"two"))

        def newest_below(seq: int) -> int | None:
            newest = next(snapshot.rows(1, seq - 1, newest_first=True), None)
            return None if newest is None else newest.seq

        with store.snapshot(FEED) as snapshot:
            assert [newest_below(seq) for seq in (0, 1, 2, 3, 4, 99)] == [*(None, None, 1, 1, 3, 3)]

    def test_items_come_in_pages_in_order_of_id(self, store: FeedStore) -> None:
        ids = ["B", "a", "b", "ä", "~", "€", "\U0001f600", "\uffff", "z" * 255]
        change(store, *(put(item_id) for item_id in ids), put("gone"), Delete("gone"))
        wanted = sorted(ids)
        with store.snapshot(FEED) as snapshot:
            assert [row.id for row in snapshot.items(after=None, limit=2)] == wanted[:2]
            assert [row.id for row in snapshot.items(after=wanted[1], limit=3)] == wanted[2:5]
            assert [row.id for row in snapshot.items(after="aa", limit=99)] == wanted[2:]
            assert [row.id for row in feed_items(snapshot, page=2)] == wanted

    def test_entries_come_in_order_of_the_id_hash(self, store: FeedStore) -> None:
        change(store, *(put(f"item-{number}", b"%d" % number) for number in range(50)))
        with store.snapshot(FEED) as snapshot:
            entries = list(snapshot.entries(*ALL_HASHES))
            rows = {row.id: row for row in feed_items(snapshot)}
        assert [it.id_hash for it in entries] == sorted(map(inventory.id_hash, rows))
        assert all(it.id_hash == inventory.id_hash(it.id) for it in entries)
        of_rows = [rows[it.id] for it in entries]
        assert [it.etag for it in entries] == [row.etag(row.native) for row in of_rows]

    def test_entries_of_a_range_with_both_its_ends(self, store: FeedStore) -> None:
        change(store, *(put(f"item-{number}") for number in range(9)))
        hashes = sorted(inventory.id_hash(f"item-{number}") for number in range(9))

        def found(first: bytes, last: bytes) -> list[bytes]:
            with store.snapshot(FEED) as snapshot:
                return [it.id_hash for it in snapshot.entries(first, last)]

        assert found(hashes[2], hashes[5]) == hashes[2:6]
        assert found(hashes[4], hashes[4]) == [hashes[4]]
        assert found(_next(hashes[2]), hashes[5]) == hashes[3:6]
        assert found(_next(hashes[5]), _next(hashes[5])) == []
        assert found(hashes[5], hashes[2]) == []

    def test_entries_are_of_what_is_live(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"), Delete("bob"))
        with store.transaction() as transaction:
            transaction.add_feed("other", epoch_id=EPOCH, now=NOW)
            transaction.apply("other", put("cyd"), now=NOW)
        assert list(_etags(store)) == ["ada"]

    def test_an_entry_tells_of_every_change(self, store: FeedStore) -> None:
        changed(store, put("ada", b"one", folder="Work"))
        told = [_etags(store)]
        for mutation in (
            Alter("ada", folder="Home"),
            Alter("ada", flags=("$seen",)),
            put("ada", b"one", date=7),
            put("ada", b"two", date=7),
            put("ada", b"two", kind="note", date=7),
            put("ada", b"two", kind="note", media_type="text/plain", date=7),
        ):
            changed(store, mutation)
            told.append(_etags(store))
        assert len({it["ada"] for it in told}) == len(told)
        same_content = [inventory.is_same_content(told[0]["ada"], it["ada"]) for it in told]
        assert same_content == [True] * 4 + [False] * 3

    def test_an_item_put_again_has_its_entry_again(self, store: FeedStore) -> None:
        change(store, put("ada", flags=("x",)), put("bob"))
        before = _etags(store)
        changed(store, Delete("ada"))
        assert _etags(store) == {"bob": before["bob"]}
        changed(store, put("ada", flags=("x",)))
        assert _etags(store) == before

    @pytest.mark.parametrize("size", [0, 1, 70_000])
    def test_content_in_ranges(self, store: FeedStore, size: int) -> None:
        content = bytes(number % 251 for number in range(size))
        changed(store, put(content=content))
        with store.snapshot(FEED) as snapshot:
            for offset, bytes_max in ((0, size), (0, 0), (size // 2, 9), (size, 9), (size + 9, 9)):
                found = snapshot.content("ada", offset=offset, bytes_max=bytes_max)
                assert found == content[offset : offset + bytes_max]

    def test_the_largest_content(self, store: FeedStore) -> None:
        content = b"0123456789abcdef" * (limits.CONTENT_BYTES_MAX // 16)
        changed(store, put(content=content))
        with store.snapshot(FEED) as snapshot:
            assert snapshot.content("ada", offset=0, bytes_max=len(content)) == content
            assert snapshot.content("ada", offset=len(content) - 3, bytes_max=99) == b"def"

    def test_equal_feeds_have_equal_digests(self, store: FeedStore) -> None:
        other = MemoryFeedStore()
        other.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        change(store, put("ada", flags=("x",)), put("bob"))
        change(other, put("bob", b"old"), put("ada", flags=("x",)), put("bob"))
        with store.snapshot(FEED) as one, other.snapshot(FEED) as two:
            assert replica_digest(digest_rows(feed_items(one))) == replica_digest(
                digest_rows(feed_items(two))
            )

    # What cannot be

    @pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
    def test_what_no_message_could_carry_is_refused(
        self, store: FeedStore, wrong: Mutation
    ) -> None:
        changed(store, put())
        with pytest.raises(FeedError) as refused:
            change(store, wrong)
        assert not isinstance(refused.value, (NoSuchFeedError, NoSuchItemError))
        assert 10 < len(str(refused.value)) < 500
        assert head(store) == 1

    @pytest.mark.parametrize("mutation", [Alter("eve", folder="x"), Delete("eve"), Delete("gone")])
    def test_an_item_that_is_not_there(self, store: FeedStore, mutation: Mutation) -> None:
        change(store, put("gone"), Delete("gone"))
        with pytest.raises(NoSuchItemError, match=f"no item '{mutation.id}' in feed 'contacts'"):
            change(store, mutation)

    @pytest.mark.parametrize(
        "use",
        [
            lambda it: it.apply("none", put(), now=NOW),
            lambda it: it.remove_feed("none"),
            lambda it: it.open_epoch("none", epoch_id=EPOCH),
            lambda it: it.purge("none", before=NOW),
            lambda it: it.quarantine("none", "ada", seq=1, why=WHY),
            lambda it: it.retry("none", "ada", seq=1, now=NOW, renderings={}),
        ],
        ids=["apply", "remove_feed", "open_epoch", "purge", "quarantine", "retry"],
    )
    def test_a_feed_that_is_not_there(
        self, store: FeedStore, use: Callable[[object], object]
    ) -> None:
        with (
            pytest.raises(NoSuchFeedError, match="gateway feed add none"),
            store.transaction() as transaction,
        ):
            use(transaction)

    def test_no_snapshot_of_a_feed_that_is_not_there(self, store: FeedStore) -> None:
        with pytest.raises(NoSuchFeedError), store.snapshot("none"):
            pass
        assert head(store) == 0  # the store goes on

    def test_a_feed_has_its_name_alone(self, store: FeedStore) -> None:
        with pytest.raises(FeedError, match="'contacts' already"), store.transaction() as it:
            it.add_feed(FEED, epoch_id=b"epoch--2", now=NOW)

    def test_a_removed_feed_leaves_nothing_to_one_of_its_name(self, store: FeedStore) -> None:
        change(store, put("ada"), put("bob"), Delete("bob"))
        with store.transaction() as transaction:
            transaction.remove_feed(FEED)
            assert list(store.feeds()) in ([], [FEED])  # before the commit
        assert list(store.feeds()) == []
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=b"epoch--2", now=NOW)
            transaction.add_feed("a-feed", epoch_id=b"epoch--2", now=NOW)
        assert list(store.feeds()) == ["a-feed", FEED]
        with store.snapshot(FEED) as snapshot:
            assert (snapshot.head, snapshot.item_count) == (0, 0)
            assert snapshot.epoch(EPOCH) is None
            assert list(snapshot.rows(1, 9)) == []

    # Transactions

    def test_a_transaction_that_fails_changes_nothing(self, store: FeedStore) -> None:
        changed(store, put(content=b"one"))
        with pytest.raises(NoSuchItemError):
            change(store, put(content=b"two"), put("bob"), Delete("eve"))
        with store.snapshot(FEED) as snapshot:
            assert (snapshot.head, snapshot.item_count) == (1, 1)
            assert contents(snapshot) == {"ada": b"one"}
        assert changed(store, put("bob")).seq == 2

    def test_a_savepoint_undoes_itself_only(self, store: FeedStore) -> None:
        with store.transaction() as transaction:
            transaction.apply(FEED, put(content=b"one"), now=NOW)
            with pytest.raises(NoSuchItemError):
                _in_savepoint(transaction, put(content=b"two"), put("eve"), Delete("none"))
            with transaction.savepoint():
                transaction.apply(FEED, put("bob"), now=NOW)
                with pytest.raises(NoSuchItemError):
                    _in_savepoint(transaction, Delete("bob"), Delete("bob"))
        with store.snapshot(FEED) as snapshot:
            assert contents(snapshot) == {"ada": b"one", "bob": b"BEGIN:VCARD"}
            assert (snapshot.head, snapshot.item_count) == (2, 2)
            assert snapshot.newest_epoch().id == EPOCH


def _etags(store: FeedStore) -> dict[str, bytes]:
    """Item id -> etag."""
    with store.snapshot(FEED) as snapshot:
        return {it.id: it.etag for it in snapshot.entries(*ALL_HASHES)}


def _next(id_hash: bytes) -> bytes:
    return (int.from_bytes(id_hash, "big") + 1).to_bytes(len(id_hash), "big")


def _in_savepoint(transaction: FeedTransaction, *mutations: Mutation) -> None:
    with transaction.savepoint():
        transaction.open_epoch(FEED, epoch_id=b"epoch--2")
        for mutation in mutations:
            transaction.apply(FEED, mutation, now=NOW)


class TestMemoryFeedStore(InMemory, FeedStoreContract):
    pass


class TestSqliteStore(InSqlite, FeedStoreContract):
    pass
