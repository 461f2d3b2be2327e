"""What ``fetch`` does: all bytes of one item, by the agent that runs, or by one of its own."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Final, Protocol

import typer

from device_agent import data_dir, inspection, running
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE
from device_agent.errors import AgentError
from device_agent.feed_sync import SyncDone
from device_agent.printing import json_text, safe_line
from device_agent.settings import Settings
from device_agent.store import HeldItem, ReplicaStore, mark_fetched
from device_agent.views import KeptView, WantedView
from sync_protocol.views import WHOLE_FEED

_LOOK_EVERY_S: Final = 0.1

# Told how much is here, and of how much.
_Progress = Callable[[int, int], None]


class _Way(Protocol):
    """How all of an item comes here."""

    def ask(self) -> None:
        """Have all of the item wanted."""

    def wait(self, seconds: float) -> None:
        """Wait so long.

        Raises:
            AgentError: the rest will not come.
        """

    def hindrance(self) -> str:
        """What may keep the rest from coming: words for people."""


class _ByRunningAgent:
    """Another process keeps the feed in step: it is told by the file."""

    def __init__(self, settings: Settings, store: ReplicaStore, item_id: str) -> None:
        self._data_dir = settings.data_dir
        self._store = store
        self._item_id = item_id

    def ask(self) -> None:
        mark_fetched(self._store, self._item_id)
        data_dir.poke(self._data_dir)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def hindrance(self) -> str:
        if data_dir.is_locked(self._data_dir):
            return "is the agent that runs connected to a gateway? Its log tells"
        return f"no agent runs with {self._data_dir} any more"


class _ByOwnAgent:
    """No agent runs, so this process has one."""

    def __init__(self, settings: Settings, feed: str, item_id: str, view: WantedView) -> None:
        self._feed = feed
        self._item_id = item_id
        self._refusals: SimpleQueue[str] = SimpleQueue()
        self.agent = running.make_agent(
            settings, feeds=[feed], views={feed: view}, on_sync=self._on_sync
        )

    def _on_sync(self, done: SyncDone) -> None:
        if done.refused:
            self._refusals.put(f"sync of {done.feed}: {done.error}")

    def ask(self) -> None:
        self.agent.fetch(self._feed, self._item_id)

    def wait(self, seconds: float) -> None:
        if self.agent.wait_stopped(seconds):
            raise AgentError(str(self.agent.failure or "the agent was stopped"))
        if self.agent.hindrance_lasts:
            raise AgentError(self.agent.hindrance)
        if not self._refusals.empty():
            raise AgentError(self._refusals.get())

    def hindrance(self) -> str:
        return self.agent.hindrance


def fetch(
    settings: Settings, feed: str | None, named: str, *, timeout_s: float, as_json: bool
) -> None:
    """Fetch all bytes of one item, and print how many these are.

    Raises:
        AgentError: not all of it is here.
    """
    path = settings.data_dir / STORE_FILE
    with contextlib.closing(AgentFile(path, readonly=True)) as file:
        in_feed, item = inspection.find(file, [] if feed is None else [feed], named)
        state = file.replica(in_feed).state()
    was_whole = item.whole
    if not was_whole:
        running.log_to_stderr(logging.WARNING)
        if data_dir.is_locked(settings.data_dir):
            with contextlib.closing(AgentFile(path)) as file:
                store = file.replica(in_feed)
                way = _ByRunningAgent(settings, store, item.id)
                item = _completed(store, item, way, timeout_s=timeout_s)
        else:
            # This is about one item: what is wanted stays what it is, whatever the settings say.
            view = KeptView(WHOLE_FEED if state is None else state.view, remainder_bytes_max=0)
            own = _ByOwnAgent(settings, in_feed, item.id, view)
            with own.agent, contextlib.closing(AgentFile(path, readonly=True)) as file:
                item = _completed(file.replica(in_feed), item, own, timeout_s=timeout_s)
    if as_json:
        typer.echo(json_text(inspection.fields(in_feed, item)))
    else:
        before = ", which were here already" if was_whole else ""
        typer.echo(f"{safe_line(item.id)}: {item.size} bytes{before}")


def _completed(store: ReplicaStore, item: HeldItem, way: _Way, *, timeout_s: float) -> HeldItem:
    """The item once it is whole. If another content takes its place, that is asked for, too."""
    deadline = time.monotonic() + timeout_s
    asked = False
    with _shown(item) as progress:
        while True:
            found = store.item(item.id)
            if found is None:
                raise AgentError(
                    f"{item.id} was removed meanwhile: the gateway has it no more, or it is no"
                    " longer in the view"
                )
            progress(found.held_bytes, found.size)
            if found.whole:
                return found
            if not (asked and found.is_fetched):
                way.ask()
                asked = True
            elif found.is_withheld:
                raise AgentError(
                    f"the gateway cannot give the rest of {found.id} now (its operator finds the"
                    " item with 'gateway quarantine list'):"
                    f" {found.held_bytes} of {found.size} bytes are here"
                )
            if time.monotonic() >= deadline:
                raise AgentError(
                    f"{found.held_bytes} of {found.size} bytes of {found.id} are here after"
                    f" {timeout_s:g} s ({way.hindrance()}); the rest stays wanted, and comes when"
                    " an agent runs"
                )
            way.wait(_LOOK_EVERY_S)


@contextlib.contextmanager
def _shown(item: HeldItem) -> Iterator[_Progress]:
    """A bar on the terminal, if there is one."""
    if not sys.stderr.isatty():
        yield lambda _held, _size: None
        return
    from rich import console, progress  # noqa: PLC0415 - 60 ms that only a terminal needs

    with progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TimeRemainingColumn(),
        console=console.Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(safe_line(item.id), total=item.size)
        yield lambda held, size: bar.update(task, completed=held, total=size)
