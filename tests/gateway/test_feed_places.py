"""Every feed store finds changes by place, and leavings of places (docs/protocol.md, F1, F5)."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from gateway.feed import FeedError, FeedStore, FeedTransaction, NoSuchItemError
from gateway.rows import Alter, Delete, Left, Place, Put
from sync_protocol import inventory, limits
from tests.gateway.damage import WHY, hold_back, retry
from tests.gateway.feed_contract import FeedContract, InMemory, InSqlite
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, changed, head, purge, put

TOP, WORK, HOME = (Place("contact", folder) for folder in ("", "Work", "Home"))
MAIL = Place("mail", "Work")
ALL = (TOP, WORK, HOME, MAIL)
Leavings = list[tuple[int, str]]


def places(store: FeedStore, feed: str = FEED) -> list[Place]:
    with store.snapshot(feed) as snapshot:
        return list(snapshot.places())


def rows(
    store: FeedStore,
    *wanted: Place,
    first: int = 1,
    last: int = 99,
    newest_first: bool = False,
) -> list[int]:
    with store.snapshot(FEED) as snapshot:
        found = snapshot.rows(first, last, places=wanted, newest_first=newest_first)
        return [row.seq for row in found]


def left(
    store: FeedStore,
    wanted: Collection[Place] = ALL,
    *,
    first: int = 1,
    last: int = 99,
    newest_first: bool = False,
) -> Leavings:
    with store.snapshot(FEED) as snapshot:
        found = snapshot.leavings(first, last, places=wanted, newest_first=newest_first)
        return [(seq, row.id) for seq, row in found]


def delete_twice(transaction: FeedTransaction) -> None:
    with transaction.savepoint():
        transaction.apply(FEED, Delete("ada"), now=NOW)
        transaction.apply(FEED, Delete("ada"), now=NOW)


class PlacesContract(FeedContract):
    """What every store of feeds must do with places."""

    # Where items are or have been

    def test_f1_a_place_is_a_kind_and_a_folder(self, store: FeedStore) -> None:
        assert places(store) == []
        change(store, put("ada", folder="Work"), put("bob", kind="mail", folder="Work"), put("cyd"))
        assert places(store) == [TOP, WORK, MAIL]

    def test_f1_places_are_known_of_what_is_moved_changed_and_deleted(
        self, store: FeedStore
    ) -> None:
        change(store, put(folder="Work"), Alter("ada", folder="Home"), put(kind="mail"))
        assert places(store) == [HOME, WORK, Place("mail", "Home")]
        change(store, Delete("ada"))
        purge(store, before=NOW + 1)
        # A place where nothing is costs little, and looking for one is dear.
        assert places(store) == [HOME, WORK, Place("mail", "Home")]

    def test_f1_feeds_have_places_of_their_own(self, store: FeedStore) -> None:
        changed(store, put(folder="Work"))
        with store.transaction() as transaction:
            transaction.add_feed("other", epoch_id=EPOCH, now=NOW)
            transaction.apply("other", put(folder="Home"), now=NOW)
            transaction.apply("other", Alter("ada", folder=""), now=NOW)
        assert places(store) == [WORK]
        assert places(store, "other") == [TOP, HOME]
        assert (rows(store, *ALL), left(store)) == ([1], [])
        with store.transaction() as transaction:
            transaction.remove_feed("other")
            transaction.add_feed("other", epoch_id=EPOCH, now=NOW)
        assert places(store, "other") == []
        with store.snapshot("other") as snapshot:
            assert list(snapshot.leavings(1, 9, places=ALL)) == []

    # Rows of places

    def test_f5_rows_of_places_both_ways(self, store: FeedStore) -> None:
        change(
            store,
            *(put("ada", folder="Work"), put("bob", folder="Home"), put("cyd", folder="Work")),
            *(put("dan", kind="mail", folder="Work"), put("eve"), put("ada", b"x", folder="Work")),
        )
        assert rows(store, WORK) == [3, 6]
        assert rows(store, WORK, HOME) == [2, 3, 6]
        assert rows(store, HOME, MAIL, WORK, newest_first=True) == [6, 4, 3, 2]
        assert rows(store, WORK, HOME, first=3, last=5) == [3]
        assert rows(store, WORK, HOME, first=2, last=3, newest_first=True) == [3, 2]
        assert rows(store, Place("mail", "")) == []
        assert rows(store) == []
        assert rows(store, *ALL, first=5, last=4) == []

    def test_f5_a_row_is_in_the_place_where_the_item_is_and_nowhere_once_it_is_deleted(
        self, store: FeedStore
    ) -> None:
        change(store, put(folder="Work"), Alter("ada", folder="Home"))
        assert (rows(store, WORK), rows(store, HOME)) == ([], [2])
        change(store, Delete("ada"))
        assert (rows(store, WORK), rows(store, HOME)) == ([], [])

    def test_f7_what_is_held_back_is_no_row_of_a_place(self, store: FeedStore) -> None:
        change(store, put("ada", folder="Work"), put("bob", folder="Work"))
        hold_back(store)
        assert rows(store, WORK) == [2]
        retry(store)
        assert rows(store, WORK) == [2, 4]

    # When items left places

    def test_f1_only_the_newest_leaving_of_a_place_counts(self, store: FeedStore) -> None:
        change(store, put(folder="Work"), Alter("ada", folder="Home"))
        assert left(store, [WORK]) == [(2, "ada")]
        change(store, Alter("ada", folder="Work"))
        assert left(store, [WORK]) == [(2, "ada")]
        assert left(store) == [(2, "ada"), (3, "ada")]
        change(store, Alter("ada", folder="Home"))
        assert left(store, [WORK]) == [(4, "ada")]
        assert left(store) == [(3, "ada"), (4, "ada")]

    def test_f1_a_delete_leaves_the_place(self, store: FeedStore) -> None:
        change(store, put("ada", folder="Work"), put("bob"), Delete("ada"))
        assert left(store) == [(3, "ada")]
        with store.snapshot(FEED) as snapshot:
            ((_, row),) = snapshot.leavings(1, 9, places=[WORK])
            assert row == snapshot.row("ada")
            assert row.left == {WORK: Left(3, NOW)}
        change(store, put("ada", folder="Work"))
        assert left(store) == [(3, "ada")]

    def test_f1_another_kind_is_another_place(self, store: FeedStore) -> None:
        change(store, put(folder="Work"), put(kind="mail", folder="Work"))
        assert left(store, [WORK]) == [(2, "ada")]
        assert left(store, [MAIL]) == []
        assert rows(store, MAIL) == [2]
        row = changed(store, put(folder="Work"))
        assert row.left == {WORK: Left(2, NOW), MAIL: Left(3, NOW)}

    def test_f1_flags_and_contents_leave_no_place(self, store: FeedStore) -> None:
        change(store, put(folder="Work"), Alter("ada", flags=("x",)), put(content=b"new"))
        assert left(store) == []

    def test_f5_leavings_both_ways(self, store: FeedStore) -> None:
        names = ("ada", "bob", "cyd")
        change(store, *(put(name, folder="Work") for name in names))
        change(store, Alter("bob", folder="Home"), Delete("ada"), Alter("cyd", folder=""))
        change(store, Delete("bob"))
        everything = [(4, "bob"), (5, "ada"), (6, "cyd"), (7, "bob")]
        assert left(store) == everything
        assert left(store, newest_first=True) == everything[::-1]
        assert left(store, [HOME, TOP]) == [(7, "bob")]
        assert left(store, first=5, last=6) == everything[1:3]
        assert left(store, first=4, last=5, newest_first=True) == everything[1::-1]
        assert left(store, []) == []
        assert left(store, first=7, last=6) == []

    def test_f7_what_is_held_back_has_left_its_places(self, store: FeedStore) -> None:
        change(store, put(folder="Work"), Alter("ada", folder="Home"))
        hold_back(store)
        assert left(store) == [(2, "ada")]
        with store.snapshot(FEED) as snapshot:
            ((_, row),) = snapshot.leavings(1, 9, places=[WORK])
        assert row.quarantined == WHY
        retry(store)
        assert left(store) == [(2, "ada")]

    def test_f4_a_purge_forgets_leavings(self, store: FeedStore) -> None:
        change(store, put("ada", folder="Work"), put("bob", folder="Work"))
        changed(store, Alter("ada", folder="Home"), now=NOW + 1)
        changed(store, Delete("bob"), now=NOW + 2)
        changed(store, Alter("ada", folder=""), now=NOW + 3)
        assert left(store) == [(3, "ada"), (4, "bob"), (5, "ada")]
        purge(store, before=NOW + 2)
        assert left(store) == [(4, "bob"), (5, "ada")]
        purge(store, before=NOW + 3)
        assert left(store) == [(5, "ada")]
        # What was forgotten does not come back with the next change.
        change(store, Alter("ada", flags=("x",)), put("bob", folder="Work"))
        assert left(store) == [(5, "ada")]
        with store.snapshot(FEED) as snapshot:
            assert snapshot.purged == 4

    def test_a_transaction_that_fails_leaves_no_place(self, store: FeedStore) -> None:
        changed(store, put(folder="Work"))
        with pytest.raises(NoSuchItemError):
            change(store, Alter("ada", folder="Home"), Delete("eve"))
        assert (places(store), left(store), rows(store, *ALL)) == ([WORK], [], [1])
        with store.transaction() as transaction:
            with pytest.raises(NoSuchItemError):
                delete_twice(transaction)
            transaction.apply(FEED, Alter("ada", folder=""), now=NOW)
        assert (places(store), left(store), rows(store, *ALL)) == ([TOP, WORK], [(2, "ada")], [2])

    def test_changes_are_read_as_they_are_taken(self, store: FeedStore) -> None:
        change(store, *(put(f"item-{number}", folder="Work") for number in range(3)))
        change(store, *(Alter(f"item-{number}", folder="Home") for number in range(3)))
        with store.snapshot(FEED) as snapshot:
            leavings = snapshot.leavings(1, 9, places=ALL)
            found = snapshot.rows(1, 9, places=ALL, newest_first=True)
            assert next(leavings)[0] == 4
            assert next(found).seq == 6
            assert [row.seq for row in snapshot.rows(1, 9, places=[HOME])] == [4, 5, 6]
            assert [seq for seq, _ in leavings] == [5, 6]
            assert [row.seq for row in found] == [5, 4]

    # How long an item is about something

    def test_f1_until_is_kept_and_no_content(self, store: FeedStore) -> None:
        row = changed(store, replace(put(date=5), until=9))
        assert (row.date, row.until) == (5, 9)
        assert change(store, replace(put(date=5), until=9)) == [None]
        row = changed(store, put(date=5))
        assert (row.seq, row.c, row.until) == (2, 1, None)
        with store.snapshot(FEED) as snapshot:
            assert snapshot.row("ada") == row
        assert changed(store, Alter("ada", flags=("x",))).until is None
        assert changed(store, replace(put(date=5), until=-7)).until == -7
        assert changed(store, Alter("ada", folder="Work")).until == -7

    @pytest.mark.parametrize("until", [limits.INTEGER_MAX + 1, -limits.INTEGER_MAX - 1])
    def test_an_until_that_is_no_time_is_refused(self, store: FeedStore, until: int) -> None:
        with pytest.raises(FeedError, match="not a time"):
            change(store, replace(put(), until=until))
        assert head(store) == 0

    def test_g6_an_entry_tells_what_a_view_asks_for(self, store: FeedStore) -> None:
        change(store, put("eve"))
        change(store, replace(put("ada", b"12345", folder="Work", date=5), until=9))
        change(store, Alter("ada", flags=("x",)))
        with store.snapshot(FEED) as snapshot:
            (entry,) = (it for it in snapshot.entries(*inventory.bounds("")) if it.id == "ada")
            row = snapshot.row("ada")
        assert row is not None
        assert (entry.kind, entry.folder, entry.size) == ("contact", "Work", 5)
        assert (entry.date, entry.until) == (5, 9)
        assert (entry.seq, entry.c, entry.quarantined) == (3, 2, None)
        assert entry.etag == row.etag(row.native)
        hold_back(store)
        with store.snapshot(FEED) as snapshot:
            (held,) = (it for it in snapshot.entries(*inventory.bounds("")) if it.id == "ada")
        assert held == replace(entry, quarantined=WHY)

    def test_i2_an_entry_tells_of_another_until(self, store: FeedStore) -> None:
        def etag(mutation: Put) -> bytes:
            changed(store, mutation)
            with store.snapshot(FEED) as snapshot:
                (entry,) = snapshot.entries(*inventory.bounds(""))
            return entry.etag

        told = [etag(replace(put(date=date), until=until)) for date, until in PAIRS]
        assert len(set(told)) == len(PAIRS)


PAIRS = [(None, None), (5, None), (None, 5), (5, 6), (6, 5)]


class TestMemoryFeedStore(InMemory, PlacesContract):
    pass


class TestSqliteStore(InSqlite, PlacesContract):
    pass
