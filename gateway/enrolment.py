"""Devices enrolled, limited, listed and taken away, and the proof of who they are."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from gateway import device as devices
from gateway.accounts import Accounts, AccountsByHand
from gateway.counters import Counters
from gateway.device import Allowed, Device, DeviceExistsError, NoSuchDeviceError
from gateway.feed import NoSuchFeedError, StorageError
from gateway.feed_sqlite import SqliteTransaction
from gateway.info import DeviceInfo, device_info
from gateway.ledger import Ledger
from gateway.registry import Registry
from gateway.rivals import WARNING
from gateway.state_file import SqliteStore
from gateway.way_in import WayIn
from gateway.writer import WriterClosedError
from sync_protocol import names
from sync_protocol.credential import Credential

if TYPE_CHECKING:
    from gateway.notifying import Notifying

_LOG: Final = logging.getLogger(__name__)
# So many are named where all devices may have the same problem.
NAMED_MAX: Final = 5


class Enrolment:
    """What an operator may do with devices. Methods may be called from any thread."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        ledger: Ledger,
        registry: Registry,
        counters: Counters,
        write: Callable[[Callable[[SqliteTransaction], None]], None],
        unix_time: Callable[[], float],
        way_in: WayIn,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._registry = registry
        self._write = write
        self._unix_time = unix_time
        # Devices that are online are told of what concerns them, once somebody does.
        self.notifying: Notifying | None = None
        # Where the broker is, and who its accounts are made by, once it is there.
        self.way_in = way_in
        self.accounts: Accounts = AccountsByHand(counters=counters)
        # Held while a device comes, changes or goes: at the broker and in the store.
        self.one_at_a_time = threading.Lock()

    def add(
        self, device_id: str, feeds: Sequence[str], *, allowed: Allowed = devices.EVERYTHING
    ) -> str:
        """Enrol a device; its credential, which is kept nowhere.

        DeviceError, NoSuchFeedError; AccountError if the broker cannot be told, and then nothing is
        changed. AccountTakenError if the broker has an account of that name already.
        """
        try:
            names.device_id(device_id)
        except ValueError as error:
            raise devices.DeviceError(str(error)) from error
        if not feeds:
            raise devices.DeviceError("a device holds at least one feed: --feed FEED says which")
        feeds = tuple(sorted(set(feeds)))
        secret, secret_hash = _new_secret()
        enrolled = Device(
            id=device_id,
            secret_hash=secret_hash,
            generation=os.urandom(devices.GENERATION_BYTES),
            feeds=feeds,
            allowed=allowed,
        )
        self.credential(device_id, feeds, secret)  # or it is refused before anything is done
        now = int(self._unix_time())
        with self.one_at_a_time:
            if self._store.device(device_id) is not None:
                raise DeviceExistsError(device_id)
            for feed in sorted(set(feeds) - set(self._store.feeds())):
                raise NoSuchFeedError(feed)
            left = self._store.unsettled_accounts()
            self.accounts.check_free(device_id, may_be_left=device_id in left)
            # First at the broker, so that no credential is shown that does not let anybody in. A
            # crash leaves an account of no device, which was noted before: it is taken away.
            if self.accounts.are_made:
                self._write(lambda transaction: transaction.unsettle_account(device_id))
            self.accounts.set_up(device_id, feeds, secret)
            try:
                self._write(lambda transaction: transaction.add_device(enrolled, now=now))
            except BaseException:
                self._shut_off(device_id)
                raise
        return secret

    def rotate(self, device_id: str) -> str:
        """Give a device a new credential, and shut out the old one at once; it is kept nowhere.

        The device stays the same, and nothing is sent again. NoSuchDeviceError; DeviceError if it
        has no feed any more; AccountError if the broker cannot be told: if that did not answer, the
        old credential may be shut out already.
        """
        secret, secret_hash = _new_secret()
        with self.one_at_a_time:
            enrolled = self._enrolled(device_id)
            self.credential(device_id, enrolled.feeds, secret)
            self.accounts.set_up(device_id, enrolled.feeds, secret)
            try:
                self._write(lambda transaction: transaction.set_secret_hash(device_id, secret_hash))
            except StorageError as error:
                raise StorageError(
                    f"{error}. The broker may let nobody in as {device_id} any more: once that is"
                    f" mended, 'gateway device rotate {device_id}' again"
                ) from error
            self.accounts.changed(device_id)
        self._registry.went_offline(device_id)
        return secret

    def remove(self, device_id: str) -> bool:
        """Take a device away, and shut it out at once.

        One that is not enrolled, and has an account at the broker, loses that. NoSuchDeviceError;
        AccountError if a device is not enrolled, and the broker cannot be asked for its account.

        False if the broker still lets it in, for it could not be told: it is when it is back.
        """
        with self.one_at_a_time:
            is_enrolled = self._store.device(device_id) is not None
            if not is_enrolled and not self.accounts.is_stranger(device_id):
                raise NoSuchDeviceError(device_id)

            def work(transaction: SqliteTransaction) -> None:
                if is_enrolled:
                    transaction.remove_device(device_id)
                if self.accounts.are_made:
                    transaction.unsettle_account(device_id)

            self._write(work)
            self._registry.forget(device_id)
            self._ledger.forget(device_id)
            return self._shut_off(device_id)

    def _shut_off(self, device_id: str) -> bool:
        """Have the broker let a device in no more that is gone; whether that is done."""
        is_out = self.accounts.removed(device_id)
        if is_out and self.accounts.are_made:
            self.settled({device_id})
        return is_out

    def settled(self, device_ids: AbstractSet[str]) -> None:
        """The broker has no accounts of these any more."""
        if not device_ids:
            return
        # What cannot be written now is found once more, and then there is nothing to take away.
        with contextlib.suppress(StorageError, WriterClosedError):
            self._write(lambda transaction: transaction.settle_accounts(device_ids))

    def credential(self, device_id: str, feeds: Sequence[str], secret: str) -> Credential:
        """All that a device needs to reach the gateway. DeviceError if that cannot be said."""
        return self.way_in.credential(device_id, secret, tuple(feeds))

    def shut_out(self, device_id: str, seconds: float) -> None:
        """Throw a device out of the broker, and let it in again after that time.

        The caller does not wait for the broker. Who is not enrolled has no account of ours: whoever
        may write such a topic must not have somebody else's account closed.
        """
        if self._store.device(device_id) is None:
            return
        _LOG.warning("device %s is shut out for %.0f s", device_id, seconds)
        self.accounts.shut_out(device_id, seconds)
        self._registry.went_offline(device_id)

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

    def _enrolled(self, device_id: str) -> Device:
        enrolled = self._store.device(device_id)
        if enrolled is None:
            raise NoSuchDeviceError(device_id)
        return enrolled

    def all(self) -> Sequence[DeviceInfo]:
        """All devices, sorted by id."""
        without_account = frozenset(self.accounts.without_account())
        return [self._info(it, without_account) for it in self._store.devices()]

    def one(self, device_id: str) -> DeviceInfo:
        """One device. NoSuchDeviceError."""
        enrolled = self._enrolled(device_id)
        return self._info(enrolled, frozenset(self.accounts.without_account()))

    def feeds_of_all(self) -> Mapping[str, Sequence[str]]:
        """Device -> its feeds."""
        return {enrolled.id: enrolled.feeds for enrolled in self._store.devices()}

    def authenticate(self, device_id: str, secret: str) -> bool:
        """Whether `secret` lets that device in; an unknown one takes as long."""
        enrolled = self._store.device(device_id)
        is_right = devices.verify_secret(secret, enrolled.secret_hash if enrolled else None)
        return is_right and not self.accounts.shut_out_s(device_id)

    def problems(self) -> Sequence[str]:
        """What is wrong with the devices' accounts at the broker, in words."""
        problems = list(self.accounts.problems())
        without = self.accounts.without_account()
        problems += [f"device {device}: {_no_account(device)}" for device in without[:NAMED_MAX]]
        if len(without) > NAMED_MAX:
            problems.append(
                f"{len(without) - NAMED_MAX} more devices have no account at the broker: 'gateway"
                " device list' names them"
            )
        two = self._registry.two_agents(now=self._unix_time())
        return problems + [f"device {device}: {WARNING}" for device in two]

    def _info(self, enrolled: Device, without_account: frozenset[str]) -> DeviceInfo:
        warnings = [_no_account(enrolled.id)] if enrolled.id in without_account else []
        if left_s := self.accounts.shut_out_s(enrolled.id):
            warnings.append(f"it sends too much, and is shut out for another {left_s:.0f} s")
        return device_info(
            enrolled,
            store=self._store,
            registry=self._registry,
            ledger=self._ledger,
            now=self._unix_time(),
            warnings=warnings,
        )

    def online_count(self) -> int:
        """How many devices are there."""
        return len(self._registry.online())


def _new_secret() -> tuple[str, str]:
    """A credential, and what is kept of it."""
    secret = devices.make_secret(os.urandom(devices.SECRET_BYTES))
    return secret, devices.hash_secret(secret, salt=os.urandom(devices.SALT_BYTES))


def _no_account(device: str) -> str:
    return f"it has no account at the broker: 'gateway device rotate {device}' makes one"
