"""What the protocol promises, checked against a plain record of who took what.

A device is never sent a content that it holds. Exactly:

- *Held* are the bytes of an item, from byte 0 on, that its device had when it **made the request**
  that is answered. What came to it later, by a push that crossed the answer or by another answer,
  does not count; nor do copies of a request that the link delivers twice. Bytes that are held are
  not in the answer: neither in a change, which carries them from byte 0 on, nor in a remainder.
- Bytes that an item had earlier, and has again after a change or a delete between, are another
  content (F1), made later than the one held: they may travel again, until they came with a change
  of it. An inventory that finds them held makes them the one held.
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

from device_agent.replica import HELD_RANGES_MAX, AnswerResult, Event, PushResult
from device_agent.store import HeldItem, ReplicaState, ReplicaStore
from sync_protocol import limits, tokens
from sync_protocol.messages import Answer, Notification, Put, Remainder, Request
from sync_protocol.token_set import TokenSet
from tests.simulation.chronicle import Broken, Version
from tests.simulation.edits import CONTENT_BYTES_MAX, ITEMS_MAX

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
        held_bytes: how many bytes of its content, from byte 0 on.
        content_number: of the version as whose content these bytes came.
        is_tallied: whether its token is held. Not if an inventory told of a change that is newer
            than the one its set goes up to: that comes once more, without content.
    """

    version: Version
    held_bytes: int
    content_number: int
    is_tallied: bool = True


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

    def pushing(self, push: Notification, version: Version, *, notified: int) -> None:
        """A push is about to leave."""
        if push.put is None or not push.put.content:
            return
        if version.content_number <= notified:
            raise Broken(f"{self.name}: the content of {version.item_id} is pushed again")

    def answering(
        self,
        asked: Asked,
        answer: Answer,
        versions: Sequence[Version],
        generation: bytes,
        counts: Counter[str],
    ) -> None:
        """An answer is about to leave."""
        if asked.generation not in {None, generation} and answer.void is None:
            raise Broken(f"{self.name}: tokens of another enrolment count")
        if answer.inventory is not None:
            self._check_puts(asked, answer.inventory.puts, versions)
        if answer.delta is None:
            return
        for change, version in zip(answer.delta.changes, versions, strict=True):
            held = asked.held.get(version.item_id)
            if held is None:
                continue
            if held.version is version and held.is_tallied:
                raise Broken(f"{self.name}: {version.item_id} is sent again, though it was held")
            if change.put is not None and self._is_held(held, change.put):
                if version.content_number <= held.content_number:
                    raise Broken(
                        f"{self.name}: the content of {version.item_id} is sent, though"
                        f" {held.held_bytes} B of it were held"
                    )
                counts["contents sent again: set back to an earlier version"] += 1
        for remainder in answer.delta.remainders:
            self._check_remainder(asked.held.get(remainder.id), remainder)

    def _check_puts(self, asked: Asked, puts: Sequence[Put], versions: Sequence[Version]) -> None:
        for put, version in zip(puts, versions, strict=True):
            held = asked.held.get(put.id)
            if put.content is not None:
                raise Broken(f"{self.name}: an inventory moves the content of {put.id}")
            if held is None or held.version.facts == version.facts:
                raise Broken(f"{self.name}: an inventory brings {put.id}, which is as it was")

    def _is_held(self, held: Held, put: Put) -> bool:
        facts = held.version.facts
        return bool(put.content and held.held_bytes and facts and facts.digest == put.digest)

    def _check_remainder(self, held: Held | None, remainder: Remainder) -> None:
        facts = None if held is None else held.version.facts
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
        version: Version,
        restores: int,
    ) -> None:
        """A push was handled."""
        self._happened = None
        self.newest_pushed = max(self.newest_pushed, version.number)
        if result in _STORED:
            self._took(store, version, restores, push.put)
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
        versions: Sequence[Version],
        compared: Sequence[Version],
        live: Mapping[str, Version],
        held_back: Collection[str],
        generation: bytes,
        restores: int,
    ) -> None:
        """An answer was taken."""
        self._generation = generation
        if answer.delta is not None:
            for change, version in zip(answer.delta.changes, versions, strict=True):
                self._took(store, version, restores, change.put)
            for remainder in answer.delta.remainders:
                self._grew(store, remainder.id)
            if not answer.delta.more:
                self._is_complete(live, restores)
        if answer.inventory is not None:
            for version in versions:
                self._took(store, version, restores, None, is_tallied=version in compared)
            for version in compared:
                self._was_found(version)
            removed = {it.item_id for it in result.happened if it.event is Event.REMOVED}
            if not removed.isdisjoint(held_back):
                raise Broken(f"{self.name} dropped of what is held back {sorted(removed)}")
            for item_id in removed:
                newest = live.get(item_id)
                self._gone(store, item_id, newest, is_tallied=newest in compared)

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

    def _was_found(self, version: Version) -> None:
        """An inventory said what is held; from now on that counts as this version."""
        held = self.held.get(version.item_id)
        if held is not None and held.version.facts == version.facts:
            self.held[version.item_id] = Held(version, held.held_bytes, version.content_number)

    def _took(
        self,
        store: ReplicaStore,
        version: Version,
        restores: int,
        put: Put | None,
        *,
        is_tallied: bool = True,
    ) -> None:
        before = self.held.get(version.item_id)
        if (
            before is not None
            and before.version.number > version.number
            and not before.version.is_undone(restores)
        ):
            self._grew(store, version.item_id)  # by a remainder beside it
            return
        count = self._look(store, version)
        number = version.content_number
        if before is not None and self._has_same_bytes(before, version):
            if count < before.held_bytes:
                raise Broken(f"{self.name} had {before.held_bytes} B of {version.item_id}")
            if put is None or not put.content:
                number = before.content_number
        self.held[version.item_id] = Held(version, count, number, is_tallied)

    def _is_complete(self, live: Mapping[str, Version], restores: int) -> None:
        """Nothing is pending: the replica is its feed as it was then, but for newer pushes."""
        for item_id, version in live.items():
            held = self.held.get(item_id)
            facts = None if held is None else held.version.facts
            is_newer = (
                held is not None
                and held.version.number > version.number
                and not held.version.is_undone(restores)
            )
            if facts != version.facts and not is_newer:
                raise Broken(f"{self.name} has synced, and has not the newest {item_id}")

    def _gone(
        self, store: ReplicaStore, item_id: str, version: Version | None, *, is_tallied: bool
    ) -> None:
        if version is not None and version.facts is not None:
            raise Broken(f"{self.name} dropped {item_id}, which is in the feed")
        if store.item(item_id) is not None:
            raise Broken(f"{self.name} says that {item_id} is gone, and holds it")
        del self.held[item_id]
        if version is not None:
            self.held[item_id] = Held(version, 0, 0, is_tallied)

    def _is_as_before(self, store: ReplicaStore, item_id: str) -> None:
        held = self.held.get(item_id)
        if held is None:
            if store.item(item_id) is not None:
                raise Broken(f"{self.name} holds {item_id}, which it was never given")
        elif self._look(store, held.version) != held.held_bytes:
            raise Broken(f"{self.name}: {held.held_bytes} B of {item_id} are no longer so many")

    def _grew(self, store: ReplicaStore, item_id: str) -> None:
        """More bytes of what is held may have come."""
        held = self.held.get(item_id)
        if held is None or held.version.facts is None:
            self._is_as_before(store, item_id)
            return
        count = self._look(store, held.version)
        if count < held.held_bytes:
            raise Broken(f"{self.name}: {held.held_bytes} B of {item_id} became {count}")
        self.held[item_id] = replace(held, held_bytes=count)

    def _look(self, store: ReplicaStore, version: Version) -> int:
        """The item is held as that version; how many of its bytes are."""
        item = store.item(version.item_id)
        if version.facts is None:
            if item is not None:
                raise Broken(f"{self.name}: {item.id} was deleted, and is there")
            return 0
        if item is None:
            raise Broken(f"{self.name}: {version.item_id} is not there")
        self._check_facts(item, version)
        held = b"".join(store.content(item.id))
        count = len(held)
        if count != item.held_bytes or held != version.content[:count]:
            raise Broken(f"{self.name}: of {item.id} are {count} B, and not the right ones")
        if item.whole != (count == item.size):
            raise Broken(
                f"{self.name}: {count} of {item.size} B of {item.id} are shown as"
                f" {'the whole' if item.whole else 'a part'}"
            )
        return count

    @staticmethod
    def _has_same_bytes(held: Held, version: Version) -> bool:
        one, other = held.version.facts, version.facts
        return bool(held.held_bytes and one and other and one.digest == other.digest)

    def _check_facts(self, item: HeldItem, version: Version) -> None:
        facts = (item.kind, item.folder, item.flags, item.date, item.media_type)
        if (*facts, item.digest, item.size) == version.facts:
            return
        if item.kind != self.feed:
            raise Broken(f"{self.name}: {item.id} is of feed {item.kind}")
        raise Broken(f"{self.name}: {item.id} is {facts}, and not {version.facts}")
