"""How long a renderer that hangs is left alone, so that others need not wait for it each time."""

from typing import Final

HANGS_MAX: Final = 3
PAUSE_S: Final = 60.0


class Patience:
    """Counts how often in a row a renderer was ended because it took too long."""

    def __init__(self) -> None:
        # A few names, all of installed representations.
        self._hangs: dict[str, tuple[int, float]] = {}

    def is_over(self, renderer: str, *, now: float) -> bool:
        """Whether it is left alone now; `now` is of a monotonic clock, in seconds."""
        hangs, at = self._hangs.get(renderer, (0, 0.0))
        return hangs >= HANGS_MAX and now - at < PAUSE_S

    def hung(self, renderer: str, *, now: float) -> None:
        """It was ended."""
        self._hangs[renderer] = (self._hangs.get(renderer, (0, 0.0))[0] + 1, now)

    def answered(self, renderer: str) -> None:
        """It did what it was asked for."""
        self._hangs.pop(renderer, None)
