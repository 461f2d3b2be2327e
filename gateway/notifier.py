"""What is pushed after commits: a cursor over the feed (docs/protocol.md, P1 to P4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway import view
from gateway.feed import FeedSnapshot
from sync_protocol import messages, tokens, wire
from sync_protocol.messages import NotificationHead, Put
from sync_protocol.wire import Format


@dataclass(frozen=True, slots=True)
class Target:
    """A replica to push to: online, and known from its last request."""

    device: str
    generation: bytes
    base: int
    view_id: int
    form: Format


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification before it is encoded.

    Attributes:
        put: the item as it is now, one and the same for all targets; None for a remove.
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
    if not targets:
        return
    epoch = snapshot.newest_epoch().id
    lineages = [
        view.lineage(epoch, base=it.base, view_id=it.view_id, generation=it.generation)
        for it in targets
    ]
    for row in snapshot.rows(cursor + 1, snapshot.head):
        # With its content only if that is new: older content was pushed when it was (P2).
        with_content = not row.deleted and row.c > cursor
        content = None
        if with_content and notification_content_bytes_max is not None:
            content = view.content(
                snapshot, row, offset=0, bytes_max=notification_content_bytes_max
            )
        put = None if row.deleted else view.put_of(row, content)
        prev = view.previous(snapshot, row.seq)
        for target, lineage in zip(targets, lineages, strict=True):
            head = NotificationHead(
                v=messages.VERSION,
                lineage=lineage,
                n=tokens.compress(row.seq, target.base),
                prev=None if prev is None else tokens.compress(prev, target.base),
                asof=tokens.compress(snapshot.head, target.base),
                c=tokens.compress(row.c, target.base)
                if content is not None and row.c != row.seq
                else None,
            )
            yield Notice(target, row.id, row.seq, head, put)


def pushes(
    snapshot: FeedSnapshot,
    *,
    cursor: int,
    targets: Sequence[Target],
    notification_content_bytes_max: int | None,
) -> Iterator[Push]:
    """`notices`, encoded.

    A change is encoded once for each form that a target speaks; only the few bytes of the head
    differ from device to device.
    """
    seq, bodies = 0, dict[Format, bytes]()
    for notice in notices(
        snapshot,
        cursor=cursor,
        targets=targets,
        notification_content_bytes_max=notification_content_bytes_max,
    ):
        form = notice.target.form
        if notice.seq != seq:
            seq, bodies = notice.seq, {}
        if form not in bodies:
            bodies[form] = _body(notice, form)
        payload = messages.encode_notification(
            notice.head, removed=notice.put is None, body=bodies[form], form=form
        )
        yield Push(notice.target.device, notice.item_id, notice.seq, payload)


def reminder(snapshot: FeedSnapshot, target: Target) -> Push | None:
    """The feed's newest change without its content: one push more of what was pushed before.

    To a replica whose lineage has changed it says that it is to sync (D1), and to others nothing.
    None for a feed that never changed.
    """
    newest = next(snapshot.rows(1, snapshot.head, newest_first=True), None)
    if newest is None:
        return None
    return next(
        pushes(
            snapshot, cursor=newest.seq - 1, targets=[target], notification_content_bytes_max=None
        )
    )


def _body(notice: Notice, form: Format) -> bytes:
    if notice.put is None:
        return wire.encode_text(notice.item_id, form)
    return wire.encode(notice.put, form)
