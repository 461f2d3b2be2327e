"""What the protocol promises, checked against a plain record of who took what.

A device is never sent a content that it holds. Exactly:

- *Held* are the bytes of an item, from byte 0 on, that its device had when it **made the request**
  that is answered. What came to it later, by a push that crossed the answer or by another answer,
  does not count; nor do copies of a request that the link delivers twice. Bytes that are held are
  not in the answer: neither in a change, which carries them from byte 0 on, nor in a remainder.
- Bytes that an item had earlier, and has again after a change or a delete between, are another
  content (F1), made later than the one held: they may travel again, until they came with a change
  of it. An inventory that finds them held makes them the one held.
- An inventory that finds a content held in another form than the view wants has it sent. If then
  the item's kind changes, and contents of that kind come in the form that is held, they travel
  again: `c` tells of a content, not of its form.
- A push carries a content only when the notifier first passes the change that made it, so at
  most once to each device, whatever that holds: an answer made between commit and push may cross
  it. A start or a restore of the gateway passes all there is without a push.
- A device whose data was lost holds nothing.

An item goes from one version to a newer one only, and a deleted one stays deleted. A version that
a restored backup undid may be followed by an older one, but only in a message that was made after
the restore. Whenever an answer leaves nothing pending, the replica is its feed as it was when that
answer was made, but for newer pushes.

An item that is held back (F7) stays on a device that has it, whatever inventory is taken. Tokens
end with an enrolment: a collection that was given under another one is void. And a replica does
not ask without end: it asks so often at once, one answer after the other, as it takes to get all
there is, and hardly ever after one that brought nothing; else something must have happened.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from device_agent.replica import HELD_RANGES_MAX
from device_agent.results import AnswerResult, Event, Happened, PushResult
from device_agent.store import HeldItem, ReplicaState, ReplicaStore
from sync_protocol import limits, tokens
from sync_protocol.messages import Answer, Notification, Put, Remainder, Request
from sync_protocol.token_set import TokenSet
from tests.simulation.chronicle import Broken, Facts, Seen, Shown, Version
from tests.simulation.edits import CONTENT_BYTES_MAX, ITEMS_MAX
from tests.simulation.views import kinds

# The least that an answer of 4 KiB has room for beside its own head and that of one remainder.
_ANSWER_CONTENT_BYTES_MIN: Final = 2_500
# An answer that leaves something pending brings a whole change or that many bytes of one, whatever
# else: so a replica is complete after as many requests as all items have such parts, and a few to
# find out that its tokens mean nothing, and to be told so once more by another epoch.
REQUESTS_MAX: Final = ITEMS_MAX * -(-CONTENT_BYTES_MAX // _ANSWER_CONTENT_BYTES_MIN) + 10
# An answer that brings nothing may still say that something is missing, but not the next one, too.
REQUESTS_IN_VAIN_MAX: Final = 1

_STORED: Final = frozenset({PushResult.STORED, PushResult.GAP})


@dataclass(frozen=True, slots=True)
class Held:
    """What a device has of an item.

    Attributes:
        version: what it is.
        facts: what the view showed of it when it came, or was found to be held; None if nothing.
        content: all the bytes that it then had in view.
        held_bytes: how many of these are held, from byte 0 on.
        content_number: of the version as whose content these bytes came.
        is_tallied: whether its token is held. Not if an inventory told of a change that is newer
            than the one its set goes up to: that comes once more, without content.
    """

    version: Version
    facts: Facts | None
    content: bytes
    held_bytes: int
    content_number: int
    is_tallied: bool = True


def _held(
    shown: Shown, seen: Seen | None, held_bytes: int, number: int, *, is_tallied: bool = True
) -> Held:
    facts, content = (None, b"") if seen is None else (seen.facts, seen.content)
    return Held(shown.version, facts, content, held_bytes, number, is_tallied)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a device held when it made a request.

    Attributes:
        generation: of the enrolment under which the collection that it presents was given; None
            if it presents none.
    """

    answer_bytes_max: int
    held: Mapping[str, Held]
    generation: bytes | None


