"""Which ranges an inventory presents, and what their answers come to: Q3 and A4."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count, islice

import pytest

from device_agent import inventory
from device_agent.inventory import (
    DENSE_LISTED_ITEMS_MAX,
    DENSE_PARTS_MIN,
    LISTED_ITEMS_MAX,
    REQUEST_INVENTORY_BYTES_MAX,
    TODO_RANGES_MAX,
)
from device_agent.store import Begun, Inventory, ReplicaStore
from sync_protocol import inventory as words
from sync_protocol import limits
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Compared, Range
from sync_protocol.token_set import TokenSet
from tests.device_agent.builders import BASE, EPOCH, LINEAGE, OTHER_EPOCH, compared
from tests.device_agent.test_store import held

ROOM = REQUEST_INVENTORY_BYTES_MAX
BEGUN = Begun(EPOCH, 2, upto=5, head=5, lineage=LINEAGE, held=TokenSet.span(1 - BASE, 5))


def ids(prefix: str, many: int, *, begin: int = 0) -> list[str]:
    """So many ids whose hashes lie in a range."""
    found = (f"id-{n}" for n in count(begin))
    return list(islice((it for it in found if _hex(it).startswith(prefix)), many))


def _hex(item_id: str) -> str:
    return words.id_hash(item_id).hex()


def hold(store: ReplicaStore, item_ids: Iterable[str]) -> None:
    for item_id in item_ids:
        store.set_item(held(item_id))


def shown(ranges: Iterable[Range]) -> list[tuple[str, int | None, int]]:
    """For each range: prefix, items listed or None, fingerprints."""
    return [
        (
            it.prefix,
            None if it.entries is None else len(it.entries) // words.ENTRY_BYTES,
            len(it.fingerprints or b"") // words.FINGERPRINT_BYTES,
        )
        for it in ranges
    ]


def answer(
    *, head: int = 5, missing: Iterable[int] = (), answered: int = 1, split: Iterable[str] = ()
) -> Compared:
    made = compared(bytes(8), head=head, missing=missing, answered=answered, split=split)
    assert made.inventory is not None
    return made.inventory


class TestPresented:
    def test_q3_who_holds_nothing_lists_nothing(self, store: ReplicaStore) -> None:
        assert inventory.presented(store, Inventory(), room=ROOM) == (Range(entries=b""),)

    def test_q3_few_items_are_listed_at_once(self, store: ReplicaStore) -> None:
        hold(store, ids("", LISTED_ITEMS_MAX))
        (listed,) = inventory.presented(store, Inventory(), room=ROOM)
        assert shown([listed]) == [("", LISTED_ITEMS_MAX, 0)]
        assert listed.entries == words.pack(store.entries(*words.bounds("")))

    def test_q3_many_are_one_fingerprint_first(self, store: ReplicaStore) -> None:
        hold(store, ids("", LISTED_ITEMS_MAX + 1))
        (whole,) = inventory.presented(store, Inventory(), room=ROOM)
        assert shown([whole]) == [("", None, 1)]
        assert whole.fingerprints == words.fingerprint(store.entries(*words.bounds("")))

    def test_q3_and_afterwards_those_of_the_sixteen_parts(self, store: ReplicaStore) -> None:
        hold(store, ids("", DENSE_LISTED_ITEMS_MAX + 1))
        (parted,) = inventory.presented(store, Inventory(begun=BEGUN), room=ROOM)
        assert shown([parted]) == [("", None, 16)]
        parts = [store.entries(*words.bounds(part)) for part in words.parts("")]
        assert parted.fingerprints == b"".join(map(words.fingerprint, parts))

    @pytest.mark.parametrize("more", [0, 1])
    def test_q3_lists_up_to_a_bound_where_few_parts_differ(
        self, store: ReplicaStore, more: int
    ) -> None:
        hold(store, ids("3", LISTED_ITEMS_MAX + more))
        todo = tuple(words.parts("")[3 : 3 + DENSE_PARTS_MIN - 1])
        first, *others = shown(inventory.presented(store, Inventory(todo, BEGUN), room=ROOM))
        assert first == (("3", None, 16) if more else ("3", LISTED_ITEMS_MAX, 0))
        assert others == [(part, 0, 0) for part in todo[1:]]

    @pytest.mark.parametrize("more", [0, 1])
    def test_q3_lists_more_where_nearly_all_differ(self, store: ReplicaStore, more: int) -> None:
        hold(store, ids("2", DENSE_LISTED_ITEMS_MAX + more))
        todo = tuple(words.parts("")[2 : 2 + DENSE_PARTS_MIN])
        first, *others = shown(inventory.presented(store, Inventory(todo, BEGUN), room=ROOM))
        assert first == (("2", None, 16) if more else ("2", DENSE_LISTED_ITEMS_MAX, 0))
        assert others == [(part, 0, 0) for part in todo[1:]]

    @pytest.mark.parametrize("more", [0, 1])
    @pytest.mark.parametrize(
        ("room", "listed"),
        [
            (30 * words.ENTRY_BYTES, 30),
            (31 * words.ENTRY_BYTES - 1, 30),
            (1, LISTED_ITEMS_MAX),
            (DENSE_LISTED_ITEMS_MAX * words.ENTRY_BYTES, DENSE_LISTED_ITEMS_MAX),
        ],
    )
    def test_q3_lists_no_more_than_an_answer_has_room_for(
        self, store: ReplicaStore, room: int, listed: int, more: int
    ) -> None:
        hold(store, ids("2", listed + more))
        todo = tuple(words.parts("")[2 : 2 + DENSE_PARTS_MIN])
        first, *_ = shown(inventory.presented(store, Inventory(todo, BEGUN), room=room))
        assert first == (("2", None, 16) if more else ("2", listed, 0))

    def test_q3_other_ranges_do_not_count_as_parts_of_one(self, store: ReplicaStore) -> None:
        hold(store, ids("2", LISTED_ITEMS_MAX + 1))
        todo = ("2", *words.parts("3")[:DENSE_PARTS_MIN])
        assert shown(inventory.presented(store, Inventory(todo, BEGUN), room=ROOM))[0] == (
            "2",
            None,
            16,
        )

    def test_q3_goes_in_the_order_of_what_is_to_do(self, store: ReplicaStore) -> None:
        hold(store, ids("", 40))
        todo = ("f", "00", "8", "01")
        ranges = inventory.presented(store, Inventory(todo, BEGUN), room=ROOM)
        assert tuple(it.prefix for it in ranges) == todo

    def test_q3_not_too_many_ranges(self, store: ReplicaStore) -> None:
        todo = tuple(f"{n:03x}" for n in range(limits.INVENTORY_RANGES_MAX + 9))
        ranges = inventory.presented(store, Inventory(todo, BEGUN), room=ROOM)
        assert tuple(it.prefix for it in ranges) == todo[: limits.INVENTORY_RANGES_MAX]

    def test_q3_not_too_many_bytes(self, store: ReplicaStore) -> None:
        hold(store, ids("", 4_000))
        todo = tuple(part for it in words.parts("") for part in words.parts(it))
        ranges = inventory.presented(store, Inventory(todo, BEGUN), room=ROOM)
        size = sum(len(it.entries or b"") + len(it.fingerprints or b"") for it in ranges)
        each_max = DENSE_LISTED_ITEMS_MAX * words.ENTRY_BYTES
        assert REQUEST_INVENTORY_BYTES_MAX - each_max < size <= REQUEST_INVENTORY_BYTES_MAX
        assert tuple(it.prefix for it in ranges) == todo[: len(ranges)]

    def test_q3_one_range_in_any_case(self, store: ReplicaStore) -> None:
        hold(store, ids("0", LISTED_ITEMS_MAX))
        ranges = inventory.presented(store, Inventory(("0", "1"), BEGUN), room=1)
        assert shown(ranges) == [("0", LISTED_ITEMS_MAX, 0)]

    def test_q3_what_cannot_be_divided_is_listed_whatever_it_has(
        self, store: ReplicaStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As if all ids had one hash.
        monkeypatch.setattr(words, "id_hash", lambda _item_id: bytes(6))
        hold(store, [f"id-{n}" for n in range(DENSE_LISTED_ITEMS_MAX + 1)])
        ranges = inventory.presented(store, Inventory(("0" * 12,), BEGUN), room=ROOM)
        assert shown(ranges) == [("0" * 12, DENSE_LISTED_ITEMS_MAX + 1, 0)]
        ranges = inventory.presented(store, Inventory(("0" * 11,), BEGUN), room=ROOM)
        assert shown(ranges) == [("0" * 11, None, 16)]


WHOLE = Range(fingerprints=bytes(6))
PARTED = Range(prefix="1", fingerprints=bytes(96))
LISTED = Range(prefix="2", entries=b"")


class TestAfter:
    def test_a4_all_equal_is_everything_up_to_the_head(self) -> None:
        known, held_set = inventory.after(Inventory(), [WHOLE], answer(head=5))
        assert known == Inventory((), replace(BEGUN, p0=None))
        assert held_set == TokenSet.span(1 - BASE, 5)

    def test_a4_of_an_empty_feed_nothing_is_held(self) -> None:
        made = compared(bytes(8), head=0, base=0).inventory
        assert made is not None
        assert inventory.after(Inventory(), [WHOLE], made)[1] == TokenSet()

    def test_a4_what_is_missing_is_not_held_nor_what_is_newer_than_the_first_head(self) -> None:
        known, held_set = inventory.after(
            Inventory(), [WHOLE], answer(head=5, missing=[-3, 2], split=[""])
        )
        assert held_set is None
        listed = [Range(entries=b"")]
        known, held_set = inventory.after(known, listed, answer(head=9, missing=[5, 8]))
        assert held_set == TokenSet.of_ranges([(1 - BASE, -4), (-2, 1), (3, 4)])

    def test_a4_the_first_answer_fixes_what_it_is_up_to_and_the_newest_the_rest(self) -> None:
        before = Inventory(("1", "2", "3"), BEGUN)
        late = replace_fields(answer(head=9), p0=4)
        known, _ = inventory.after(before, [PARTED], late)
        assert known.begun == replace(BEGUN, head=9)
        early = answer(head=7)
        known, _ = inventory.after(known, [LISTED], early)
        assert known.begun == replace(BEGUN, head=9)

    def test_a4_parts_come_first_and_then_what_was_not_answered(self) -> None:
        before = Inventory(("1", "2", "3", "44"), BEGUN)
        asked = [PARTED, LISTED, Range(prefix="3", entries=b"")]
        known, held_set = inventory.after(before, asked, answer(answered=2, split=["1e", "20"]))
        assert known.todo == ("1e", "20", "3", "44")
        assert held_set is None

    def test_a4_a_whole_that_differs_is_itself_the_next(self) -> None:
        known, held_set = inventory.after(Inventory(), [WHOLE], answer(split=[""]))
        assert (known.todo, held_set) == (("",), None)

    @pytest.mark.parametrize(
        ("answered", "split"),
        [
            (0, []),
            (3, []),
            (1, ["1"]),  # presented by its parts
            (1, ["2f"]),  # of a range that was not answered
            (1, ["1e0"]),
            (1, [""]),
            (2, ["10", "2"]),
            (2, ["3"]),
            (1, ["10", "1f", "10"]),
        ],
    )
    def test_a_hostile_answer_is_refused(self, answered: int, split: list[str]) -> None:
        before = Inventory(("1", "2", "3"), BEGUN)
        with pytest.raises(ProtocolError, match="inventory's answer"):
            inventory.after(before, [PARTED, LISTED], answer(answered=answered, split=split))

    def test_a_hostile_answer_cannot_divide_a_whole(self) -> None:
        with pytest.raises(ProtocolError, match="splits what was not presented"):
            inventory.after(Inventory(), [WHOLE], answer(split=["0"]))

    @pytest.mark.parametrize("more", [0, 1])
    def test_a_hostile_answer_cannot_make_more_and_more_to_do(self, more: int) -> None:
        todo = tuple(f"{n:05x}" for n in range(TODO_RANGES_MAX))
        asked = [Range(prefix=todo[0], fingerprints=bytes(96))]
        split = [f"{todo[0]}{n}" for n in range(1 + more)]
        if more:
            with pytest.raises(ProtocolError, match=f"more than {TODO_RANGES_MAX} ranges"):
                inventory.after(Inventory(todo, BEGUN), asked, answer(split=split))
            return
        known, _ = inventory.after(Inventory(todo, BEGUN), asked, answer(split=split))
        assert len(known.todo) == TODO_RANGES_MAX

    def test_a_set_that_cannot_be_read_is_refused(self) -> None:
        broken = replace_fields(answer(), missing=b"\xff" * 9)
        with pytest.raises(ProtocolError, match="token set"):
            inventory.after(Inventory(), [WHOLE], broken)

    def test_another_epoch_is_not_its_business(self) -> None:
        strange = replace_fields(answer(), epoch=OTHER_EPOCH)
        known, _ = inventory.after(Inventory(("1",), BEGUN), [PARTED], strange)
        assert known.begun is not None
        assert known.begun.epoch == EPOCH


def replace_fields(answer: Compared, **fields: object) -> Compared:
    return answer.model_copy(update=fields)


def test_drops_are_id_hashes() -> None:
    made = compared(bytes(8), head=5, drops=["a", "b"]).inventory
    assert made is not None
    assert list(inventory.dropped(made)) == [words.id_hash("a"), words.id_hash("b")]


class TestRoom:
    def test_a_small_answer_tells_of_little(self) -> None:
        assert inventory.room_bytes(4096) == 256
        assert inventory.room_bytes(2**20) == REQUEST_INVENTORY_BYTES_MAX

    def test_what_was_presented_in_vain_is_not_presented_again_at_once(self) -> None:
        nothing = Range(prefix="0", entries=b"")
        listed = [
            Range(prefix=digit, entries=words.pack([(bytes.fromhex(digit * 12), bytes(8))] * 30))
            for digit in "123"
        ]
        assert inventory.next_room_bytes(listed, 2, 2_000) == 2 * 30 * words.ENTRY_BYTES
        assert inventory.next_room_bytes(listed, 3, 2_000) == 4_000
        # Ranges of nothing are no measure.
        assert inventory.next_room_bytes([nothing, *listed], 1, 2_000) == 128
