"""Whether two agents use one device id: the view ids of a replica's requests take turns then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Devices that are remembered, the ones heard last.
DEVICES_MAX: Final = 10_000
# Of a replica, beside the newest one.
VIEW_IDS_MAX: Final = 4
# How long two agents count as there. Each comes back within five minutes, however often it was
# put out.
RIVALS_S: Final = 3_600

WARNING: Final = (
    "two agents seem to use this id, and put each other out: give each an id of its own"
    " (gateway device add)"
)


@dataclass(frozen=True, slots=True)
class _Views:
    """The view ids of a replica, oldest first, and when an earlier one last came back."""

    ids: tuple[int, ...] = ()
    returned_at: float | None = None

    def asked(self, view_id: int, now: float) -> "_Views":
        if self.ids[-1:] == (view_id,):
            return self
        others = tuple(each for each in self.ids if each != view_id)
        returned_at = now if view_id in self.ids else self.returned_at
        return _Views((*others[-VIEW_IDS_MAX:], view_id), returned_at)

    def are_two(self, now: float) -> bool:
        return self.returned_at is not None and now - self.returned_at < RIVALS_S


class Rivals:
    """Remembers who asked. A replica draws its view id once, when it is made.

    One whose data was lost asks with another view id from then on, and is no rival. Only an
    earlier one that comes back is: A, B, A.
    """

    def __init__(self) -> None:
        # Device -> feed -> views; who asked last is last.
        self._views: dict[str, dict[str, _Views]] = {}

    def asked(self, device: str, feed: str, view_id: int, *, now: float) -> bool:
        """A replica asks at `now` (Unix seconds); whether this is the first sign of two agents."""
        known = self.are_two(device, now=now)
        views = self._views.pop(device, {})
        views[feed] = views.get(feed, _Views()).asked(view_id, now)
        if len(self._views) >= DEVICES_MAX:
            del self._views[next(iter(self._views))]
        self._views[device] = views
        return not known and self.are_two(device, now=now)

    def are_two(self, device: str, *, now: float) -> bool:
        """Whether two agents use that device id."""
        return any(views.are_two(now) for views in self._views.get(device, {}).values())

    def devices(self, *, now: float) -> Sequence[str]:
        """The ids that two agents use, sorted."""
        return sorted(device for device in self._views if self.are_two(device, now=now))

    def forget(self, device: str) -> None:
        """A device was removed."""
        self._views.pop(device, None)
