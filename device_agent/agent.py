"""The agent: one thread that takes messages and timers, and one connection."""

import contextlib
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, Self

from device_agent import events
from device_agent.agent_file import AgentFile
from device_agent.connection import Connection
from device_agent.data_dir import STORE_FILE as STORE_FILE  # noqa: PLC0414 - re-exported
from device_agent.data_dir import locked
from device_agent.errors import AgentError, NotFoundError, SyncTimeoutError
from device_agent.errors import SyncFailedError as SyncFailedError  # noqa: PLC0414 - re-exported
from device_agent.feed_sync import FeedSync, Observer, SyncDone
from device_agent.heard import GatewayStatus, heard
from device_agent.kept_feed import take_up
from device_agent.mqtt import DeviceLink
from device_agent.results import AnswerFate, Happened
from device_agent.schedule import Waits
from device_agent.store_sqlite import StoreError
from device_agent.telling import Listeners
from device_agent.views import WantedView, day
from programs.tls import Security
from programs.tls_settings import Tls, TlsError
from sync_protocol import limits, names, topics, wire
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Answer, Notification, Request
from sync_protocol.topics import Topics
from sync_protocol.wire import Format

_LOG: Final = logging.getLogger(__name__)

# Messages that wait for the agent's thread. More are dropped, and a sync brings what they told.
INBOUND_MESSAGES_MAX: Final = 1_000
# Logins refused in a row before the agent takes it that its password is wrong.
REFUSALS_MAX: Final = 5


