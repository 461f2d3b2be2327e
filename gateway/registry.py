"""Which devices are online, and what is known of their replicas while they are."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.ledger import Record
from gateway.notifier import Target
from gateway.rivals import Rivals


class Registry:
    """Records of online devices, and of offline ones until they are written.

    Used by the thread that answers and by the one that notifies; it holds its lock for look-ups
    only.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._online: dict[str, float] = {}
        self._records: dict[str, dict[str, Record]] = {}
        self._unsaved: set[str] = set()
        # Of devices whose tokens were ended: what is told of an earlier generation comes too late.
        self._generations: dict[str, bytes] = {}
        # Those that are to ask before anything is pushed to them.
        self._awaited: set[str] = set()
        self._rivals = Rivals()

    def recall(self, device: str, records: Mapping[str, Record]) -> None:
        """Have at hand what the ledger holds of a device."""
        with self._lock:
            current = {
                feed: it for feed, it in records.items() if self._is_current(device, it.generation)
            }
            # What a request told since is newer than the ledger.
            self._records[device] = {**current, **self._records.get(device, {})}

    def _is_current(self, device: str, generation: bytes) -> bool:
        return self._generations.get(device, generation) == generation

    def keep_only(self, device: str, generation: bytes) -> None:
        """Drop what is known of other enrolments of a device."""
        with self._lock:
            records = self._records.get(device, {})
            if any(record.generation != generation for record in records.values()):
                del self._records[device]
                self._unsaved.discard(device)

    def came_online(self, device: str, now: float) -> None:
        """A device says that it is there."""
        with self._lock:
            self._online[device] = now

    def went_offline(self, device: str) -> None:
        """A device says, or its will does, that it is gone."""
        with self._lock:
            self._online.pop(device, None)
            self._let_go(device)

    def synced(self, device: str, feed: str, record: Record) -> None:
        """A request told what a replica holds."""
        with self._lock:
            if not self._is_current(device, record.generation):
                return
            self._awaited.discard(device)
            self._records.setdefault(device, {})[feed] = record
            self._unsaved.add(device)

    def asked(self, device: str, feed: str, view_id: int, *, now: float) -> bool:
        """A replica asks; whether this is the first sign that two agents use the device's id."""
        with self._lock:
            return self._rivals.asked(device, feed, view_id, now=now)

    def are_two(self, device: str, *, now: float) -> bool:
        """Whether two agents use the device's id."""
        with self._lock:
            return self._rivals.are_two(device, now=now)

    def two_agents(self, *, now: float) -> Sequence[str]:
        """The devices whose ids two agents use, sorted."""
        with self._lock:
            return self._rivals.devices(now=now)

    def is_known(self, device: str) -> bool:
        """Whether the records of a device are at hand, so that the ledger need not be read."""
        with self._lock:
            return device in self._records

    def is_online(self, device: str) -> bool:
        """Whether a device said that it is there."""
        with self._lock:
            return device in self._online

    def online(self) -> Sequence[str]:
        """The devices that are there, sorted."""
        with self._lock:
            return sorted(self._online)

    def record(self, device: str, feed: str) -> Record | None:
        """What is known of a replica, if it is at hand."""
        with self._lock:
            return self._records.get(device, {}).get(feed)

    def targets(self, feed: str) -> Sequence[Target]:
        """The replicas of a feed to push to: online, and known (P1)."""
        with self._lock:
            return [
                Target(
                    device,
                    generation=record.generation,
                    base=record.base,
                    view_id=record.view_id,
                    form=record.form,
                    view=record.view,
                )
                for device in self._online
                if (record := self._records.get(device, {}).get(feed)) is not None
            ]

    def regenerate(self, device: str, generation: bytes) -> None:
        """A device's tokens mean nothing any more; what is known of its replicas stays."""
        with self._lock:
            self._generations[device] = generation
            records = self._records.get(device)
            if records is not None:
                for feed, record in records.items():
                    records[feed] = replace(record, generation=generation)
                self._unsaved.add(device)

    def let_be(self, device: str, generation: bytes) -> None:
        """A device's tokens end, and what its replicas may see.

        Until it has asked, nothing is known of them, and nothing is pushed.
        """
        with self._lock:
            self._generations[device] = generation
            self._unsaved.discard(device)
            self._records.pop(device, None)
            self._awaited.add(device)

    def awaited(self) -> Sequence[str]:
        """The devices that are there, and that are to ask before anything is pushed to them."""
        with self._lock:
            return sorted(self._awaited & self._online.keys())

    def is_of(self, device: str, generation: bytes) -> bool:
        """Whether a device's tokens have not ended since it was of that generation."""
        with self._lock:
            return self._is_current(device, generation)

    def forget(self, device: str) -> None:
        """Drop a device that was removed."""
        with self._lock:
            self._online.pop(device, None)
            self._records.pop(device, None)
            self._unsaved.discard(device)
            self._generations.pop(device, None)
            self._awaited.discard(device)
            self._rivals.forget(device)

    def forget_feed(self, feed: str) -> None:
        """Drop the replicas of a feed that was removed."""
        with self._lock:
            for device, records in self._records.items():
                if records.pop(feed, None) is not None:
                    self._unsaved.add(device)

    def take_unsaved(self) -> Mapping[str, Mapping[str, Record]]:
        """The records to write to the ledger now; device -> feed -> record."""
        with self._lock:
            unsaved = {
                device: dict(self._records[device])
                for device in self._unsaved
                if device in self._records
            }
            self._unsaved.clear()
            for device in unsaved:
                self._let_go(device)
            return unsaved

    def _let_go(self, device: str) -> None:
        # An offline device costs no memory once its records are written.
        if device not in self._online and device not in self._unsaved:
            self._records.pop(device, None)
