"""The broker's side of who devices are: what has to be done there when one comes, changes or goes.

`gateway.dynamic_security` does it at a Mosquitto; here are the others.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.counters import Counters


class Accounts(Protocol):
    """The accounts of devices at the broker. From any thread.

    `set_up` is called before the store knows of the credential, and `changed` and `removed` after
    it, each for one device at a time.
    """

    @property
    def are_made(self) -> bool:
        """Whether they are made by the gateway, which then has to take them away, too."""

    def check_free(self, device: str, *, may_be_left: bool) -> None:
        """AccountTakenError if a new device would take an account that is there; AccountError.

        One that the gateway itself left there is taken if `may_be_left`.
        """

    def is_stranger(self, device: str) -> bool:
        """Whether the broker has an account of such a device, which is not enrolled. AccountError.

        Of a device of this gateway by its role, that is.
        """

    def set_up(self, device: str, feeds: Sequence[str], secret: str) -> None:
        """Have the broker let a device in with this secret and no other.

        Whoever was shut out had another one: with that the time ends, here or in `changed`.

        AccountError if that cannot be done; a part of it may be done.
        """

    def changed(self, device: str) -> None:
        """The store holds another credential of a device from now on."""

    def removed(self, device: str) -> bool:
        """A device is gone; whether the broker lets it in no more already, or will when told."""

    def recheck(self) -> None:
        """Devices may not be what they were: compare the accounts with them soon."""

    def shut_out(self, device: str, seconds: float) -> None:
        """Throw a device out for that time. Does not wait for the broker."""

    def shut_out_s(self, device: str) -> float:
        """For how many seconds a device is still shut out."""

    def without_account(self) -> Sequence[str]:
        """The devices that cannot log in for want of an account, sorted."""

    def problems(self) -> Sequence[str]:
        """What is wrong with the accounts as a whole, in words."""

    def start(self) -> None:
        """Begin to look after them."""

    def close(self) -> None:
        """Stop, once there is no connection to the broker any more."""


class ShutOuts:
    """Which devices are shut out, and until when. From any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def add(self, device: str, seconds: float) -> None:
        """Shut a device out for that time from now on, or for what is left if that is longer."""
        with self._lock:
            until = self._monotonic() + seconds
            self._until[device] = max(until, self._until.get(device, until))

    def left_s(self, device: str) -> float:
        """How many seconds are left; 0 if it is not shut out."""
        with self._lock:
            return max(0.0, self._until.get(device, 0.0) - self._monotonic())

    def forget(self, device: str) -> None:
        """A device is shut out no more, or there is none."""
        with self._lock:
            self._until.pop(device, None)

    def devices(self) -> frozenset[str]:
        """Those that were shut out, until they are forgotten."""
        with self._lock:
            return frozenset(self._until)

    def next_s(self) -> float | None:
        """In how many seconds the first of them may come in again; None if there is none."""
        with self._lock:
            if not self._until:
                return None
            return max(0.0, min(self._until.values()) - self._monotonic())


class _NothingToMake:
    """Where the broker needs to be told nothing before a device may come."""

    @property
    def are_made(self) -> bool:
        """See `Accounts`."""
        return False

    def check_free(self, device: str, *, may_be_left: bool) -> None:
        """See `Accounts`."""

    def is_stranger(self, device: str) -> bool:  # noqa: ARG002 - of `Accounts`
        """See `Accounts`."""
        return False

    def set_up(self, device: str, feeds: Sequence[str], secret: str) -> None:
        """See `Accounts`."""

    def recheck(self) -> None:
        """See `Accounts`."""

    def without_account(self) -> Sequence[str]:
        """See `Accounts`."""
        return ()

    def problems(self) -> Sequence[str]:
        """See `Accounts`."""
        return ()

    def start(self) -> None:
        """See `Accounts`."""

    def close(self) -> None:
        """See `Accounts`."""


class AccountsByHand(_NothingToMake):
    """An operator gives devices their accounts, and nothing can be done at the broker."""

    def __init__(self, *, counters: Counters) -> None:
        self._counters = counters

    def changed(self, device: str) -> None:
        """See `Accounts`."""

    def removed(self, device: str) -> bool:  # noqa: ARG002 - of `Accounts`
        """See `Accounts`."""
        return True

    def shut_out(self, device: str, seconds: float) -> None:  # noqa: ARG002 - of `Accounts`
        """See `Accounts`."""
        self._counters.count("devices that could not be shut out")

    def shut_out_s(self, device: str) -> float:  # noqa: ARG002 - of `Accounts`
        """See `Accounts`."""
        return 0.0


class EmbeddedAccounts(_NothingToMake):
    """The broker is ours and asks the store; only who is connected has to be thrown out."""

    def __init__(self, disconnect: Callable[[str], None], *, counters: Counters) -> None:
        """`disconnect` ends the connection of a user; from any thread."""
        self._disconnect = disconnect
        self._counters = counters
        self._shut_outs = ShutOuts()

    def changed(self, device: str) -> None:
        """See `Accounts`."""
        self._shut_outs.forget(device)
        self._disconnect(device)

    def removed(self, device: str) -> bool:
        """See `Accounts`."""
        self._shut_outs.forget(device)
        self._disconnect(device)
        return True

    def shut_out(self, device: str, seconds: float) -> None:
        """See `Accounts`."""
        self._counters.count("devices shut out")
        self._shut_outs.add(device, seconds)
        self._disconnect(device)

    def shut_out_s(self, device: str) -> float:
        """See `Accounts`."""
        return self._shut_outs.left_s(device)
