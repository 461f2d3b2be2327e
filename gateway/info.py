"""How feeds, items and devices are, and what became of changes, for people."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.device import Allowed, Device
from gateway.feed import FeedError, FeedStore, NotRenderedError
from gateway.ledger import Ledger, Record
from gateway.registry import Registry
from gateway.rivals import WARNING
from gateway.rows import Row
from gateway.viewed import ViewedFeed
from sync_protocol import tokens
from sync_protocol.views import View


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mutation: its seq, or None if it changed nothing, or an error.

    `created` tells a new item from one that was there, for people: a writer of the same item at
    the same moment may be missed.
    """

    item_id: str
    seq: int | None
    error: FeedError | None = None
    created: bool = False


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An item that is held back from devices, and why.

    Attributes:
        representation: only from those that want it so; None if from all.
    """

    row: Row
    why: str
    representation: str | None = None


@dataclass(frozen=True, slots=True)
class FeedInfo:
    """A feed, for people."""

    name: str
    items: int
    head: int


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    """One device's copy of one feed, for people.

    Attributes:
        synced_at: Unix seconds of its last sync; None, as all below, if there was none.
        behind: how many changes that sync did not cover; None also while the feed is being rendered
            as the view wants it.
        view: what it asked for then, as far as that is allowed.
    """

    feed: str
    synced_at: int | None
    behind: int | None
    view: View | None = None


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device, for people.

    `warning` says what is wrong with it, and how to mend that.
    """

    id: str
    online: bool
    replicas: tuple[ReplicaInfo, ...]
    allowed: Allowed
    warning: str | None = None


def feed_info(store: FeedStore, name: str) -> FeedInfo:
    """One feed. NoSuchFeedError."""
    with store.snapshot(name) as snapshot:
        return FeedInfo(name, snapshot.item_count, snapshot.head)


def device_info(
    enrolled: Device,
    *,
    store: FeedStore,
    registry: Registry,
    ledger: Ledger,
    now: float,
    warnings: Sequence[str] = (),
) -> DeviceInfo:
    """One device, by what it told last.

    `now` is in Unix seconds. `warnings` say what else is wrong with it.
    """
    is_known = registry.is_known(enrolled.id)
    records = {} if is_known else ledger.load(enrolled.id, enrolled.generation)
    replicas = []
    for feed in enrolled.feeds:
        record = registry.record(enrolled.id, feed) or records.get(feed)
        replicas.append(_replica_info(store, feed, record))
    if registry.are_two(enrolled.id, now=now):
        warnings = [*warnings, WARNING]
    return DeviceInfo(
        enrolled.id,
        registry.is_online(enrolled.id),
        tuple(replicas),
        allowed=enrolled.allowed,
        warning="; ".join(warnings) or None,
    )


def _replica_info(store: FeedStore, feed: str, record: Record | None) -> ReplicaInfo:
    if record is None:
        return ReplicaInfo(feed, synced_at=None, behind=None)
    with store.snapshot(feed) as snapshot:
        holes = record.held.holes(
            tokens.oldest(record.base), tokens.compress(snapshot.head, record.base)
        )
        behind: int | None = None
        with contextlib.suppress(NotRenderedError):  # it has to wait until that is done
            seen = ViewedFeed(snapshot, record.view)
            behind = sum(
                1
                for first, last in holes
                for _ in seen.changes(
                    tokens.expand(first, record.base), tokens.expand(last, record.base)
                )
            )
    return ReplicaInfo(feed, record.synced_at, behind, record.view)
