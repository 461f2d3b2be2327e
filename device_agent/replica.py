"""One replica of one feed: what a push and an answer do to it (docs/protocol.md, D, Q and A)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from device_agent import inventory
from device_agent.results import AnswerFate, AnswerResult, Event, Happened, PushResult
from device_agent.store import (
    Collection,
    HeldItem,
    Inventory,
    ReplicaState,
    ReplicaStore,
    mark_fetched,
)
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
from sync_protocol.views import WHOLE_FEED, View

# How many ranges a set may have when no sync is under way: more, and the device syncs anyway.
HELD_RANGES_MAX: Final = 4096

# How many contents that do not fit their digest are remembered, so as not to fetch them in a loop.
MISFITS_MAX: Final = 1_000
FETCHES_MAX: Final = 2
# More than a replica holds in part, unless something is very wrong.
WITHHELD_MAX: Final = 100_000
# So often in a row a sync may begin anew at once; then the device waits between the attempts.
TIMES_ANEW_MAX: Final = 3
# A time window begins earlier than before if a clock was set back: by less than this it stays as it
# is, and by more the view is another. If somebody wants more days, it always is.
SINCE_BACK_S_MAX: Final = 2 * 86_400


def is_behind(state: ReplicaState) -> bool:
    """Whether changes are known to be missing (D3, A5)."""
    if state.collection is None or state.base is None or state.more:
        return True
    held = state.collection.held
    oldest = tokens.oldest(state.base)
    unbroken = held.range_count == 1 and oldest in held
    nothing_yet = not held and state.collection.asof < oldest  # the feed never changed
    return not (unbroken or nothing_yet)


def completes_up_to(view: View, remainder_bytes_max: int | None) -> int | None:
    """The size of the largest content whose rest comes by itself (D6); None if all do.

    What is no larger than a portion is whole when it comes with an answer, and is to be so, too, if
    it is pushed, where the gateway may give less of it (V6).
    """
    if remainder_bytes_max is None:
        return None
    return max(remainder_bytes_max, view.portion_bytes or 0)


class Replica:
    """The rules for one replica. Every method is one transaction of the store."""

    def __init__(
        self,
        store: ReplicaStore,
        *,
        make_view_id: Callable[[], int],
        view: View = WHOLE_FEED,
        remainder_bytes_max: int | None = None,
        window: str | None = None,
    ) -> None:
        """Go on with what is stored, with another view if `view` is another (A3).

        Args:
            store: of the replica.
            make_view_id: draws 32 random bits.
            view: what is wanted. Its `since` only says whether there is a time window: see
                `move_window`.
            remainder_bytes_max: a larger content is completed only if somebody asks for it, or if
                it is no larger than a portion.
            window: what was said of the time window, in any words. If they are others than before,
                a beginning that is only a little earlier is meant, and no clock that was set back.
        """
        self._store = store
        self._make_view_id = make_view_id
        self._remainder_bytes_max = remainder_bytes_max
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
            state = ReplicaState(view_id=make_view_id(), view=view, window=window)
            with store.transaction():
                store.set_state(state)
        self._state = state
        self._window = state.window if window is None else window
        if not _is_continued(state.view, view):
            self._change_view(view, self._window)

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
        return is_behind(self._state) or bool(self._wanted(1))

    def _wanted(self, limit: int) -> Sequence[HeldItem]:
        found = self._store.wanted(
            limit + len(self._misfits) + len(self._withheld),
            size_max=completes_up_to(self._state.view, self._remainder_bytes_max),
            # Nothing is held of what was pushed, lost, and changed in something else since.
            portions=self._state.view.portion_bytes != 0,
        )
        fit = [
            it
            for it in found
            if self._misfits[it.id, it.digest] < FETCHES_MAX
            and (it.id, it.digest) not in self._withheld
        ]
        return fit[:limit]

    # View

    def move_window(self, since: int | None) -> tuple[Happened, ...]:
        """Have the time window begin at `since`, Unix seconds, and drop what falls out (F6).

        If that is never, or much earlier than before, or at all earlier and something else was said
        of the window than before, the view is another (A3).
        """
        view = self._state.view
        tolerated_s = SINCE_BACK_S_MAX if self._window == self._state.window else 0
        if _is_set_back(view.since, since, tolerated_s):
            self._change_view(view.model_copy(update={"since": since}), self._window)
            return ()
        return self.move_on(since)

    def move_on(self, since: int | None) -> tuple[Happened, ...]:
        """Have the time window begin at `since` if that is later, and drop what falls out (F6)."""
        view = self._state.view
        later = _later(view.since, since)
        window = self._window if later == since else self._state.window
        if (later, window) == (view.since, self._state.window):
            return ()
        view = view.model_copy(update={"since": later})
        after = replace(self._state, view=view, window=window)
        with self._store.transaction():
            happened = self._drop_ended(after.since)
            self._store.set_state(after)
        self._state = after
        return tuple(happened)

    def _drop_ended(self, since: int | None) -> list[Happened]:
        """Drop what falls out of a time window that begins at `since` (F6)."""
        happened: list[Happened] = []
        if since is not None and since != self._state.since:
            for item in self._store.ended(since):
                happened += self._remove(item.id, item.n, item)
        return happened

    def _change_view(self, view: View, window: str | None) -> None:
        """Want something else: what tokens meant ends, items and contents stay (A3)."""
        self._outstanding = None
        view_id, base = self._make_view_id(), self._state.base
        self._forget_tokens(ReplicaState(view_id=view_id, base=base, view=view, window=window))

    def fetch(self, item_id: str) -> bool:
        """Want all of an item, however large it is; False if there is none."""
        return mark_fetched(self._store, item_id) is not None

    def try_again(self) -> None:
        """Somebody asks for contents: want those again, too, that could not be had."""
        self._misfits.clear()
        self._withheld.clear()

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
            view=state.view,
        )

    def close_request(self) -> None:
        """Nobody waits for the outstanding request any more (Q1)."""
        self._outstanding = None
        self.try_again()

    # Answer

    def on_answer(self, answer: Answer) -> AnswerResult:
        """Take an answer (A1 to A4)."""
        if self._outstanding is None or answer.id != self._outstanding:
            return AnswerResult(AnswerFate.NOT_AWAITED)
        self._outstanding = None
        if answer.refused is not None:
            return AnswerResult(AnswerFate.REFUSED, refused=answer.refused)
        known = self._state.known
        if self._is_made_void(answer):
            return self._anew(AnswerFate.VOID)
        if answer.delta is not None and isinstance(known, Collection):
            return self._on_delta(answer.delta, known)
        if answer.inventory is not None and isinstance(known, Inventory):
            return self._on_inventory(answer.inventory, known)
        return AnswerResult(AnswerFate.UNREADABLE)  # not what was asked for

    def _is_made_void(self, answer: Answer) -> bool:
        """Whether tokens mean nothing any more, by this answer; what they meant is forgotten."""
        state = self._state
        if answer.void is not None and state.collection is not None:
            self._begin_anew()
            return True
        told = answer.delta or answer.inventory
        if told is not None and _is_set_back(state.since, _later(state.view.since, told.since)):
            self._change_view(state.view, state.window)  # what has come back into it must be sent
            return True
        return False

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
            narrowed=_later(state.narrowed, delta.since),
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
            happened += self._drop_ended(after.since)
            self._store.set_state(after)
        self._state = after
        progress = grown or bool(happened)
        return AnswerResult(AnswerFate.TAKEN, progress=progress, happened=tuple(happened))

    def _anew(self, fate: AnswerFate) -> AnswerResult:
        """What was asked must be asked in another way: at once, but not time after time."""
        self._times_anew += 1
        return AnswerResult(fate, progress=self._times_anew <= TIMES_ANEW_MAX)

    def _begin_anew(self) -> None:
        """Forget what tokens meant; base, view, items and contents stay (A3)."""
        state = self._state
        self._forget_tokens(
            ReplicaState(
                view_id=state.view_id, base=state.base, view=state.view, window=state.window
            )
        )

    def _forget_tokens(self, state: ReplicaState) -> None:
        with self._store.transaction():
            self._store.forget_tokens()
            self._store.forget_removed(None)
            self._store.set_state(state)
        self._state = state

    def _on_inventory(self, answer: Compared, before: Inventory) -> AnswerResult:
        """Take what an inventory told; the last answer makes the collection (A4)."""
        state = self._state
        # Another lineage: another epoch, another enrolment, or an operator's other limits.
        if before.begun is not None and answer.lineage != before.begun.lineage:
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
        narrowed = _later(state.narrowed, answer.since)
        after = replace(state, base=answer.base, known=known, narrowed=narrowed)
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
            happened += self._drop_ended(after.since)
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
            return self._remove(item_id, n, old)
        return self._set(put, n, old)

    def _remove(self, item_id: str, n: int | None, old: HeldItem | None) -> list[Happened]:
        if n is not None:
            self._store.remember(item_id, n)
        self._store.delete_item(item_id)
        return [] if old is None else [Happened(Event.REMOVED, item_id, n)]

    def _set(self, put: Put, n: int | None, old: HeldItem | None) -> list[Happened]:
        """Make an item what `put` says, without a byte that is held going (D6).

        It may have been made for an earlier time window, and then is out of this one (F6).
        """
        if not View(since=self._state.since).has_in_window(put.date, put.until):
            return self._remove(put.id, n, old)
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
            until=put.until,
            is_fetched=old.is_fetched if old is not None and same else False,
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
        self._store.set_item(replace(item, is_withheld=True))
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
        item = self._checked(replace(item, held_bytes=held_bytes, is_withheld=False))
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


def _is_continued(before: View, view: View) -> bool:
    """Whether a replica can go on with `view`: only its time window may be another, and later."""
    if before.since is not None and view.since is None:
        return False
    return before.model_copy(update={"since": None}) == view.model_copy(update={"since": None})


def _is_set_back(
    before: int | None, since: int | None, tolerated_s: int = SINCE_BACK_S_MAX
) -> bool:
    """Whether a time window begins so much earlier that what is in it must be told anew."""
    return before is not None and (since is None or since < before - tolerated_s)


def _later(before: int | None, since: int | None) -> int | None:
    """The later of two beginnings of a time window; None is the earliest."""
    return max((it for it in (before, since) if it is not None), default=None)
