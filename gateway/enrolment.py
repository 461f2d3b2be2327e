"""Devices enrolled, limited, listed and taken away, and the proof of who they are."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gateway import device as devices
from gateway.device import Allowed, Device, NoSuchDeviceError
from gateway.feed_sqlite import SqliteTransaction
from gateway.info import DeviceInfo, device_info
from gateway.ledger import Ledger
from gateway.registry import Registry
from gateway.state_file import SqliteStore
from sync_protocol import names

if TYPE_CHECKING:
    from gateway.notifying import Notifying


class Enrolment:
    """What an operator may do with devices. Methods may be called from any thread."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        ledger: Ledger,
        registry: Registry,
        write: Callable[[Callable[[SqliteTransaction], None]], None],
        unix_time: Callable[[], float],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._registry = registry
        self._write = write
        self._unix_time = unix_time
        # Devices that are online are told of what concerns them, once somebody does.
        self.notifying: Notifying | None = None
        # The broker that lets devices in, if it is ours, is to shut a removed one out.
        self.on_removed: Callable[[str], None] | None = None

    def add(
        self, device_id: str, feeds: Sequence[str], *, allowed: Allowed = devices.EVERYTHING
    ) -> str:
        """Enrol a device; its credential, which is kept nowhere. DeviceError, FeedError."""
        try:
            names.device_id(device_id)
        except ValueError as error:
            raise devices.DeviceError(str(error)) from error
        if not feeds:
            raise devices.DeviceError("a device holds at least one feed: --feed FEED says which")
        secret = devices.make_secret(os.urandom(devices.SECRET_BYTES))
        enrolled = Device(
            id=device_id,
            secret_hash=devices.hash_secret(secret, salt=os.urandom(devices.SALT_BYTES)),
            generation=os.urandom(devices.GENERATION_BYTES),
            feeds=tuple(sorted(set(feeds))),
            allowed=allowed,
        )
        now = int(self._unix_time())
        self._write(lambda transaction: transaction.add_device(enrolled, now=now))
        return secret

    def remove(self, device_id: str) -> None:
        """Take a device away, with its credential. NoSuchDeviceError."""
        self._write(lambda transaction: transaction.remove_device(device_id))
        self._registry.forget(device_id)
        self._ledger.forget(device_id)
        if self.on_removed is not None:
            self.on_removed(device_id)

    def resync(self, device_id: str) -> None:
        """Have a device compare all that it holds with its feeds. NoSuchDeviceError.

        One that is offline does so when it is back. Content that it holds is not sent again.
        """
        self._recall(device_id)
        generation = os.urandom(devices.GENERATION_BYTES)
        self._write(lambda transaction: transaction.set_generation(device_id, generation))
        self._registry.regenerate(device_id, generation)
        if self.notifying is not None:
            self.notifying.remind(device_id)

    def limit(self, device_id: str, allowed: Allowed) -> None:
        """Let a device see this of its feeds, and no more. NoSuchDeviceError.

        From now on nothing else is sent to it; with its next sync it drops the rest.
        """
        generation = os.urandom(devices.GENERATION_BYTES)
        self._write(lambda transaction: transaction.set_allowed(device_id, allowed, generation))
        self._registry.let_be(device_id, generation)
        self._ledger.forget(device_id)
        if self.notifying is not None:
            self.notifying.let_be(device_id)
            self.notifying.remind(device_id)

    def _recall(self, device_id: str) -> None:
        """Have at hand what the ledger knows of a device while it knows it."""
        enrolled = self._store.device(device_id)
        if enrolled is not None and not self._registry.is_known(device_id):
            self._registry.recall(device_id, self._ledger.load(device_id, enrolled.generation))

    def all(self) -> Sequence[DeviceInfo]:
        """All devices, sorted by id."""
        return [self._info(enrolled) for enrolled in self._store.devices()]

    def one(self, device_id: str) -> DeviceInfo:
        """One device. NoSuchDeviceError."""
        enrolled = self._store.device(device_id)
        if enrolled is None:
            raise NoSuchDeviceError(device_id)
        return self._info(enrolled)

    def authenticate(self, device_id: str, secret: str) -> bool:
        """Whether `secret` is the credential of that device. Takes some 50 ms either way."""
        enrolled = self._store.device(device_id)
        return devices.verify_secret(secret, enrolled.secret_hash if enrolled else None)

    def _info(self, enrolled: Device) -> DeviceInfo:
        return device_info(
            enrolled,
            store=self._store,
            registry=self._registry,
            ledger=self._ledger,
            now=self._unix_time(),
        )

    def online_count(self) -> int:
        """How many devices are there."""
        return len(self._registry.online())
