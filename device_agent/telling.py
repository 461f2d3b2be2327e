"""Who hears what an agent did: its callbacks, and those who wait for a sync."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from device_agent.errors import SyncFailedError
from device_agent.feed_sync import SyncDone
from device_agent.results import Happened

_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits for a sync; `left` are the feeds whose sync has not ended."""

    done: Future[None]
    left: set[str]


class Listeners:
    """All who hear of an agent. A callback that raises stops nothing."""

    def __init__(
        self,
        *,
        on_change: Callable[[str, Happened], None] | None,
        on_sync: Callable[[SyncDone], None] | None,
        counts: Counter[str],
    ) -> None:
        self._on_change = on_change
        self._on_sync = on_sync
        self._counts = counts
        self._waiters: list[_Waiter] = []
        self._put_off: set[str] = set()

    def wait(self, done: Future[None], feeds: Iterable[str]) -> None:
        """Somebody waits until each of `feeds` has synced."""
        self._waiters.append(_Waiter(done, set(feeds)))

    def waited(self) -> list[Future[None]]:
        """Those who waited; from now on nobody does."""
        gone = [waiter.done for waiter in self._waiters]
        self._waiters.clear()
        return gone

    @property
    def put_off(self) -> Sequence[str]:
        """The feeds that the gateway is still preparing. Any thread may ask."""
        return sorted(self._put_off.copy())

    def changed(self, feed: str, happened: Sequence[Happened]) -> None:
        """Items of a feed changed."""
        if self._on_change is None:
            return
        for each in happened:
            try:
                self._on_change(feed, each)
            except Exception:
                self._counts["errors in a callback"] += 1
                _LOG.exception("on_change failed")

    def synced(self, sync: SyncDone) -> None:
        """A sync ended. One that failed is tried again, so only a refusal ends a wait."""
        if sync.put_off:
            self._counts["syncs put off"] += 1
            self._put_off.add(sync.feed)
            _LOG.info(
                "sync of %s: the gateway is preparing what is wanted here; it is asked again in a"
                " while",
                sync.feed,
            )
        else:
            self._counts["syncs failed" if sync.error else "syncs"] += 1
            self._put_off.discard(sync.feed)
        if sync.error and not sync.put_off:
            _LOG.warning("sync of %s: %s", sync.feed, sync.error)
        for waiter in list(self._waiters):
            if sync.error is None:
                waiter.left.discard(sync.feed)
                if not waiter.left:
                    waiter.done.set_result(None)
            elif sync.refused:
                waiter.done.set_exception(SyncFailedError(f"sync of {sync.feed}: {sync.error}"))
            if waiter.done.done():
                self._waiters.remove(waiter)
        if self._on_sync is not None:
            try:
                self._on_sync(sync)
            except Exception:
                self._counts["errors in a callback"] += 1
                _LOG.exception("on_sync failed")
