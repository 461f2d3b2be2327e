"""Which items are held back because they break something (docs/protocol.md, F7)."""

from collections import OrderedDict
from typing import Final

from gateway.feed import PoisonError

# So often may an item break something: a disk that failed once is no reason.
TRIES_MAX: Final = 3
SUSPECTS_MAX: Final = 1_000


class Suspects:
    """Items that broke something lately, and how often."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    def again(self, feed: str, poison: PoisonError) -> bool:
        """Count one more time; whether the item is to be quarantined now."""
        key = (feed, poison.item_id, poison.seq)
        tries = self._tries.pop(key, 0) + 1
        if tries >= TRIES_MAX:
            return True
        self._tries[key] = tries
        if len(self._tries) > SUSPECTS_MAX:
            self._tries.popitem(last=False)
        return False
