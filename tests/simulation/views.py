"""What devices want to see of their feeds."""

from random import Random
from typing import Final

from gateway.device import EVERYTHING, Allowed
from sync_protocol.views import WHOLE_FEED, ShownAs, View
from tests.simulation.rendering import HALF

DAY_S: Final = 86_400
# Of the dates of items, the first and the last day.
DAYS: Final = range(1, 14)
FOLDERS: Final = ("", "Inbox", "Archive")
# Portions that carry nothing, less than half of most contents, all of many.
_PORTIONS: Final = (None, None, 0, 8, 50, 400)
_SIZES: Final = (None, None, None, 20, 300, 2_000)
_REMAINDERS: Final = (None, None, None, 0, 100, 2_000)


def kinds(feed: str) -> tuple[str, str]:
    """The kinds of items in a feed, of which the first is rendered; they tell which feed it is."""
    return feed, f"{feed}-x"


def draw_view(random: Random, feed: str) -> View:
    """A view, which is that of the whole feed often enough. The top folder is always in it."""
    if random.random() < 0.4:
        return WHOLE_FEED
    pick = random.choice
    kind, _ = kinds(feed)
    return View(
        kinds=pick((None, None, (kind,))),
        folders=pick((None, ("",), ("", "Inbox"), ("", "Archive"))),
        since=pick((None, draw_since(random))),
        shown_as=pick(((), (ShownAs(kind=kind, representation=HALF),))),
        portion_bytes=pick(_PORTIONS),
        item_bytes_max=pick(_SIZES),
    )


def draw_since(random: Random) -> int:
    """Where a time window begins."""
    return DAY_S * random.choice(DAYS)


def draw_remainder_bytes_max(random: Random) -> int | None:
    """Up to which size contents are completed without being asked for."""
    return random.choice(_REMAINDERS)


def draw_allowed(random: Random) -> Allowed:
    """What an operator lets a device see; never nothing of what it wants."""
    return random.choice(
        (
            EVERYTHING,
            EVERYTHING,
            Allowed(days_max=random.choice((0, 3, 6, 9))),
            Allowed(folders=("", "Inbox")),
            Allowed(item_bytes_max=random.choice((20, 300))),
            Allowed(days_max=5, folders=("",)),
        )
    )
