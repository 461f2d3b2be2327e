"""Which items are held back because they break something (docs/protocol.md, F7)."""

from collections import OrderedDict
from typing import Final

from gateway.feed import PoisonError

# So often, and so far apart, must an item be unreadable: a disk that fails for a moment is no
# reason to hold back what is sound.
TRIES_MAX: Final = 3
TRIES_APART_S: Final = 5.0
FORGOTTEN_S: Final = 3600.0
SUSPECTS_MAX: Final = 1_000


class Suspects:
    """Items that could not be read lately: how often, and when they counted last."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[str, str, int], tuple[int, float]] = OrderedDict()

    def again(self, feed: str, poison: PoisonError, *, now: float) -> bool:
        """Count one more time; whether the item is to be quarantined now.

        One that is wrong for good is, at once. `now` is of a monotonic clock, in seconds.
        """
        if poison.lasting:
            return True
        key = (feed, poison.item_id, poison.seq)
        tries, at = self._tries.pop(key, (0, now - TRIES_APART_S))
        if now - at > FORGOTTEN_S:
            tries = 0
        if now - at >= TRIES_APART_S:
            tries, at = tries + 1, now
        if tries >= TRIES_MAX:
            return True
        self._tries[key] = (tries, at)
        if len(self._tries) > SUSPECTS_MAX:
            self._tries.popitem(last=False)
        return False