class DeviceAgent:
    """Keeps a device's replicas in step. Callbacks run in the agent's thread.

    Use it with ``with``, or call `start` and `stop`.
    """

    def __init__(
        self,
        device: str,
        *,
        feeds: Sequence[str],
        host: str,
        port: int,
        password: str,
        data_dir: Path,
        tls: Tls | None = None,
        views: Mapping[str, WantedView] | None = None,
        on_change: Callable[[str, Happened], None] | None = None,
        on_sync: Callable[[SyncDone], None] | None = None,
        observer: Observer | None = None,
        waits: Waits | None = None,
        form: Format = Format.CBOR,
        answer_bytes_max: int = limits.ANSWER_BYTES_DEFAULT,
        keepalive_s: int = 60,
        topic_prefix: str = topics.PREFIX_DEFAULT,
        refusals_max: int = REFUSALS_MAX,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        """Check the names, and read the files of `tls`; nothing else is opened before `start`.

        Without `tls`, the broker is reached with TLS and verified, but for one on the loopback.
        `views` says what is wanted of a feed, where that is not all of it. `unix_time` is the clock
        that moves time windows. `on_change` hears of each item that changed, and its feed.

        Raises:
            ValueError: a name that cannot be, no feed, or a view of another feed.
            AgentError: the broker is not to be reached so.
        """
        if not feeds:
            raise ValueError("an agent keeps at least one feed")
        self._device = names.device_id(device)
        self._feeds = tuple(dict.fromkeys(names.feed_name(feed) for feed in feeds))
        self._views = dict(views or {})
        if strange := self._views.keys() - set(self._feeds):
            raise ValueError(f"a view of a feed that is not kept: {', '.join(sorted(strange))}")
        self._unix_time = unix_time
        self._day: int | None = None
        self._address = (host, port)
        self._data_dir = data_dir
        self._observer = observer
        self._waits = waits or Waits()
        self._form = form
        self._answer_bytes_max = answer_bytes_max
        self._topics = Topics(topic_prefix)
        self._counts: Counter[str] = Counter()
        self._connection = Connection(
            self._device, self._address, refusals_max=refusals_max, counts=self._counts
        )
        self._events: queue.Queue[events.Event] = queue.Queue()
        self._messages_dropped = False
        self._listeners = Listeners(on_change=on_change, on_sync=on_sync, counts=self._counts)
        self._syncs: dict[str, FeedSync] = {}
        self._file: AgentFile | None = None
        self._opened = contextlib.ExitStack()
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        self._ending = threading.Lock()
        self._thread: threading.Thread | None = None
        try:
            security = Security(tls or Tls(), host, port)
        except TlsError as error:
            raise AgentError(str(error)) from error
        self._link = DeviceLink(
            device=self._device,
            feeds=self._feeds,
            password=password,
            security=security,
            keepalive_s=keepalive_s,
            topic_names=self._topics,
            on_event=self._events.put,
            on_message=self._enqueue,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the device's file and begin to connect.

        Raises:
            StoreError: the data directory cannot be used.
        """
        self._opened.enter_context(locked(self._data_dir))
        try:
            self._file = AgentFile(self._data_dir / STORE_FILE, device=self._device)
            self._opened.callback(self._file.close)
            for feed in self._feeds:
                self._syncs[feed] = take_up(
                    self._file,
                    feed,
                    self._wanted(feed),
                    unix_time=self._unix_time(),
                    waits=self._waits,
                    answer_bytes_max=self._answer_bytes_max,
                )
            self._opened.callback(self._link.close)
            self._link.start(*self._address)
        except BaseException:
            self._opened.close()
            raise
        self._thread = threading.Thread(target=self._run, name=f"agent {self._device}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being stored, say goodbye, and close the file."""
        if self._thread is None:
            return
        self._events.put(events.Stop())
        self._thread.join()
        self._thread = None

    def sync(self, timeout_s: float) -> None:
        """Sync now, and wait until all of what the gateway had is here.

        Raises:
            SyncFailedError: the gateway refused, or the broker did, or is not the one that it
                should be, or the agent was stopped.
            SyncTimeoutError: it took longer than `timeout_s` seconds.
        """
        done: Future[None] = Future()
        self._events.put(events.Sync(done))
        if self._stopped.is_set():
            self._end_waiters()
        try:
            done.result(timeout_s)
        except TimeoutError:
            raise SyncTimeoutError(
                f"the sync was not done after {timeout_s:g} s ({self.hindrance})"
            ) from None

    def fetch(self, feed: str, item_id: str) -> None:
        """Want all of an item, however large it is; return once that is noted in the file.

        `on_change` hears when it is whole. A content that takes its place is not meant.

        Raises:
            NotFoundError: there is no such item.
            AgentError: the agent does not run.
        """
        if threading.current_thread() is self._thread:  # a callback calls
            self._fetch(time.monotonic(), feed, item_id)
            return
        if self._thread is None:
            raise AgentError("the agent does not run: start it first")
        done: Future[None] = Future()
        self._events.put(events.Fetch(feed, item_id, done))
        if self._stopped.is_set():
            self._end_waiters()
        done.result()

    def look(self) -> None:
        """Another process may have noted in the file that it wants items: fetch them."""
        self._events.put(events.Look())

    def wait_stopped(self, timeout_s: float | None = None) -> bool:
        """Wait until the agent has stopped, by itself or by `stop`."""
        return self._stopped.wait(timeout_s)

    @property
    def hindrance(self) -> str:
        """What may keep a sync from being done: words for people."""
        if self._connection.is_up and (feeds := self._listeners.put_off):
            return f"the gateway is still preparing what is wanted of {', '.join(feeds)}"
        return self._connection.hindrance

    @property
    def hindrance_lasts(self) -> bool:
        """Whether only other settings, certificates or another broker mend it."""
        return self._connection.hindrance_lasts

    @property
    def failure(self) -> Exception | None:
        """Why the agent stopped by itself, if it did: a message for people."""
        return self._failure

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened since the start, by name."""
        return dict(self._counts)

    # The thread

    def _enqueue(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - a callback
        if self._events.qsize() >= INBOUND_MESSAGES_MAX:
            self._messages_dropped = True
            return
        self._events.put(events.Message(topic, payload, retained))

    def _run(self) -> None:
        try:
            while True:
                try:
                    event = self._events.get(timeout=self._wait_s())
                except queue.Empty:
                    event = None
                if isinstance(event, events.Stop):
                    return
                if event is not None:
                    self._handle(event)
                self._timers()
        except AgentError as error:
            # The disk is full, say: nothing half-done is kept.
            _LOG.warning("the agent of %s stops", self._device)
            self._failure = error
            self._note_hindrance(str(error))
        except Exception as error:
            _LOG.exception("the agent of %s stops", self._device)
            self._failure = error
        finally:
            self._opened.close()
            self._stopped.set()
            self._end_waiters()

    def _end_waiters(self) -> None:
        """Nobody waits for a stopped agent, however late the question came."""
        why = "the agent was stopped" if self._failure is None else str(self._failure)
        with self._ending:
            waiting = self._listeners.waited()
            with contextlib.suppress(queue.Empty):
                while True:
                    event = self._events.get_nowait()
                    if isinstance(event, events.Sync | events.Fetch):
                        waiting.append(event.done)
        for done in waiting:
            done.set_exception(SyncFailedError(why))

    def _wait_s(self) -> float | None:
        timers = [sync.next_timer for sync in self._syncs.values() if sync.next_timer is not None]
        return max(0.0, min(timers) - time.monotonic()) if timers else None

    def _look_at_clock(self) -> None:
        """On another day time windows move on, with or without a connection (F6).

        Without one it is the tries to connect that have it look.
        """
        now = self._unix_time()
        if day(now) == self._day:
            return
        self._day = day(now)
        for sync in self._syncs.values():
            happened = sync.replica.move_on(self._wanted(sync.feed).since(now))
            self._listeners.changed(sync.feed, happened)

    def _timers(self) -> None:
        self._look_at_clock()
        now = time.monotonic()
        if self._messages_dropped:
            self._messages_dropped = False
            self._counts["messages dropped, queue full"] += 1
            for sync in self._syncs.values():
                sync.ask_soon(now)
        for sync in self._syncs.values():
            if sync.next_timer is not None and sync.next_timer <= now:
                self._move_window(now, sync)
            match sync.on_timer(now):
                case Request() as request:
                    self._send(sync.feed, request)
                case SyncDone() as failed:
                    self._counts["requests without an answer"] += 1
                    self._listeners.synced(failed)
                case None:
                    pass

    def _wanted(self, feed: str) -> WantedView:
        return self._views.get(feed, WantedView())

    def _move_window(self, now: float, sync: FeedSync) -> None:
        """Before a request, and no sooner is it back: a connection may have set the clock right."""
        happened = sync.move_window(now, self._wanted(sync.feed).since(self._unix_time()))
        self._listeners.changed(sync.feed, happened)

    def _send(self, feed: str, request: Request) -> None:
        payload = wire.encode(request, self._form)
        self._counts["requests"] += 1
        self._counts["request bytes"] += len(payload)
        if self._observer is not None:
            self._observer.asked(feed, request, payload)
        if not self._link.request(feed, payload):
            self._counts["requests not sent"] += 1

    def _handle(self, event: events.Event) -> None:
        now = time.monotonic()
        match event:
            case events.Message():
                self._message(now, event)
            case events.Sync(done):
                self._listeners.wait(done, self._syncs)
                if self._connection.is_up:
                    self._ask_all(now)
            case events.Fetch():
                self._note_fetch(now, event)
            case events.Look():
                if self._connection.is_up:  # and if not so, the next connect looks
                    for sync in self._syncs.values():
                        sync.look(now)
            case events.Stop():
                raise AssertionError("handled by the loop")
            case _:
                self._connection_changed(now, event)

    def _note_fetch(self, now: float, wanted: events.Fetch) -> None:
        try:
            self._fetch(now, wanted.feed, wanted.item_id)
        except NotFoundError as error:
            wanted.done.set_exception(error)
        except Exception as error:
            wanted.done.set_exception(error)
            raise
        else:
            wanted.done.set_result(None)

    def _fetch(self, now: float, feed: str, item_id: str) -> None:
        sync = self._syncs.get(feed)
        if sync is None:
            raise NotFoundError(f"no feed {feed!a} is kept here, only {', '.join(self._feeds)}")
        # Without a connection nothing is to be asked: the next one looks what is wanted.
        found = sync.fetch(now, item_id) if self._connection.is_up else sync.replica.fetch(item_id)
        if not found:
            raise NotFoundError(f"no item {item_id!a} is held in {feed}")

    def _connection_changed(self, now: float, event: events.ConnectionEvent) -> None:
        self._connection.take(event)
        self._note_hindrance(None if self._connection.is_up else self._connection.hindrance)
        match event:
            case events.Connected():
                self._ask_all(now)
            case events.Lost():
                for sync in self._syncs.values():
                    sync.disconnected()
            case events.Unreachable(lasting=True):
                for done in self._listeners.waited():
                    done.set_exception(SyncFailedError(self._connection.hindrance))
            case events.Unreachable() | events.Refused():
                pass

    def _note_hindrance(self, text: str | None) -> None:
        """For 'device-agent status', which is another process."""
        if self._file is not None:
            with contextlib.suppress(StoreError):  # it is a help, and no reason to stop
                self._file.set_hindrance(text, unix_time=self._unix_time())

    def _ask_all(self, now: float) -> None:
        for sync in self._syncs.values():
            sync.ask_now(now)

    def _message(self, now: float, message: events.Message) -> None:
        topic, payload = message.topic, message.payload
        try:
            told = heard(self._topics, self._device, self._syncs, topic=topic, payload=payload)
            match told:
                case GatewayStatus(online):
                    # A retained one only tells what the connect, which syncs anyway, finds out.
                    if online and not message.retained:
                        for sync in self._syncs.values():
                            sync.gateway_returned(now)
                case feed, Notification() as push:
                    self._push(now, self._syncs[feed], push, payload)
                case feed, Answer() as answer:
                    self._answer(now, self._syncs[feed], answer, payload)
                case None:
                    self._counts["messages on strange topics"] += 1
        except ProtocolError as error:
            self._counts[f"messages refused: {error.reason}"] += 1
            _LOG.warning("a message on %s was refused: %s", topic, error)

    def _push(self, now: float, sync: FeedSync, push: Notification, payload: bytes) -> None:
        result, happened = sync.on_push(now, push)
        self._counts["pushes"] += 1
        self._counts["push bytes"] += len(payload)
        self._counts[f"pushes {result}"] += 1
        if self._observer is not None:
            self._observer.push_came(sync.feed, push, payload, result)
        self._listeners.changed(sync.feed, happened)

    def _answer(self, now: float, sync: FeedSync, answer: Answer, payload: bytes) -> None:
        result, done = sync.on_answer(now, answer)
        self._counts["answers"] += 1
        self._counts["answer bytes"] += len(payload)
        self._counts[f"answers {result.fate}"] += 1
        if self._observer is not None:
            self._observer.answer_came(sync.feed, answer, payload, result)
        self._listeners.changed(sync.feed, result.happened)
        if done is not None:
            if result.fate is AnswerFate.TAKEN and self._file is not None:
                self._file.replica(sync.feed).set_synced_at(int(time.time()))
            self._listeners.synced(done)
