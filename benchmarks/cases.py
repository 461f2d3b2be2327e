"""The benchmarks: each compares two ways, or two sizes, in the same run."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from gateway import viewed
from gateway.feed_memory import MemoryFeedStore
from gateway.notifier import Target, pushes
from gateway.responder import AnswerLimits, respond
from gateway.rows import Put, Row
from gateway.state_file import SqliteStore
from gateway.writer import Writer
from sync_protocol import messages, tokens, wire
from sync_protocol.messages import Collection, Notification, Request
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format

FEED: Final = "bench"
EPOCH: Final = b"bench-ep"
GENERATION: Final = b"one-time"
REPEATS: Final = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table."""

    ratio: float
    unit: str
    what: str


def _seconds(work: Callable[[], object]) -> float:
    """The median time of `work` over some repeats."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times)


def token_set_size() -> Iterator[Measured]:
    """Coded bytes of a token set with random losses, against the entropy of the losses."""
    for share in (0.001, 0.01, 0.1, 0.3, 0.5):
        count = 100_000
        missing = Random(1).sample(range(1, count + 1), round(share * count))
        coded = (TokenSet.span(1, count) - TokenSet.of(missing)).encode()
        entropy = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
        ratio = len(coded) * 8 / (count * entropy)
        yield Measured(ratio, "entropy", f"{share:.1%} of 100,000 lost: {len(coded)} bytes")


def fan_out() -> Iterator[Measured]:
    """Making notifications of one change, against encoding each whole, for 1,000 devices."""
    store = MemoryFeedStore()
    store.add_feed(FEED, epoch_id=EPOCH, now=0)
    row = store.apply(FEED, Put("item", b"x" * 1024, "contact", "text/vcard"), now=0)
    assert row is not None
    targets = [
        Target(f"device-{number}", GENERATION, 0, number, Format.CBOR) for number in range(1000)
    ]

    def shared() -> None:
        with store.snapshot(FEED) as snapshot:
            for _ in pushes(
                snapshot, cursor=0, targets=targets, notification_content_bytes_max=4096
            ):
                pass

    def whole(row: Row = row) -> None:
        for target in targets:
            put = viewed.put_of(row, row.native, b"x" * 1024)
            lineage = _lineage(base=0, view_id=target.view_id)
            wire.encode(Notification(v=1, lineage=lineage, n=1, asof=1, put=put), Format.CBOR)

    once, each = _seconds(shared), _seconds(whole)
    what = f"encoded once: {once * 1e3:.1f} us a notification, {each * 1e3:.1f} us if each is whole"
    yield Measured(once / each, "each whole", what)


def _lineage(*, base: int, view_id: int) -> int:
    return tokens.lineage(
        EPOCH,
        base=base,
        view_id=view_id,
        renderer_version=viewed.NATIVE_RENDERER_VERSION,
        generation=GENERATION,
    )


def idle_sync() -> Iterator[Measured]:
    """A sync that misses nothing, of a feed with 100 times as many items."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "bench.sqlite3")
        times = []
        for items in (1_000, 100_000):
            name = f"feed-{items}"
            with store.transaction() as transaction:
                transaction.add_feed(name, epoch_id=EPOCH, now=0)
                for number in range(items):
                    put = Put(f"item-{number}", b"%d" % number, "contact", "text/vcard")
                    transaction.apply(name, put, now=0)
            times.append(_seconds(lambda name=name, items=items: _sync(store, name, items)))  # type: ignore[misc]  # bound now
        store.close()
    what = f"a sync with nothing to say: {times[1] * 1e3:.2f} ms with 100,000 items"
    yield Measured(times[1] / times[0], "at 1,000", what)


def _sync(store: SqliteStore, feed: str, items: int) -> None:
    request = Request(
        v=messages.VERSION,
        id=b"bench-id",
        base=items,
        view_id=1,
        collection=Collection(
            lineage=_lineage(base=items, view_id=1),
            epoch=EPOCH,
            asof=0,
            tokens=TokenSet.span(1 - items, 0).encode(),
        ),
    )
    with store.snapshot(feed) as snapshot:
        response = respond(
            request,
            snapshot,
            view=request.view,
            generation=GENERATION,
            form=Format.CBOR,
            bounds=AnswerLimits(),
        )
    assert response.answer.delta is not None
    assert not response.answer.delta.changes
    wire.encode(response.answer, Format.CBOR)


def group_commit() -> Iterator[Measured]:
    """2,000 durable changes handed in together, against one after the other."""
    changes = 2_000
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "bench.sqlite3")
        writer = Writer(store, on_commit=lambda: None)
        writer.start()
        writer.submit(lambda found: found.add_feed(FEED, epoch_id=EPOCH, now=0)).result()

        def put(number: int) -> Future[Row | None]:
            mutation = Put(f"item-{number}", b"%f" % time.perf_counter(), "contact", "text/vcard")
            return writer.submit(lambda found: found.apply(FEED, mutation, now=0))

        def together() -> None:
            for future in [put(number) for number in range(changes)]:
                future.result()

        def alone() -> None:
            for number in range(changes):
                put(number).result()

        grouped, single = _seconds(together), _seconds(alone)
        writer.close()
        store.close()
    what = f"{changes / grouped:,.0f} changes/s together, {changes / single:,.0f} one by one"
    yield Measured(single / grouped, "one by one", what)


ALL: Final[Mapping[str, Callable[[], Iterator[Measured]]]] = {
    "token-set-size": token_set_size,
    "fan-out": fan_out,
    "idle-sync": idle_sync,
    "group-commit": group_commit,
}
