"""What an inventory is answered, rule by rule (docs/protocol.md, G6 and I1 to I5)."""

import functools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feed import FeedStore
from gateway.feed_memory import MemorySnapshot
from gateway.responder import AnswerLimits
from gateway.rows import Alter, Delete, Entry, Mutation
from sync_protocol import inventory, limits, messages, wire
from sync_protocol.digests import digest_of
from sync_protocol.limits import ANSWER_BYTES_MAX, ANSWER_BYTES_MIN, INTEGER_MAX
from sync_protocol.wire import Format
from tests.gateway.asking import REQUEST_ID, compare, compared_of, lineage
from tests.gateway.damage import hold_back
from tests.gateway.inventories import (
    NOTHING,
    FarApart,
    Told,
    compared,
    entries,
    listed,
    many,
    missing_in,
    parted,
    strangers,
    told,
    twin,
    whole,
)
from tests.gateway.sample_feeds import FEED, NOW, memory_feed, open_epoch, purge, put

EPOCH_2 = b"epoch--2"
LARGEST = AnswerLimits(answer_bytes_max=ANSWER_BYTES_MAX)

# A range given as entries


def test_what_is_equal_brings_nothing() -> None:
    store = memory_feed(put("ada", folder="Work", flags=("x",), date=5), put("bob"))
    assert told(compared(store, listed(store))) == NOTHING


def test_what_is_not_listed_is_missing_with_n_and_c() -> None:
    store = memory_feed(put("ada"), put("bob"), put("cyd"), Alter("ada", flags=("x",)))
    found = compared(store, listed(memory_feed(put("bob"))))
    assert told(found) == ([1, 3, 4], [], [], [])


def test_another_content_is_missing_with_n_and_c() -> None:
    store = memory_feed(put("ada", b"new"), put("bob"), Alter("ada", flags=("x",)))
    held = memory_feed(put("ada", b"old", flags=("x",)), put("bob"))
    assert told(compared(store, listed(held))) == ([1, 3], [], [], [])


@pytest.mark.parametrize(
    "other",
    [
        put("ada", b"hello", flags=("y",)),
        put("ada", b"hello", flags=()),
        put("ada", b"hello", folder="Home"),
        put("ada", b"hello", date=-1),
        put("ada", b"hello", kind="note"),
        put("ada", b"hello", media_type="text/plain"),
    ],
    ids=["flags", "no flags", "folder", "date", "kind", "media type"],
)
def test_the_same_content_and_anything_else_comes_as_a_put_without_it(other: Mutation) -> None:
    store = memory_feed(put("bob"), put("ada", b"hello", folder="Work", flags=("x",), date=7))
    found = compared(store, listed(memory_feed(put("bob"), other)))
    assert told(found) == ([], ["ada"], [], [])
    assert found.puts == (
        messages.Put(
            id="ada",
            kind="contact",
            folder="Work",
            flags=("x",),
            date=7,
            digest=digest_of([b"hello"]),
            size=5,
            media_type="text/vcard",
            content=None,
        ),
    )


def test_what_is_listed_and_not_in_the_feed_is_dropped() -> None:
    store = memory_feed(put("ada"))
    held = memory_feed(put("ada"), put("eve"), put("gus"))
    _, _, drops, _ = found = told(compared(store, listed(held)))
    assert found == ([], [], drops, [])
    assert sorted(drops) == sorted(map(inventory.id_hash, ("eve", "gus")))


def test_what_was_deleted_is_not_in_the_feed() -> None:
    store = memory_feed(put("ada"), put("bob"), Delete("bob"))
    empty, both = memory_feed(), memory_feed(put("ada"), put("bob"))
    assert told(compared(store, listed(empty))) == ([1], [], [], [])
    assert told(compared(store, listed(both))) == ([], [], [inventory.id_hash("bob")], [])
    fits = memory_feed(put("ada"))
    for presented in (listed(fits), whole(fits), parted(fits)):
        assert told(compared(store, presented)) == NOTHING


def test_nothing_against_nothing() -> None:
    empty = memory_feed()
    for presented in (listed(empty), whole(empty), parted(empty)):
        assert told(compared(empty, presented)) == NOTHING


def test_a_range_tells_of_nothing_else() -> None:
    store = memory_feed(*many(100))
    empty = memory_feed()
    for prefix in ("0", "7c", "f", inventory.id_hash("item-7").hex()):
        inside = sorted(
            number + 1
            for number in range(100)
            if inventory.id_hash(f"item-{number}").hex().startswith(prefix)
        )
        assert told(compared(store, listed(empty, prefix))) == (inside, [], [], [])


