"""What is pushed after commits: a cursor over the feed (docs/protocol.md, P1 to P4)."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from gateway import viewed
from gateway.feed import FeedSnapshot, NotRenderedError
from gateway.rows import Row
from gateway.viewed import Effective, ViewedFeed
from sync_protocol import messages, tokens, wire
from sync_protocol.messages import NotificationHead, Put
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format

# What a reminder seems to remove.
NO_ITEM: Final = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """A replica to push to: online, and known from its last request."""

    device: str
    generation: bytes
    base: int
    view_id: int
    form: Format
    view: View = WHOLE_FEED


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification before it is encoded.

    Attributes:
        put: the item as it is now, one and the same for all targets of a view; None for a remove.
    """

    target: Target
    item_id: str
    seq: int
    head: NotificationHead
    put: Put | None


@dataclass(frozen=True, slots=True)
class Push:
    """One notification, ready to publish."""

    device: str
    item_id: str
    seq: int
    payload: bytes


def notices(
    snapshot: FeedSnapshot,
    *,
    cursor: int,
    targets: Sequence[Target],
    notification_content_bytes_max: int | None,
) -> Iterator[Notice]:
    """What is newer than `cursor`, for each of `targets`, in order.

    The cursor belongs at the snapshot's head afterwards. None for the most content that comes with
    one means that none does.
    """
    by_view: defaultdict[View, list[Target]] = defaultdict(list)
    for target in targets:
        by_view[target.view].append(target)
    audiences = []
    for view, group in by_view.items():
        try:
            audience = _Audience(ViewedFeed(snapshot, view), group, cursor)
        except NotRenderedError:
            continue  # a sync will find out what it lacks
        audiences.append(audience)
    # One that cannot be shown must not be looked at before its turn: what is older goes out first.
    rows = [audience.rows() for audience in audiences]
    for seq, row, audience in heapq.merge(*rows, key=itemgetter(0)):
        yield from audience.notices(seq, row, notification_content_bytes_max)


class _Audience:
    """The targets of one view."""

    def __init__(self, feed: ViewedFeed, targets: Sequence[Target], cursor: int) -> None:
        self._feed = feed
        self._cursor = cursor
        self._head = feed.snapshot.head
        self._newest: int | None = None  # of the changes that were shown
        epoch = feed.snapshot.newest_epoch().id
        self._targets = [
            (
                it,
                feed.lineage(epoch, base=it.base, view_id=it.view_id, generation=it.generation),
            )
            for it in targets
        ]

    def rows(self) -> Iterator[tuple[int, Row, "_Audience"]]:
        return ((seq, row, self) for seq, row in self._feed.rows(self._cursor + 1, self._head))

    def notices(self, seq: int, row: Row, content_bytes_max: int | None) -> Iterator[Notice]:
        change = self._feed.effective(seq, row)
        put = c = None
        if change.rendering is not None:
            content = self._content(change, content_bytes_max)
            put = viewed.put_of(change.row, change.rendering, content)
            if content is not None and change.rendering.c != change.seq:
                c = change.rendering.c
        prev = self._feed.previous(seq, newest=self._newest)
        self._newest = seq
        for target, lineage in self._targets:
            head = NotificationHead(
                v=messages.VERSION,
                lineage=lineage,
                n=tokens.compress(change.seq, target.base),
                prev=None if prev is None else tokens.compress(prev, target.base),
                asof=tokens.compress(self._head, target.base),
                c=None if c is None else tokens.compress(c, target.base),
            )
            yield Notice(target, change.row.id, change.seq, head, put)

    def _content(self, change: Effective, bytes_max: int | None) -> bytes | None:
        """What of its content comes with a push (P2)."""
        assert change.rendering is not None  # noqa: S101 - a put
        is_new = change.rendering.c > self._cursor
        # Older content was pushed when it was new, to who had the item in view.
        if bytes_max is None or not (
            is_new or self._feed.has_entered(change.row, since=self._cursor)
        ):
            return None
        portion = self._feed.view.portion_bytes
        return self._feed.portion(
            change, bytes_max=bytes_max if portion is None else min(portion, bytes_max)
        )


def pushes(
    snapshot: FeedSnapshot,
    *,
    cursor: int,
    targets: Sequence[Target],
    notification_content_bytes_max: int | None,
) -> Iterator[Push]:
    """`notices`, encoded.

    A change is encoded once for each view and form that targets have; only the few bytes of the
    head differ from device to device.
    """
    seq: int = 0
    put: Put | None = None
    shared = dict[tuple[Put | None, Format], bytes]()
    bodies = dict[Format, bytes]()
    for notice in notices(
        snapshot,
        cursor=cursor,
        targets=targets,
        notification_content_bytes_max=notification_content_bytes_max,
    ):
        form = notice.target.form
        if notice.seq != seq:
            seq, shared, bodies = notice.seq, {}, {}
        if notice.put is not put:  # the next view, which may show the item in the same way
            put, bodies = notice.put, {}
        if form not in bodies:
            if (put, form) not in shared:
                shared[put, form] = _body(notice, form)
            bodies[form] = shared[put, form]
        payload = messages.encode_notification(
            notice.head, removed=put is None, body=bodies[form], form=form
        )
        yield Push(notice.target.device, notice.item_id, notice.seq, payload)


def reminder(device: str, form: Format, *, lineage: int) -> Push:
    """A push that says nothing but that a replica is to sync.

    Args:
        device: that has the replica.
        form: that it speaks.
        lineage: one that no replica has, so that the push means nothing to whoever gets it (D1).
    """
    head = NotificationHead(v=messages.VERSION, lineage=lineage, n=0, asof=0)
    body = wire.encode_text(NO_ITEM, form)
    payload = messages.encode_notification(head, removed=True, body=body, form=form)
    return Push(device, NO_ITEM, 0, payload)


def _body(notice: Notice, form: Format) -> bytes:
    if notice.put is None:
        return wire.encode_text(notice.item_id, form)
    return wire.encode(notice.put, form)
