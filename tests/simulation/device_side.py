"""The devices: the real rules and timetables, and stores that can die between any two steps."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from device_agent.feed_sync import FeedSync, SyncDone
from device_agent.replica import SINCE_BACK_S_MAX, Replica
from device_agent.schedule import Waits
from device_agent.store import HeldItem, ReplicaState
from device_agent.store_memory import MemoryReplicaStore
from sync_protocol.messages import Request
from sync_protocol.views import View
from sync_protocol.wire import Format
from tests.simulation.chronicle import Broken
from tests.simulation.promises import Witness

WAITS: Final = Waits()
NEVER: Final = float("inf")


class Crash(Exception):  # noqa: N818 - what happens to the agent
    """The agent was killed."""


class CrashingStore(MemoryReplicaStore):
    """A store that kills its agent before its `steps_left`-th write from now, if that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.steps_left: int | None = None

    def _step(self) -> None:
        if self.steps_left is not None:
            if not self.steps_left:
                raise Crash
            self.steps_left -= 1

    def set_state(self, state: ReplicaState) -> None:
        self._step()
        super().set_state(state)

    def set_item(self, item: HeldItem) -> None:
        self._step()
        super().set_item(item)

    def delete_item(self, item_id: str) -> None:
        self._step()
        super().delete_item(item_id)

    def remember(self, item_id: str, n: int) -> None:
        self._step()
        super().remember(item_id, n)

    def forget_removed(self, upto: int | None) -> None:
        self._step()
        super().forget_removed(upto)

    def forget_tokens(self) -> None:
        self._step()
        super().forget_tokens()

    def clear_content(self, item_id: str) -> None:
        self._step()
        super().clear_content(item_id)

    def append_content(self, item_id: str, offset: int, content: bytes) -> None:
        self._step()
        super().append_content(item_id, offset, content)


@dataclass(slots=True, eq=False)
class SimDevice:
    """A device; `connected` is what it knows, the gateway may think otherwise."""

    name: str
    form: Format
    answer_bytes_max: int
    random: Random
    connected: bool = True
    replicas: "list[SimReplica]" = field(default_factory=list)

    def connect(self, now: float) -> None:
        """The connection is up: sync."""
        self.connected = True
        for replica in self.replicas:
            replica.sync.ask_now(now)
            replica.set_timer()

    def disconnect(self) -> None:
        """The connection is gone."""
        self.connected = False
        for replica in self.replicas:
            replica.sync.disconnected()
            replica.set_timer()

    def restart(self) -> None:
        """The agent begins anew with what it has stored. It is not connected yet."""
        self.connected = False
        for replica in self.replicas:
            replica.store.steps_left = None
            replica.open()


class SimReplica:
    """One replica with its timetable, its store, and who watches it.

    Attributes:
        timer: when it wants to be called next.
    """

    def __init__(self, device: SimDevice, feed: str, view: View) -> None:
        self.device = device
        self.feed = feed
        self.witness = Witness(f"{device.name}/{feed}", feed)
        self.store = CrashingStore()
        self.timer = NEVER
        self.view = view
        self.since = view.since
        self.remainder_bytes_max: int | None = None
        self.open()

    def open(self) -> None:
        """Begin with what is stored."""
        random = self.device.random
        self.sync = FeedSync(
            self.feed,
            Replica(
                self.store,
                make_view_id=lambda: random.getrandbits(32),
                view=self.view,
                remainder_bytes_max=self.remainder_bytes_max,
            ),
            waits=WAITS,
            chance=random.random,
            request_id=lambda: random.randbytes(8),
            answer_bytes_max=self.device.answer_bytes_max,
        )
        self.set_timer()

    def set_timer(self) -> None:
        """Look up when the timetable wants to be called."""
        timer = self.sync.next_timer
        self.timer = NEVER if timer is None else timer

    def on_timer(self, now: float) -> Request | SyncDone | None:
        """The timer has come."""
        if self.since != self.sync.replica.state.view.since:
            self.move_window(now, self.since)
        result = self.sync.on_timer(now)
        self.set_timer()
        return result

    def want(self, view: View, remainder_bytes_max: int | None) -> None:
        """The device is configured to want something else, from its next start on."""
        self.view = view
        self.since = view.since
        self.remainder_bytes_max = remainder_bytes_max

    def move_window(self, now: float, since: int | None) -> None:
        """Another day, or a clock that was set."""
        happened = self.sync.move_window(now, since)
        self.view = self.sync.replica.state.view
        self.since = since
        self.set_timer()
        self.witness.happened(self.store, happened, since)

    def check_view(self) -> None:
        """It is what was configured, but for a clock that was set back a little."""
        view = self.sync.replica.state.view
        if view.model_copy(update={"since": self.view.since}) != self.view:
            raise Broken(f"{self.witness.name} asks for {view}, not for {self.view}")
        begins = view.since
        if begins is not None and (self.since is None or begins > self.since + SINCE_BACK_S_MAX):
            raise Broken(f"{self.witness.name}: its window begins at {begins}, not {self.since}")

    def fetch(self, now: float, item_id: str) -> None:
        """Somebody wants all of an item."""
        self.sync.fetch(now, item_id)
        self.set_timer()

    def incomplete(self) -> list[str]:
        """The items of which a part is held."""
        return [item.id for item in self.store.items() if not item.whole]

    def lose_collection(self) -> None:
        """What the gateway said of this replica is gone; items and contents are not."""
        state = self.sync.replica.state
        with self.store.transaction():
            self.store.forget_tokens()
            self.store.forget_removed(None)
            self.store.set_state(
                ReplicaState(view_id=state.view_id, base=state.base, view=state.view)
            )

    def lose_data(self) -> None:
        """Everything is gone."""
        self.store = CrashingStore()
        self.witness.lost_all()


@contextlib.contextmanager
def dying(replicas: Sequence[SimReplica], steps: int) -> Iterator[None]:
    """Kill the agent of these replicas at the write of that number, if there are so many."""
    for replica in replicas:
        replica.store.steps_left = steps
    with contextlib.suppress(Crash):
        yield