# Fingerprints


@pytest.mark.parametrize("prefix", ["", "3", "a7"])
def test_a_fingerprint_that_fits_says_that_all_is_equal(prefix: str) -> None:
    store = memory_feed(*many(300))
    assert told(compared(store, whole(store, prefix))) == NOTHING
    assert told(compared(store, parted(store, prefix))) == NOTHING


@pytest.mark.parametrize("prefix", ["", "3", "a7"])
def test_a_fingerprint_that_does_not_fit_names_its_range(prefix: str) -> None:
    store = memory_feed(*many(300))
    held = memory_feed(*many(300, folder="Work"))
    assert told(compared(store, whole(held, prefix))) == ([], [], [], [prefix])
    assert told(compared(store, whole(memory_feed(), prefix))) == ([], [], [], [prefix])


def test_a_fingerprint_of_equal_hashes_names_their_range() -> None:
    prefix = inventory.id_hash("ada").hex()
    found = compared(memory_feed(put("ada")), whole(memory_feed(), prefix))
    assert told(found) == ([], [], [], [prefix])


@given(differ=st.sets(st.integers(0, 199), max_size=8), prefix=st.sampled_from(("", "5")))
def test_of_sixteen_fingerprints_exactly_the_parts_that_differ_are_named(
    differ: set[int], prefix: str
) -> None:
    held = memory_feed(*many(200), *(Alter(f"item-{number}", flags=("x",)) for number in differ))
    hashes = [inventory.id_hash(f"item-{number}").hex() for number in differ]
    parts = {it[: len(prefix) + 1] for it in hashes if it.startswith(prefix)}
    found = compared(_two_hundred(), parted(held, prefix))
    assert told(found) == ([], [], [], sorted(parts))


@functools.cache
def _two_hundred() -> FeedStore:
    """Not to be changed."""
    return memory_feed(*many(200))


# Several ranges


def test_ranges_are_answered_in_their_order() -> None:
    store = memory_feed(*many(200))
    other = memory_feed(*many(200, folder="Work"))
    empty = memory_feed()
    found = compared(
        store,
        parted(other, "9"),
        listed(other, "4"),
        whole(other, "1"),
        whole(store, "0"),
        listed(empty, "e"),
        listed(other, "2"),
        parted(empty, "b"),
    )
    assert found.answered == 7
    hashes = {it.id: inventory.id_hash(it.id).hex() for it in many(200)}
    parts = sorted({it[:2] for it in hashes.values() if it[0] in "9b"})
    # In the order of the request: those of 9, then 1, then those of b.
    nine, eleven = ([it for it in parts if it[0] == digit] for digit in "9b")
    assert list(found.split) == [*nine, "1", *eleven]
    assert [hashes[it.id][0] for it in found.puts] == sorted(
        (hashes[it.id][0] for it in found.puts), reverse=True
    )
    assert {it.id for it in found.puts} == {it for it, its in hashes.items() if its[0] in "24"}
    assert [n for n, its in enumerate(hashes.values(), start=1) if its[0] == "e"] == missing_in(
        found
    )


# An answer that has no room


def test_no_room_for_the_first_range_names_its_parts() -> None:
    found = compared(memory_feed(), listed(strangers(1_000)), answer_bytes_max=0)
    assert told(found) == ([], [], [], list(inventory.DIGITS))
    assert found.answered == 1
    held = strangers(12_000)
    found = compared(memory_feed(), listed(held, "3"), listed(held, "4"), answer_bytes_max=0)
    assert told(found) == ([], [], [], [f"3{digit}" for digit in inventory.DIGITS])
    assert found.answered == 1


def test_ranges_for_which_there_is_no_room_are_not_answered() -> None:
    held = strangers(3_000)
    parts = [listed(held, digit) for digit in inventory.DIGITS]
    found = compared(memory_feed(), *parts, answer_bytes_max=0)
    assert found.answered == 3
    _, _, drops, split = told(found)
    assert sorted(drops) == [it for it, _ in entries(held) if it.hex()[0] in "012"]
    assert split == []
    assert compared(memory_feed(), *parts).answered == 16


