"""The agent: one thread that takes messages and timers, and one connection."""

import contextlib
import logging
import os
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from device_agent import events
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE as STORE_FILE  # noqa: PLC0414 - re-exported
from device_agent.data_dir import locked
from device_agent.errors import AgentError
from device_agent.feed_sync import FeedSync, Observer, SyncDone
from device_agent.mqtt import DeviceLink
from device_agent.replica import AnswerFate, Happened, Replica
from device_agent.rival import explanation
from device_agent.schedule import Waits
from sync_protocol import limits, messages, names, topics, wire
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Answer, Notification, Request
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Channel, ReplicaTopic, StatusTopic, Topics
from sync_protocol.wire import Format

_LOG: Final = logging.getLogger(__name__)

# Messages that wait for the agent's thread. More are dropped, and a sync brings what they told.
INBOUND_MESSAGES_MAX: Final = 1_000
# Logins refused in a row before the agent takes it that its password is wrong.
REFUSALS_MAX: Final = 5

_random: Final = random.SystemRandom()


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits for a sync; `left` are the feeds whose sync has not ended."""

    done: Future[None]
    left: set[str]


class SyncFailedError(AgentError):
    """A sync ended without success; the message says why."""


class SyncTimeoutError(SyncFailedError, TimeoutError):
    """A sync took too long; the agent goes on with it."""


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
        on_change: Callable[[str, Happened], None] | None = None,
        on_sync: Callable[[SyncDone], None] | None = None,
        observer: Observer | None = None,
        waits: Waits | None = None,
        form: Format = Format.CBOR,
        answer_bytes_max: int = limits.ANSWER_BYTES_DEFAULT,
        keepalive_s: int = 60,
        topic_prefix: str = topics.PREFIX_DEFAULT,
        refusals_max: int = REFUSALS_MAX,
    ) -> None:
        """Check the names; nothing is opened before `start`.

        Raises:
            ValueError: a name that cannot be, or no feed.
        """
        if not feeds:
            raise ValueError("an agent keeps at least one feed")
        self._device = names.device_id(device)
        self._feeds = tuple(dict.fromkeys(names.feed_name(feed) for feed in feeds))
        self._address = (host, port)
        self._data_dir = data_dir
        self._on_change = on_change
        self._on_sync = on_sync
        self._observer = observer
        self._waits = waits or Waits()
        self._form = form
        self._answer_bytes_max = answer_bytes_max
        self._topics = Topics(topic_prefix)
        self._counts: Counter[str] = Counter()
        self._events: queue.Queue[events.Event] = queue.Queue()
        self._messages_dropped = False
        self._connected = False
        self._rival_told = False
        self._refusals = 0
        self._refusals_max = refusals_max
        self._unreachable: str | None = "the broker has not answered yet"
        self._waiters: list[_Waiter] = []
        self._syncs: dict[str, FeedSync] = {}
        self._file: AgentFile | None = None
        self._opened = contextlib.ExitStack()
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        self._ending = threading.Lock()
        self._thread: threading.Thread | None = None
        self._link = DeviceLink(
            device=self._device,
            feeds=self._feeds,
            password=password,
            keepalive_s=keepalive_s,
            topic_names=self._topics,
            on_ready=lambda: self._events.put(events.Connected()),
            on_lost=lambda reason, rival: self._events.put(events.Lost(reason, rival)),
            on_unreachable=lambda reason: self._events.put(events.Unreachable(reason)),
            on_refused=lambda reason, lasting: self._events.put(events.Refused(reason, lasting)),
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
                replica = Replica(
                    self._file.replica(feed), make_view_id=lambda: _random.getrandbits(32)
                )
                self._syncs[feed] = FeedSync(
                    feed,
                    replica,
                    waits=self._waits,
                    chance=_random.random,
                    request_id=lambda: os.urandom(messages.REQUEST_ID_BYTES),
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
            SyncFailedError: the gateway refused, or the broker did, or the agent was stopped.
            SyncTimeoutError: it took longer than `timeout_s` seconds.
        """
        done: Future[None] = Future()
        self._events.put(events.Sync(done))
        if self._stopped.is_set():
            self._end_waiters()
        try:
            done.result(timeout_s)
        except TimeoutError:
            why = (
                f"no connection to {self._broker}: {self._unreachable}"
                if self._unreachable
                else f"is a gateway connected to {self._broker}?"
            )
            raise SyncTimeoutError(f"the sync was not done after {timeout_s:g} s ({why})") from None

    def wait_stopped(self, timeout_s: float | None = None) -> bool:
        """Wait until the agent has stopped, by itself or by `stop`."""
        return self._stopped.wait(timeout_s)

    @property
    def _broker(self) -> str:
        host, port = self._address
        return f"the broker at {f'[{host}]' if ':' in host else host}:{port}"

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
            waiting = [waiter.done for waiter in self._waiters]
            self._waiters.clear()
            with contextlib.suppress(queue.Empty):
                while True:
                    event = self._events.get_nowait()
                    if isinstance(event, events.Sync):
                        waiting.append(event.done)
        for done in waiting:
            done.set_exception(SyncFailedError(why))

    def _wait_s(self) -> float | None:
        timers = [sync.next_timer for sync in self._syncs.values() if sync.next_timer is not None]
        return max(0.0, min(timers) - time.monotonic()) if timers else None

    def _timers(self) -> None:
        now = time.monotonic()
        if self._messages_dropped:
            self._messages_dropped = False
            self._counts["messages dropped, queue full"] += 1
            for sync in self._syncs.values():
                sync.ask_soon(now)
        for sync in self._syncs.values():
            match sync.on_timer(now):
                case Request() as request:
                    self._send(sync.feed, request)
                case SyncDone() as failed:
                    self._counts["requests without an answer"] += 1
                    self._tell_sync(failed)
                case None:
                    pass

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
                self._waiters.append(_Waiter(done, set(self._syncs)))
                if self._connected:
                    self._ask_all(now)
            case events.Stop():
                raise AssertionError("handled by the loop")
            case _:
                self._connection(now, event)

    def _connection(self, now: float, event: events.ConnectionEvent) -> None:
        match event:
            case events.Connected():
                self._connected = True
                self._unreachable = None
                self._refusals = 0
                self._counts["connects"] += 1
                _LOG.info("connected to %s", self._broker)
                self._ask_all(now)
            case events.Lost():
                self._lost(event)
            case events.Unreachable(reason):
                self._counts["connects failed"] += 1
                if reason != self._unreachable:  # paho tries on; the log says it once
                    _LOG.warning("no connection to %s: %s; trying on", self._broker, reason)
                self._unreachable = reason
            case events.Refused():
                self._refused(event)

    def _lost(self, lost: events.Lost) -> None:
        self._connected = False
        self._unreachable = explanation(self._device) if lost.rival else lost.reason
        if lost.rival:
            self._counts["connections lost to another agent"] += 1
        if not (lost.rival and self._rival_told):
            _LOG.warning("the connection to %s was lost: %s", self._broker, self._unreachable)
        self._rival_told = lost.rival
        for sync in self._syncs.values():
            sync.disconnected()

    def _ask_all(self, now: float) -> None:
        for sync in self._syncs.values():
            sync.ask_now(now)

    def _refused(self, refused: events.Refused) -> None:
        self._refusals += 1
        self._counts["logins refused"] += 1
        message = f"{self._broker} refuses device {self._device}: {refused.reason}"
        self._unreachable = refused.reason
        if refused.lasting or self._refusals >= self._refusals_max:
            raise SyncFailedError(
                f"{message}; check the device id, its password and its feeds, or enrol it:"
                " gateway device add"
            )
        _LOG.warning("%s; trying again", message)

    def _message(self, now: float, message: events.Message) -> None:
        try:
            named = self._topics.parse(message.topic)
            match named:
                case StatusTopic(who) if who == GATEWAY:
                    self._gateway_status(now, message)
                case ReplicaTopic(self._device, feed, Channel.NOTIFY) if feed in self._syncs:
                    self._push(now, self._syncs[feed], message.payload)
                case ReplicaTopic(self._device, feed, Channel.RESPONSE) if feed in self._syncs:
                    self._answer(now, self._syncs[feed], message.payload)
                case _:
                    self._counts["messages on strange topics"] += 1
        except ProtocolError as error:
            self._counts[f"messages refused: {error.reason}"] += 1
            _LOG.warning("a message on %s was refused: %s", message.topic, error)

    def _gateway_status(self, now: float, message: events.Message) -> None:
        # A retained one only tells what the connect, which syncs anyway, was about to find out.
        if message.payload == topics.ONLINE and not message.retained:
            for sync in self._syncs.values():
                sync.gateway_returned(now)

    def _push(self, now: float, sync: FeedSync, payload: bytes) -> None:
        push = wire.decode(Notification, payload, bytes_max=limits.NOTIFICATION_BYTES_MAX)
        result, happened = sync.on_push(now, push)
        self._counts["pushes"] += 1
        self._counts["push bytes"] += len(payload)
        self._counts[f"pushes {result}"] += 1
        if self._observer is not None:
            self._observer.push_came(sync.feed, push, payload, result)
        self._tell_changes(sync.feed, happened)

    def _answer(self, now: float, sync: FeedSync, payload: bytes) -> None:
        answer = wire.decode(Answer, payload, bytes_max=limits.ANSWER_BYTES_MAX)
        result, done = sync.on_answer(now, answer)
        self._counts["answers"] += 1
        self._counts["answer bytes"] += len(payload)
        self._counts[f"answers {result.fate}"] += 1
        if self._observer is not None:
            self._observer.answer_came(sync.feed, answer, payload, result)
        self._tell_changes(sync.feed, result.happened)
        if done is not None:
            if result.fate is AnswerFate.TAKEN and self._file is not None:
                self._file.replica(sync.feed).set_synced_at(int(time.time()))
            self._tell_sync(done)

    def _tell_changes(self, feed: str, happened: Sequence[Happened]) -> None:
        if self._on_change is None:
            return
        for each in happened:
            try:
                self._on_change(feed, each)
            except Exception:
                self._counts["errors in a callback"] += 1
                _LOG.exception("on_change failed")

    def _tell_sync(self, done: SyncDone) -> None:
        self._counts["syncs failed" if done.error else "syncs"] += 1
        if done.error:
            _LOG.warning("sync of %s: %s", done.feed, done.error)
        for waiter in list(self._waiters):
            if done.error is None:
                waiter.left.discard(done.feed)
                if not waiter.left:
                    waiter.done.set_result(None)
            elif done.refused:
                waiter.done.set_exception(SyncFailedError(f"sync of {done.feed}: {done.error}"))
            if waiter.done.done():
                self._waiters.remove(waiter)
        if self._on_sync is not None:
            try:
                self._on_sync(done)
            except Exception:
                self._counts["errors in a callback"] += 1
                _LOG.exception("on_sync failed")
