"""Counts of what happened, by name, from any thread."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

# Names are ours, never a peer's; the bound is for the day that somebody forgets.
NAMES_MAX: Final = 1_000


class Counters:
    """Named counts that only grow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add to one count."""
        with self._lock:
            if name in self._counts or len(self._counts) < NAMES_MAX:
                self._counts[name] += by

    def read(self) -> Mapping[str, int]:
        """All counts as they are now, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))
