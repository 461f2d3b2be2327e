"""What a sync request is answered: exactly what is absent (docs/protocol.md, G1 to G5)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from gateway import inventory, viewed
from gateway.answer_size import ANSWER_OVERHEAD_BYTES, Sizes
from gateway.feed import EpochSpan, FeedSnapshot
from gateway.rows import Rendering
from gateway.viewed import Effective, ViewedFeed
from sync_protocol import limits, messages, tokens
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Answer, Change, Collection, Delta, Remainder, Request, Void
from sync_protocol.token_set import TokenSet
from sync_protocol.views import View
from sync_protocol.wire import Format

# What an answer adds to the presented set: a range for the changes, and a token for each content
# that is older than its change.
_RANGE_BYTES: Final = 32
_TOKEN_BYTES: Final = 8
# Holes that lie closer than this are looked into together: so many rows cost less than a query.
_HOLES_APART_MIN: Final = 16
# A remainder of fewer bytes than this is not worth its head.
_REMAINDER_BYTES_MIN: Final = 1024


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """The gateway's own bounds on an answer, beside the device's `answer_bytes_max`.

    Attributes:
        answer_bytes_max: of one answer.
        portion_bytes: how much of a content that does not come whole comes with its change, at
            most, if the view does not say.
        inline_bytes_max: a larger content comes as a portion, then as remainders, if the view does
            not say how large a portion is.
    """

    answer_bytes_max: int = limits.ANSWER_BYTES_DEFAULT
    portion_bytes: int = 4 * limits.KIB
    inline_bytes_max: int = 64 * limits.KIB


@dataclass(frozen=True, slots=True)
class Replica:
    """What the gateway knows of a replica from its last request alone (G7)."""

    base: int
    view_id: int
    form: Format
    epoch: bytes
    held: TokenSet
    view: View


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, what it makes the gateway know of the replica, and what it sent.

    Attributes:
        replica: None when the request told nothing that can be relied on.
        sent: (item id, seq) of each change in the answer.
    """

    answer: Answer
    replica: Replica | None
    sent: tuple[tuple[str, int], ...] = ()


def respond(
    request: Request,
    snapshot: FeedSnapshot,
    *,
    view: View,
    generation: bytes,
    form: Format,
    bounds: AnswerLimits,
) -> Response:
    """The answer to `request` from one snapshot of the feed (F2).

    Args:
        request: as it came.
        snapshot: of the feed it is about.
        view: what the request asks for, or less.
        generation: of the device's enrolment.
        form: of the request, and so of the answer.
        bounds: see `AnswerLimits`.

    Raises:
        NotRenderedError: the feed is not rendered as the view wants it.
        PoisonError: an item breaks the answer.
    """
    feed = ViewedFeed(snapshot, view)
    base = snapshot.head if request.base is None else request.base
    asked = min(request.answer_bytes_max, bounds.answer_bytes_max)
    answer_bytes_max = max(asked, limits.ANSWER_BYTES_MIN)
    if request.collection is None:
        compared = inventory.compare(
            request,
            feed,
            base=base,
            generation=generation,
            form=form,
            answer_bytes_max=answer_bytes_max,
        )
        answer = Answer(v=messages.VERSION, id=request.id, inventory=compared)
        return Response(answer, replica=None)
    lineages = _Lineages(feed, base, request.view_id, generation)
    presented = _presented(request.collection, snapshot, lineages)
    match presented:
        case Void():
            answer = Answer(v=messages.VERSION, id=request.id, void=presented)
            return Response(answer, replica=None)
        case TokenSet():
            page = _Page(
                request,
                request.collection,
                feed,
                lineages=lineages,
                held=presented,
                form=form,
                bounds=bounds,
                answer_bytes_max=answer_bytes_max,
            )
            return page.response()
        case _:
            assert_never(presented)


@dataclass(frozen=True, slots=True)
class _Lineages:
    """What of a replica goes into its lineages (P4)."""

    feed: ViewedFeed
    base: int
    view_id: int
    generation: bytes

    def of(self, epoch: bytes) -> int:
        return self.feed.lineage(
            epoch, base=self.base, view_id=self.view_id, generation=self.generation
        )


def _presented(
    collection: Collection, snapshot: FeedSnapshot, lineages: _Lineages
) -> TokenSet | Void:
    """The token set that counts, or why none does (G1)."""
    base = lineages.base
    epoch = snapshot.epoch(collection.epoch)
    if epoch is None or _is_beyond(collection.asof, epoch, base):
        return Void(why="epoch" if epoch is None else "restored")
    if collection.lineage != lineages.of(epoch.id):
        return Void(why="lineage")
    try:
        held = TokenSet.decode(collection.tokens)
    except ProtocolError:
        return Void(why="tokens")
    purged = tokens.compress(snapshot.purged, base)
    unseen = snapshot.purged > 0 and (collection.p0 is None or purged > collection.p0)
    missed = unseen and not held.covers(tokens.oldest(base), purged)
    return Void(why="purged") if missed else held