def test_no_more_puts_than_an_answer_may_have() -> None:
    count = limits.ANSWER_CHANGES_MAX + 1
    store, held = memory_feed(*many(count)), memory_feed(*many(count, folder="Work"))
    with store.snapshot(FEED) as snapshot:
        found = compared_of(
            compare(snapshot, listed(held), answer_bytes_max=ANSWER_BYTES_MAX, bounds=LARGEST)
        )
        parts = [listed(held, digit) for digit in inventory.DIGITS]
        most = compared_of(
            compare(snapshot, *parts, answer_bytes_max=ANSWER_BYTES_MAX, bounds=LARGEST)
        )
    assert (found.puts, len(found.split)) == ((), 16)
    assert most.answered == 15
    assert limits.ANSWER_CHANGES_MAX * 0.9 < len(most.puts) < limits.ANSWER_CHANGES_MAX


def test_a_missing_set_that_is_too_long_is_split() -> None:
    store = twin(FarApart, *many(1_000))
    found = compared(store, listed(memory_feed()), answer_bytes_max=0)
    assert told(found) == ([], [], [], list(inventory.DIGITS))
    parts = [listed(memory_feed(), digit) for digit in inventory.DIGITS]
    found = compared(store, *parts, answer_bytes_max=0)
    assert 1 < found.answered < 16
    assert ANSWER_BYTES_MIN // 2 < len(found.missing) < ANSWER_BYTES_MIN


def test_a_range_of_all_digits_is_always_answered() -> None:
    flags = tuple("\\" * 60 + f"{number:04}" for number in range(32))
    store = memory_feed(put('"' * 255, folder='"' * 255, flags=flags))
    held = memory_feed(put('"' * 255))
    with store.snapshot(FEED) as snapshot:
        ask = functools.partial(compare, snapshot, answer_bytes_max=0, form=Format.JSON)
        (id_hash, _), *_ = entries(held)
        prefix = id_hash.hex()[:-1]
        split = compared_of(ask(listed(held, prefix)))
        response = ask(listed(held, id_hash.hex()), whole(memory_feed(put("x")), "0"))
    assert told(split) == ([], [], [], inventory.parts(prefix))
    found = compared_of(response)
    assert (len(found.puts), found.answered) == (1, 1)
    assert len(wire.encode(response.answer, Format.JSON)) > ANSWER_BYTES_MIN


# Ids of equal hashes


class CollidingSnapshot(MemorySnapshot):
    """All ids that begin with the same letter have the same hash."""

    def entries(self, first: bytes, last: bytes) -> Iterator[Entry]:
        found = super().entries(*inventory.bounds(""))
        ours = [replace(it, id_hash=inventory.id_hash(it.id[0])) for it in found]
        yield from sorted(
            (it for it in ours if first <= it.id_hash <= last), key=lambda it: it.id_hash
        )


def colliding(*mutations: Mutation) -> FeedStore:
    return twin(CollidingSnapshot, *mutations)


A = inventory.id_hash("a")
ANN, ART, AVA = put("ann", b"1"), put("art", b"2"), put("ava", b"3")
BOB = put("bob")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([ANN, ART, BOB], [ANN, ART, BOB], NOTHING),
        ([ANN, ART, BOB], [ART, ANN, BOB], NOTHING),
        ([ANN, BOB], [BOB], ([1], [], [], [])),
        ([ANN, ART], [], ([1, 2], [], [], [])),
        ([ANN, ART, BOB], [ART, BOB], ([1, 2], [], [], [])),
        ([ANN, ART, BOB], [ANN, AVA, BOB], ([1, 2], [], [], [])),
        ([ANN, BOB], [ANN, ART, BOB], ([1], [], [A], [])),
        ([ANN, ART], [ANN, ART, AVA], ([1, 2], [], [A], [])),
        ([BOB], [ANN, ART, BOB], ([], [], [A], [])),
        ([ANN, ART], [ANN, put("art", b"2", folder="x")], ([1, 2], [], [], [])),
    ],
)
def test_equal_hashes_are_compared_together(
    ours: list[Mutation], theirs: list[Mutation], expected: Told
) -> None:
    assert told(compared(colliding(*ours), listed(colliding(*theirs)))) == expected


def test_equal_hashes_have_a_fingerprint_too() -> None:
    store, held = colliding(ANN, ART), colliding(ART, ANN)
    for presented in (whole(held), whole(held, A.hex()), parted(held)):
        assert told(compared(store, presented)) == NOTHING
    other = colliding(ANN, AVA)
    assert told(compared(store, parted(other, A.hex()[:11]))) == ([], [], [], [A.hex()])


def test_a_range_of_all_digits_may_hold_many() -> None:
    store = colliding(*(put(f"a{number}") for number in range(500)))
    found = compared(store, listed(colliding(), A.hex()), answer_bytes_max=0)
    assert told(found) == ([*range(1, 501)], [], [], [])


