"""What really happened in a feed, written down apart from the code that is tested."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.rows import Row
from sync_protocol.digests import digest_of
from sync_protocol.views import NATIVE, View
from tests.simulation.rendering import MEDIA_TYPE

# Contents of an item that an edit may set it back to.
EARLIER_CONTENTS_MAX: Final = 3


class Facts(NamedTuple):
    """What an item is, beside its bytes."""

    kind: str
    folder: str
    flags: tuple[str, ...]
    date: int | None
    until: int | None
    media_type: str
    digest: bytes
    size: int

    def is_over(self, since: int | None) -> bool:
        """Whether it is about nothing as late as `since`."""
        ends = self.date if self.until is None else self.until
        return since is not None and ends is not None and ends < since


@dataclass(frozen=True, slots=True)
class Seen:
    """What a view shows of a version: its facts, and the content as the view wants it.

    Attributes:
        content_number: of the version that brought these bytes.
    """

    facts: Facts
    content: bytes
    content_number: int


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
        rendered: the content as it is rendered; None if that failed, or if it is not rendered.
        rendered_number: of the version that brought those bytes.
    """

    number: int
    seq: int
    item_id: str
    facts: Facts | None
    content: bytes
    content_number: int
    turns: tuple[int, ...] = ()
    rendered: bytes | None = None
    rendered_number: int = 0

    def seen(self, view: View) -> Seen | None:
        """What `view` shows of it; None if it is deleted, or not in that view."""
        facts = self.facts
        if facts is None or not is_wanted(view, facts.kind, facts.folder):
            return None
        shown = Seen(facts, self.content, self.content_number)
        if any(it.kind == facts.kind and it.representation != NATIVE for it in view.shown_as):
            if self.rendered is None:
                return None
            rendered = facts._replace(
                media_type=MEDIA_TYPE, digest=digest_of([self.rendered]), size=len(self.rendered)
            )
            shown = Seen(rendered, self.rendered, self.rendered_number)
        is_large = view.item_bytes_max is not None and shown.facts.size > view.item_bytes_max
        return None if is_large or facts.is_over(view.since) else shown

    def is_undone(self, restores: int) -> bool:
        """Whether it was not in the feed after so many restores."""
        return bool(sum(turn <= restores for turn in self.turns) % 2)


@dataclass(frozen=True, slots=True)
class Shown:
    """A version, and what some view shows of it."""

    version: Version
    seen: Seen | None

    @property
    def item_id(self) -> str:
        """Of the version."""
        return self.version.item_id


def is_wanted(view: View, kind: str, folder: str) -> bool:
    """Whether a view wants what is in that place."""
    wanted = view.kinds is None or kind in view.kinds
    return wanted and (view.folders is None or folder in view.folders)


@dataclass(frozen=True, slots=True)
class Past:
    """A chronicle at some moment."""

    history: list[Version]
    newest: Mapping[str, Version]
    left: Mapping[str, Mapping[tuple[str, str], int]]
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
        # item id -> (kind, folder) -> seq at which it last left that place.
        self._left: dict[str, dict[tuple[str, str], int]] = {}
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

    def seq_before(self, seq: int, view: View) -> int:
        """The newest seq below `seq` at which `view` sees a change; 0 without one."""
        seqs = (self._seq_of(version, view) for version in self.newest.values())
        return max((each for each in seqs if each < seq), default=0)

    def _seq_of(self, version: Version, view: View) -> int:
        """Where the newest change of an item stands for a view; 0 if nowhere."""
        if self._is_in_place(version, view):
            return 0 if version.item_id in self.quarantined else version.seq
        left = self._left.get(version.item_id, {})
        return max((seq for place, seq in left.items() if is_wanted(view, *place)), default=0)

    def was_in_place(self, item_id: str, view: View, *, number: int) -> bool:
        """Whether an item was in a place of the view once that version was there."""
        before = (it for it in reversed(self._history) if it.item_id == item_id)
        version = next((it for it in before if it.number <= number), None)
        return version is not None and self._is_in_place(version, view)

    def is_live(self, item_id: str) -> bool:
        """Whether the feed has the item."""
        newest = self.newest.get(item_id)
        return newest is not None and newest.facts is not None

    def earlier(self, item_id: str) -> list[bytes]:
        """Contents that the item had."""
        return self._earlier.get(item_id, [])

    def live(self) -> list[Version]:
        """The newest version of each item that is there and not held back."""
        held_back = self.quarantined
        return [
            it
            for it in self.newest.values()
            if it.facts is not None and it.item_id not in held_back
        ]

    def in_view(self, view: View) -> dict[str, Shown]:
        """The newest version of each item as `view` shows it, deletes and what it hides included.

        Not those in its places that are held back: devices keep what they have of them.
        """
        return {
            item_id: Shown(it, it.seen(view))
            for item_id, it in self.newest.items()
            if not (item_id in self.quarantined and self._is_in_place(it, view))
        }

    @staticmethod
    def _is_in_place(version: Version, view: View) -> bool:
        facts = version.facts
        return facts is not None and is_wanted(view, facts.kind, facts.folder)

    def held_back(self, view: View) -> frozenset[str]:
        """What is quarantined, and would be in view."""
        return frozenset(it for it in self.quarantined if self.newest[it].seen(view) is not None)

    def render_anew(self, render: Callable[[Version], bytes | None]) -> None:
        """All that is there was rendered once more: to other bytes, which count as the content."""
        for version in self.newest.values():
            version.rendered = render(version)
            version.rendered_number = version.content_number

    def write(
        self, row: Row, content: bytes | None, render: Callable[[Version], bytes | None]
    ) -> None:
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
                row.until,
                row.media_type,
                row.wire_digest,
                len(content),
            )
        version = Version(number, row.seq, row.id, facts, content, content_number)
        version.rendered, version.rendered_number = render(version), number
        if old is not None and (was := old.facts) is not None:
            if old.rendered is not None and old.rendered == version.rendered:
                version.rendered_number = old.rendered_number
            if facts is None or (was.kind, was.folder) != (facts.kind, facts.folder):
                self._left.setdefault(row.id, {})[was.kind, was.folder] = row.seq
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
        left = {item_id: dict(places) for item_id, places in self._left.items()}
        return Past(list(self._history), dict(self.newest), left, held_back, self.is_purged)

    def restore(self, past: Past, *, restores: int) -> None:
        """The feed was set back to `past`, by the restore of that number."""
        for version in set(self._history).symmetric_difference(past.history):
            version.turns = (*version.turns, restores)
        self._history = list(past.history)
        self.newest = dict(past.newest)
        self._left = {item_id: dict(places) for item_id, places in past.left.items()}
        self.quarantined = set(past.quarantined)
        self.is_purged = past.is_purged
