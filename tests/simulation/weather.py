"""How bad the world of a run is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from sync_protocol.wire import Format

# What goes wrong beside the messages: each has a method of its name in the world. The numbers say
# how often one happens in a run that has it at all.
FAULTS: Final[Mapping[str, float]] = {
    "cut": 4,
    "device offline": 3,
    "device online": 20,
    "agent restart": 2,
    "agent crash": 4,
    "gateway restart": 1,
    "gateway crash before notify": 1,
    "gateway crash before ledger": 1,
    "ledger lost": 0.5,
    "collection lost": 0.5,
    "device data lost": 0.3,
    "device resynced": 0.5,
    "device enrolled again": 0.5,
    "item quarantined": 1,
    "quarantine ended": 1,
    "markers purged": 1,
    "feed backed up": 1,
    "feed restored": 0.5,
    "feed set back": 1,
    "inventory disturbed": 4,
    "transaction undone": 0.5,
    "view changed": 1,
    "window moved": 2,
    "content fetched": 3,
    "device limited": 0.5,
    "renderer changed": 0.2,
}
# What does harm together. Many runs of a slow feed have only these, so that nothing mends it.
TOGETHER: Final[Sequence[Mapping[str, float]]] = (
    {
        "item quarantined": 1,
        "quarantine ended": 0.3,
        "feed backed up": 1,
        "feed restored": 1,
        "collection lost": 1,
    },
    {"feed set back": 1, "item quarantined": 1},
    {"inventory disturbed": 3, "collection lost": 1},
    {"view changed": 1, "window moved": 2, "device limited": 0.3, "content fetched": 1},
    {"view changed": 0.5, "item quarantined": 1, "quarantine ended": 0.5, "renderer changed": 0.2},
)
# A run that has one of these has what mends it.
_MENDED_BY: Final = {
    "cut": "device online",
    "device offline": "device online",
    "feed restored": "feed backed up",
}
# Little is changed in a slow feed, and much happens between two changes.
_SLOW_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Weather:
    """What is drawn once for a run, so that runs differ widely.

    Attributes:
        loss, double: the chance of a message to vanish, and to come again.
        straight: the share of messages that come in the order they were sent.
        edits, timers, faults: how often these happen, where 1 is one message on its way.
        prompt: the chance that a commit is notified before anything else happens.
        forms: what devices speak.
        encoded: whether messages travel as bytes.
        kinds: the faults there are, and how often each is one of them.
        late: the chance of a push to wait when its turn comes.
        slow: whether little is changed. Then feeds begin with items, and more often with so many
            that an inventory of them takes several requests.
    """

    loss: float
    double: float
    straight: float
    edits: float
    timers: float
    faults: float
    prompt: float
    forms: tuple[Format, ...]
    encoded: bool
    kinds: Mapping[str, float]
    late: float = 0.0
    slow: bool = False


def draw(random: Random) -> Weather:
    """The weather of a run."""
    pick = random.choice
    slow = random.random() < _SLOW_SHARE
    edits = pick((0.02, 0.05, 0.1) if slow else (0.5, 2.0, 8.0, 30.0))
    kinds = {name: often for name, often in FAULTS.items() if random.random() < 0.5}
    for cause, mended_by in _MENDED_BY.items():
        if cause in kinds:
            kinds[mended_by] = FAULTS[mended_by]
    if slow:
        kinds = dict(pick((kinds, *TOGETHER)))
    timers = pick((0.1, 0.3, 1.0)) if slow else edits * pick((0.02, 0.05, 0.2))
    faults = pick((0.1, 0.3, 1.0)) if slow else edits * pick((0.0, 0.005, 0.05, 0.3))
    return Weather(
        loss=pick((0.0, 0.0, 0.02, 0.1, 0.5, 0.9)),
        double=pick((0.0, 0.0, 0.1, 0.3)),
        straight=pick((0.0, 0.5, 1.0)),
        edits=edits,
        timers=timers,
        faults=faults if kinds else 0.0,
        prompt=pick((0.1, 0.7, 1.0)),
        forms=pick(((Format.CBOR,), (Format.JSON,), tuple(Format))),
        encoded=random.random() < 0.1,
        kinds=kinds,
        late=pick((0.0, 0.9)) if slow else 0.0,
        slow=slow,
    )
