"""Requests as a device would make them, put together by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.feed import FeedSnapshot, FeedStore
from gateway.responder import AnswerLimits, Response, respond
from gateway.viewed import NATIVE_RENDERER_VERSION, renderer_version
from sync_protocol import limits, messages, tokens, wire
from sync_protocol.messages import Change, Collection, Compared, Delta, Range, Request, Wanted
from sync_protocol.token_set import TokenSet
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format
from tests.gateway.sample_feeds import EPOCH, FEED

REQUEST_ID = b"request!"
VIEW_ID = 77
GENERATION = b"one-time"
BOUNDS = AnswerLimits()


def lineage(
    *,
    base: int = 0,
    view_id: int = VIEW_ID,
    epoch: bytes = EPOCH,
    renderer_version: int = NATIVE_RENDERER_VERSION,
    generation: bytes = GENERATION,
) -> int:
    return tokens.lineage(
        epoch,
        base=base,
        view_id=view_id,
        renderer_version=renderer_version,
        generation=generation,
    )


def collection(
    *held: tuple[int, int],
    base: int = 0,
    epoch: bytes = EPOCH,
    asof: int = 0,
    p0: int | None = None,
    renderer_version: int = NATIVE_RENDERER_VERSION,
) -> Collection:
    """A collection that holds these ranges of compressed tokens."""
    return Collection(
        lineage=lineage(base=base, epoch=epoch, renderer_version=renderer_version),
        epoch=epoch,
        asof=asof,
        p0=p0,
        tokens=TokenSet.of_ranges(held).encode(),
    )


def nothing_held(store: FeedStore, *, base: int = 0, view: View = WHOLE_FEED) -> Collection:
    """A collection after which the feed lost no marker, and which holds no token."""
    with store.snapshot(FEED) as snapshot:
        purged = tokens.compress(snapshot.purged, base) if snapshot.purged else None
        epoch = snapshot.newest_epoch().id
        asof = tokens.compress(snapshot.head, base)
        version = renderer_version(view, snapshot.representations())
    return collection(base=base, epoch=epoch, asof=asof, p0=purged, renderer_version=version)


def ask(
    store: FeedStore,
    collection: Collection | None = None,
    *,
    base: int = 0,
    wanted: Sequence[Wanted] = (),
    answer_bytes_max: int = limits.ANSWER_BYTES_DEFAULT,
    form: Format = Format.CBOR,
    bounds: AnswerLimits = BOUNDS,
    view: View = WHOLE_FEED,
    given: View | None = None,
) -> Response:
    """What the gateway answers to a request; without a collection: of who holds nothing.

    `given` is what the operator makes of the view that is asked for.
    """
    request = Request(
        v=messages.VERSION,
        id=REQUEST_ID,
        base=base,
        view_id=VIEW_ID,
        answer_bytes_max=answer_bytes_max,
        collection=collection or nothing_held(store, base=base, view=given or view),
        wanted=tuple(wanted),
        view=view,
    )
    with store.snapshot(FEED) as snapshot:
        return respond(
            request,
            snapshot,
            view=given or view,
            generation=GENERATION,
            form=form,
            bounds=bounds,
        )


def compare(
    snapshot: FeedSnapshot,
    *ranges: Range,
    base: int | None = 0,
    answer_bytes_max: int = limits.ANSWER_BYTES_DEFAULT,
    form: Format = Format.CBOR,
    bounds: AnswerLimits = BOUNDS,
    view: View = WHOLE_FEED,
    given: View | None = None,
) -> Response:
    """What the gateway answers to an inventory."""
    request = Request(
        v=messages.VERSION,
        id=REQUEST_ID,
        base=base,
        view_id=VIEW_ID,
        answer_bytes_max=answer_bytes_max,
        inventory=ranges,
        view=view,
    )
    return respond(
        request,
        snapshot,
        view=given or view,
        generation=GENERATION,
        form=form,
        bounds=bounds,
    )


def delta_of(response: Response) -> Delta:
    assert response.answer.delta is not None
    return response.answer.delta


def compared_of(response: Response) -> Compared:
    assert response.answer.inventory is not None
    return response.answer.inventory


def void_of(response: Response) -> str:
    assert response.answer.void is not None
    return response.answer.void.why


def content_of(change: Change) -> bytes | None:
    assert change.put is not None
    return change.put.content


def held_in(delta: Delta) -> list[tuple[int, int]]:
    """The ranges of the new set."""
    return list(TokenSet.decode(delta.tokens))


@dataclass(slots=True)
class Walker:
    """A device without a memory for anything but what the answers say: asks until all is there."""

    store: FeedStore
    form: Format = Format.CBOR
    answer_bytes_max: int = limits.ANSWER_BYTES_MIN
    bounds: AnswerLimits = BOUNDS
    view: View = WHOLE_FEED
    held: TokenSet = field(default_factory=TokenSet)
    last: Delta | None = None
    pages: list[tuple[int, Delta]] = field(default_factory=list)
    changes: dict[str, Change] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def ask(self) -> bool:
        """Ask once; whether more is to come."""
        presented = None
        if self.last is not None:
            presented = Collection(
                lineage=self.last.lineage,
                epoch=self.last.epoch,
                asof=self.last.head,
                p0=self.last.p0,
                tokens=self.held.encode(),
            )
        response = ask(
            self.store,
            presented,
            wanted=self._wanted(),
            answer_bytes_max=self.answer_bytes_max,
            form=self.form,
            bounds=self.bounds,
            view=self.view,
        )
        delta = delta_of(response)
        self.pages.append((len(wire.encode(response.answer, self.form)), delta))
        self._take(delta)
        return delta.more or bool(self._wanted())

    def ask_for_all(self, *, pages_max: int) -> None:
        for _ in range(pages_max):
            if not self.ask():
                return
        raise AssertionError(f"not all was there after {pages_max} pages")

    def _take(self, delta: Delta) -> None:
        for change in delta.changes:
            known = self.changes.get(change.item_id)
            if known is not None and known.n >= change.n:
                continue
            self.changes[change.item_id] = change
            if change.put is not None and change.put.content is not None:
                self.contents[change.item_id] = change.put.content
        for remainder in delta.remainders:
            content = self.contents.get(remainder.id, b"")
            assert len(content) == remainder.offset
            self.contents[remainder.id] = content + remainder.content
        self.held |= TokenSet.decode(delta.tokens)
        self.last = delta

    def _wanted(self) -> tuple[Wanted, ...]:
        partial = (
            (change.put, self.contents.get(item_id, b""))
            for item_id, change in self.changes.items()
            if change.put is not None
        )
        wanted = [
            Wanted(id=put.id, digest=put.digest, offset=len(content))
            for put, content in partial
            if len(content) < put.size
        ]
        return tuple(wanted[: limits.REQUEST_WANTED_MAX])

    def expand(self, n: int) -> int:
        assert self.last is not None
        return tokens.expand(n, self.last.base)
