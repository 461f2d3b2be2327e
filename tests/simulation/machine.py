"""The simulated world once more, small, and with hypothesis to choose what happens next.

A run is a program of at most so many steps, and one that fails is cut down to the few that matter.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from gateway.rows import Alter, Delete, Mutation, Put
from sync_protocol.limits import ANSWER_BYTES_MIN
from sync_protocol.messages import Notification
from sync_protocol.views import WHOLE_FEED, ShownAs, View
from sync_protocol.wire import Format
from tests.simulation.device_side import NEVER, SimDevice, SimReplica
from tests.simulation.link import Flying, Hail, Push
from tests.simulation.rendering import HALF
from tests.simulation.views import DAY_S, kinds
from tests.simulation.weather import FAULTS, Weather
from tests.simulation.world import Stage

# Of each feed, the devices that hold it.
HOLDERS: Final = ((0, 1), (0,))
ITEMS: Final = 4
# None, less than a portion, more than one, more than a push carries and half of what an answer
# does, more than an answer carries.
_SIZES: Final = {"none": 0, "3 B": 3, "90 B": 90, "1.9 kB": 1_900, "5 kB": 5_000}
CONTENTS: Final = {
    name + mark: Random(name + mark).randbytes(size)
    for mark in ("", ", others")
    for name, size in _SIZES.items()
    if size or not mark
}
_ALTERED: Final[dict[str, Callable[[str], Mutation]]] = {
    "flagged": lambda item: Alter(item, flags=("$flagged",)),
    "not flagged": lambda item: Alter(item, flags=()),
    "moved": lambda item: Alter(item, folder="Archive"),
    "moved back": lambda item: Alter(item, folder=""),
    "deleted": Delete,
}
# Of each, what it is of a feed, and up to which size contents come by themselves.
VIEWS: Final[Mapping[str, tuple[Callable[[str], View], int | None]]] = {
    "all": (lambda _: WHOLE_FEED, None),
    "top folder": (lambda _: View(folders=("",)), None),
    "top folder and archive": (lambda _: View(folders=("", "Archive")), None),
    "one kind": (lambda feed: View(kinds=kinds(feed)[:1]), None),
    "from day 2 on": (lambda _: View(since=2 * DAY_S), None),
    "from day 4 on": (lambda _: View(since=4 * DAY_S), None),
    "small": (lambda _: View(item_bytes_max=80), None),
    "heads": (lambda _: View(portion_bytes=3), 2),
    "nothing of contents": (lambda _: View(portion_bytes=0), 0),
    "rendered": (
        lambda feed: View(shown_as=(ShownAs(kind=kinds(feed)[0], representation=HALF),)),
        None,
    ),
}
_ROUNDS_MAX: Final = 30
# Nothing happens by itself: all that could is left to the steps.
_CALM: Final = Weather(
    loss=0.0,
    double=0.0,
    straight=1.0,
    edits=0.0,
    timers=0.0,
    faults=0.0,
    prompt=0.0,
    forms=(Format.CBOR,),
    encoded=False,
    kinds={},
)

a_feed: Final = st.sampled_from((0, 0, 0, 1))
a_device: Final = st.integers(0, 1)
an_item: Final = st.integers(0, ITEMS - 1)
some_items: Final = st.lists(an_item, min_size=1, max_size=3, unique=True)
a_content: Final = st.sampled_from(list(CONTENTS))
a_day: Final = st.sampled_from((None, 1, 3))
a_view: Final = st.sampled_from(list(VIEWS))
a_message: Final = st.integers(0, 9)
some_choices: Final = st.lists(st.integers(0, 5), max_size=3)


class Choices(Random):
    """What the parts of the simulator draw comes from `upcoming`, and is the first once that ends.

    Ids are drawn as ever: each is another.
    """

    upcoming: list[int]

    def __init__(self) -> None:
        super().__init__(0)
        self.upcoming = []

    def _next(self) -> int:
        return self.upcoming.pop(0) if self.upcoming else 0

    def random(self) -> float:
        return self._next() % 4 / 4

    def randrange(self, start: int, _stop: int | None = None, _step: int = 1) -> int:
        return self._next() % start

    def choice(self, seq: Any) -> Any:  # noqa: ANN401 - as in Random
        return seq[self._next() % len(seq)]


def _device(number: int) -> SimDevice:
    device = SimDevice(
        f"device-{number}",
        Format.CBOR,
        (ANSWER_BYTES_MIN, 16_384)[number],
        Random(number),
    )
    device.replicas = [
        SimReplica(device, f"feed-{feed}", WHOLE_FEED)
        for feed, holders in enumerate(HOLDERS)
        if number in holders
    ]
    return device


def _told(flying: Flying) -> str:
    if isinstance(flying, Hail):
        return f"hail to {flying.device.name}"
    about = ""
    if isinstance(flying, Push) and isinstance(push := flying.message, Notification):
        about = f" n={push.n} {'remove' if push.put is None else 'put'} {push.item_id}"
    return f"{flying.kind}{about}, {flying.replica.witness.name}"


class Machine(RuleBasedStateMachine):
    """Two devices that hold a feed, and one of them another; all begin in step, and empty.

    The witnesses of the replicas check each step, as they do in the simulator.
    """

    def __init__(self) -> None:
        super().__init__()
        self.choices = Choices()
        self.stage = Stage(
            self.choices,
            weather=_CALM,
            feeds=[f"feed-{feed}" for feed in range(len(HOLDERS))],
            devices=[_device(0), _device(1)],
        )
        self.stage.begin()
        self.stage.settle()

    # The feed

    @rule(
        feed=a_feed,
        items=some_items,
        content=a_content,
        kind=st.sampled_from((0, 0, 1)),
        day=a_day,
        prompt=st.booleans(),
    )
    def put(
        self,
        *,
        feed: int,
        items: Sequence[int],
        content: str,
        kind: int,
        day: int | None,
        prompt: bool,
    ) -> None:
        for item in items:
            self._edit(
                feed,
                Put(
                    f"item-{item}",
                    CONTENTS[content],
                    kind=kinds(self.stage.feeds[feed])[kind],
                    media_type="text/vcard",
                    date=None if day is None else day * DAY_S,
                ),
            )
        if prompt:
            self.notify(feed=feed)

    @rule(feed=a_feed, item=an_item, what=st.sampled_from(list(_ALTERED)), prompt=st.booleans())
    def alter(self, *, feed: int, item: int, what: str, prompt: bool) -> None:
        self._edit(feed, _ALTERED[what](f"item-{item}"))
        if prompt:
            self.notify(feed=feed)

    @rule(feed=a_feed)
    def notify(self, *, feed: int) -> None:
        self.stage.gateway.notify(self.stage.feeds[feed])

    # The link

    @precondition(lambda self: self.stage.link.flying)
    @rule(message=a_message)
    def deliver(self, *, message: int) -> None:
        flying = self.stage.link.flying
        self._deliver(flying.pop(message % len(flying)))

    @precondition(lambda self: self.stage.link.flying)
    @rule(message=a_message)
    def lose(self, *, message: int) -> None:
        flying = self.stage.link.flying
        note(f"# {_told(flying.pop(message % len(flying)))}")

    @precondition(lambda self: self.stage.link.flying)
    @rule(message=a_message)
    def deliver_and_keep(self, *, message: int) -> None:
        """It comes once more, some time."""
        flying = self.stage.link.flying
        self._deliver(flying[message % len(flying)])

    @precondition(lambda self: self.stage.link.flying)
    @rule(count=st.integers(2, 6))
    def deliver_in_order(self, *, count: int) -> None:
        for _ in range(min(count, len(self.stage.link.flying))):
            self._deliver(self.stage.link.take_first())

    # The devices

    @rule(feed=a_feed, device=a_device)
    def timer(self, *, feed: int, device: int) -> None:
        self._fire(self._replica(feed, device))

    @rule(feed=a_feed, device=a_device)
    def sync(self, *, feed: int, device: int) -> None:
        """It asks as long as it does so at once; whatever else is on its way stays there."""
        replica = self._replica(feed, device)
        flying = self.stage.link.flying
        for _ in range(_ROUNDS_MAX):
            if self._fire(replica):
                self.stage.deliver(flying.pop())
                self.stage.deliver(flying.pop())
                if replica.timer > self.stage.clock:
                    break

    @rule(feed=a_feed, device=a_device, view=a_view)
    def want(self, *, feed: int, device: int, view: str) -> None:
        """The agent is configured anew, and restarted."""
        replica = self._replica(feed, device)
        made, remainder_bytes_max = VIEWS[view]
        replica.want(made(replica.feed), remainder_bytes_max)
        self.stage.faults.restart_agent(replica.device)

    @rule(feed=a_feed, device=a_device, day=st.sampled_from((1, 2, 3, 6)))
    def move_window(self, *, feed: int, device: int, day: int) -> None:
        self._replica(feed, device).move_window(self.stage.clock, day * DAY_S)

    @rule(feed=a_feed, device=a_device, item=an_item)
    def fetch(self, *, feed: int, device: int, item: int) -> None:
        self._replica(feed, device).fetch(self.stage.clock, f"item-{item}")

    @rule(seconds=st.sampled_from((1, 10, 2_000)))
    def wait(self, *, seconds: int) -> None:
        self.stage.wait_until(self.stage.clock + seconds)

    # What goes wrong, and what an operator does

    @rule(kind=st.sampled_from(list(FAULTS)), device=a_device, choices=some_choices)
    def happen(self, *, kind: str, device: int, choices: Sequence[int]) -> None:
        """`device`: for those that are about one. `choices`: what the simulator would draw."""
        self.choices.upcoming = list(choices)
        self.stage.faults.happen(kind, self.stage.devices[device])
        self.choices.upcoming = []

    @precondition(lambda self: not all(device.connected for device in self.stage.devices))
    @rule()
    def all_come_online(self) -> None:
        for device in self.stage.devices:
            self.stage.faults.happen("device online", device)

    # What must hold

    @rule()
    def quiet(self) -> None:
        """All is delivered, all sync, all are equal, and a repeat brings nothing."""
        self.stage.end_well()

    def teardown(self) -> None:
        if sys.exception() is None:  # else a step has failed, and that is what is to be told
            self.quiet()

    def _edit(self, feed: int, mutation: Mutation) -> None:
        name = self.stage.feeds[feed]
        newest = self.stage.gateway.chronicles[name].newest.get(mutation.id)
        if isinstance(mutation, Put) or (newest is not None and newest.facts is not None):
            self.stage.gateway.apply(name, mutation)

    def _replica(self, feed: int, device: int) -> SimReplica:
        holders = HOLDERS[feed]
        holder = self.stage.devices[holders[device % len(holders)]]
        return next(it for it in holder.replicas if it.feed == self.stage.feeds[feed])

    def _fire(self, replica: SimReplica) -> bool:
        if replica.timer == NEVER:
            return False
        self.stage.wait_until(replica.timer)
        return self.stage.fire(replica)

    def _deliver(self, flying: Flying) -> None:
        note(f"# {_told(flying)}")
        self.stage.deliver(flying)