# What is held back, F7


@pytest.mark.parametrize(
    "held",
    [
        memory_feed(put("bob")),
        memory_feed(put("ada", b"other"), put("bob")),
        memory_feed(put("ada", b"mine", flags=("y",)), put("bob")),
        memory_feed(put("ada", b"mine"), put("bob")),
    ],
    ids=["not held", "another content", "another flag", "equal"],
)
def test_nothing_is_said_of_what_is_held_back(held: FeedStore) -> None:
    store = memory_feed(put("ada", b"mine"), put("bob"))
    hold_back(store)
    assert told(compared(store, listed(held))) == NOTHING


def test_what_is_held_back_hides_nothing_else() -> None:
    store = memory_feed(put("ada"), put("bob"), put("cyd"))
    hold_back(store)
    held = memory_feed(put("ada", b"old"), put("bob", b"old"), put("eve"))
    assert told(compared(store, listed(held))) == ([2, 3], [], [inventory.id_hash("eve")], [])


def test_who_holds_what_is_held_back_has_fingerprints_that_fit() -> None:
    store, held = memory_feed(put("ada"), put("bob")), memory_feed(put("ada"), put("bob"))
    hold_back(store)
    for presented in (whole(held), parted(held)):
        assert told(compared(store, presented)) == NOTHING


@pytest.mark.parametrize(
    ("ours", "held_back", "theirs", "expected"),
    [
        ([ANN, ART], ["ann"], [], ([2], [], [], [])),
        ([ANN, ART], ["ann"], [ANN], ([2], [], [], [])),
        ([ANN, ART], ["ann"], [ART], ([2], [], [], [])),
        ([ANN, ART], ["ann"], [ANN, ART, AVA], ([2], [], [], [])),
        ([ANN, ART, AVA], ["art"], [], ([1, 3], [], [], [])),
        ([ANN, ART], ["ann", "art"], [], NOTHING),
        ([ANN, ART], ["ann"], [ANN, ART], NOTHING),
    ],
)
def test_of_equal_hashes_only_what_is_held_back_is_passed_over(
    ours: list[Mutation], held_back: list[str], theirs: list[Mutation], expected: Told
) -> None:
    store = colliding(*ours)
    for item_id in held_back:
        hold_back(store, item_id)
    assert told(compared(store, listed(colliding(*theirs)))) == expected


# The rest of the answer


def test_an_answer_names_its_request_head_epoch_and_lineage() -> None:
    store = memory_feed(*many(5))
    open_epoch(store, EPOCH_2)
    with store.snapshot(FEED) as snapshot:
        response = compare(snapshot, whole(store), base=3)
    found = compared_of(response)
    assert response.answer.id == REQUEST_ID
    assert (response.replica, response.sent) == (None, ())
    assert (found.base, found.head, found.epoch) == (3, 2, EPOCH_2)
    assert found.lineage == lineage(base=3, epoch=EPOCH_2)


@pytest.mark.parametrize("base", [0, 2, 5, INTEGER_MAX])
def test_tokens_count_from_the_base(base: int) -> None:
    store = memory_feed(*many(5))
    with store.snapshot(FEED) as snapshot:
        found = compared_of(compare(snapshot, listed(memory_feed(*many(2))), base=base))
    assert (found.base, found.head) == (base, 5 - base)
    assert missing_in(found) == [3 - base, 4 - base, 5 - base]


def test_who_has_no_base_counts_from_the_head() -> None:
    with memory_feed(*many(5)).snapshot(FEED) as snapshot:
        found = compared_of(compare(snapshot, listed(memory_feed()), base=None))
    assert (found.base, found.head, found.lineage) == (5, 0, lineage(base=5))
    assert missing_in(found) == [-4, -3, -2, -1, 0]


def test_p0_is_the_purge_mark() -> None:
    store = memory_feed(*many(3), Delete("item-1"), put("item-9"))
    assert compared(store, whole(store)).p0 is None
    purge(store, before=NOW + 1)
    assert compared(store, whole(store)).p0 == 4
    with store.snapshot(FEED) as snapshot:
        assert compared_of(compare(snapshot, whole(store), base=None)).p0 == -1


def test_asking_again_is_answered_again() -> None:
    store, held = memory_feed(*many(50)), memory_feed(*many(30, folder="Work"))
    assert compared(store, listed(held)) == compared(store, listed(held))
