"""The gateway as a whole: its store, its threads, and what an operator may ask of it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from gateway import viewed
from gateway.backup import back_up
from gateway.backup_sqlite import BackupError, Contents
from gateway.control import ControlTopic
from gateway.counters import Counters
from gateway.device import DeviceError
from gateway.device_limits import Bounds
from gateway.dynamic_security import DynamicSecurity
from gateway.enrolment import Enrolment
from gateway.feed import (
    FeedError,
    FeedSnapshot,
    NoSuchFeedError,
    NoSuchItemError,
    NotRenderedError,
    PoisonError,
    StorageError,
    not_quarantined,
)
from gateway.feed_sqlite import SqliteTransaction
from gateway.holding_back import HoldingBack
from gateway.housekeeping import Housekeeping
from gateway.info import FeedInfo, HeldBack, Outcome, feed_info
from gateway.ledger_tinydb import TinyDbLedger
from gateway.limiting import Limiting
from gateway.mqtt import BrokerLink
from gateway.notifying import Notifying
from gateway.outbound import Outbound
from gateway.registry import Registry
from gateway.rendering import Rendering
from gateway.representations.registry import installed
from gateway.representations.representation import Problem
from gateway.representations.sandbox import Sandbox
from gateway.responder import AnswerLimits
from gateway.responding import Responding
from gateway.rows import Made, Mutation, Row
from gateway.settings import Settings
from gateway.state_file import SqliteStore
from gateway.way_in import LOOPBACK, way_in
from gateway.writer import Writer, WriterClosedError
from programs.tls_settings import Tls
from sync_protocol import names, tokens
from sync_protocol.topics import Topics

_LOG: Final = logging.getLogger(__name__)

STORE_FILE: Final = "gateway.sqlite3"
LEDGER_DIR: Final = "ledger"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    """How the gateway logs in to its broker."""

    host: str
    port: int
    user: str
    password: str | None
    tls: Tls = Tls(key_prefix="broker_")  # noqa: RUF009 - frozen


class Service:
    """Everything but the broker and the HTTP API. Methods may be called from any thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        unix_time: Callable[[], float],
        wrap_outbound: Callable[[Outbound], Outbound] = lambda outbound: outbound,
    ) -> None:
        """Open the store; it can be read and changed at once, and `close` must follow.

        Args:
            settings: `data_dir` must exist and be locked by the caller.
            unix_time: the clock, for times that people read and for the retention.
            wrap_outbound: put something between the gateway and its transport (the demo's loss).

        Raises:
            FeedError: the state file cannot be used.
        """
        self.settings = settings
        self.counters = Counters()
        self._unix_time = unix_time
        self._wrap_outbound = wrap_outbound
        _refuse_to_forget(settings.data_dir)
        self._store = SqliteStore(settings.data_dir / STORE_FILE)
        self._ledger = TinyDbLedger(settings.data_dir / LEDGER_DIR, count=self.counters.count)
        self._registry = Registry()
        self._writer = Writer(self._store, on_commit=self._committed)
        self._link: BrokerLink | None = None
        self._notifying: Notifying | None = None
        self._responding: Responding | None = None
        self._storage_problem: str | None = None
        self._holding_back = HoldingBack(write=self._write, counters=self.counters)
        self._backing_up = threading.Lock()
        self.devices = Enrolment(
            store=self._store,
            ledger=self._ledger,
            registry=self._registry,
            counters=self.counters,
            write=self._write,
            unix_time=unix_time,
            way_in=way_in(settings, settings.broker_host or LOOPBACK, settings.broker_port),
        )
        self._housekeeping = Housekeeping(
            store=self._store,
            ledger=self._ledger,
            registry=self._registry,
            counters=self.counters,
            write=self._write,
            unix_time=unix_time,
            ledger_flush_s=settings.ledger_flush_s,
            delete_marker_retention_days=settings.delete_marker_retention_days,
        )
        self._writer.start()
        sandbox = Sandbox(
            render_s_max=settings.render_s_max,
            memory_bytes_max=settings.render_memory_bytes_max,
            representations=settings.representations,
        )
        known = installed(*settings.representations)
        self._rendering = Rendering(
            store=self._store,
            write=self._write,
            sandbox=sandbox,
            representations={
                name: known[name] for name in settings.representations if name in known
            },
            counters=self.counters,
            lacking=sorted(set(settings.representations) - known.keys()),
        )

    def start(self, account: Account) -> None:
        """Open an epoch of each feed, connect to the broker and begin to serve.

        Raises:
            TlsError: the broker is not to be reached so.
        """
        self._write(self._open_epochs)
        topic_names = Topics(self.settings.topic_prefix)
        self.devices.way_in = way_in(self.settings, account.host, account.port)
        control = None
        if self.settings.broker_accounts == "dynamic-security":
            control = ControlTopic()
            self.devices.accounts = DynamicSecurity(
                control,
                topics=topic_names,
                enrolled=self.devices.feeds_of_all,
                unsettled=self._store.unsettled_accounts,
                on_settled=self.devices.settled,
                one_at_a_time=self.devices.one_at_a_time,
                counters=self.counters,
                on_thrown_out=self._thrown_out,
            )
        self._link = BrokerLink(
            host=account.host,
            port=account.port,
            user=account.user,
            password=account.password,
            tls=account.tls,
            keepalive_s=self.settings.broker_keepalive_s,
            topic_names=topic_names,
            counters=self.counters,
            on_message=self._received,
            control=control,
        )
        outbound = self._wrap_outbound(self._link)
        limiting = Limiting(
            Bounds(
                requests_per_minute_max=self.settings.device_requests_per_minute_max,
                bytes_per_hour_max=self.settings.device_bytes_per_hour_max,
                work_share_max=self.settings.device_work_share_max,
            ),
            monotonic=time.monotonic,
        )
        self._notifying = Notifying(
            store=self._store,
            registry=self._registry,
            outbound=outbound,
            counters=self.counters,
            notification_content_bytes_max=self.settings.notification_content_bytes_max,
            on_poison=self._holding_back.poisoned,
            limiting=limiting,
        )
        self.devices.notifying = self._notifying
        self._responding = Responding(
            store=self._store,
            ledger=self._ledger,
            registry=self._registry,
            outbound=outbound,
            topic_names=topic_names,
            bounds=AnswerLimits(answer_bytes_max=self.settings.answer_bytes_max),
            counters=self.counters,
            unix_time=self._unix_time,
            on_poison=self._holding_back.poisoned,
            on_unreadable=self._holding_back.unreadable,
            rendering=self._rendering,
            limiting=limiting,
            on_flood=self.devices.shut_out,
        )
        self._notifying.start()
        self._rendering.start()
        self._responding.start()
        self._housekeeping.start()
        self.devices.accounts.start()
        self._link.start()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until the gateway is connected to its broker; False if it took too long."""
        return self._link is not None and self._link.wait_ready(timeout_s)

    def close(self) -> None:
        """Write, publish and answer what has come in, then stop. Nothing durable is lost."""
        self._housekeeping.close()
        self._rendering.close()  # and the sandbox with it
        self._writer.close()
        if self._link is not None:
            self._link.begin_close()
        for part in (self._notifying, self._responding, self._link):
            if part is not None:
                part.close()
        self.devices.accounts.close()
        try:
            self._housekeeping.save_ledger()
        finally:
            # A backup that went on would, at its end, take away the journal of the next gateway.
            with self._backing_up:
                self._store.close()

    # Feeds and items

    def feeds(self) -> Sequence[FeedInfo]:
        """All feeds, sorted by name."""
        return [feed_info(self._store, name) for name in self._store.feeds()]

    def add_feed(self, name: str) -> None:
        """Make a feed. FeedError if the name is wrong or taken."""
        try:
            names.feed_name(name)
        except ValueError as error:
            raise FeedError(str(error)) from error
        epoch_id = os.urandom(tokens.EPOCH_ID_BYTES)
        now = int(self._unix_time())
        self._write(lambda transaction: transaction.add_feed(name, epoch_id=epoch_id, now=now))

    def remove_feed(self, name: str) -> None:
        """Delete a feed with all its items. NoSuchFeedError if there is none."""
        self._write(lambda transaction: transaction.remove_feed(name))
        self._registry.forget_feed(name)
        self.devices.accounts.recheck()

    def apply(self, feed: str, mutation: Mutation) -> Row | None:
        """Change one item; the new row once durable, or None if nothing changed. FeedError."""
        now = int(self._unix_time())

        def work(transaction: SqliteTransaction, prepared: Sequence[Mutation]) -> Row | None:
            return transaction.apply(feed, prepared[0], now=now)

        return self._apply(feed, [mutation], work)

    def _apply(
        self,
        feed: str,
        mutations: Sequence[Mutation],
        work: Callable[[SqliteTransaction, Sequence[Mutation]], T],
    ) -> T:
        """Have `work` done with `mutations`, whose contents are rendered as the feed needs them."""
        while True:
            try:
                return self._attempt(self._rendering.prepared(feed, mutations), work)
            except NotRenderedError:
                continue  # that began after we looked, and it begins once

    def _attempt(
        self,
        prepared: Sequence[Mutation],
        work: Callable[[SqliteTransaction, Sequence[Mutation]], T],
    ) -> T:
        return self._write(lambda transaction: work(transaction, prepared))

    def apply_many(self, feed: str, mutations: Sequence[Mutation]) -> Sequence[Outcome]:
        """Change many items in one transaction; one that fails leaves the others alone."""
        now = int(self._unix_time())

        def work(
            transaction: SqliteTransaction, mutations: Sequence[Mutation]
        ) -> Sequence[Outcome]:
            outcomes = []
            with self._store.snapshot(feed) as before:
                there = {mutation.id for mutation in mutations if _is_live(before, mutation.id)}
            for mutation in mutations:
                try:
                    row = transaction.apply(feed, mutation, now=now)
                except NoSuchFeedError:
                    raise
                except FeedError as error:
                    outcomes.append(Outcome(mutation.id, None, error))
                    continue
                created = row is not None and not row.deleted and row.id not in there
                if row is not None:
                    (there.discard if row.deleted else there.add)(row.id)
                outcomes.append(Outcome(mutation.id, row.seq if row else None, created=created))
            return outcomes

        return self._apply(feed, mutations, work)

    def row(self, feed: str, item_id: str) -> Row:
        """A live item. NoSuchFeedError, NoSuchItemError."""
        with self._store.snapshot(feed) as snapshot:
            return _live(snapshot, feed, item_id)

    def content(self, feed: str, item_id: str) -> tuple[Row, bytes]:
        """A live item with its content. NoSuchFeedError, NoSuchItemError."""
        with self._store.snapshot(feed) as snapshot:
            row = _live(snapshot, feed, item_id)
            return row, viewed.content(snapshot, row, row.native, offset=0, bytes_max=row.size)

    def items(self, feed: str, *, after: str | None, limit: int) -> Sequence[Row]:
        """Up to `limit` live items in order of id, after the id `after`. NoSuchFeedError."""
        with self._store.snapshot(feed) as snapshot:
            return snapshot.items(after=after, limit=limit)

    def render(self, feed: str, name: str, *, timeout_s: float) -> bool:
        """Have a feed rendered in a representation before a device wants it so, and wait for it.

        False if that takes longer. NoSuchFeedError.
        """
        self._rendering.want(feed, [name])
        return self._rendering.wait(feed, name, timeout_s=timeout_s)

    # Quarantine

    def quarantined(self, feed: str) -> Sequence[HeldBack]:
        """The items of a feed that are held back from devices, in order of id. NoSuchFeedError."""
        with self._store.snapshot(feed) as snapshot:
            all_views = [HeldBack(it, it.quarantined or "") for it in snapshot.quarantined()]
            some = [HeldBack(row, why, name) for row, name, why in snapshot.problems()]
        return sorted(all_views + some, key=lambda it: (it.row.id, it.representation or ""))

    def retry(self, feed: str, item_id: str) -> Row:
        """Let an item out of quarantine, and have it rendered once more.

        FeedError if it is not held back, or not sound yet.
        """
        while True:
            seq, renderings = self._rendered_anew(feed, item_id)
            now = int(self._unix_time())
            try:
                return self._write(
                    partial(
                        SqliteTransaction.retry,
                        feed=feed,
                        item_id=item_id,
                        seq=seq,
                        now=now,
                        renderings=renderings,
                    )
                )
            except NotRenderedError:
                continue  # it was put meanwhile

    def _rendered_anew(self, feed: str, item_id: str) -> tuple[int, Mapping[str, Made]]:
        """What an item that is held back is rendered to now, and by which change. FeedError."""
        with self._store.snapshot(feed) as snapshot:
            row = snapshot.row(item_id)
            if row is None or row.deleted:
                raise not_quarantined(feed, item_id)
            # Else devices would let go of what they have of it, and get nothing for it.
            try:
                content = viewed.content(snapshot, row, row.native, offset=0, bytes_max=row.size)
                viewed.put_of(row, row.native, None)
            except PoisonError as poison:
                raise FeedError(f"it stays in quarantine: {poison}") from poison
            representations = snapshot.representations().values()
            failed = [name for it, name, _ in snapshot.problems() if it.id == item_id]
        wanted = [it.name for it in representations if row.kind in it.kinds]
        renderings = self._rendering.rendered(wanted, row.kind, content)
        if row.quarantined is None and (why := _as_before(failed, renderings)):
            raise FeedError(f"it stays in quarantine: item {item_id!r} {why}")
        return row.seq, renderings

    # The whole

    def back_up(self, directory: Path) -> Contents:
        """Save the state in `directory` while the work goes on. BackupError."""
        if not self._backing_up.acquire(blocking=False):
            raise BackupError("a backup is being made already: wait until it is done")
        try:
            return back_up(self.settings.data_dir / STORE_FILE, directory)
        finally:
            self._backing_up.release()

    def problems(self) -> Sequence[str]:
        """What keeps the gateway from its work now, in words; empty when all is well."""
        problems = []
        if not self.wait_connected(0):
            problems.append(self._broker_state())
        if self._storage_problem is not None:
            problems.append(self._storage_problem)
        problems += self._holding_back.problems()
        try:
            problems += self._rendering.problems()
            quarantined = self._store.quarantined_count()
        except StorageError as error:
            problems.append(str(error))
        else:
            if quarantined:
                items = "item is" if quarantined == 1 else "items are"
                problems.append(
                    f"{quarantined} {items} held back from devices: 'gateway quarantine list' shows"
                    " why"
                )
        return problems + list(self.devices.problems())

    def status(self) -> Mapping[str, object]:
        """How the gateway is, as JSON values."""
        return {
            "problems": list(self.problems()),
            "broker": self._broker_state(),
            "feeds": len(self._store.feeds()),
            "devices": len(self._store.devices()),
            "online": list(self._registry.online()),
            "counters": self.counters.read(),
        }

    def _broker_state(self) -> str:
        return self._link.state if self._link is not None else "not started"

    def _write(self, work: Callable[[SqliteTransaction], T]) -> T:
        try:
            result = self._writer.submit(work).result()
        except (FeedError, NotRenderedError, DeviceError, WriterClosedError):
            raise
        except Exception as error:
            _LOG.exception("a change could not be stored")
            self._storage_problem = (
                f"the last change could not be stored, and was refused ({error}): look after the"
                f" disk of {self.settings.data_dir}"
            )
            raise StorageError(self._storage_problem) from error
        self._storage_problem = None
        return result

    def _committed(self) -> None:
        if self._notifying is not None:
            self._notifying.committed()

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - a callback
        if self._responding is not None:
            self._responding.take(topic, payload, retained=retained)

    def _thrown_out(self, device: str) -> None:
        if self._link is not None:
            self._link.clear_status(device)

    def _open_epochs(self, transaction: SqliteTransaction) -> None:
        for feed in self._store.feeds():
            transaction.open_epoch(feed, epoch_id=os.urandom(tokens.EPOCH_ID_BYTES))


def _refuse_to_forget(data_dir: Path) -> None:
    """An empty start where there was a state would have devices drop all they hold."""
    state, ledger = data_dir / STORE_FILE, data_dir / LEDGER_DIR
    is_gone = not state.exists() or not state.stat().st_size
    if is_gone and any(ledger.glob("*.json")):
        raise FeedError(
            f"{state} is gone or empty, and {ledger.name}/ tells of devices that synced with it:"
            f" put it back, or a backup ('gateway restore DIR'), or move {ledger.name}/ away to"
            " begin anew"
        )


def _as_before(failed: Sequence[str], renderings: Mapping[str, Made]) -> str | None:
    """What is wrong with a content that failed in these representations, and does in all again."""
    problems = {name: it.why for name, it in renderings.items() if isinstance(it, Problem)}
    if not failed or not problems.keys() >= set(failed):
        return None
    name = failed[0]
    return f"cannot be rendered as {name} ({problems[name]}): put it with another content"


def _is_live(snapshot: FeedSnapshot, item_id: str) -> bool:
    row = snapshot.row(item_id)
    return row is not None and not row.deleted


def _live(snapshot: FeedSnapshot, feed: str, item_id: str) -> Row:
    row = snapshot.row(item_id)
    if row is None or row.deleted:
        raise NoSuchItemError(feed, item_id)
    return row
