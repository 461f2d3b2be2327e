"""What devices sent and nobody has worked off yet: bounded, and each waits its turn once."""

import threading
from collections import OrderedDict
from collections.abc import Sized
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sync_protocol import limits

STATUSES_MAX: Final = 10_000
REQUESTS_MAX: Final = 2_000
# A device may name any feed in a topic: as many of them at once as it can hold.
REQUESTS_PER_DEVICE_MAX: Final = limits.DEVICE_FEEDS_MAX
FLOODS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class WaitingStatus:
    """The newest status of a device."""

    device: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """The newest request of a replica.

    Attributes:
        is_refused: that the device asked too often was found when it came.
    """

    device: str
    feed: str
    payload: bytes
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class WaitingFlood:
    """A device that sent far too much, and is to be shut out for so long."""

    device: str
    shut_out_s: float


Waiting: TypeAlias = WaitingStatus | WaitingRequest | WaitingFlood


class Inbox:
    """One waiting status for each device, and one waiting request for each device and feed.

    What is newer takes the place of what waits: a status tells all that the one before told, and
    a request closes the one before (Q1). So repeating itself gains a device nothing, and costs the
    others nothing. Statuses and requests take turns, so that neither can starve the other, and so
    do devices: one with requests for many feeds has one of them answered, then each other device.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # In the order of arrival: a key keeps its place when its value is replaced. (A plain dict
        # walks over all that was taken from its front.)
        self._statuses: OrderedDict[str, bytes] = OrderedDict()
        # Device -> feed -> request; the device whose turn it is comes first.
        self._requests: OrderedDict[str, OrderedDict[str, WaitingRequest]] = OrderedDict()
        self._request_count = 0
        self._floods: dict[str, WaitingFlood] = {}
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

    def put_request(self, request: WaitingRequest) -> Literal["taken", "replaced", "full"]:
        """Hand in a request; "full" if there is no room for another one, or all is closed."""
        with self._changed:
            waiting = self._requests.get(request.device, OrderedDict())
            is_newer = request.feed in waiting
            if self._closed or not (is_newer or self._has_room(waiting)):
                return "full"
            waiting[request.feed] = request
            self._requests.setdefault(request.device, waiting)
            self._request_count += not is_newer
            self._changed.notify()
            return "replaced" if is_newer else "taken"

    def _has_room(self, waiting: Sized) -> bool:
        return len(waiting) < REQUESTS_PER_DEVICE_MAX and self._request_count < REQUESTS_MAX

    def put_flood(self, flood: WaitingFlood) -> None:
        """Hand in that a device is to be shut out; of a few at once, the others come again."""
        with self._changed:
            if len(self._floods) < FLOODS_MAX and not self._closed:
                self._floods[flood.device] = flood
                self._changed.notify()

    def take(self) -> Waiting | None:
        """Wait for what is next; None once all is closed and nothing waits any more."""
        with self._changed:
            while not (self._floods or self._statuses or self._requests or self._closed):
                self._changed.wait()
            if self._floods:
                return self._floods.popitem()[1]
            is_request = bool(self._requests) and (self._request_is_next or not self._statuses)
            self._request_is_next = not is_request
            if self._statuses and not is_request:
                who, payload = self._statuses.popitem(last=False)
                return WaitingStatus(who, payload)
            return self._take_request() if self._requests else None

    def _take_request(self) -> WaitingRequest:
        device, waiting = self._requests.popitem(last=False)
        _, request = waiting.popitem(last=False)
        self._request_count -= 1
        if waiting:
            self._requests[device] = waiting  # behind the others
        return request

    def close(self) -> None:
        """Take nothing in any more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
