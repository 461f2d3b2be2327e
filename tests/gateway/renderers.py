"""A sandbox without a process, which renders halves and can be made to wait or to fail."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from gateway import rows
from gateway.counters import Counters
from gateway.feed import FeedRepresentation, FeedStore
from gateway.feed_sqlite import SqliteTransaction
from gateway.rendering import Rendering, Write
from gateway.representations.representation import Problem, Rendered, RenderError, Representation
from gateway.representations.sandbox import Sandbox, SandboxError
from gateway.rows import Mutation
from gateway.state_file import SqliteStore
from gateway.writer import Writer
from tests.eventually import PATIENCE_S
from tests.gateway.rendered_feeds import HALF, half
from tests.gateway.sample_feeds import EPOCH, FEED, NOW

# A content with these digits in it is about something until then.
UNTIL: Final = b"UNTIL="


def _half(content: bytes) -> Rendered:
    made = half(content)
    if isinstance(made, Problem):
        raise RenderError(made.why)
    return made


def half_representation(
    *, version: int = HALF.version, kinds: Iterable[str] = HALF.kinds, name: str = HALF.name
) -> Representation:
    return Representation(name, version, dict.fromkeys(kinds, _half))


class HalvingSandbox(Sandbox):
    """What is rendered, in order, is in `asked`. It waits before each content while it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, bytes]] = []
        self.failing: Exception | None = None
        self._free = threading.Event()
        self._free.set()
        self._let_pass = 0
        self._ended = False
        self.waiting = threading.Event()

    def hold(self, *, after: int = 0) -> None:
        """Wait before each content but the next `after`."""
        self._let_pass = after
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def open(self) -> None:
        """Begin anew after `close`."""
        self._ended = False

    def close(self) -> None:
        self._ended = True
        self.release()

    def render(self, representation: str, kind: str, content: bytes) -> Rendered | Problem:
        self.asked.append((representation, kind, content))
        if self._let_pass:
            self._let_pass -= 1
        elif not self._free.is_set():
            self.waiting.set()
            assert self._free.wait(PATIENCE_S)
        if self._ended:
            raise SandboxError("it was ended")
        if self.failing is not None:
            failing, self.failing = self.failing, None
            raise failing
        return half(content)

    def until(self, kind: str, content: bytes) -> int | None:
        del kind
        return int(content.partition(UNTIL)[2]) if UNTIL in content else None


def rendering_of(
    store: FeedStore,
    *,
    write: Write,
    sandbox: Sandbox | None = None,
    representations: Mapping[str, Representation] | None = None,
    counters: Counters | None = None,
    lacking: Iterable[str] = (),
) -> Rendering:
    """What renders the feeds of a store; it has not begun."""
    known = {HALF.name: half_representation()} if representations is None else representations
    return Rendering(
        store=store,
        write=write,
        sandbox=HalvingSandbox() if sandbox is None else sandbox,
        representations=known,
        counters=Counters() if counters is None else counters,
        lacking=lacking,
    )


@dataclass
class RenderingGateway:
    """A store with a feed, its writer, and what renders it."""

    path: Path
    store: SqliteStore
    writer: Writer
    sandbox: HalvingSandbox = field(default_factory=HalvingSandbox)
    counters: Counters = field(default_factory=Counters)
    transactions: int = 0

    def write(self, work: Callable[[SqliteTransaction], object]) -> object:
        self.transactions += 1
        return self.writer.submit(work).result()

    @contextlib.contextmanager
    def renders(
        self, representations: Mapping[str, Representation] | None = None, *, start: bool = True
    ) -> Iterator[Rendering]:
        """What renders, from its start to its end."""
        made = rendering_of(
            self.store,
            write=self.write,
            sandbox=self.sandbox,
            representations=representations,
            counters=self.counters,
        )
        self.sandbox.open()
        if start:
            made.start()
        try:
            yield made
        finally:
            made.close()

    def change(self, *mutations: Mutation, name: str = FEED) -> None:
        self.write(lambda work: [work.apply(name, it, now=NOW) for it in mutations])

    def put(self, renders: Rendering, *mutations: Mutation) -> None:
        """What the service does."""
        self.change(*renders.prepared(FEED, mutations))

    def begun(self, name: str = FEED) -> Mapping[str, FeedRepresentation]:
        with self.store.snapshot(name) as snapshot:
            return snapshot.representations()

    def kept(self, item_id: str = "ada") -> rows.Rendering | None:
        with self.store.snapshot(FEED) as snapshot:
            return snapshot.rendering(item_id, HALF.name)

    @property
    def is_complete(self) -> bool:
        """Whether devices may see the feed as halves."""
        return self.begun().get(HALF.name) == replace(HALF, is_complete=True)

    def problems(self) -> list[tuple[str, str]]:
        with self.store.snapshot(FEED) as snapshot:
            return [(row.id, why) for row, _, why in snapshot.problems()]


@contextlib.contextmanager
def rendering_gateway(path: Path) -> Iterator[RenderingGateway]:
    """One with an empty feed."""
    with contextlib.closing(SqliteStore(path)) as store:
        writer = Writer(store, on_commit=lambda: None)
        writer.start()
        with contextlib.closing(writer):
            made = RenderingGateway(path, store, writer)
            made.write(lambda work: work.add_feed(FEED, epoch_id=EPOCH, now=NOW))
            yield made
