"""The ledger: what each replica held when it last synced. All of it a request can rebuild."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sync_protocol.token_set import TokenSet
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format


@dataclass(frozen=True, slots=True)
class Record:
    """One replica at its last sync (G7).

    Attributes:
        generation: of the device's enrolment.
        base: what its compressed tokens count from.
        form: of its last request: the form in which it is answered and notified.
        held: its compressed tokens.
        synced_at: Unix seconds, for people.
        view: what of the feed it wants, and may have.
    """

    generation: bytes
    base: int
    view_id: int
    form: Format
    epoch: bytes
    held: TokenSet
    synced_at: int
    view: View = WHOLE_FEED


class Ledger(Protocol):
    """Where records are kept, one small place for each device."""

    def load(self, device: str, generation: bytes) -> Mapping[str, Record]:
        """Feed -> record; empty if nothing is known of that enrolment of the device."""

    def save(self, device: str, generation: bytes, records: Mapping[str, Record]) -> None:
        """Replace all records of a device: the old ones or the new ones survive a kill."""

    def forget(self, device: str) -> None:
        """Drop all records of a device."""


class MemoryLedger:
    """A ledger in a dictionary, for the simulator and for tests."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, Mapping[str, Record]]] = {}

    def load(self, device: str, generation: bytes) -> Mapping[str, Record]:
        """See `Ledger`."""
        kept_generation, records = self._kept.get(device, (generation, {}))
        return dict(records) if kept_generation == generation else {}

    def save(self, device: str, generation: bytes, records: Mapping[str, Record]) -> None:
        """See `Ledger`."""
        self._kept[device] = (generation, dict(records))

    def forget(self, device: str) -> None:
        """See `Ledger`."""
        self._kept.pop(device, None)
