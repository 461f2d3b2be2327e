"""The thread that renders what feeds held before somebody wanted them so, and who renders puts."""

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from gateway import viewed
from gateway.counters import Counters
from gateway.feed import (
    FeedRepresentation,
    FeedSnapshot,
    FeedStore,
    NoSuchFeedError,
    PoisonError,
    StorageError,
)
from gateway.feed_sqlite import SqliteTransaction
from gateway.quarantine import Suspects
from gateway.representations.representation import Problem, Rendered, Representation
from gateway.representations.sandbox import Sandbox, SandboxError
from gateway.rows import Made, Mutation, Put, Row
from sync_protocol import limits
from sync_protocol.errors import ProtocolError
from sync_protocol.views import NATIVE, View

_LOG: Final = logging.getLogger(__name__)

# So many contents are rendered between two transactions, and about so many bytes come of them.
BATCH_ITEMS_MAX: Final = 50
BATCH_BYTES_MAX: Final = 8 * limits.MIB
# What failed is tried again then, if no device asks for it before.
RETRY_S: Final = 60.0
_DATED: Final = "text/calendar"

Write = Callable[[Callable[[SqliteTransaction], object]], object]


class Rendering:
    """Has contents rendered, each in the sandbox and before it is stored.

    A feed is rendered in a representation from the first request for it on. New contents are from
    then on rendered when they are put; those of old, by this thread. Devices see the feed so once
    nothing is left.
    """

    def __init__(
        self,
        *,
        store: FeedStore,
        write: Write,
        sandbox: Sandbox,
        representations: Mapping[str, Representation],
        counters: Counters,
        lacking: Iterable[str] = (),
    ) -> None:
        """Begin nothing yet.

        Args:
            store: with the feeds.
            write: does work in a transaction.
            sandbox: where contents are rendered.
            representations: that devices may ask for, by name.
            counters: of the gateway.
            lacking: names of representations that devices were to have, and that are broken.
        """
        self._store = store
        self._write = write
        self._sandbox = sandbox
        self._representations = representations
        self._counters = counters
        self._lacking = tuple(lacking)
        self._suspects = Suspects()
        self._changed = threading.Condition()
        # A dict, for its order: what was asked for first is done first.
        self._todo: dict[tuple[str, str], None] = {}
        # Why the last try failed.
        self._failed: dict[tuple[str, str], str] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="rendering", daemon=True)

    def start(self) -> None:
        """Go on with what was begun, and forget what is rendered in another way by now."""
        for feed in self._store.feeds():
            with self._store.snapshot(feed) as snapshot:
                begun = snapshot.representations()
            for name, each in begun.items():
                wanted = self._wanted(name)
                if wanted is None:
                    self._write(partial(_stop, feed=feed, name=name))
                elif not each.is_complete or wanted != replace(each, is_complete=False):
                    self.want(feed, [name])
        self._thread.start()

    def close(self) -> None:
        """Stop, also what is being rendered; it is rendered after the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._sandbox.close()
        if self._thread.is_alive():
            self._thread.join()

    def check(self, view: View) -> None:
        """Refuse a view that asks for what there is not. ProtocolError, with words for people."""
        for each in view.shown_as:
            if each.representation == NATIVE:
                continue
            representation = self._representations.get(each.representation)
            if representation is None:
                known = ", ".join([NATIVE, *sorted(self._representations)])
                raise ProtocolError(
                    "view",
                    f"no representation is called {each.representation!r} here, only {known}",
                )
            if each.kind not in representation.renderers:
                kinds = ", ".join(sorted(representation.renderers))
                raise ProtocolError(
                    "view",
                    f"the representation {each.representation!r} is for {kinds}, not for"
                    f" {each.kind!r}",
                )

    def want(self, feed: str, names: Iterable[str]) -> None:
        """Have a feed rendered so, in a while."""
        with self._changed:
            self._todo.update(((feed, name), None) for name in names)
            self._changed.notify_all()

    def wait(self, feed: str, name: str, *, timeout_s: float) -> bool:
        """Wait until a feed is rendered so; False if that takes too long. NoSuchFeedError."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or self._is_rendered(feed, name), timeout_s
            )
        return self._is_rendered(feed, name)

    def problems(self) -> Sequence[str]:
        """What keeps contents from being rendered, in words. StorageError."""
        problems = [
            f"the representation {name} cannot be used: the log of the gateway's start says why"
            for name in self._lacking
        ]
        with self._changed:
            failed = dict(self._failed)
        if failed:
            feeds = self._store.feeds()
            problems += [
                f"feed {feed} cannot be rendered as {name}: {why}"
                for (feed, name), why in failed.items()
                if feed in feeds
            ]
        failure = self._sandbox.failure
        if failure is not None and not any(failure in problem for problem in problems):
            problems.append(f"contents cannot be rendered: {failure}")
        return problems

    def _is_rendered(self, feed: str, name: str) -> bool:
        with self._store.snapshot(feed) as snapshot:
            found = snapshot.representations().get(name)
        return found is not None and found.is_complete

    def prepared(self, feed: str, mutations: Sequence[Mutation]) -> Sequence[Mutation]:
        """`mutations` with what the feed needs to know of new contents. NoSuchFeedError."""
        with self._store.snapshot(feed) as snapshot:
            begun = snapshot.representations().values()
            held = _held(snapshot, mutations)
        return [
            self._prepared(it, begun, is_held=number in held) if isinstance(it, Put) else it
            for number, it in enumerate(mutations)
        ]

    def _prepared(self, put: Put, begun: Collection[FeedRepresentation], *, is_held: bool) -> Put:
        until = put.until
        if until is None and put.media_type == _DATED:
            with _in_words():
                until = self._sandbox.until(put.kind, put.content)
        if until == put.date:
            until = None
        names = [it.name for it in begun if put.kind in it.kinds]
        renderings = {} if is_held else self.rendered(names, put.kind, put.content)
        return replace(put, until=until, renderings=renderings)

    def rendered(self, names: Iterable[str], kind: str, content: bytes) -> Mapping[str, Made]:
        """A content in each of these representations."""
        renderings: dict[str, Made] = {}
        for name in names:
            with _in_words():
                made = self._sandbox.render(name, kind, content)
            if isinstance(made, Problem):
                self._counters.count(f"contents not rendered as {name}")
            renderings[name] = made
        return renderings

    def _wanted(self, name: str) -> FeedRepresentation | None:
        representation = self._representations.get(name)
        if representation is None:
            return None
        return FeedRepresentation(name, representation.version, frozenset(representation.renderers))

    # The thread

    def _run(self) -> None:
        while (next_one := self._next()) is not None:
            feed, name = next_one
            why = None
            try:
                self._fill(feed, name)
            except NoSuchFeedError:
                pass  # removed meanwhile
            except Exception as error:
                if self._closing:
                    _LOG.info("feed %s is rendered as %s after the next start", feed, name)
                    return
                self._counters.count("errors in a handler")
                why = str(error) or type(error).__name__
                if self._failed.get(next_one) != why:
                    _LOG.exception("feed %s could not be rendered as %s", feed, name)
            with self._changed:
                self._failed.pop(next_one, None)
                if why is not None:
                    self._failed[next_one] = why
                self._changed.notify_all()

    def _next(self) -> tuple[str, str] | None:
        with self._changed:
            while not self._changed.wait_for(
                lambda: self._todo or self._closing, RETRY_S if self._failed else None
            ):
                self._todo.update(dict.fromkeys(self._failed))
            if self._closing:
                return None
            next_one = next(iter(self._todo))
            del self._todo[next_one]
            return next_one

    def _fill(self, feed: str, name: str) -> None:
        wanted = self._wanted(name)
        if wanted is None:
            return
        with self._store.snapshot(feed) as snapshot:
            begun = snapshot.representations().get(name)
        if begun is None or replace(begun, is_complete=False) != wanted:
            self._write(lambda work: work.begin_rendering(feed, wanted))
        elif begun.is_complete:
            return
        _LOG.info("feed %s is being rendered as %s", feed, name)
        after: str | None = None
        unread: PoisonError | None = None
        while not self._closing:
            with self._store.snapshot(feed) as snapshot:
                rows = snapshot.unrendered(name, after=after, limit=BATCH_ITEMS_MAX)
            if rows:
                batch = self._batch(feed, name, rows)
                if batch.made:
                    self._write(partial(_keep, feed=feed, name=name, made=batch.made))
                if batch.failed is not None:
                    raise batch.failed
                unread = batch.unread or unread
                after = batch.after
            elif unread is not None:
                raise unread  # all others are rendered; the next try begins with this one
            elif self._write(lambda work: work.end_rendering(feed, name)):
                _LOG.info("feed %s is rendered as %s", feed, name)
                return
            else:
                after = None  # one was put while its rendering had not begun

    def _batch(self, feed: str, name: str, rows: Sequence[Row]) -> "_Batch":
        """As many of these contents of old as make a batch, rendered."""
        batch = _Batch()
        size_bytes = 0
        for row in rows:
            try:
                made = self._made(feed, name, row)
            except PoisonError as poison:
                batch.unread = poison
            except Exception as error:
                # What was made before is no worse for it.
                batch.failed = error
                break
            else:
                batch.made.append((row, made))
                size_bytes += len(made.content) if isinstance(made, Rendered) else 0
            batch.after = row.id
            if size_bytes >= BATCH_BYTES_MAX or self._closing:
                break
        return batch

    def _made(self, feed: str, name: str, row: Row) -> Made:
        """One content of old, rendered; one at a time, since they may be large.

        PoisonError if it cannot be read now. That is no Problem before some tries failed.
        """
        with self._store.snapshot(feed) as snapshot:
            try:
                content = viewed.content(snapshot, row, row.native, offset=0, bytes_max=row.size)
            except PoisonError as poison:
                if not self._suspects.again(feed, poison, now=time.monotonic()):
                    raise
                return Problem(poison.why)
        return self.rendered([name], row.kind, content)[name]


