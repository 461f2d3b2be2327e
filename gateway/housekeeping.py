"""The thread that writes the ledger behind the answers, and forgets old delete markers."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from gateway.counters import Counters
from gateway.feed_sqlite import SqliteTransaction
from gateway.ledger import Ledger
from gateway.registry import Registry
from gateway.state_file import SqliteStore

_LOG: Final = logging.getLogger(__name__)
_SECONDS_A_DAY: Final = 86_400


class Housekeeping:
    """What nobody waits for."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        ledger: Ledger,
        registry: Registry,
        counters: Counters,
        write: Callable[[Callable[[SqliteTransaction], None]], object],
        unix_time: Callable[[], float],
        ledger_flush_s: float,
        delete_marker_retention_days: int,
    ) -> None:
        """Nothing begins before `start`.

        Args:
            store: the gateway's.
            ledger: where records go.
            registry: which records are to be written.
            counters: of the gateway.
            write: has something done in a transaction, and waits for it.
            unix_time: the clock, for the retention.
            ledger_flush_s: between two looks at what is to be written.
            delete_marker_retention_days: how long a delete marker is kept (F4).
        """
        self._store = store
        self._ledger = ledger
        self._registry = registry
        self._counters = counters
        self._write = write
        self._unix_time = unix_time
        self._ledger_flush_s = ledger_flush_s
        self._retention_s = delete_marker_retention_days * _SECONDS_A_DAY
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)

    def start(self) -> None:
        """Begin to keep house."""
        self._thread.start()

    def close(self) -> None:
        """Stop; `save_ledger` may still be called."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def save_ledger(self) -> None:
        """Write the records of the replicas that synced since the last time."""
        for device_id, records in self._registry.take_unsaved().items():
            try:
                enrolled = self._store.device(device_id)
                if enrolled is not None:
                    now_enrolled = {
                        feed: record
                        for feed, record in records.items()
                        if record.generation == enrolled.generation
                    }
                    self._ledger.save(device_id, enrolled.generation, now_enrolled)
            except Exception:
                # Nothing is lost: the next request tells it all again.
                self._counters.count("ledger writes failed")
                _LOG.exception("the ledger of device %s could not be written", device_id)

    def _run(self) -> None:
        purge_at = time.monotonic()
        while not self._closing.wait(self._ledger_flush_s):
            self.save_ledger()
            if time.monotonic() >= purge_at:
                purge_at += _SECONDS_A_DAY
                try:
                    self._write(self._purge)
                except Exception:
                    self._counters.count("purges failed")
                    _LOG.exception("old delete markers could not be purged")

    def _purge(self, transaction: SqliteTransaction) -> None:
        before = int(self._unix_time()) - self._retention_s
        for feed in self._store.feeds():
            transaction.purge(feed, before=before)
