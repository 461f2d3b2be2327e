"""Group commit: many writers' changes in one transaction, made durable by one sync of the disk."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gateway.feed_sqlite import SqliteTransaction
from gateway.state_file import SqliteStore

_LOG: Final = logging.getLogger(__name__)
T = TypeVar("T")

QUEUE_JOBS_MAX: Final = 1_000
BATCH_JOBS_MAX: Final = 200
SUBMIT_WAIT_S_MAX: Final = 30.0
_CLOSING: Final = "the gateway is shutting down: try again when it runs"


class WriterClosedError(RuntimeError):
    """The gateway is shutting down, or cannot keep up with what is to be written."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[SqliteTransaction], Any]
    future: Future[Any]


class Writer:
    """The one thread that changes the store.

    While one batch is made durable the next one gathers, so that many small changes at once
    cost few syncs of the disk, and one alone waits for nobody.
    """

    def __init__(
        self,
        store: SqliteStore,
        *,
        on_commit: Callable[[], None],
        submit_wait_s_max: float = SUBMIT_WAIT_S_MAX,
    ) -> None:
        self._store = store
        self._submit_wait_s_max = submit_wait_s_max
        self._on_commit = on_commit
        self._jobs: queue.Queue[_Job | None] = queue.Queue(QUEUE_JOBS_MAX)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what was handed in, then stop."""
        if not self._closing.is_set():
            self._closing.set()
            self._jobs.put(None)
        self._thread.join()
        self._refuse_left_over()

    def submit(self, work: Callable[[SqliteTransaction], T]) -> Future[T]:
        """Have `work` done in a transaction; the future is done once that is durable.

        An error of `work` undoes what it did, and nobody else's work. It comes out of the future.

        Raises:
            WriterClosedError: the writer was closed, or its queue stayed full.
        """
        future: Future[T] = Future()
        if self._closing.is_set():
            raise WriterClosedError(_CLOSING)
        try:
            self._jobs.put(_Job(work, future), timeout=self._submit_wait_s_max)
        except queue.Full:
            raise WriterClosedError("the disk does not keep up: try again later") from None
        if self._closing.is_set() and not self._thread.is_alive():
            self._refuse_left_over()  # it was closed between the look and the put
        return future

    def _refuse_left_over(self) -> None:
        """Tell those whose work came too late for the thread; nobody must wait for ever."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job.future.set_exception(WriterClosedError(_CLOSING))

    def _run(self) -> None:
        closing = False
        while not closing:
            first = self._jobs.get()
            batch = [] if first is None else [first]
            closing = first is None
            while len(batch) < BATCH_JOBS_MAX:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    closing = True
                else:
                    batch.append(job)
            # From here on a future can no longer be cancelled under our hands.
            if batch := [job for job in batch if job.future.set_running_or_notify_cancel()]:
                self._write(batch)

    def _write(self, batch: Sequence[_Job]) -> None:
        outcomes: list[tuple[_Job, Any, Exception | None]] = []
        try:
            with self._store.transaction() as transaction:
                outcomes = [self._work(job, transaction) for job in batch]
        except Exception as error:
            # The disk is full or broken: nothing of the batch is kept, and each is told so.
            _LOG.exception("a batch of %d changes could not be written", len(batch))
            for job in batch:
                job.future.set_exception(error)
            return
        self._on_commit()
        for job, result, failed in outcomes:
            if failed is not None:
                job.future.set_exception(failed)
            else:
                job.future.set_result(result)

    @staticmethod
    def _work(job: _Job, transaction: SqliteTransaction) -> tuple[_Job, Any, Exception | None]:
        try:
            with transaction.savepoint():
                return job, job.work(transaction), None
        except Exception as error:
            if transaction.undone:
                raise  # the work of the others is gone with it
            return job, None, error
