"""Comparisons keep their size, and a whole inventory finds exactly what differs (G6, A4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_agent import inventory as taking
from device_agent.store import HeldItem, Inventory
from device_agent.store_memory import MemoryReplicaStore
from gateway.feed import FeedStore, feed_items
from gateway.responder import AnswerLimits
from gateway.rows import Alter, Mutation
from sync_protocol import inventory, limits, wire
from sync_protocol.digests import digest_of
from sync_protocol.limits import (
    ANSWER_BYTES_MAX,
    ANSWER_BYTES_MIN,
    INTEGER_MAX,
    TOKEN_SET_BYTES_MAX,
)
from sync_protocol.messages import Compared, Range
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.gateway import random_feeds
from tests.gateway.asking import compare, compared_of
from tests.gateway.inventories import (
    Entries,
    FarApart,
    entries,
    listed,
    many,
    parts_of,
    strangers,
    told,
    twin,
)
from tests.gateway.sample_feeds import FEED, memory_feed, put

UNHURRIED = settings(deadline=None)


# The size of an answer


@st.composite
def _presented(draw: st.DrawFn, prefix: str, held: Entries, ours: Entries) -> Range:
    pool = [it for it in (*held, *ours) if it[0].hex().startswith(prefix)]
    if draw(st.booleans()):
        kept = pool[:: draw(st.integers(1, 3))]
        return Range(prefix=prefix, entries=inventory.pack(kept))
    if draw(st.booleans()):
        return Range(prefix=prefix, fingerprints=inventory.fingerprint(pool))
    parts = inventory.by_part(prefix, pool)
    return Range(prefix=prefix, fingerprints=b"".join(map(inventory.fingerprint, parts.values())))


@UNHURRIED
@given(
    puts=st.lists(random_feeds.puts(sizes=(0, 3)), min_size=1, max_size=40),
    strange=st.sampled_from((0, 5, 900)),
    form=st.sampled_from(Format),
    asked=st.sampled_from((0, ANSWER_BYTES_MIN, 5_000, 9_000)),
    data=st.data(),
)
def test_an_answer_keeps_the_size_asked_for(
    puts: list[Mutation],
    strange: int,
    form: Format,
    asked: int,
    data: st.DataObject,
) -> None:
    store = memory_feed(*random_feeds.with_later_changes(puts))
    altered = [Alter(it.id, folder="elsewhere") for it in puts]
    held = entries(memory_feed(*puts, *altered)) + entries(strangers(strange))
    base = data.draw(st.sampled_from((None, 0, INTEGER_MAX)))
    prefixes = data.draw(st.sampled_from(([""], list("5a02"), ["2", "5a", "5b", "0"])))
    ranges = [data.draw(_presented(it, held, entries(store))) for it in prefixes]
    with store.snapshot(FEED) as snapshot:
        response = compare(snapshot, *ranges, base=base, form=form, answer_bytes_max=asked)
    found = compared_of(response)
    assert len(wire.encode(response.answer, form)) <= max(asked, ANSWER_BYTES_MIN)
    assert 1 <= found.answered <= len(ranges)


def _with_long_parts(_: FeedStore, prefix: str) -> Range:
    fits_nothing = bytes(inventory.FINGERPRINT_BYTES) * len(inventory.DIGITS)
    return Range(
        prefix=prefix.ljust(inventory.PREFIX_DIGITS_MAX - 1, "0"), fingerprints=fits_nothing
    )


_Present = Callable[[FeedStore, str], Range]
_CASES: dict[str, Callable[[], tuple[FeedStore, FeedStore, _Present]]] = {
    "missing": lambda: (twin(FarApart, *many(1_000)), memory_feed(), listed),
    "puts": lambda: (memory_feed(*many(200, folder="f" * 200)), memory_feed(*many(200)), listed),
    "drops": lambda: (memory_feed(), strangers(2_000), listed),
    "split": lambda: (memory_feed(), memory_feed(), _with_long_parts),
}


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("case", _CASES)
def test_an_answer_uses_the_room_that_it_has(case: str, form: Format) -> None:
    store, held, present = _CASES[case]()
    ranges = [present(held, prefix) for prefix in parts_of(inventory.DIGITS)]
    with store.snapshot(FEED) as snapshot:
        response = compare(snapshot, *ranges, answer_bytes_max=0, form=form)
    assert 1 < compared_of(response).answered < 256
    assert ANSWER_BYTES_MIN // 2 < len(wire.encode(response.answer, form)) <= ANSWER_BYTES_MIN


@pytest.mark.parametrize("form", Format)
def test_a_missing_set_is_no_longer_than_what_is_read(form: Format) -> None:
    store = twin(FarApart, *many(4_000))
    parts = [Range(prefix=digit, entries=b"") for digit in inventory.DIGITS]
    bounds = AnswerLimits(answer_bytes_max=ANSWER_BYTES_MAX)
    with store.snapshot(FEED) as snapshot:
        ask = partial(
            compare, snapshot, answer_bytes_max=ANSWER_BYTES_MAX, bounds=bounds, form=form
        )
        assert compared_of(ask(Range(entries=b""))).split == tuple(inventory.DIGITS)
        found = compared_of(ask(*parts))
    assert 1 < found.answered < 16
    assert TOKEN_SET_BYTES_MAX * 3 // 4 < len(found.missing) <= TOKEN_SET_BYTES_MAX


# A whole inventory, as a device takes it


class Differ(Enum):
    """What a device holds of an item."""

    NOTHING = "nothing"
    ALL = "all"
    OLD_META = "old flags"
    OLD_CONTENT = "old content"
    NO_MORE = "what the feed no longer has"


@dataclass
class Taker:
    """A device that takes an inventory of a feed, with the agent's own rules (Q3, A4)."""

    store: FeedStore
    held: MemoryReplicaStore
    answer_bytes_max: int
    form: Format
    base: int | None = None
    missing: list[int] = field(default_factory=list)
    puts: list[str] = field(default_factory=list)
    drops: list[bytes] = field(default_factory=list)

    def take(self, *, requests_max: int) -> TokenSet:
        """Ask until all is compared; the token set at the end."""
        left = Inventory()
        for _ in range(requests_max):
            asked = taking.presented(self.held, left, room=taking.REQUEST_INVENTORY_BYTES_MAX)
            found = self._ask(asked)
            left, held = taking.after(left, asked, found)
            missing, puts, drops, _ = told(found)
            self.missing += missing
            self.puts += puts
            self.drops += drops
            if held is not None:
                return held
        raise AssertionError(f"not all was compared after {requests_max} requests")

    def _ask(self, asked: tuple[Range, ...]) -> Compared:
        with self.store.snapshot(FEED) as snapshot:
            response = compare(
                snapshot,
                *asked,
                base=self.base,
                answer_bytes_max=self.answer_bytes_max,
                form=self.form,
            )
        found = compared_of(response)
        self.base = found.base
        return found


