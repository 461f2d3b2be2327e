"""One replica of one feed: what a push and an answer do to it (docs/protocol.md, D, Q and A)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from device_agent import inventory
from device_agent.store import Collection, HeldItem, Inventory, ReplicaState, ReplicaStore
from sync_protocol import limits, messages, tokens
from sync_protocol.digests import digest_of
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import (
    Answer,
    Compared,
    Delta,
    Notification,
    Put,
    Range,
    Remainder,
    Request,
    Wanted,
)
from sync_protocol.token_set import TokenSet

# How many ranges a set may have when no sync is under way: more, and the device syncs anyway.
HELD_RANGES_MAX: Final = 4096

# How many contents that do not fit their digest are remembered, so as not to fetch them in a loop.
MISFITS_MAX: Final = 1_000
FETCHES_MAX: Final = 2
# More than a replica holds in part, unless something is very wrong.
WITHHELD_MAX: Final = 100_000
# So often in a row a sync may begin anew at once; then the device waits between the attempts.
TIMES_ANEW_MAX: Final = 3


class Event(StrEnum):
    """What became of an item."""

    CHANGED = "changed"
    REMOVED = "removed"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Happened:
    """An item changed, went, or has all its bytes now; `n` is the token it came with."""

    event: Event
    item_id: str
    n: int | None


class PushResult(StrEnum):
    """What a push came to."""

    STORED = "stored"
    HELD_ALREADY = "held-already"
    STRANGE = "strange"  # no collection yet, or another lineage: a sync tells what it means
    OLD = "old"  # older than the items
    GAP = "gap"  # stored, and it tells of a lost one


class AnswerFate(StrEnum):
    """What an answer came to."""

    TAKEN = "taken"
    NOT_AWAITED = "not-awaited"  # no request waits for it (A1)
    OVERTAKEN = "overtaken"  # another epoch than what it is to be joined to: ask again (A1, A4)
    VOID = "void"  # the collection means nothing any more: take an inventory
    REFUSED = "refused"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """What an answer came to.

    Attributes:
        progress: it brought something, so that asking again at once makes sense.
        refused: why, if the gateway did not serve the request.
    """

    fate: AnswerFate
    progress: bool = False
    happened: tuple[Happened, ...] = ()
    refused: messages.Refused | None = None


class Replica:
    """The rules for one replica. Every method is one transaction of the store."""

    def __init__(self, store: ReplicaStore, *, make_view_id: Callable[[], int]) -> None:
        self._store = store
        self._outstanding: bytes | None = None
        self._ranges_asked: tuple[Range, ...] = ()
        self._inventory_room = inventory.REQUEST_INVENTORY_BYTES_MAX
        self._times_anew = 0  # since the last complete sync
        self._stored_since_request = False
        # How often a content did not fit its digest: twice, and this connection leaves it alone.
        self._misfits: Counter[tuple[str, bytes]] = Counter()
        # What the gateway does not have either (G4).
        self._withheld: set[tuple[str, bytes]] = set()
        state = store.state()
        if state is None:
            state = ReplicaState(view_id=make_view_id())
            with store.transaction():
                store.set_state(state)
        self._state = state

    @property
    def state(self) -> ReplicaState:
        """The state as it is stored."""
        return self._state

    @property
    def goes_round(self) -> bool:
        """Whether syncs begin anew time after time: their progress leads nowhere."""
        return self._times_anew > TIMES_ANEW_MAX

    def needs_sync(self) -> bool:
        """Whether something is known to be missing (D3, A5)."""
        state = self._state
        if state.collection is None or state.base is None or state.more:
            return True
        held = state.collection.held
        oldest = tokens.oldest(state.base)
        unbroken = held.range_count == 1 and oldest in held
        nothing_yet = not held and state.collection.asof < oldest  # the feed never changed
        return not (unbroken or nothing_yet) or bool(self._wanted(1))

    def _wanted(self, limit: int) -> Sequence[HeldItem]:
        found = self._store.wanted(limit + len(self._misfits) + len(self._withheld))
        fit = [
            it
            for it in found
            if self._misfits[it.id, it.digest] < FETCHES_MAX
            and (it.id, it.digest) not in self._withheld
        ]
        return fit[:limit]

    # Push

    def on_push(self, push: Notification) -> tuple[PushResult, tuple[Happened, ...]]:
        """Take a push (D1 to D6)."""
        state = self._state
        collection = state.collection
        if collection is None or state.base is None or push.lineage != collection.lineage:
            return PushResult.STRANGE, ()
        if state.floor is not None and push.n <= state.floor:
            return PushResult.OLD, ()
        if push.n in collection.held:
            return PushResult.HELD_ALREADY, ()
        lowest = tokens.oldest(state.base)
        gap = push.prev is not None and push.prev not in collection.held
        held = collection.held.add(lowest if push.prev is None else push.prev + 1, push.n)
        if push.put is not None and push.put.content is not None:
            c = push.n if push.c is None else push.c
            held = held.add(c, c)
        if held.range_count > HELD_RANGES_MAX:
            return PushResult.GAP, ()  # as if it had been lost: the sync that is due brings it
        collection = replace(collection, held=held, asof=max(collection.asof, push.asof))
        state = replace(state, known=collection)
        with self._store.transaction():
            happened = self._apply(push.item_id, push.put, push.n)
            self._store.set_state(state)
        self._state = state
        self._stored_since_request = True
        return PushResult.GAP if gap else PushResult.STORED, tuple(happened)

    # Request

    def request(self, request_id: bytes, *, answer_bytes_max: int) -> Request:
        """A new request; it closes the one before (Q1)."""
        state = self._state
        collection = state.collection
        self._outstanding = request_id
        self._stored_since_request = False
        presented = None
        self._ranges_asked = ()
        if isinstance(state.known, Inventory):
            self._inventory_room = min(self._inventory_room, inventory.room_bytes(answer_bytes_max))
            self._ranges_asked = inventory.presented(
                self._store, state.known, room=self._inventory_room
            )
        if collection is not None:
            held = collection.held.newest_within(limits.TOKEN_SET_BYTES_MAX)
            presented = messages.Collection(
                lineage=collection.lineage,
                epoch=collection.epoch,
                asof=collection.asof,
                p0=collection.p0,
                tokens=held.encode(),
            )
        wanted = [] if presented is None else self._wanted(limits.REQUEST_WANTED_MAX)
        return Request(
            v=messages.VERSION,
            id=request_id,
            base=state.base,
            view_id=state.view_id,
            answer_bytes_max=answer_bytes_max,
            collection=presented,
            wanted=tuple(
                Wanted(id=item.id, digest=item.digest, offset=item.held_bytes) for item in wanted
            ),
            inventory=self._ranges_asked,
        )

    def close_request(self) -> None:
        """Nobody waits for the outstanding request any more (Q1)."""
        self._outstanding = None
        self._misfits.clear()
        self._withheld.clear()

    # Answer

    def on_answer(self, answer: Answer) -> AnswerResult:
        """Take an answer (A1 to A4)."""
        if self._outstanding is None or answer.id != self._outstanding:
            return AnswerResult(AnswerFate.NOT_AWAITED)
        self._outstanding = None
        if answer.refused is not None:
            return AnswerResult(AnswerFate.REFUSED, refused=answer.refused)
        known = self._state.known
        if answer.void is not None and isinstance(known, Collection):
            self._begin_anew()
            return self._anew(AnswerFate.VOID)
        if answer.delta is not None and isinstance(known, Collection):
            return self._on_delta(answer.delta, known)
        if answer.inventory is not None and isinstance(known, Inventory):
            return self._on_inventory(answer.inventory, known)
        return AnswerResult(AnswerFate.UNREADABLE)  # not what was asked for

    def _on_delta(self, delta: Delta, before: Collection) -> AnswerResult:
        state = self._state
        if delta.epoch != before.epoch and self._stored_since_request:
            return self._anew(AnswerFate.OVERTAKEN)  # A1
        try:
            held = before.held | TokenSet.decode(delta.tokens)
        except ProtocolError:
            return AnswerResult(AnswerFate.UNREADABLE)
        after = replace(
            state,
            base=delta.base,
            known=Collection(
                lineage=delta.lineage,
                epoch=delta.epoch,
                asof=max(delta.head, before.asof),
                p0=delta.p0,
                held=held,
            ),
            more=delta.more,
        )
        happened: list[Happened] = []
        grown = held != before.held
        with self._store.transaction():
            for change in delta.changes:
                happened += self._apply(change.item_id, change.put, change.n)
            for remainder in delta.remainders:
                appended, completed = self._append(remainder)
                grown |= appended
                happened += completed
            for item_id in delta.withheld:
                grown |= self._leave_alone(item_id, delta.head)
            if not delta.more:
                self._times_anew = 0
                self._store.forget_removed(delta.head)
            self._store.set_state(after)
        self._state = after
        progress = grown or bool(happened)
        return AnswerResult(AnswerFate.TAKEN, progress=progress, happened=tuple(happened))

    def _anew(self, fate: AnswerFate) -> AnswerResult:
        """What was asked must be asked in another way: at once, but not time after time."""
        self._times_anew += 1
        return AnswerResult(fate, progress=self._times_anew <= TIMES_ANEW_MAX)

    def _begin_anew(self) -> None:
        """Forget what tokens meant; base, items and contents stay (A3)."""
        state = ReplicaState(view_id=self._state.view_id, base=self._state.base)
        with self._store.transaction():
            self._store.forget_tokens()
            self._store.forget_removed(None)
            self._store.set_state(state)
        self._state = state

    def _on_inventory(self, answer: Compared, before: Inventory) -> AnswerResult:
        """Take what an inventory told; the last answer makes the collection (A4)."""
        state = self._state
        if before.begun is not None and answer.epoch != before.begun.epoch:
            after = replace(state, known=Inventory())
            with self._store.transaction():
                self._store.set_state(after)
            self._state = after
            return self._anew(AnswerFate.OVERTAKEN)
        try:
            known, held = inventory.after(before, self._ranges_asked, answer)
        except ProtocolError:
            return AnswerResult(AnswerFate.UNREADABLE)
        self._inventory_room = inventory.next_room_bytes(
            self._ranges_asked, answer.answered, self._inventory_room
        )
        after = replace(state, base=answer.base, known=known)
        if held is not None and (begun := known.begun) is not None:
            collection = Collection(begun.lineage, begun.epoch, begun.head, begun.p0, held)
            # No inventory moves content: what is missing comes by the sync that follows (A5).
            after = replace(after, known=collection, floor=begun.head, more=True)
        happened: list[Happened] = []
        with self._store.transaction():
            for put in answer.puts:
                happened += self._set(put, None, self._store.item(put.id))
            for id_hash in inventory.dropped(answer):
                for item_id in self._store.hashed(id_hash):
                    self._store.delete_item(item_id)
                    happened.append(Happened(Event.REMOVED, item_id, None))
            self._store.set_state(after)
        self._state = after
        return AnswerResult(AnswerFate.TAKEN, progress=True, happened=tuple(happened))

    # Items

    def _apply(self, item_id: str, put: Put | None, n: int) -> list[Happened]:
        """Apply one change if it is newer than what is known of its item (D5, D6)."""
        old = self._store.item(item_id)
        removed_at = self._store.remembered(item_id)
        if (old is not None and old.n is not None and n <= old.n) or (
            removed_at is not None and n <= removed_at
        ):
            return []
        if put is None:
            self._store.remember(item_id, n)
            self._store.delete_item(item_id)
            return [] if old is None else [Happened(Event.REMOVED, item_id, n)]
        return self._set(put, n, old)

    def _set(self, put: Put, n: int | None, old: HeldItem | None) -> list[Happened]:
        """Make an item what `put` says, without a byte that is held going (D6)."""
        same = old is not None and old.digest == put.digest and old.size == put.size
        self._misfits.pop((put.id, put.digest), None)
        self._withheld.discard((put.id, put.digest))
        item = HeldItem(
            id=put.id,
            n=n,
            kind=put.kind,
            folder=put.folder,
            flags=put.flags,
            date=put.date,
            media_type=put.media_type,
            digest=put.digest,
            size=put.size,
            held_bytes=old.held_bytes if old is not None and same else 0,
            whole=old.whole if old is not None and same else False,
        )
        content = put.content or b""
        if not item.whole and (not same or len(content) > item.held_bytes):
            self._store.clear_content(put.id)
            if content:
                self._store.append_content(put.id, 0, content)
            item = self._checked(replace(item, held_bytes=len(content)))
        self._store.set_item(item)
        return [Happened(Event.CHANGED, put.id, n)]

    def _leave_alone(self, item_id: str, head: int) -> bool:
        """A content cannot be had: do not ask for it; whether that is news.

        A change that came since the answer was made, at `head`, may have mended it.
        """
        item = self._store.item(item_id)
        if item is None or (item.n is not None and item.n > head):
            return False
        content = (item.id, item.digest)
        if content in self._withheld or len(self._withheld) >= WITHHELD_MAX:
            return False
        self._withheld.add(content)
        return True

    def _append(self, remainder: Remainder) -> tuple[bool, list[Happened]]:
        """Add a remainder if it begins where the bytes held end (A2); whether more is held now."""
        item = self._store.item(remainder.id)
        if (
            item is None
            or not remainder.content
            or item.digest != remainder.digest
            or item.held_bytes != remainder.offset
            or remainder.offset + len(remainder.content) > item.size
        ):
            return False, []
        self._store.append_content(item.id, remainder.offset, remainder.content)
        held_bytes = remainder.offset + len(remainder.content)
        item = self._checked(replace(item, held_bytes=held_bytes))
        self._store.set_item(item)
        completed = [Happened(Event.COMPLETED, item.id, item.n)] if item.whole else []
        return item.held_bytes == held_bytes, completed

    def _checked(self, item: HeldItem) -> HeldItem:
        """`item`, whole if all bytes are here and their digest fits; without bytes if not so."""
        if item.held_bytes < item.size:
            return item
        if digest_of(self._store.content(item.id)) == item.digest:
            return replace(item, whole=True)
        self._store.clear_content(item.id)
        if len(self._misfits) < MISFITS_MAX:
            self._misfits[item.id, item.digest] += 1
        return replace(item, held_bytes=0)
