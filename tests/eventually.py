"""The one place where tests wait: for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.005


def eventually(condition: Callable[[], object], *, within_s: float = PATIENCE_S) -> bool:
    """Whether `condition` comes true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True