@dataclass(slots=True)
class _Batch:
    """What became of some contents of old.

    Attributes:
        made: what was rendered.
        after: the id of the last one that was tried.
        unread: one that could not be read, and is left as it is.
        failed: why the rest was not tried.
    """

    made: list[tuple[Row, Made]] = field(default_factory=list)
    after: str | None = None
    unread: PoisonError | None = None
    failed: Exception | None = None


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """That nothing can be rendered now is no fault of what is to be rendered."""
    try:
        yield
    except SandboxError as error:
        raise StorageError(f"contents cannot be rendered now ({error}): try again later") from error


def _stop(work: SqliteTransaction, *, feed: str, name: str) -> None:
    work.stop_rendering(feed, name)


def _keep(
    work: SqliteTransaction, *, feed: str, name: str, made: Sequence[tuple[Row, Made]]
) -> None:
    for row, each in made:
        work.set_rendering(feed, row, name, each)


def _held(snapshot: FeedSnapshot, mutations: Sequence[Mutation]) -> Collection[int]:
    """The numbers of the puts that change no content, and so need no renderings.

    Of several mutations of an item only the first meets it as it is now.
    """
    first: dict[str, int] = {}
    for number, mutation in enumerate(mutations):
        first.setdefault(mutation.id, number)
    return {
        number
        for number in first.values()
        if isinstance(put := mutations[number], Put) and _is_held(snapshot, put)
    }


def _is_held(snapshot: FeedSnapshot, put: Put) -> bool:
    """Whether an item has that content already, and is sound as far as we know."""
    row = snapshot.row(put.id)
    return (
        row is not None
        and not row.deleted
        and row.quarantined is None
        and (row.kind, row.media_type) == (put.kind, put.media_type)
        and row.size == len(put.content)
        and row.digest == hashlib.sha256(put.content).digest()
    )