def _is_beyond(asof: int, epoch: EpochSpan, base: int) -> bool:
    """Whether a device heard of changes in an epoch that ended before them: a restored backup."""
    return epoch.end is not None and asof > tokens.compress(epoch.end, base)


@dataclass(frozen=True, slots=True)
class _Added:
    """A change in an answer.

    Attributes:
        c: the token of its content, if that comes with it.
        cost: how many bytes it takes, at most.
    """

    change: Change
    seq: int
    c: int | None
    cost: int


class _Page:
    """One answer while it is filled, newest change first, within its byte limit (G3, G4)."""

    def __init__(
        self,
        request: Request,
        collection: Collection,
        feed: ViewedFeed,
        *,
        lineages: _Lineages,
        held: TokenSet,
        form: Format,
        bounds: AnswerLimits,
        answer_bytes_max: int,
    ) -> None:
        self._request = request
        self._collection = collection
        self._feed = feed
        self._snapshot = feed.snapshot
        self._lineages = lineages
        self._base = lineages.base
        self._held = held
        self._form = form
        self._sizes = Sizes(form)
        self._bounds = bounds
        self._bytes_left = answer_bytes_max - ANSWER_OVERHEAD_BYTES
        self._token_bytes = _RANGE_BYTES + len(collection.tokens)
        self._bytes_left -= self._sizes.sent(self._token_bytes)
        self._added: list[_Added] = []
        self._wanted = {wanted.id: wanted.digest for wanted in request.wanted}
        self._fetched: list[tuple[int, int]] = []  # n and c of each content that is wanted
        self._withheld: list[str] = []

    def response(self) -> Response:
        pending, new = self._make_room_for_set(self._add_changes())
        remainders = tuple(self._remainders())
        epoch = self._snapshot.newest_epoch().id
        new = (new | self._fetched_set(pending)).newest_within(limits.TOKEN_SET_BYTES_MAX)
        p0 = self._collection.p0
        if pending is None:  # its holes are closed: what was purged in them is no loss
            p0 = viewed.purge_mark(self._snapshot, self._base)
        delta = Delta(
            base=self._base,
            head=tokens.compress(self._snapshot.head, self._base),
            lineage=self._lineages.of(epoch),
            epoch=epoch,
            p0=p0,
            tokens=new.encode(),
            changes=tuple(added.change for added in self._added),
            remainders=remainders,
            more=pending is not None,
            withheld=tuple(self._withheld),
            since=viewed.narrowed_since(self._request.view, self._feed.view),
        )
        answer = Answer(v=messages.VERSION, id=self._request.id, delta=delta)
        view = self._feed.view
        replica = Replica(self._base, self._request.view_id, self._form, epoch, new, view)
        sent = tuple((added.change.item_id, added.seq) for added in self._added)
        return Response(answer, replica, sent)

    def _absent(self) -> Iterator[Effective]:
        """The changes in the holes of the presented set, newest first."""
        head = tokens.compress(self._snapshot.head, self._base)
        holes = list(self._held.holes(tokens.oldest(self._base), head))
        for first, last in _joined(holes):
            for change in self._feed.changes(
                tokens.expand(first, self._base),
                tokens.expand(last, self._base),
                newest_first=True,
            ):
                if tokens.compress(change.seq, self._base) not in self._held:
                    yield change

    def _add_changes(self) -> int | None:
        """Add what fits; the token of the newest change that did not, or None."""
        for change in self._absent():
            if not self._add(change):
                return tokens.compress(change.seq, self._base)
        return None

    def _add(self, change: Effective) -> bool:
        if len(self._added) == limits.ANSWER_CHANGES_MAX:
            return False
        row, rendering = change.row, change.rendering
        n = tokens.compress(change.seq, self._base)
        c = None  # the token of the content, if that comes with the change
        cost = self._sizes.change(change)
        content_bytes = 0
        if rendering is not None and not self._is_presented(row.id, rendering):
            c = tokens.compress(rendering.c, self._base)
            cost += self._sizes.sent(_TOKEN_BYTES)
            content_bytes = self._content_bytes_max(rendering)
        room = self._sizes.room(self._bytes_left - cost)
        if content_bytes > room or cost > self._bytes_left:
            if self._added:
                return False
            content_bytes = min(content_bytes, room)  # at least one change in every answer
        if rendering is None:
            added = Change(n=n, remove=row.id)
        else:
            content = None
            if c is not None:
                content = self._feed.portion(change, bytes_max=content_bytes)
                cost += self._sizes.sent(len(content))
            added = Change(n=n, put=viewed.put_of(row, rendering, content))
        self._bytes_left -= cost
        self._added.append(_Added(added, change.seq, c, cost))
        return True

    def _is_presented(self, item_id: str, rendering: Rendering) -> bool:
        """Whether the device has this content, or fetches it by itself.

        What is wanted comes as a remainder, from the byte held, and not with its change.
        """
        c = tokens.compress(rendering.c, self._base)
        return c in self._held or self._wanted.get(item_id) == rendering.wire_digest

    def _content_bytes_max(self, rendering: Rendering) -> int:
        """How much of a content comes with its change (V6)."""
        asked = self._feed.view.portion_bytes
        inline = self._bounds.inline_bytes_max if asked is None else asked
        if rendering.size <= inline:
            return rendering.size
        return self._bounds.portion_bytes if asked is None else asked

    def _make_room_for_set(self, pending: int | None) -> tuple[int | None, TokenSet]:
        """Take changes back while the new set needs more than its share; pending and set then.

        A few far-off tokens can make a set of many holes much longer than it was.
        """
        new = self._new_set(pending)
        while len(self._added) > 1:
            with_contents = sum(added.c is not None for added in self._added)
            share = (
                self._token_bytes
                + _TOKEN_BYTES * with_contents
                + self._sizes.room(self._bytes_left)
            )
            if len(new.encode()) <= share:
                break
            # Half of them, since coding a set is dear; the next page brings them.
            kept = len(self._added) // 2
            self._bytes_left += sum(added.cost for added in self._added[kept:])
            pending = self._added[kept].change.n
            del self._added[kept:]
            new = self._new_set(pending)
        return pending, new

    def _remainders(self) -> Iterator[Remainder]:
        """The bytes after those that the device holds, of contents that are still current (G4)."""
        for wanted in self._request.wanted:
            found = self._feed.find(wanted.id)
            if found is None or found.rendering is None:
                continue
            if found.row.quarantined is not None:
                cost = self._sizes.head(wanted.id)
                if cost <= self._bytes_left:
                    self._withheld.append(wanted.id)
                    self._bytes_left -= cost
                continue
            if found.rendering.wire_digest != wanted.digest:
                continue
            # The device fetches this content by itself, so no change needs to carry it again.
            n, c = (tokens.compress(seq, self._base) for seq in (found.seq, found.rendering.c))
            self._fetched.append((n, c))
            cost = self._sizes.head(wanted.id) + self._sizes.sent(_TOKEN_BYTES)
            room = self._sizes.room(self._bytes_left - cost)
            if room < _REMAINDER_BYTES_MIN or wanted.offset >= found.rendering.size:
                continue
            portion = self._content_bytes_max(found.rendering)
            if wanted.offset or not portion:
                content = self._feed.content(found, offset=wanted.offset, bytes_max=room)
            else:  # its change came without it; the device may want no more than the portion
                content = self._feed.portion(found, bytes_max=min(room, portion))
            self._bytes_left -= cost + self._sizes.sent(len(content))
            yield Remainder(
                id=wanted.id, digest=wanted.digest, offset=wanted.offset, content=content
            )

    def _new_set(self, pending: int | None) -> TokenSet:
        """What the device holds once it has taken this answer (G3).

        With changes pending, nothing older than the newest of them is claimed beyond what was
        presented. Holes that are left there for superseded changes cost nothing, since no change
        stands in them, and the gateway need not look at what this page does not hold.
        """
        head = tokens.compress(self._snapshot.head, self._base)
        first = tokens.oldest(self._base) if pending is None else pending + 1
        new = self._held.add(first, head)
        return new | TokenSet.of(added.c for added in self._added if added.c is not None)

    def _fetched_set(self, pending: int | None) -> TokenSet:
        """The contents that come with no change, as the device wants them."""
        # `c` may be `n` of the same item: never claim a change that is still pending.
        return TokenSet.of(c for n, c in self._fetched if c != n or pending is None or n > pending)


def _joined(holes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans that cover all `holes`, newest first, and little besides."""
    span: tuple[int, int] | None = None
    for first, last in reversed(holes):
        if span is not None and span[0] - last < _HOLES_APART_MIN:
            span = (first, span[1])
            continue
        if span is not None:
            yield span
        span = (first, last)
    if span is not None:
        yield span
