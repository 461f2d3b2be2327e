"""What is changed in a feed."""

from random import Random
from typing import Final

from gateway.rows import Alter, Delete, Mutation, Put
from tests.simulation.chronicle import Chronicle, Version
from tests.simulation.rendering import SERIAL_BYTES
from tests.simulation.views import DAY_S, DAYS, FOLDERS, kinds

ITEMS_MAX: Final = 24
# So many that an inventory of them takes several requests; these are all small.
SMALL_ITEMS_MAX: Final = 120
CONTENT_BYTES_MAX: Final = 9_000
_FLAGS: Final = ((), ("$seen",), ("$flagged",), ("$flagged", "$seen"))
# None, less than a portion, pushed whole, pushed in part, in several answers.
_SIZES: Final = {
    "mixed": (0, 3, 20, 90, 300, 1_500, 4_000, CONTENT_BYTES_MAX),
    "small": (0, 3, 9, 20, 90),
    "mostly small": (3, 20, 20, 20, 90, 90, 90, 300, 1_500, CONTENT_BYTES_MAX),
}
_BYTES: Final = Random(0).randbytes(2 * CONTENT_BYTES_MAX)


class Edits:
    """Draws changes that suit the feed as it is."""

    def __init__(self, random: Random, *, slow: bool) -> None:
        self._random = random
        many = [SMALL_ITEMS_MAX] * (9 if slow else 1)
        count = random.choice((1, *[8] * 4, *[ITEMS_MAX] * 4, *many))
        self._sizes = _SIZES["small" if count > ITEMS_MAX else random.choice(list(_SIZES))]
        self._ids = [f"item-{number}" for number in range(count)]
        self._drawn = 0

    def _pick(self, count: int) -> int:
        return int(self._random.random() * count)

    def draw(self, chronicle: Chronicle, item_id: str | None = None) -> Mutation:
        """One change, of that item if one is named."""
        item_id = self._ids[self._pick(len(self._ids))] if item_id is None else item_id
        version = chronicle.newest.get(item_id)
        chance = self._random.random()
        if version is None or version.facts is None:
            earlier = chronicle.earlier(item_id)
            again = chance < 0.3 and bool(earlier)
            return self._put(chronicle, item_id, earlier[-1] if again else self._content())
        if chance < 0.4:
            behind = b"" if chance < 0.3 else version.content[SERIAL_BYTES:]
            return self._put(chronicle, item_id, self._content(behind))
        if chance < 0.5:
            earlier = chronicle.earlier(item_id)
            return self._put(chronicle, item_id, earlier[self._pick(len(earlier))])
        if chance < 0.6:
            return self._put(chronicle, item_id, version.content)
        if chance < 0.85:
            return self._altered(item_id, version)
        return Delete(item_id)

    def _put(self, chronicle: Chronicle, item_id: str, content: bytes) -> Put:
        return Put(
            item_id,
            content,
            kind=kinds(chronicle.feed)[self._random.random() < 0.2],
            media_type="text/vcard",
            folder=FOLDERS[self._pick(3)] if self._random.random() < 0.3 else None,
            flags=_FLAGS[self._pick(4)] if self._random.random() < 0.3 else None,
            date=self._day(),
            until=self._day() if self._random.random() < 0.2 else None,
        )

    def _day(self) -> int | None:
        day = self._pick(DAYS.stop)
        return day * DAY_S if day else None

    def _altered(self, item_id: str, version: Version) -> Alter:
        assert version.facts is not None
        folder, flags = version.facts.folder, version.facts.flags
        if self._random.random() < 0.5:
            return Alter(item_id, folder=FOLDERS[FOLDERS.index(folder) - 1])
        return Alter(item_id, flags=_FLAGS[_FLAGS.index(flags) - 1])

    def _content(self, behind: bytes = b"") -> bytes:
        """New bytes, which never repeat within; those `behind` the serial number may be given."""
        self._drawn += 1
        if behind:
            return self._drawn.to_bytes(SERIAL_BYTES, "little") + behind
        size = self._sizes[self._pick(len(self._sizes))]
        start = self._pick(CONTENT_BYTES_MAX)
        serial = self._drawn.to_bytes(SERIAL_BYTES, "little")
        return (serial + _BYTES[start : start + size])[:size]
