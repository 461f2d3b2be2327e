"""A first portion that got lost comes all the same, to who completes nothing by itself."""

import pytest

from device_agent.replica import Replica
from device_agent.store_memory import MemoryReplicaStore
from gateway.feed_memory import MemoryFeedStore
from gateway.notifier import Target, notices
from gateway.responder import AnswerLimits, Response, respond
from gateway.rows import Alter, Mutation, Put
from sync_protocol.messages import Notification
from sync_protocol.views import View
from sync_protocol.wire import Format

FEED = "mail"
GENERATION = b"one-time"
MAIL = b"Subject: a\r\n\r\n" + b"text\r\n" * 1_000
CHANGES: list[Mutation] = [
    Put("a", MAIL, "mail", "message/rfc822"),
    Alter("a", flags=("$seen",)),
]


class Pager:
    """A replica that asks for no remainders, and a feed."""

    def __init__(self, view: View) -> None:
        self.feed = MemoryFeedStore()
        self.feed.add_feed(FEED, epoch_id=b"epoch---", now=0)
        self.items = MemoryReplicaStore()
        self._view = view
        self.replica = Replica(self.items, make_view_id=lambda: 1, view=view, remainder_bytes_max=0)
        self._requests = 0
        while self.replica.needs_sync():
            self._base = self.sync()

    def sync(self) -> int:
        """One request; the base that it was answered with."""
        self._requests += 1
        request = self.replica.request(self._requests.to_bytes(8), answer_bytes_max=65_536)
        with self.feed.snapshot(FEED) as snapshot:
            response: Response = respond(
                request,
                snapshot,
                view=self._view,
                generation=GENERATION,
                form=Format.CBOR,
                bounds=AnswerLimits(),
            )
        self.replica.on_answer(response.answer)
        told = response.answer.delta or response.answer.inventory
        assert told is not None
        return told.base

    def push_of(self, change: Mutation, *, lost: bool) -> None:
        self.feed.apply(FEED, change, now=0)
        target = Target("pager", GENERATION, self._base, 1, Format.CBOR, self._view)
        with self.feed.snapshot(FEED) as snapshot:
            (notice,) = notices(
                snapshot,
                cursor=snapshot.head - 1,
                targets=[target],
                notification_content_bytes_max=4_096,
            )
        if not lost:
            self.replica.on_push(Notification(**dict(notice.head), put=notice.put))


@pytest.mark.parametrize("portion_bytes", [100, None])
def test_q2_nothing_is_held_of_what_was_lost_and_so_it_is_wanted(portion_bytes: int | None) -> None:
    pager = Pager(View(portion_bytes=portion_bytes))
    put, flagged = CHANGES
    pager.push_of(put, lost=True)
    pager.push_of(flagged, lost=False)  # without content, which was pushed before
    item = pager.items.item("a")
    assert item is not None
    assert item.held_bytes == 0
    assert pager.replica.needs_sync()
    while pager.replica.needs_sync():
        pager.sync()
    item = pager.items.item("a")
    assert item is not None
    # The first portion, and no more: 98 B end behind a line, and 6 KiB come whole with no limit.
    assert (item.held_bytes, item.whole) == (
        (len(MAIL), True) if portion_bytes is None else (98, False)
    )


def test_q2_who_wants_nothing_of_contents_is_sent_nothing() -> None:
    pager = Pager(View(portion_bytes=0))
    for change in CHANGES:
        pager.push_of(change, lost=True)
        pager.sync()
    item = pager.items.item("a")
    assert item is not None
    assert item.held_bytes == 0
    assert not pager.replica.needs_sync()
