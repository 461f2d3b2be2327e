"""Group commit: few syncs of the disk, and nobody pays for another's mistake."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.feed import NoSuchItemError, StorageError
from gateway.feed_sqlite import SqliteTransaction
from gateway.rows import Delete
from gateway.state_file import SqliteStore
from gateway.writer import BATCH_JOBS_MAX, QUEUE_JOBS_MAX, Writer, WriterClosedError
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, contents, head, put

PATIENCE_S = 20.0


class FailingStore(SqliteStore):
    """A store that cannot commit while `broken`."""

    broken = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        with super().transaction() as transaction:
            yield transaction
            if self.broken:
                raise sqlite3.OperationalError("disk I/O error")


class SmallDisk(SqliteStore):
    """A store whose disk is full soon."""

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        db.execute("PRAGMA max_page_count = 100")
        return db


class Bench:
    """A writer, its store, and how often it committed."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.commits = 0
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        self.writer = Writer(store, on_commit=self._committed, submit_wait_s_max=0.01)
        self.writer.start()

    def _committed(self) -> None:
        self.commits += 1

    def put(self, item_id: str, content: bytes = b"") -> Future[int]:
        return self.writer.submit(lambda it: _put(it, item_id, content))

    def delete(self, item_id: str) -> Future[None]:
        return self.writer.submit(lambda it: _delete(it, item_id))

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """While the writer is busy, so that what is handed in waits for the next commit."""
        begun, end = threading.Event(), threading.Event()

        def wait(_transaction: SqliteTransaction) -> None:
            begun.set()
            assert end.wait(PATIENCE_S)

        self.writer.submit(wait)
        assert begun.wait(PATIENCE_S)
        try:
            yield
        finally:
            end.set()

    def items(self) -> list[str]:
        with self.store.snapshot(FEED) as snapshot:
            return list(contents(snapshot))


def _put(transaction: SqliteTransaction, item_id: str, content: bytes) -> int:
    row = transaction.apply(FEED, put(item_id, content), now=NOW)
    assert row is not None
    return row.seq


def _delete(transaction: SqliteTransaction, item_id: str) -> None:
    transaction.apply(FEED, Delete(item_id), now=NOW)


def _done(futures: list[Future[int]]) -> list[int]:
    return [future.result(PATIENCE_S) for future in futures]


@contextlib.contextmanager
def _bench(store: SqliteStore) -> Iterator[Bench]:
    bench = Bench(store)
    try:
        yield bench
    finally:
        bench.writer.close()
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
def bench(path: Path) -> Iterator[Bench]:
    with _bench(SqliteStore(path)) as bench:
        yield bench


def test_many_at_once_are_one_commit(bench: Bench) -> None:
    with bench.busy():
        futures = [bench.put(f"item-{number}") for number in range(BATCH_JOBS_MAX)]
    assert _done(futures) == list(range(1, BATCH_JOBS_MAX + 1))
    assert bench.commits == 2  # what made it busy, and all of them


def test_a_commit_has_a_bound(bench: Bench) -> None:
    with bench.busy():
        futures = [bench.put(f"item-{number}") for number in range(2 * BATCH_JOBS_MAX + 1)]
    assert len(_done(futures)) == 2 * BATCH_JOBS_MAX + 1
    assert bench.commits == 4


def test_one_alone_waits_for_nobody(bench: Bench) -> None:
    for number in range(1, 4):
        assert bench.put(f"item-{number}").result(PATIENCE_S) == number
        assert bench.commits == number


def test_a_result_is_durable_and_was_told_of(bench: Bench) -> None:
    seen: list[tuple[int, int]] = []
    with bench.busy():
        future = bench.put("ada")
        future.add_done_callback(lambda _: seen.append((bench.commits, head(bench.store))))
    future.result(PATIENCE_S)
    bench.writer.close()
    assert seen == [(2, 1)]


