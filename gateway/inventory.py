"""What a device holds against what the feed does, where tokens have lost their meaning (G6)."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from gateway import viewed
from gateway.answer_size import ANSWER_OVERHEAD_BYTES, Sizes
from gateway.rows import Entry
from gateway.viewed import ViewedFeed
from sync_protocol import inventory, limits, tokens
from sync_protocol.messages import Compared, Put, Range, Request
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format

# No coded set takes more for each of its ranges: only one that might not fit is coded to see.
_MISSING_BYTES_MAX: Final = 16
_PREFIX_OVERHEAD_BYTES: Final = 3


@dataclass(slots=True)
class _Found:
    """What comparing some ranges came to."""

    missing: list[int] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    put_bytes: int = 0
    drops: list[bytes] = field(default_factory=list)
    split: list[str] = field(default_factory=list)

    def add(self, other: "_Found") -> None:
        self.missing += other.missing
        self.puts += other.puts
        self.put_bytes += other.put_bytes
        self.drops += other.drops
        self.split += other.split


def compare(
    request: Request,
    feed: ViewedFeed,
    *,
    base: int,
    generation: bytes,
    form: Format,
    answer_bytes_max: int,
) -> Compared:
    """The answer to an inventory: as many ranges, from the first on, as there is room for."""
    return _Comparison(feed, base, Sizes(form), answer_bytes_max).answer(request, generation)


class _Comparison:
    def __init__(self, feed: ViewedFeed, base: int, sizes: Sizes, answer_bytes_max: int) -> None:
        self._feed = feed
        self._snapshot = feed.snapshot
        self._base = base
        self._sizes = sizes
        self._bytes_max = answer_bytes_max - ANSWER_OVERHEAD_BYTES

    def answer(self, request: Request, generation: bytes) -> Compared:
        answered, found = self._ranges(request.inventory)
        epoch = self._snapshot.newest_epoch().id
        return Compared(
            base=self._base,
            head=tokens.compress(self._snapshot.head, self._base),
            lineage=self._feed.lineage(
                epoch, base=self._base, view_id=request.view_id, generation=generation
            ),
            epoch=epoch,
            p0=viewed.purge_mark(self._snapshot, self._base),
            missing=TokenSet.of(found.missing).encode(),
            puts=tuple(found.puts),
            drops=b"".join(found.drops),
            answered=answered,
            split=tuple(found.split),
            since=viewed.narrowed_since(request.view, self._feed.view),
        )

    def _ranges(self, ranges: Sequence[Range]) -> tuple[int, _Found]:
        """How many ranges, from the first on, are answered, and what they came to."""
        found = [self._range(each) for each in ranges]

        def is_too_much(count: int) -> bool:
            return not self._fits(_joined(found[:count]))

        answered = len(ranges)
        if is_too_much(answered):
            # By halves, since coding a set is dear.
            answered = bisect_left(range(1, answered), x=True, key=is_too_much)
        if answered:
            return answered, _joined(found[:answered])
        # Not even the first range fits: the device presents its parts instead. One of equal
        # hashes has none, and is small.
        prefix = ranges[0].prefix
        if len(prefix) < inventory.PREFIX_DIGITS_MAX:
            return 1, _Found(split=inventory.parts(prefix))
        return 1, found[0]

    def _fits(self, found: _Found) -> bool:
        if len(found.puts) > limits.ANSWER_CHANGES_MAX:
            return False
        left = self._bytes_max - found.put_bytes
        left -= sum(len(prefix) + _PREFIX_OVERHEAD_BYTES for prefix in found.split)
        left -= self._sizes.sent(inventory.ID_HASH_BYTES * len(found.drops))
        most = min(self._sizes.room(left), limits.TOKEN_SET_BYTES_MAX)
        if left < 0 or len(found.missing) * _MISSING_BYTES_MAX <= most:
            return left >= 0
        return len(TokenSet.of(found.missing).encode()) <= most

    def _range(self, presented: Range) -> _Found:
        ours = self._feed.entries(*inventory.bounds(presented.prefix))
        if presented.entries is not None:
            return self._listed(list(ours), list(inventory.unpack(presented.entries)))
        assert presented.fingerprints is not None  # noqa: S101 - one of two, checked when it was made
        pairs = [(entry.id_hash, entry.etag) for entry in ours]
        if len(presented.fingerprints) == inventory.FINGERPRINT_BYTES:
            fits = inventory.fingerprint(pairs) == presented.fingerprints
            return _Found(split=[] if fits else [presented.prefix])
        theirs = inventory.cut(presented.fingerprints, inventory.FINGERPRINT_BYTES)
        parts = inventory.by_part(presented.prefix, pairs)
        return _Found(
            split=[
                part
                for (part, held), fingerprint in zip(parts.items(), theirs, strict=True)
                if inventory.fingerprint(held) != fingerprint
            ]
        )

    def _listed(self, ours: Iterable[Entry], theirs: Sequence[tuple[bytes, bytes]]) -> _Found:
        listed: dict[bytes, list[bytes]] = {}
        for id_hash, etag in theirs:
            listed.setdefault(id_hash, []).append(etag)
        found = _Found()
        for id_hash, group in groupby(ours, key=lambda entry: entry.id_hash):
            self._item(list(group), listed.pop(id_hash, []), found)
        found.drops += listed
        return found

    def _item(self, ours: Sequence[Entry], theirs: Sequence[bytes], found: _Found) -> None:
        """Compare what has one id hash: an item, unless two ids happen to have the same."""
        if sorted(entry.etag for entry in ours) == sorted(theirs):
            return
        healthy = [entry for entry in ours if entry.quarantined is None]
        if len(healthy) < len(ours):  # what the device has of these stays, and cannot be sent
            self._lack(healthy, found)
            return
        if len(ours) == len(theirs) == 1 and inventory.is_same_content(ours[0].etag, theirs[0]):
            change = self._feed.find(ours[0].id)
            assert change is not None  # noqa: S101 - the same snapshot
            assert change.rendering is not None  # noqa: S101 - of an item that is in view
            found.puts.append(viewed.put_of(change.row, change.rendering, None))
            found.put_bytes += self._sizes.change(change)
            return
        if len(theirs) > len(ours):
            found.drops.append(ours[0].id_hash)  # which of them must go cannot be told
        self._lack(ours, found)

    def _lack(self, entries: Iterable[Entry], found: _Found) -> None:
        for entry in entries:
            found.missing += [tokens.compress(seq, self._base) for seq in {entry.seq, entry.c}]


def _joined(found: Iterable[_Found]) -> _Found:
    all_found = _Found()
    for each in found:
        all_found.add(each)
    return all_found
