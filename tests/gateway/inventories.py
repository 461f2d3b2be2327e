"""Inventories as a device would present them: what it holds is a feed, too."""

import functools

from gateway.feed import Alter, FeedStore, Mutation
from sync_protocol import inventory, limits
from sync_protocol.messages import Compared, Range
from sync_protocol.token_set import TokenSet
from tests.gateway.asking import compare, compared_of
from tests.gateway.sample_feeds import FEED, memory_feed, put

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


@functools.cache
def scattered() -> FeedStore:
    """Items whose contents and changes are among many changes of another. Not to be changed."""
    made = many(4_000)
    changes: list[Mutation] = []
    for number, mutation in enumerate([*made, *(Alter(it.id, flags=("x",)) for it in made)]):
        gap = inventory.id_hash(f"gap-{number}")[0] % 16
        changes += [mutation, *(put("busy", b"%d of %d" % (it, number)) for it in range(gap))]
    return memory_feed(*changes)
