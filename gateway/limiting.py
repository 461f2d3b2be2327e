"""The limits of all devices, for the threads that take, answer and push."""

import threading
from collections.abc import Callable
from typing import Final

from gateway.device_limits import Bounds, DeviceLimits, Verdict
from gateway.recent import Recent

# Devices that are remembered, those heard last. Each takes about 1 KiB.
DEVICES_MAX: Final = 10_000


class Limiting:
    """Asks the limits of a device, in turn and by one clock; see `DeviceLimits`."""

    def __init__(self, bounds: Bounds, *, monotonic: Callable[[], float]) -> None:
        self._bounds = bounds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._devices: Recent[str, DeviceLimits] = Recent(DEVICES_MAX)

    def flooded(self, device: str) -> float | None:
        """A message came; for how many seconds the device is to be shut out for it, if it is."""
        with self._lock:
            limits, now = self._of(device)
            return limits.flooded(now)

    def asked(self, device: str) -> Verdict:
        """A request came."""
        with self._lock:
            limits, now = self._of(device)
            return limits.asked(now)

    def told(self, device: str) -> bool:
        """A status came; whether it is taken."""
        with self._lock:
            limits, now = self._of(device)
            return limits.told(now)

    def begun(self, device: str) -> Verdict:
        """A request that was taken is about to be answered."""
        with self._lock:
            limits, now = self._of(device)
            if not limits.is_exhausted(now):
                return Verdict.TAKE
            return Verdict.REFUSE if limits.may_be_refused(now) else Verdict.DROP

    def retry_after_s(self, device: str) -> int:
        """When a request of the device will be answered again, in whole seconds."""
        with self._lock:
            limits, now = self._of(device)
            return limits.retry_after_s(now)

    def worked(self, device: str, *, since: float) -> None:
        """The thread worked for the device since then, by this clock."""
        with self._lock:
            limits, now = self._of(device)
            limits.worked(now - since, now)

    def answered(self, device: str, byte_count: int) -> None:
        """So much was sent to the device."""
        with self._lock:
            limits, now = self._of(device)
            limits.answered(byte_count, now)

    def may_be_pushed(self, device: str, byte_count: int) -> bool:
        """Whether a notification of that size may be sent, which counts then."""
        with self._lock:
            limits, now = self._of(device)
            return limits.may_be_pushed(byte_count, now)

    def now(self) -> float:
        """What its clock says."""
        return self._monotonic()

    def _of(self, device: str) -> tuple[DeviceLimits, float]:
        now = self._monotonic()
        limits = self._devices.get_or_make(device, lambda: DeviceLimits(self._bounds, now=now))
        return limits, now
