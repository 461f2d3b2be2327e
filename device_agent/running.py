"""An agent in the foreground: what ``run`` and ``sync`` do."""

import contextlib
import logging
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Final

from device_agent.agent import REFUSALS_MAX, DeviceAgent
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE
from device_agent.errors import AgentError
from device_agent.feed_sync import SyncDone
from device_agent.password import read_password
from device_agent.printing import safe_line
from device_agent.replica import Event, Happened
from device_agent.settings import ENVIRONMENT_PREFIX, Settings, broker_address

_LOG: Final = logging.getLogger(__name__)

# Somebody waits for `sync`: one more try, in case the broker is just starting.
_SYNC_REFUSALS_MAX: Final = 2
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _SafeFormatter(logging.Formatter):
    """One harmless line for each record: a peer's words may be in it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its traceback, if there is one, behind it."""
        first, newline, traceback = super().format(record).partition("\nTraceback")
        return safe_line(first) + newline + traceback


class _Report:
    """Logs a line after each sync: what changed since the one before."""

    def __init__(self) -> None:
        self._changes: Counter[tuple[str, Event]] = Counter()
        self._file: AgentFile | None = None

    def watch(self, file: AgentFile) -> None:
        """Count items in `file`."""
        self._file = file

    def on_change(self, feed: str, happened: Happened) -> None:
        """See `DeviceAgent`."""
        self._changes[feed, happened.event] += 1

    def on_sync(self, done: SyncDone) -> None:
        """See `DeviceAgent`."""
        if done.error is not None or self._file is None:
            return  # the agent logs errors
        store = self._file.replica(done.feed)
        incomplete = store.incomplete_count()
        _LOG.info(
            "synced %s: %d items%s; since the last sync %d changed, %d gone",
            done.feed,
            store.item_count(),
            f", {incomplete} incomplete" if incomplete else "",
            self._changes.pop((done.feed, Event.CHANGED), 0),
            self._changes.pop((done.feed, Event.REMOVED), 0),
        )


def run(settings: Settings) -> None:
    """Run an agent until SIGTERM or SIGINT.

    Raises:
        AgentError: it cannot start, or it stopped by itself.
    """
    _log_to_stderr(logging.INFO)
    report = _Report()
    agent = _agent(settings, refusals_max=REFUSALS_MAX, report=report)
    ended: SimpleQueue[str] = SimpleQueue()  # its put may be called in a signal's handler

    def on_signal(number: int, _frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # a second one does not wait
        ended.put(signal.Signals(number).name)

    def watch() -> None:
        agent.wait_stopped()
        ended.put("")

    for each in _SIGNALS:
        signal.signal(each, on_signal)
    with agent, _reading(settings) as file:
        report.watch(file)
        threading.Thread(target=watch, name="watch", daemon=True).start()
        _LOG.info("started as %s, for %s", settings.id, ", ".join(settings.feeds))
        cause = ended.get()
        _LOG.info("stopping: %s", cause or "the agent failed")
    if agent.failure is not None:
        raise AgentError(str(agent.failure)) from agent.failure


def sync(settings: Settings, *, timeout_s: float) -> None:
    """Sync once.

    Raises:
        AgentError: not all is here.
    """
    _log_to_stderr(logging.WARNING)
    with _agent(settings, refusals_max=_SYNC_REFUSALS_MAX, report=_Report()) as agent:
        agent.sync(timeout_s)


def _agent(settings: Settings, *, refusals_max: int, report: _Report) -> DeviceAgent:
    if settings.id is None:
        raise AgentError(_unset("device id", "--id ID", "id"))
    if not settings.feeds:
        raise AgentError(_unset("feed", "--feed FEED", "feeds"))
    host, port = broker_address(settings.broker)
    password, warning = read_password(settings.id, settings.password_file)
    if warning is not None:
        _LOG.warning("%s", warning)
    return DeviceAgent(
        settings.id,
        feeds=settings.feeds,
        host=host,
        port=port,
        password=password,
        data_dir=settings.data_dir,
        on_change=report.on_change,
        on_sync=report.on_sync,
        waits=settings.waits,
        form=settings.format,
        answer_bytes_max=settings.answer_bytes_max,
        keepalive_s=settings.keepalive_s,
        topic_prefix=settings.topic_prefix,
        refusals_max=refusals_max,
    )


def _unset(what: str, option: str, key: str) -> str:
    return (
        f"no {what}: give {option}, {key} in the file of --config, or"
        f" {ENVIRONMENT_PREFIX}{key.upper()}"
    )


@contextlib.contextmanager
def _reading(settings: Settings) -> Iterator[AgentFile]:
    with contextlib.closing(AgentFile(settings.data_dir / STORE_FILE, readonly=True)) as file:
        yield file


def _log_to_stderr(level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _SafeFormatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
