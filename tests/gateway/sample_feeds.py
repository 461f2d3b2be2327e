"""One feed, made of what a test lists."""

from collections.abc import Mapping

from gateway.feed import FeedSnapshot, FeedStore, feed_items
from gateway.feed_memory import MemoryFeedStore
from gateway.rows import Mutation, Put, Row

FEED = "contacts"
EPOCH = b"epoch--1"
NOW = 1_000


def put(
    item_id: str = "ada",
    content: bytes = b"BEGIN:VCARD",
    *,
    kind: str = "contact",
    media_type: str = "text/vcard",
    folder: str | None = None,
    flags: tuple[str, ...] | None = None,
    date: int | None = None,
) -> Put:
    return Put(item_id, content, kind, media_type, folder, flags, date)


def memory_feed(*mutations: Mutation) -> MemoryFeedStore:
    """A store in memory with the feed `FEED`, changed by `mutations` in turn."""
    store = MemoryFeedStore()
    store.add_feed(FEED, epoch_id=EPOCH, now=NOW)
    change(store, *mutations)
    return store


def change(store: FeedStore, *mutations: Mutation, now: int = NOW) -> list[Row | None]:
    """What each of `mutations` made, in one transaction."""
    with store.transaction() as transaction:
        return [transaction.apply(FEED, mutation, now=now) for mutation in mutations]


def changed(store: FeedStore, mutation: Mutation, *, now: int = NOW) -> Row:
    (row,) = change(store, mutation, now=now)
    assert row is not None
    return row


def open_epoch(store: FeedStore, epoch_id: bytes) -> None:
    with store.transaction() as transaction:
        transaction.open_epoch(FEED, epoch_id=epoch_id)


def purge(store: FeedStore, *, before: int) -> int:
    with store.transaction() as transaction:
        return transaction.purge(FEED, before=before)


def head(store: FeedStore) -> int:
    with store.snapshot(FEED) as snapshot:
        return snapshot.head


def contents(snapshot: FeedSnapshot) -> Mapping[str, bytes]:
    """The whole content of each live item."""
    return {
        row.id: snapshot.content(row.id, offset=0, bytes_max=row.size)
        for row in feed_items(snapshot)
    }
