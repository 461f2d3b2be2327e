"""What really happened in a feed, written down apart from the code that is tested."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.feed import Row

# Contents of an item that an edit may set it back to.
EARLIER_CONTENTS_MAX: Final = 3


class Facts(NamedTuple):
    """What an item is, beside its bytes."""

    kind: str
    folder: str
    flags: tuple[str, ...]
    date: int | None
    media_type: str
    digest: bytes
    size: int


class Broken(AssertionError):  # noqa: N818 - what it says of the run
    """The run broke a promise of the protocol."""


@dataclass(slots=True, eq=False)
class Version:
    """One change of one item, whatever the protocol calls it.

    Attributes:
        number: names it for ever. A restored feed uses a seq again, and never this.
        facts: what the item is; None once it is deleted.
        content: all its bytes, those of old if it is deleted.
        content_number: of the version that brought these bytes. Bytes that were there earlier and
            come back are another content.
        turns: the restores that undid it, or brought it back, in turn.
    """

    number: int
    seq: int
    item_id: str
    facts: Facts | None
    content: bytes
    content_number: int
    turns: tuple[int, ...] = ()

    def is_undone(self, restores: int) -> bool:
        """Whether it was not in the feed after so many restores."""
        return bool(sum(turn <= restores for turn in self.turns) % 2)


@dataclass(frozen=True, slots=True)
class Past:
    """A chronicle at some moment."""

    history: list[Version]
    newest: Mapping[str, Version]
    quarantined: frozenset[str]
    is_purged: bool


class Chronicle:
    """All that ever happened to one feed, restores included.

    Attributes:
        newest: item id -> its newest version, deletes included.
        notified: number of the newest version when the notifier last looked, or began anew.
        quarantined: the items that are held back (F7).
        is_purged: whether delete markers were ever forgotten.
    """

    def __init__(self, feed: str) -> None:
        self.feed = feed
        self.newest: dict[str, Version] = {}
        self.notified = 0
        self.quarantined: set[str] = set()
        self.is_purged = False
        self._numbered = 0
        self._history: list[Version] = []
        self._earlier: dict[str, list[bytes]] = {}

    @property
    def head(self) -> int:
        """The newest seq that is taken."""
        return len(self._history)

    @property
    def last_number(self) -> int:
        """The number of the newest version there ever was."""
        return self._numbered

    def at(self, seq: int) -> Version:
        """The change that is at `seq` now."""
        return self._history[seq - 1]

    def seq_before(self, seq: int) -> int:
        """The newest seq below `seq` that is the newest change of an item; 0 without one."""
        held_back = self.quarantined
        return max(
            (it.seq for it in self.newest.values() if it.seq < seq and it.item_id not in held_back),
            default=0,
        )

    def is_live(self, item_id: str) -> bool:
        """Whether the feed has the item."""
        newest = self.newest.get(item_id)
        return newest is not None and newest.facts is not None

    def earlier(self, item_id: str) -> list[bytes]:
        """Contents that the item had."""
        return self._earlier.get(item_id, [])

    def effective(self) -> dict[str, Version]:
        """The newest version of each item that is not held back, deletes included."""
        newest = dict(self.newest)
        for item_id in self.quarantined:
            del newest[item_id]
        return newest

    def write(self, row: Row, content: bytes | None) -> None:
        """A change was committed; `content` if it put one."""
        old = self.newest.get(row.id)
        if row.seq != self.head + 1:
            raise Broken(f"{self.feed}: seq {row.seq} follows {self.head} (F2)")
        self._numbered += 1
        number = content_number = self._numbered
        if old is not None and old.facts is not None and content in {None, old.content}:
            content_number = old.content_number
        if content is None:
            assert old is not None
            content = old.content
        facts = None
        if not row.deleted:
            facts = Facts(
                row.kind,
                row.folder,
                row.flags,
                row.date,
                row.media_type,
                row.wire_digest,
                len(content),
            )
        version = Version(number, row.seq, row.id, facts, content, content_number)
        self._history.append(version)
        self.newest[row.id] = version
        if row.quarantined is None:
            self.quarantined.discard(row.id)
        if content_number == number:
            earlier = self._earlier.setdefault(row.id, [])
            earlier.append(content)
            del earlier[:-EARLIER_CONTENTS_MAX]

    def quarantine(self, item_id: str) -> None:
        """An item is held back from now on. That takes a seq, and is no change of it (F7)."""
        self._history.append(self.newest[item_id])
        self.quarantined.add(item_id)

    def past(self) -> Past:
        """The chronicle as it is now."""
        held_back = frozenset(self.quarantined)
        return Past(list(self._history), dict(self.newest), held_back, self.is_purged)

    def restore(self, past: Past, *, restores: int) -> None:
        """The feed was set back to `past`, by the restore of that number."""
        for version in set(self._history).symmetric_difference(past.history):
            version.turns = (*version.turns, restores)
        self._history = list(past.history)
        self.newest = dict(past.newest)
        self.quarantined = set(past.quarantined)
        self.is_purged = past.is_purged
