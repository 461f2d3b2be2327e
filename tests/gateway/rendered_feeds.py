"""Feeds that are rendered in a representation of their own: `half`, the first half of a content."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway.feed import FeedRepresentation, FeedStore
from gateway.feed_memory import MemoryFeedStore
from gateway.representations.representation import Problem, Rendered
from gateway.rows import Made, Mutation, Put, Rendering, Row
from gateway.viewed import renderer_version
from sync_protocol.views import ShownAs, View
from tests.gateway.sample_feeds import FEED, NOW, change, memory_feed

HALF: Final = FeedRepresentation("half", 1, frozenset({"contact", "event"}))
HALF_TYPE: Final = "text/plain"
AS_HALF: Final = (
    ShownAs(kind="contact", representation="half"),
    ShownAs(kind="event", representation="half"),
)
HALF_VIEW: Final = View(shown_as=AS_HALF)
# A content that begins so cannot be rendered.
BROKEN: Final = b"!"
WHY_BROKEN: Final = "it begins with what nobody can read"


def version_of(view: View) -> int:
    """What stands in the lineages of a view of such a feed."""
    return renderer_version(view, {HALF.name: HALF})


def half(content: bytes) -> Made:
    if content.startswith(BROKEN):
        return Problem(WHY_BROKEN)
    return Rendered(content[: len(content) // 2], HALF_TYPE)


def halves(content: bytes) -> Mapping[str, Made]:
    return {HALF.name: half(content)}


def with_half(mutation: Mutation) -> Mutation:
    """A mutation as the gateway makes it for a feed that is rendered so."""
    if isinstance(mutation, Put):
        return replace(mutation, renderings=halves(mutation.content))
    return mutation


def begin(store: FeedStore, representation: FeedRepresentation = HALF) -> None:
    with store.transaction() as transaction:
        transaction.begin_rendering(FEED, representation)


def end(store: FeedStore, name: str = HALF.name) -> bool:
    with store.transaction() as transaction:
        return transaction.end_rendering(FEED, name)


def set_rendering(store: FeedStore, row: Row, made: Made, name: str = HALF.name) -> None:
    with store.transaction() as transaction:
        transaction.set_rendering(FEED, row, name, made)


def change_halved(store: FeedStore, *mutations: Mutation, now: int = NOW) -> list[Row | None]:
    """What each of `mutations` made, with its renderings."""
    return change(store, *map(with_half, mutations), now=now)


def half_feed(*mutations: Mutation) -> MemoryFeedStore:
    """A store in memory with the feed `FEED`, of which devices may see halves."""
    store = memory_feed()
    begin(store)
    assert end(store)
    change_halved(store, *mutations)
    return store


def kept(store: FeedStore, item_id: str = "ada", name: str = "half") -> Rendering | None:
    with store.snapshot(FEED) as snapshot:
        return snapshot.rendering(item_id, name)


def rendered(store: FeedStore, item_id: str = "ada") -> Rendering:
    found = kept(store, item_id)
    assert found is not None
    return found


def begun(store: FeedStore) -> dict[str, FeedRepresentation]:
    with store.snapshot(FEED) as snapshot:
        return dict(snapshot.representations())


def unrendered(store: FeedStore, name: str = "half", *, limit: int = 99) -> list[str]:
    with store.snapshot(FEED) as snapshot:
        return sorted(row.id for row in snapshot.unrendered(name, limit=limit))


def problems(store: FeedStore) -> list[tuple[str, str, str]]:
    with store.snapshot(FEED) as snapshot:
        return [(row.id, name, why) for row, name, why in snapshot.problems()]


def stop(store: FeedStore, name: str = "half") -> None:
    with store.transaction() as transaction:
        transaction.stop_rendering(FEED, name)


def row_of(store: FeedStore, item_id: str = "ada") -> Row:
    with store.snapshot(FEED) as snapshot:
        row = snapshot.row(item_id)
    assert row is not None
    return row


def halved(store: FeedStore, mutation: Mutation) -> Row:
    (row,) = change_halved(store, mutation)
    assert row is not None
    return row
