"""An agent in the foreground: what ``run`` and ``sync`` do."""

import contextlib
import logging
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Final

from device_agent import enrolment
from device_agent.agent import REFUSALS_MAX, DeviceAgent
from device_agent.agent_file import AgentFile
from device_agent.data_dir import POKE, STORE_FILE, announce
from device_agent.errors import AgentError
from device_agent.feed_sync import SyncDone
from device_agent.password import read_password
from device_agent.printing import safe_line
from device_agent.results import Event, Happened
from device_agent.settings import ENVIRONMENT_PREFIX, Settings
from device_agent.views import WantedView
from sync_protocol.addresses import broker_address

_LOG: Final = logging.getLogger(__name__)

# Somebody waits: one more try, in case the broker is just starting.
REFUSALS_WAITING_MAX: Final = 2
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
    log_to_stderr(logging.INFO)
    report = _Report()
    agent = make_agent(
        settings,
        feeds=settings.feeds,
        refusals_max=REFUSALS_MAX,
        on_change=report.on_change,
        on_sync=report.on_sync,
    )
    _warn_of_strangers(settings)
    # What ended it, or None to have the agent look. Its put may be called in a signal's handler.
    told: SimpleQueue[str | None] = SimpleQueue()

    def on_signal(number: int, _frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # a second one does not wait
        told.put(signal.Signals(number).name)

    def watch() -> None:
        agent.wait_stopped()
        told.put("")

    for each in _SIGNALS:
        signal.signal(each, on_signal)
    signal.signal(POKE, lambda *_: told.put(None))
    with agent, _reading(settings) as file:
        report.watch(file)
        threading.Thread(target=watch, name="watch", daemon=True).start()
        announce(settings.data_dir)  # now that a poke is heard
        agent.look()  # at what was marked before
        _LOG.info("started as %s, for %s", settings.id, ", ".join(settings.feeds))
        while (cause := told.get()) is None:
            agent.look()
        signal.signal(POKE, signal.SIG_IGN)  # one that is on its way ends nothing
        _LOG.info("stopping: %s", cause or "the agent failed")
    if agent.failure is not None:
        raise AgentError(str(agent.failure)) from agent.failure


def sync(settings: Settings, *, timeout_s: float) -> None:
    """Sync once.

    Raises:
        AgentError: not all is here.
    """
    log_to_stderr(logging.WARNING)
    _warn_of_strangers(settings)
    with make_agent(settings, feeds=settings.feeds) as agent:
        agent.sync(timeout_s)


def _warn_of_strangers(settings: Settings) -> None:
    for feed in settings.feed.keys() - set(settings.feeds):
        _LOG.warning(
            "the settings have a table feed.%s, but this feed is not among those that are kept: %s",
            feed,
            ", ".join(settings.feeds),
        )


def make_agent(
    settings: Settings,
    *,
    feeds: Sequence[str],
    views: Mapping[str, WantedView] | None = None,
    refusals_max: int = REFUSALS_WAITING_MAX,
    on_change: Callable[[str, Happened], None] | None = None,
    on_sync: Callable[[SyncDone], None] | None = None,
) -> DeviceAgent:
    """An agent for `feeds`.

    Args:
        settings: of the agent.
        feeds: to keep.
        views: what is wanted of them, if not what the settings say.
        refusals_max: logins refused in a row before it gives up.
        on_change: see `DeviceAgent`.
        on_sync: see `DeviceAgent`.

    Raises:
        AgentError: something lacks in the settings.
    """
    for lack in lacking(settings.id, feeds):
        raise AgentError(lack)
    assert settings.id is not None  # noqa: S101 - it would lack
    host, port = broker_address(settings.broker)
    credential = enrolment.kept(settings.data_dir)
    secret = enrolment.secret_of(settings, credential)
    if secret is None:
        secret = read_password(settings.id, settings.password_file)
    if secret.warning is not None:
        _LOG.warning("%s", secret.warning)
    return DeviceAgent(
        settings.id,
        feeds=feeds,
        host=host,
        port=port,
        password=secret.text,
        data_dir=settings.data_dir,
        tls=enrolment.tls_of(settings, credential),
        views={feed: settings.wanted(feed) for feed in feeds} if views is None else views,
        on_change=on_change,
        on_sync=on_sync,
        waits=settings.waits,
        form=settings.format,
        answer_bytes_max=settings.answer_bytes_max,
        keepalive_s=settings.keepalive_s,
        topic_prefix=settings.topic_prefix,
        refusals_max=refusals_max,
    )


def lacking(device: str | None, feeds: Sequence[str]) -> Iterator[str]:
    """What an agent cannot run without, and has no default."""
    if device is None:
        yield _unset("device id", "--id ID", "id")
    if not feeds:
        yield _unset("feed", "--feed FEED", "feeds")


def _unset(what: str, option: str, key: str) -> str:
    return (
        f"no {what}: give {option}, {key} in the file of --config, or"
        f" {ENVIRONMENT_PREFIX}{key.upper()}; or 'device-agent enroll' takes it from a credential"
    )


@contextlib.contextmanager
def _reading(settings: Settings) -> Iterator[AgentFile]:
    with contextlib.closing(AgentFile(settings.data_dir / STORE_FILE, readonly=True)) as file:
        yield file


def log_to_stderr(level: int) -> None:
    """Log to standard error from that level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _SafeFormatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