class Witness:
    """Follows one replica, and says when a promise to it is broken."""

    def __init__(self, name: str, feed: str) -> None:
        self.name = name
        self.feed = feed
        self.held: dict[str, Held] = {}
        self.newest_pushed = 0
        self._generation: bytes | None = None
        self._asked_in_a_row = 0
        self._asked_in_vain = 0
        self._happened: object = None

    # On the gateway's side, before anything can get lost

    def pushing(
        self, push: Notification, shown: Shown, *, notified: int, was_in_view: bool
    ) -> None:
        """A push is about to leave.

        Args:
            push: as it leaves.
            shown: what it tells of.
            notified: number of the newest version that was pushed before.
            was_in_view: whether the item was in a place of the view then.
        """
        seen = shown.seen
        if (seen is None) != (push.put is None):
            raise Broken(f"{self.name}: {shown.item_id} is pushed against the view")
        if seen is None or push.put is None or not push.put.content:
            return
        if seen.content_number <= notified and was_in_view:
            raise Broken(f"{self.name}: the content of {shown.item_id} is pushed again")

    def answering(
        self,
        asked: Asked,
        answer: Answer,
        shown: Sequence[Shown],
        generation: bytes,
        counts: Counter[str],
    ) -> None:
        """An answer is about to leave."""
        if asked.generation not in {None, generation} and answer.void is None:
            raise Broken(f"{self.name}: tokens of another enrolment count")
        if answer.inventory is not None:
            self._check_puts(asked, answer.inventory.puts, shown)
        if answer.delta is None:
            return
        for change, each in zip(answer.delta.changes, shown, strict=True):
            self._check_change(asked.held.get(each.item_id), change.put, each, counts)
        for remainder in answer.delta.remainders:
            self._check_remainder(asked.held.get(remainder.id), remainder)

    def _check_change(
        self, held: Held | None, put: Put | None, shown: Shown, counts: Counter[str]
    ) -> None:
        seen, item_id = shown.seen, shown.item_id
        if (seen is None) != (put is None):
            raise Broken(f"{self.name}: {item_id} is sent against the view")
        if held is None:
            return
        facts = None if seen is None else seen.facts
        if held.version is shown.version and held.is_tallied and held.facts == facts:
            raise Broken(f"{self.name}: {item_id} is sent again, though it was held")
        if seen is not None and put is not None and self._is_held(held, put):
            is_of_another_form = not held.is_tallied and self._changed_kind(held, seen)
            if seen.content_number <= held.content_number and not is_of_another_form:
                raise Broken(
                    f"{self.name}: the content of {item_id} is sent, though"
                    f" {held.held_bytes} B of it were held"
                )
            counts["contents sent again: set back to an earlier version"] += 1

    def _check_puts(self, asked: Asked, puts: Sequence[Put], shown: Sequence[Shown]) -> None:
        for put, each in zip(puts, shown, strict=True):
            held = asked.held.get(put.id)
            if put.content is not None:
                raise Broken(f"{self.name}: an inventory moves the content of {put.id}")
            if each.seen is None:
                raise Broken(f"{self.name}: an inventory brings {put.id}, which is not in view")
            if held is None or held.facts == each.seen.facts:
                raise Broken(f"{self.name}: an inventory brings {put.id}, which is as it was")

    def _is_held(self, held: Held, put: Put) -> bool:
        facts = held.facts
        return bool(put.content and held.held_bytes and facts and facts.digest == put.digest)

    @staticmethod
    def _changed_kind(held: Held, seen: Seen) -> bool:
        return held.facts is not None and held.facts.kind != seen.facts.kind

    def _check_remainder(self, held: Held | None, remainder: Remainder) -> None:
        facts = None if held is None else held.facts
        if held is None or facts is None or facts.digest != remainder.digest:
            return
        if remainder.offset < held.held_bytes:
            raise Broken(
                f"{self.name}: bytes of {remainder.id} are sent from {remainder.offset} on, though"
                f" {held.held_bytes} were held"
            )

    # On the device's side

    def asks(self, request: Request) -> Asked:
        """A request is made."""
        if len(request.wanted) > limits.REQUEST_WANTED_MAX:
            raise Broken(f"{self.name} wants {len(request.wanted)} contents at once")
        generation = None if request.collection is None else self._generation
        return Asked(request.answer_bytes_max, dict(self.held), generation)

    def asks_again(self, answer: Answer, *, at_once: bool, happened: object) -> None:
        """An answer came; `happened` is another value once something else happened."""
        is_next = at_once and happened == self._happened
        self._asked_in_a_row = self._asked_in_a_row + 1 if is_next else 0
        self._happened = happened
        delta = answer.delta
        in_vain = is_next and delta is not None and not (delta.changes or delta.remainders)
        self._asked_in_vain = self._asked_in_vain + 1 if in_vain else 0
        if self._asked_in_a_row > REQUESTS_MAX or self._asked_in_vain > REQUESTS_IN_VAIN_MAX:
            raise Broken(f"{self.name} asks without end")

    def pushed(
        self,
        store: ReplicaStore,
        push: Notification,
        result: PushResult,
        *,
        shown: Shown,
        restores: int,
        since: int | None,
    ) -> None:
        """A push was handled; `since` is the beginning of the device's time window now."""
        self._happened = None
        self.newest_pushed = max(self.newest_pushed, shown.version.number)
        if result in _STORED:
            self._took(store, shown, restores, push.put, since=since)
        else:
            self._is_as_before(store, push.item_id)

    def interval(
        self, before: TokenSet, state: ReplicaState, n: int, result: PushResult, after: int
    ) -> None:
        """Only what was lost leaves a hole, and is missed (P3, D3, D4)."""
        assert state.base is not None
        assert state.collection is not None
        held = state.collection.held
        if held.range_count > HELD_RANGES_MAX:
            raise Broken(f"{self.name}: a token set of {held.range_count} ranges")
        oldest = tokens.oldest(state.base)
        if result in _STORED and before.covers(oldest, tokens.compress(after, state.base)):
            if result is PushResult.GAP:
                raise Broken(f"{self.name} missed something before {n}, and nothing was lost")
            if not held.covers(oldest, n):
                raise Broken(f"{self.name} has a hole before {n}, and nothing was lost")

    def answered(
        self,
        store: ReplicaStore,
        answer: Answer,
        result: AnswerResult,
        *,
        shown: Sequence[Shown],
        compared: Sequence[Shown],
        in_view: Mapping[str, Shown],
        held_back: Collection[str],
        generation: bytes,
        restores: int,
        since: int | None,
    ) -> None:
        """An answer was taken; `since` is the beginning of the device's time window now."""
        self._generation = generation
        removed = {it.item_id for it in result.happened if it.event is Event.REMOVED}
        if answer.delta is not None:
            for change, each in zip(answer.delta.changes, shown, strict=True):
                self._took(store, each, restores, change.put, since=since)
                removed.discard(each.item_id)
            for remainder in answer.delta.remainders:
                if not self._is_over(remainder.id, since):
                    self._grew(store, remainder.id)
            self.pruned(store, removed, since)
            if not answer.delta.more:
                self._is_complete(in_view, restores, since)
        if answer.inventory is not None:
            versions = {it.version for it in compared}
            for each in shown:
                tallied = each.version in versions
                self._took(store, each, restores, None, since=since, is_tallied=tallied)
            removed -= {it.item_id for it in shown}
            over = {item_id for item_id in removed if self._is_over(item_id, since)}
            self.pruned(store, over, since)
            for each in compared:
                self._was_found(each)
            self._dropped(store, removed - over, in_view, held_back, versions)

    def _dropped(
        self,
        store: ReplicaStore,
        removed: Collection[str],
        in_view: Mapping[str, Shown],
        held_back: Collection[str],
        compared: Collection[Version],
    ) -> None:
        """An inventory told that these are not in view."""
        if not set(removed).isdisjoint(held_back):
            raise Broken(f"{self.name} dropped of what is held back {sorted(removed)}")
        for item_id in removed:
            newest = in_view.get(item_id)
            tallied = newest is not None and newest.version in compared
            self._gone(store, item_id, newest, is_tallied=tallied)

    def happened(
        self, store: ReplicaStore, happened: Sequence[Happened], since: int | None
    ) -> None:
        """The time window was moved."""
        self._happened = None
        self.pruned(store, {it.item_id for it in happened}, since)

    def pruned(self, store: ReplicaStore, item_ids: Collection[str], since: int | None) -> None:
        """Items fell out of the time window (F6)."""
        for item_id in item_ids:
            if not self._is_over(item_id, since):
                raise Broken(f"{self.name} dropped {item_id}, which is in its time window")
            if store.item(item_id) is not None:
                raise Broken(f"{self.name} says that {item_id} is gone, and holds it")
            held = self.held[item_id]
            self.held[item_id] = Held(held.version, None, b"", 0, 0, held.is_tallied)

    def _is_over(self, item_id: str, since: int | None) -> bool:
        held = self.held.get(item_id)
        return held is not None and held.facts is not None and held.facts.is_over(since)

    def lost_all(self) -> None:
        """The device's data is gone."""
        self.held.clear()

    def check_all(self, store: ReplicaStore) -> None:
        """The whole replica is what its device took."""
        for item_id in list(self.held):
            self._is_as_before(store, item_id)
        for item in store.items():
            if item.id not in self.held:
                raise Broken(f"{self.name} holds {item.id}, which it was never given")

    # What became of one item

    def _was_found(self, shown: Shown) -> None:
        """An inventory said what is held; from now on that counts as this version."""
        held, seen = self.held.get(shown.item_id), shown.seen
        if held is None:
            return
        if held.facts == (None if seen is None else seen.facts):
            number = 0 if seen is None else seen.content_number
            self.held[shown.item_id] = _held(shown, seen, held.held_bytes, number)
        else:  # it is missing
            self.held[shown.item_id] = replace(held, is_tallied=False)

    def _took(
        self,
        store: ReplicaStore,
        shown: Shown,
        restores: int,
        put: Put | None,
        *,
        since: int | None,
        is_tallied: bool = True,
    ) -> None:
        version, seen = shown.version, shown.seen
        if seen is not None and seen.facts.is_over(since):
            seen = None  # it was in the time window that the device had then
        before = self.held.get(version.item_id)
        if (
            before is not None
            and before.version.number > version.number
            and not before.version.is_undone(restores)
        ):
            self._grew(store, version.item_id)  # by a remainder beside it
            return
        taken = _held(shown, seen, 0, 0, is_tallied=is_tallied)
        count = self._look(store, version.item_id, taken.facts, taken.content)
        number = 0 if seen is None else seen.content_number
        if before is not None and self._has_same_bytes(before, taken):
            if count < before.held_bytes:
                raise Broken(f"{self.name} had {before.held_bytes} B of {version.item_id}")
            if put is None or not put.content:
                number = before.content_number
        self.held[version.item_id] = replace(taken, held_bytes=count, content_number=number)

    def _is_complete(self, in_view: Mapping[str, Shown], restores: int, since: int | None) -> None:
        """Nothing is pending: the replica is its feed as it was then, but for newer pushes."""
        for item_id, shown in in_view.items():
            held, version = self.held.get(item_id), shown.version
            facts = None if held is None else held.facts
            seen = None if shown.seen is None else shown.seen.facts
            if seen is not None and seen.is_over(since):
                seen = None
            is_newer = (
                held is not None
                and held.version.number > version.number
                and not held.version.is_undone(restores)
            )
            if facts != seen and not is_newer:
                raise Broken(f"{self.name} has synced, and has not the newest {item_id}")

    def _gone(
        self, store: ReplicaStore, item_id: str, newest: Shown | None, *, is_tallied: bool
    ) -> None:
        if newest is not None and newest.seen is not None:
            raise Broken(f"{self.name} dropped {item_id}, which is in view")
        if store.item(item_id) is not None:
            raise Broken(f"{self.name} says that {item_id} is gone, and holds it")
        del self.held[item_id]
        if newest is not None:
            self.held[item_id] = _held(newest, None, 0, 0, is_tallied=is_tallied)

    def _is_as_before(self, store: ReplicaStore, item_id: str) -> None:
        held = self.held.get(item_id)
        if held is None:
            if store.item(item_id) is not None:
                raise Broken(f"{self.name} holds {item_id}, which it was never given")
        elif self._look(store, item_id, held.facts, held.content) != held.held_bytes:
            raise Broken(f"{self.name}: {held.held_bytes} B of {item_id} are no longer so many")

    def _grew(self, store: ReplicaStore, item_id: str) -> None:
        """More bytes of what is held may have come."""
        held = self.held.get(item_id)
        if held is None or held.facts is None:
            self._is_as_before(store, item_id)
            return
        count = self._look(store, item_id, held.facts, held.content)
        if count < held.held_bytes:
            raise Broken(f"{self.name}: {held.held_bytes} B of {item_id} became {count}")
        self.held[item_id] = replace(held, held_bytes=count)

    def _look(self, store: ReplicaStore, item_id: str, facts: Facts | None, content: bytes) -> int:
        """The item is held as that; how many of its bytes are."""
        item = store.item(item_id)
        if facts is None:
            if item is not None:
                raise Broken(f"{self.name}: {item.id} is gone, and is there")
            return 0
        if item is None:
            raise Broken(f"{self.name}: {item_id} is not there")
        self._check_facts(item, facts)
        held = b"".join(store.content(item.id))
        count = len(held)
        if count != item.held_bytes or held != content[:count]:
            raise Broken(f"{self.name}: of {item.id} are {count} B, and not the right ones")
        if item.whole != (count == item.size):
            raise Broken(
                f"{self.name}: {count} of {item.size} B of {item.id} are shown as"
                f" {'the whole' if item.whole else 'a part'}"
            )
        return count

    @staticmethod
    def _has_same_bytes(before: Held, taken: Held) -> bool:
        one, other = before.facts, taken.facts
        return bool(before.held_bytes and one and other and one.digest == other.digest)

    def _check_facts(self, item: HeldItem, facts: Facts) -> None:
        shown = (item.kind, item.folder, item.flags, item.date, item.until, item.media_type)
        if (*shown, item.digest, item.size) == facts:
            return
        if item.kind not in kinds(self.feed):
            raise Broken(f"{self.name}: {item.id} is of feed {item.kind}")
        raise Broken(f"{self.name}: {item.id} is {shown}, and not {facts}")