def test_who_fails_undoes_only_its_own_work(bench: Bench) -> None:
    def put_and_fail(transaction: SqliteTransaction) -> None:
        _put(transaction, "ada", b"wrong")
        _put(transaction, "eve", b"")
        _delete(transaction, "nobody")

    with bench.busy():
        futures = [bench.put("ada"), bench.put("bob")]
        failing = bench.writer.submit(put_and_fail)
        futures.append(bench.put("cyd"))
    assert _done(futures) == [1, 2, 3]
    with pytest.raises(NoSuchItemError, match="nobody"):
        failing.result(PATIENCE_S)
    assert bench.items() == ["ada", "bob", "cyd"]
    assert bench.commits == 2


def test_a_store_that_fails_tells_all_and_keeps_nothing(path: Path) -> None:
    store = FailingStore(path)
    with _bench(store) as bench:
        with bench.busy():
            store.broken = True
            futures = [bench.put("ada"), bench.put("bob")]
        for future in futures:
            with pytest.raises(StorageError, match="disk I/O error"):
                future.result(PATIENCE_S)
        assert (bench.items(), bench.commits) == ([], 0)
        store.broken = False
        assert bench.put("cyd").result(PATIENCE_S) == 1
        assert (bench.items(), bench.commits) == (["cyd"], 1)


def test_a_full_disk_tells_all_and_keeps_nothing(path: Path) -> None:
    with _bench(SmallDisk(path)) as bench:
        assert bench.put("first").result(PATIENCE_S) == 1
        with bench.busy():
            futures = [
                bench.put("small"),
                bench.put("large", bytes(2_000_000)),
                bench.put("later"),
            ]
        for future in futures:
            with pytest.raises(StorageError, match="full"):
                future.result(PATIENCE_S)
        assert bench.items() == ["first"]
        assert bench.put("second").result(PATIENCE_S) == 2


def test_closing_writes_what_was_handed_in(bench: Bench) -> None:
    closing = threading.Thread(target=bench.writer.close)
    with bench.busy():
        futures = [bench.put(f"item-{number}") for number in range(300)]
        closing.start()
    closing.join(PATIENCE_S)
    assert _done(futures) == list(range(1, 301))


def test_nothing_is_taken_after_closing(bench: Bench) -> None:
    bench.writer.close()
    with pytest.raises(WriterClosedError, match="shutting down"):
        bench.put("ada")
    bench.writer.close()
    assert bench.items() == []


def test_nobody_waits_for_ever_who_comes_while_it_closes(path: Path) -> None:
    store = SqliteStore(path)
    with _bench(store) as bench:
        for _ in range(30):
            writer = Writer(store, on_commit=lambda: None)
            writer.start()
            with ThreadPoolExecutor(4) as pool:
                meet = threading.Barrier(5, timeout=PATIENCE_S)
                outcomes = [pool.submit(_write_until_closed, writer, meet) for _ in range(4)]
                meet.wait()
                writer.close()
                for outcome in outcomes:
                    outcome.result(PATIENCE_S)
        assert bench.put("ada").result(PATIENCE_S)


def _write_until_closed(writer: Writer, meet: threading.Barrier) -> None:
    meet.wait()
    with contextlib.suppress(WriterClosedError):
        while True:
            writer.submit(lambda _: None).result(PATIENCE_S)


def test_work_that_was_called_off_is_not_done(bench: Bench) -> None:
    with bench.busy():
        called_off, kept = bench.put("ada"), bench.put("bob")
        assert called_off.cancel()
    assert kept.result(PATIENCE_S) == 1
    assert not kept.cancel()
    assert bench.items() == ["bob"]


def test_the_queue_has_a_bound(bench: Bench) -> None:
    with bench.busy():
        futures = [bench.put(f"item-{number}") for number in range(QUEUE_JOBS_MAX)]
        with pytest.raises(WriterClosedError, match="disk does not keep up"):
            bench.put("one too many")
    assert len(_done(futures)) == QUEUE_JOBS_MAX


@pytest.mark.parametrize("error", [ValueError, sqlite3.IntegrityError, AssertionError])
def test_any_error_comes_out_of_the_future(bench: Bench, error: type[Exception]) -> None:
    def fail(_transaction: SqliteTransaction) -> None:
        raise error("mine")

    with pytest.raises(error, match="mine"):
        bench.writer.submit(fail).result(PATIENCE_S)
    assert bench.put("ada").result(PATIENCE_S) == 1
