"""Taking an inventory: which ranges to present, and what their answers come to (Q3, A4)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from device_agent.store import Begun, Inventory, ReplicaStore
from sync_protocol import inventory as words
from sync_protocol import limits, tokens
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Compared, Range
from sync_protocol.token_set import TokenSet

# What is presented in one request: as much as a bad link takes in one piece, and as much as its
# answer may have room to tell about.
REQUEST_INVENTORY_BYTES_MAX: Final = 16 * limits.KIB
_ANSWER_SHARE: Final = 16
_ROOM_BYTES_MIN: Final = 128
# Ranges are worked off from the front, so that no honest gateway makes many of them wait.
TODO_RANGES_MAX: Final = 65_536
# So many items are cheaper to list than to tell apart by the fingerprints of sixteen parts.
LISTED_ITEMS_MAX: Final = 16
# Where nearly all parts of a range differ, so will theirs, and fingerprints are wasted.
DENSE_PARTS_MIN: Final = 14
DENSE_LISTED_ITEMS_MAX: Final = 64


def room_bytes(answer_bytes_max: int) -> int:
    """How much to present in a first request."""
    return min(REQUEST_INVENTORY_BYTES_MAX, answer_bytes_max // _ANSWER_SHARE)


def next_room_bytes(asked: Sequence[Range], answered: int, room: int) -> int:
    """How much to present after an answer: what it was about, if it had no room for all of `asked`.

    What is presented in vain is presented again.
    """
    if answered < len(asked):
        return max(_ROOM_BYTES_MIN, sum(map(_size_bytes, asked[:answered])))
    return 2 * room


def presented(store: ReplicaStore, inventory: Inventory, *, room: int) -> tuple[Range, ...]:
    """The first of the ranges that are still to be compared, as they go into a request.

    At least one, and else no more than `room` bytes of what is presented of them.
    """
    if inventory.begun is None and len(inventory.todo) == 1:
        return (_whole(store, inventory.todo[0]),)
    siblings = Counter(it[:-1] for it in inventory.todo)
    ranges: list[Range] = []
    size = 0
    for prefix in inventory.todo[: limits.INVENTORY_RANGES_MAX]:
        dense = not prefix or siblings[prefix[:-1]] >= DENSE_PARTS_MIN
        each = _parted(store, prefix, listed_max=_listed_max(room, dense=dense))
        size += _size_bytes(each)
        if ranges and size > room:
            break
        ranges.append(each)
    return tuple(ranges)


def _size_bytes(presented: Range) -> int:
    return len(presented.entries or b"") + len(presented.fingerprints or b"")


def _whole(store: ReplicaStore, prefix: str) -> Range:
    """Most often all is as it was, and one fingerprint says so."""
    entries = store.entries(*words.bounds(prefix))
    if len(entries) <= LISTED_ITEMS_MAX:
        return Range(prefix=prefix, entries=words.pack(entries))
    return Range(prefix=prefix, fingerprints=words.fingerprint(entries))


def _listed_max(room: int, *, dense: bool) -> int:
    if not dense:
        return LISTED_ITEMS_MAX
    return min(DENSE_LISTED_ITEMS_MAX, max(LISTED_ITEMS_MAX, room // words.ENTRY_BYTES))


def _parted(store: ReplicaStore, prefix: str, *, listed_max: int) -> Range:
    entries = store.entries(*words.bounds(prefix))
    if len(entries) <= listed_max or len(prefix) == words.PREFIX_DIGITS_MAX:
        return Range(prefix=prefix, entries=words.pack(entries))
    parts = words.by_part(prefix, entries)
    return Range(prefix=prefix, fingerprints=b"".join(map(words.fingerprint, parts.values())))


def after(
    inventory: Inventory, asked: Sequence[Range], answer: Compared
) -> tuple[Inventory, TokenSet | None]:
    """What is left to compare, and the token set once nothing is.

    Args:
        inventory: as it was when `asked` was presented.
        asked: what `presented` gave for it.
        answer: of the same lineage as the answers before it.

    Raises:
        ProtocolError: the answer is about something else than what was asked.
    """
    missing = TokenSet.decode(answer.missing)
    if not 0 < answer.answered <= len(asked):
        raise ProtocolError("invalid", "an inventory's answer is about some of what was presented")
    for prefix in answer.split:
        if not any(_may_split(it, prefix) for it in asked[: answer.answered]):
            raise ProtocolError("invalid", "an inventory's answer splits what was not presented")
    if len(set(answer.split)) < len(answer.split):
        raise ProtocolError("invalid", "an inventory's answer splits a range twice")
    begun = inventory.begun
    if begun is None:
        everything = TokenSet.span(tokens.oldest(answer.base), answer.head)
        begun = Begun(answer.epoch, answer.p0, answer.head, answer.head, answer.lineage, everything)
    begun = replace(begun, head=max(begun.head, answer.head), held=begun.held - missing)
    todo = (*answer.split, *inventory.todo[answer.answered :])
    if len(todo) > TODO_RANGES_MAX:
        raise ProtocolError("invalid", f"an inventory of more than {TODO_RANGES_MAX} ranges")
    return Inventory(todo, begun), None if todo else begun.held


def dropped(answer: Compared) -> Iterator[bytes]:
    """The id hashes of what the feed no longer has."""
    return words.cut(answer.drops, words.ID_HASH_BYTES)


def _may_split(asked: Range, prefix: str) -> bool:
    if asked.fingerprints is not None and len(asked.fingerprints) == words.FINGERPRINT_BYTES:
        return prefix == asked.prefix
    return prefix[:-1] == asked.prefix and len(prefix) == len(asked.prefix) + 1
