"""Takes items that break answers and pushes out of the way, and tells what cannot be read."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from gateway.counters import Counters
from gateway.feed import FeedError, PoisonError, StorageError
from gateway.feed_sqlite import SqliteTransaction
from gateway.quarantine import FORGOTTEN_S, Suspects
from gateway.writer import WriterClosedError

_LOG: Final = logging.getLogger(__name__)

# What could not be read lately, and is told as a problem.
UNREAD_MAX: Final = 20


class HoldingBack:
    """Called by the threads that answer and notify, and by whoever asks how the gateway is."""

    def __init__(
        self, *, write: Callable[[Callable[[SqliteTransaction], bool]], bool], counters: Counters
    ) -> None:
        self._write = write
        self._counters = counters
        self._lock = threading.Lock()
        self._suspects = Suspects()
        # What, and when: told for an hour, or until it is held back.
        self._unread: dict[str, tuple[str, float]] = {}

    def poisoned(self, feed: str, poison: PoisonError) -> bool:
        """An item broke an answer or a push; whether to go on without it."""
        self._counters.count("times an item broke something")
        item = f"{feed}/{poison.item_id}"
        with self._lock:
            if not self._suspects.again(feed, poison, now=time.monotonic()):
                self._note(item, f"feed {feed}: {poison}")
                return False
            self._unread.pop(item, None)
        try:
            held_back = self._write(
                lambda transaction: transaction.quarantine(
                    feed, poison.item_id, seq=poison.seq, why=poison.why
                )
            )
        except (FeedError, StorageError, WriterClosedError):
            _LOG.exception("an item of feed %s could not be held back", feed)
            return False
        if held_back:
            self._counters.count("items quarantined")
            _LOG.error("feed %s: %s; it is held back: 'gateway quarantine list'", feed, poison)
        return True

    def unreadable(self, error: StorageError) -> None:
        """A request could not be answered because of what the disk said."""
        self._counters.count("errors in a handler")
        _LOG.error("a request could not be answered: %s", error)
        with self._lock:
            self._note("", str(error))

    def problems(self) -> Sequence[str]:
        """What could not be read lately, in words."""
        since = time.monotonic() - FORGOTTEN_S
        with self._lock:
            return [text for text, at in self._unread.values() if at >= since]

    def _note(self, what: str, text: str) -> None:
        self._unread.pop(what, None)
        self._unread[what] = (text, time.monotonic())
        if len(self._unread) > UNREAD_MAX:
            del self._unread[next(iter(self._unread))]
