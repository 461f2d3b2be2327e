"""Messages on their way, which may vanish, come twice, in any order and after any time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from sync_protocol.messages import Answer, Notification, Request
from tests.simulation.chronicle import Shown
from tests.simulation.device_side import SimDevice, SimReplica
from tests.simulation.promises import Asked
from tests.simulation.weather import Weather

# Messages on their way to and from one device. More, and the oldest are lost.
MESSAGES_MAX: Final = 60


@dataclass(slots=True, eq=False)
class Push:
    """A notification.

    Attributes:
        message: as it is or, in an encoded run, as bytes.
        shown: what it tells of.
        after: seq of the newest change in view before this one when it was made; None if a purge
            leaves that uncertain.
        restores: how often the feed had been restored when it was made.
    """

    replica: SimReplica
    message: Notification | bytes
    shown: Shown
    after: int | None
    restores: int
    kind = "push"


@dataclass(slots=True, eq=False)
class Ask:
    """A request, and what the device held when it made it."""

    replica: SimReplica
    message: Request | bytes
    asked: Asked
    kind = "request"


@dataclass(slots=True, eq=False)
class Reply:
    """An answer.

    Attributes:
        shown: what its changes, or puts, are, in their order.
        compared: what an inventory compared, and the feed's versions of it.
        in_view: what was in the feed when it was made, deletes and what was out of view included,
            and not quarantined.
        held_back: the items in view that were quarantined then.
        generation: of the device's enrolment then.
        restores: as in a push.
    """

    replica: SimReplica
    message: Answer | bytes
    shown: list[Shown]
    compared: list[Shown]
    in_view: Mapping[str, Shown]
    held_back: frozenset[str]
    generation: bytes
    restores: int
    kind = "answer"


@dataclass(slots=True, eq=False)
class Hail:
    """The gateway says that it is there again."""

    device: SimDevice
    kind = "hail"


Flying = Push | Ask | Reply | Hail


def _device(flying: Flying) -> SimDevice:
    return flying.device if isinstance(flying, Hail) else flying.replica.device


@dataclass(slots=True)
class Link:
    """All that is on its way, oldest first."""

    random: Random
    weather: Weather
    lost: Callable[[str], None]
    messages_max: int
    flying: list[Flying] = field(default_factory=list)

    def send(self, message: Flying) -> None:
        """Put a message on its way."""
        self.flying.append(message)
        if len(self.flying) > self.messages_max:
            self.lost(self.flying.pop(0).kind)

    def take(self) -> tuple[Flying, str]:
        """The next message, and what becomes of it: "", "late", "lost" or "doubled"."""
        chance = self.random.random
        index = 0
        if self.weather.straight < 1 and chance() >= self.weather.straight:
            index = int(chance() * len(self.flying))
        flying = self.flying[index]
        if isinstance(flying, Push) and self.weather.late and chance() < self.weather.late:
            return flying, "late"
        fate = chance()
        if fate < self.weather.loss:
            return self.flying.pop(index), "lost"
        if fate > 1 - self.weather.double:
            return flying, "doubled"
        return self.flying.pop(index), ""

    def take_first(self) -> Flying:
        """The oldest message, when all is quiet."""
        return self.flying.pop(0)

    def cut(self, device: SimDevice, *, share: float) -> None:
        """A connection broke: of what is on its way there and back, this share vanishes."""
        chance = self.random.random
        self.flying = [it for it in self.flying if _device(it) is not device or chance() >= share]

    def drop_requests(self, *, share: float) -> None:
        """The gateway stopped: of the requests, this share never reached it."""
        chance = self.random.random
        self.flying = [it for it in self.flying if not (isinstance(it, Ask) and chance() < share)]