def _device(items: Mapping[str, Differ]) -> MemoryReplicaStore:
    store = MemoryReplicaStore()
    for item_id, differ in items.items():
        if differ is not Differ.NOTHING:
            content = b"old" if differ is Differ.OLD_CONTENT else item_id.encode()
            store.set_item(
                HeldItem(
                    id=item_id,
                    n=None,
                    kind="contact",
                    folder="",
                    flags=("old",) if differ is Differ.OLD_META else (),
                    date=None,
                    media_type="text/vcard",
                    digest=digest_of([content]),
                    size=len(content),
                    held_bytes=len(content),
                    whole=True,
                )
            )
    return store


@UNHURRIED
@given(
    runs=st.lists(st.tuples(st.sampled_from(Differ), st.integers(1, 60)), max_size=8),
    mixed=st.randoms(use_true_random=False),
    answer_bytes_max=st.sampled_from((0, limits.ANSWER_BYTES_DEFAULT)),
    form=st.sampled_from(Format),
)
def test_a_whole_inventory_finds_all_that_differs_and_nothing_else(
    runs: list[tuple[Differ, int]], mixed: Random, answer_bytes_max: int, form: Format
) -> None:
    differs = [differ for differ, count in runs for _ in range(count)]
    mixed.shuffle(differs)
    items = {f"item-{number}": differ for number, differ in enumerate(differs)}
    ours = [it for it, differ in items.items() if differ is not Differ.NO_MORE]
    store = memory_feed(
        *(put(it, b"" if mixed.random() < 0.2 else it.encode()) for it in ours),
        *(put(it, it.encode()) for it in ours),
    )
    taker = Taker(store, _device(items), answer_bytes_max, form)
    held = taker.take(requests_max=200)
    lacked = [it for it in ours if items[it] in {Differ.NOTHING, Differ.OLD_CONTENT}]
    with store.snapshot(FEED) as snapshot:
        rows = {row.id: row for row in feed_items(snapshot)}
        head = snapshot.head
    tokens = {seq - head for it in lacked for seq in (rows[it].seq, rows[it].c)}
    assert sorted(taker.missing) == sorted(tokens)
    assert sorted(taker.puts) == sorted(it for it in ours if items[it] is Differ.OLD_META)
    gone = [it for it, differ in items.items() if differ is Differ.NO_MORE]
    assert sorted(taker.drops) == sorted(map(inventory.id_hash, gone))
    assert held == TokenSet.span(1 - head, 0) - TokenSet.of(tokens)
