"""How bad the world of a run is."""

from collections.abc import Mapping
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
    "transaction undone": 0.5,
}
# A run that has one of these has what mends it.
_MENDED_BY: Final = {
    "cut": "device online",
    "device offline": "device online",
    "feed restored": "feed backed up",
}


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


def draw(random: Random) -> Weather:
    """The weather of a run."""
    pick = random.choice
    edits = pick((0.5, 2.0, 8.0, 30.0))
    kinds = {name: often for name, often in FAULTS.items() if random.random() < 0.5}
    for cause, mended_by in _MENDED_BY.items():
        if cause in kinds:
            kinds[mended_by] = FAULTS[mended_by]
    faults = pick((0.0, 0.005, 0.05, 0.3)) if kinds else 0.0
    return Weather(
        loss=pick((0.0, 0.0, 0.02, 0.1, 0.5, 0.9)),
        double=pick((0.0, 0.0, 0.1, 0.3)),
        straight=pick((0.0, 0.5, 1.0)),
        edits=edits,
        timers=edits * pick((0.02, 0.05, 0.2)),
        faults=edits * faults,
        prompt=pick((0.1, 0.7, 1.0)),
        forms=pick(((Format.CBOR,), (Format.JSON,), tuple(Format))),
        encoded=random.random() < 0.1,
        kinds=kinds,
    )
