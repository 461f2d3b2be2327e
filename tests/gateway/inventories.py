"""Inventories as a device would present them: what it holds is a feed, too."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from gateway.feed import FeedStore
from gateway.feed_memory import MemoryFeedStore, MemorySnapshot
from gateway.rows import Entry, Mutation
from sync_protocol import inventory, limits
from sync_protocol.messages import Compared, Range
from sync_protocol.token_set import TokenSet
from tests.gateway.asking import compare, compared_of
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, memory_feed, put

Entries = list[tuple[bytes, bytes]]
# Missing, ids of the puts, drops and split.
Told = tuple[list[int], list[str], list[bytes], list[str]]
NOTHING: Told = ([], [], [], [])


def entries(held: FeedStore, prefix: str = "") -> Entries:
    """What a device presents that holds what is in a feed."""
    with held.snapshot(FEED) as snapshot:
        return [(it.id_hash, it.etag) for it in snapshot.entries(*inventory.bounds(prefix))]


def listed(held: FeedStore, prefix: str = "") -> Range:
    return Range(prefix=prefix, entries=inventory.pack(entries(held, prefix)))


def whole(held: FeedStore, prefix: str = "") -> Range:
    return Range(prefix=prefix, fingerprints=inventory.fingerprint(entries(held, prefix)))


def parted(held: FeedStore, prefix: str = "") -> Range:
    parts = inventory.by_part(prefix, entries(held, prefix))
    return Range(prefix=prefix, fingerprints=b"".join(map(inventory.fingerprint, parts.values())))


def compared(
    store: FeedStore, *ranges: Range, answer_bytes_max: int = limits.ANSWER_BYTES_DEFAULT
) -> Compared:
    with store.snapshot(FEED) as snapshot:
        return compared_of(compare(snapshot, *ranges, answer_bytes_max=answer_bytes_max))


def missing_in(found: Compared) -> list[int]:
    return [n for first, last in TokenSet.decode(found.missing) for n in range(first, last + 1)]


def told(found: Compared) -> Told:
    dropped = found.drops
    return (
        missing_in(found),
        [it.id for it in found.puts],
        [dropped[at : at + 6] for at in range(0, len(dropped), 6)],
        list(found.split),
    )


def parts_of(digits: str) -> list[str]:
    """All ranges of two digits of which the first is one of `digits`."""
    return [part for digit in digits for part in inventory.parts(digit)]


def many(count: int, *, folder: str = "") -> list[Mutation]:
    return [put(f"item-{number}", b"%d" % number, folder=folder) for number in range(count)]


def strangers(count: int) -> FeedStore:
    """Items that are in no other feed: each of them is dropped."""
    return memory_feed(*(put(f"stranger-{number}") for number in range(count)))


class FarApart(MemorySnapshot):
    """Its changes are so far apart, and at random, that each token takes some bytes."""

    def entries(self, first: bytes, last: bytes) -> Iterator[Entry]:
        for it in super().entries(first, last):
            far = int.from_bytes(it.id_hash, "big")
            yield replace(it, seq=far, c=far // 2)


class TwinStore(MemoryFeedStore):
    """A store of which snapshots are something else."""

    def __init__(self, snapshots: type[MemorySnapshot]) -> None:
        super().__init__()
        self._snapshots = snapshots

    @contextlib.contextmanager
    def snapshot(self, feed: str) -> Iterator[MemorySnapshot]:
        yield self._snapshots(self._feed(feed))


def twin(snapshots: type[MemorySnapshot], *mutations: Mutation) -> FeedStore:
    """A store with the feed `FEED`, changed by `mutations` in turn."""
    store = TwinStore(snapshots)
    store.add_feed(FEED, epoch_id=EPOCH, now=NOW)
    change(store, *mutations)
    return store
