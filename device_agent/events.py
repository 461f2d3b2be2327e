"""What comes in to the agent's thread."""

from concurrent.futures import Future
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """Something was published on a topic that the device hears."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is up, and the device hears its topics."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone.

    Attributes:
        rival: another agent seems to have taken it.
    """

    reason: str
    rival: bool


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No connection could be made.

    Attributes:
        lasting: nothing mends it but other settings, certificates, or another broker.
    """

    reason: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker did not let the device in.

    Attributes:
        lasting: it knows who the device is, so that trying again would not help.
    """

    reason: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class Sync:
    """Somebody asks for a sync, and waits for its end."""

    done: Future[None]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Somebody wants all of an item, and waits until that is noted."""

    feed: str
    item_id: str
    done: Future[None]


@dataclass(frozen=True, slots=True)
class Look:
    """Another process may have noted in the file that it wants items."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The agent is to stop."""


ConnectionEvent = Connected | Lost | Unreachable | Refused
# What comes in to the agent's thread, beside its timers.
Event = Message | ConnectionEvent | Sync | Fetch | Look | Stop
