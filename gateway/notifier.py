"""What is pushed after commits: a cursor over the feed (docs/protocol.md, P1 to P4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway import view
from gateway.feed import FeedSnapshot, Row
from gateway.responder import put_of
from sync_protocol import messages, tokens, wire
from sync_protocol.messages import NotificationHead
from sync_protocol.wire import Format


@dataclass(frozen=True, slots=True)
class Target:
    """A replica to push to: online, and known from its last request."""

    device: str
    base: int
    view_id: int
    form: Format


@dataclass(frozen=True, slots=True)
class Push:
    """One notification, ready to publish."""

    device: str
    item_id: str
    seq: int
    payload: bytes


def pushes(
    snapshot: FeedSnapshot,
    *,
    cursor: int,
    targets: Sequence[Target],
    notification_content_bytes_max: int,
) -> Iterator[Push]:
    """The notifications for what is newer than `cursor`, to each of `targets`, in order.

    The cursor belongs at the snapshot's head afterwards. A change is encoded once for each form
    that a target speaks; only the few bytes of the head differ from device to device.
    """
    epoch = snapshot.newest_epoch().id
    lineages = [view.lineage(epoch, base=it.base, view_id=it.view_id) for it in targets]
    forms = {target.form for target in targets}
    for row in snapshot.rows(cursor + 1, snapshot.head):
        # With its content only if that is new: older content was pushed when it was (P2).
        with_content = not row.deleted and row.c > cursor
        bodies = {
            form: _body(
                row, snapshot, form, notification_content_bytes_max if with_content else None
            )
            for form in forms
        }
        prev = view.previous(snapshot, row.seq)
        for target, lineage in zip(targets, lineages, strict=True):
            head = NotificationHead(
                v=messages.VERSION,
                lineage=lineage,
                n=tokens.compress(row.seq, target.base),
                prev=None if prev is None else tokens.compress(prev, target.base),
                asof=tokens.compress(snapshot.head, target.base),
                c=tokens.compress(row.c, target.base)
                if with_content and row.c != row.seq
                else None,
            )
            payload = messages.encode_notification(
                head, removed=row.deleted, body=bodies[target.form], form=target.form
            )
            yield Push(target.device, row.id, row.seq, payload)


def _body(row: Row, snapshot: FeedSnapshot, form: Format, content_bytes_max: int | None) -> bytes:
    if row.deleted:
        return wire.encode_text(row.id, form)
    content = None
    if content_bytes_max is not None:
        content = snapshot.content(row.id, offset=0, bytes_max=content_bytes_max)
    return wire.encode(put_of(row, content), form)
