"""What devices sent and nobody has worked off yet: bounded, and each waits its turn once."""

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

STATUSES_MAX: Final = 10_000
REQUESTS_MAX: Final = 2_000
# A device may name any feed in a topic: this many of them at once.
REQUESTS_PER_DEVICE_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class WaitingStatus:
    """The newest status of a device."""

    device: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """The newest request of a replica."""

    device: str
    feed: str
    payload: bytes


class Inbox:
    """One waiting status for each device, and one waiting request for each device and feed.

    What is newer takes the place of what waits: a status tells all that the one before told, and
    a request closes the one before (Q1). So repeating itself gains a device nothing, and costs the
    others nothing. Statuses and requests take turns, so that neither can starve the other.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # In the order of arrival: a key keeps its place when its value is replaced. (A plain dict
        # walks over all that was taken from its front.)
        self._statuses: OrderedDict[str, bytes] = OrderedDict()
        self._requests: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._waiting_of: Counter[str] = Counter()
        self._request_is_next = False
        self._closed = False

    def put_status(self, device: str, payload: bytes) -> bool:
        """Hand in a status; False if there is no room for another device's, or all is closed."""
        with self._changed:
            is_full = device not in self._statuses and len(self._statuses) >= STATUSES_MAX
            if self._closed or is_full:
                return False
            self._statuses[device] = payload
            self._changed.notify()
            return True

    def put_request(
        self, device: str, feed: str, payload: bytes
    ) -> Literal["taken", "replaced", "full"]:
        """Hand in a request; "full" if there is no room for another one, or all is closed."""
        key = (device, feed)
        with self._changed:
            is_newer = key in self._requests
            if self._closed or not (is_newer or self._has_room(device)):
                return "full"
            self._requests[key] = payload
            self._waiting_of[device] += not is_newer
            self._changed.notify()
            return "replaced" if is_newer else "taken"

    def _has_room(self, device: str) -> bool:
        its_own = self._waiting_of[device] < REQUESTS_PER_DEVICE_MAX
        return its_own and len(self._requests) < REQUESTS_MAX

    def take(self) -> WaitingStatus | WaitingRequest | None:
        """Wait for what is next; None once all is closed and nothing waits any more."""
        with self._changed:
            while not (self._statuses or self._requests or self._closed):
                self._changed.wait()
            is_request = bool(self._requests) and (self._request_is_next or not self._statuses)
            self._request_is_next = not is_request
            if self._statuses and not is_request:
                who, payload = self._statuses.popitem(last=False)
                return WaitingStatus(who, payload)
            if self._requests:
                (device, feed), payload = self._requests.popitem(last=False)
                self._waiting_of[device] -= 1
                if not self._waiting_of[device]:
                    del self._waiting_of[device]
                return WaitingRequest(device, feed, payload)
            return None

    def close(self) -> None:
        """Take nothing in any more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
