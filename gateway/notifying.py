"""The thread that publishes what was committed."""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Final

from gateway.counters import Counters
from gateway.feed import FeedSnapshot, NoSuchFeedError, PoisonError
from gateway.limiting import Limiting
from gateway.notifier import pushes, reminder
from gateway.outbound import Outbound
from gateway.registry import Registry
from gateway.state_file import SqliteStore
from sync_protocol.wire import Format

_LOG: Final = logging.getLogger(__name__)


class Notifying:
    """A cursor over each feed, moved after commits (P1)."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        registry: Registry,
        outbound: Outbound,
        counters: Counters,
        notification_content_bytes_max: int,
        on_poison: Callable[[str, PoisonError], object],
        limiting: Limiting,
    ) -> None:
        self._store = store
        self._registry = registry
        self._outbound = outbound
        self._counters = counters
        self._on_poison = on_poison
        self._limiting = limiting
        self._content_bytes_max = notification_content_bytes_max
        self._cursors: dict[str, int] = {}
        # Of these devices the targets of this moment are no longer right.
        self._let_be: set[str] = set()
        self._work = threading.Condition()
        self._committed = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Begin to notify of what is committed from now on."""
        for feed in self._store.feeds():
            self._cursors[feed] = self._head(feed)
        self._thread.start()

    def close(self) -> None:
        """Publish what was committed, then stop."""
        with self._work:
            self._closing = True
            self._work.notify()
        if self._thread.is_alive():
            self._thread.join()

    def committed(self) -> None:
        """Something was committed. Many calls before the next look are one."""
        with self._work:
            self._committed = True
            self._work.notify()

    def remind(self, device: str) -> None:
        """Have a device sync, if it is online, although nothing changed."""
        enrolled = self._store.device(device)
        if enrolled is not None and self._registry.is_online(device):
            for feed in enrolled.feeds:
                self._remind(feed, device)

    def _remind(self, feed: str, device: str) -> None:
        record = self._registry.record(device, feed)
        form = Format.CBOR if record is None else record.form
        # No replica's, as surely as no two of them are alike.
        lineage = int.from_bytes(os.urandom(4))
        self._outbound.push(feed, reminder(device, form, lineage=lineage))

    def let_be(self, device: str) -> None:
        """Push no more of what is being pushed to a device now."""
        self._let_be.add(device)

    def cursors(self) -> Mapping[str, int]:
        """How far each feed has been notified."""
        return dict(self._cursors)

    def _run(self) -> None:
        while self._wait():
            try:
                feeds = self._store.feeds()
            except Exception:
                self._failed("the changes could not be notified")
                continue
            for gone in self._cursors.keys() - set(feeds):
                del self._cursors[gone]
            for feed in feeds:
                try:
                    self._notify(feed)
                except NoSuchFeedError:
                    continue  # removed meanwhile
                except Exception:
                    self._failed(f"the changes of feed {feed} could not be notified")

    def _wait(self) -> bool:
        """Wait for commits; False once there is nothing more to do."""
        with self._work:
            self._work.wait_for(lambda: self._committed or self._closing)
            committed, self._committed = self._committed, False
            return committed

    def _failed(self, what: str) -> None:
        self._counters.count("errors in a handler")
        _LOG.exception("%s", what)

    def _notify(self, feed: str) -> None:
        cursor = self._cursors.get(feed, 0)
        with self._store.snapshot(feed) as snapshot:
            if snapshot.head == cursor:
                return
            try:
                self._push(feed, snapshot, cursor)
            finally:
                # What cannot be pushed now may fail each time: it is left to the syncs.
                self._cursors[feed] = snapshot.head

    def _push(self, feed: str, snapshot: FeedSnapshot, cursor: int) -> None:
        self._let_be.clear()  # before the targets are read, which are right until it is filled
        targets = self._registry.targets(feed)
        for device in self._registry.awaited():
            enrolled = self._store.device(device)
            if enrolled is not None and feed in enrolled.feeds:
                self._remind(feed, device)  # once more, since the one before may be lost
        while cursor < snapshot.head:
            try:
                for push in pushes(
                    snapshot,
                    cursor=cursor,
                    targets=targets,
                    notification_content_bytes_max=self._content_bytes_max,
                ):
                    if push.device in self._let_be:
                        continue
                    if self._limiting.may_be_pushed(push.device, len(push.payload)):
                        self._outbound.push(feed, push)
                    else:  # a hint, and as good as lost
                        self._counters.count("pushes withheld, too many bytes")
            except PoisonError as poison:
                # The others go on: to the devices it is as if this push had been lost.
                self._on_poison(feed, poison)
                cursor = poison.seq
            else:
                return

    def _head(self, feed: str) -> int:
        with self._store.snapshot(feed) as snapshot:
            return int(snapshot.head)
