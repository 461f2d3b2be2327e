"""What an agent wants of a feed: a view, whose time window moves with the days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sync_protocol.views import NATIVE, WHOLE_FEED, ShownAs, View

_DAY_S: Final = 86_400


def day(unix_now: float) -> int:
    """The day (UTC) of a Unix time: time windows move when it is another."""
    return int(unix_now) // _DAY_S


@dataclass(frozen=True, slots=True)
class WantedView:
    """What is wanted of one feed. By default that is all of it.

    Attributes:
        view: what is asked for. With `days`, its `since` does not matter.
        days: how far the time window goes back from midnight (UTC) of today; None leaves it to
            `view`.
        remainder_bytes_max: a larger content is completed only if somebody asks for it, or if it is
            no larger than a portion; None completes all.
    """

    view: View = WHOLE_FEED
    days: int | None = None
    remainder_bytes_max: int | None = None

    @property
    def window(self) -> str | None:
        """What was said of the time window; it stays the same while the window moves."""
        if self.days is not None:
            return f"{self.days} days"
        return "all" if self.view.since is None else f"since {self.view.since}"

    def since(self, unix_now: float) -> int | None:
        """The beginning of the time window, Unix seconds; it moves once a day."""
        if self.days is None:
            return self.view.since
        return (day(unix_now) - self.days) * _DAY_S

    def view_at(self, unix_now: float) -> View:
        """The view with the time window as it is at that Unix time."""
        return self.view.model_copy(update={"since": self.since(unix_now)})


class KeptView(WantedView):
    """What is wanted of a feed is what was wanted before: nothing new is said of its window."""

    @property
    def window(self) -> None:
        """See `WantedView`."""


def wanted_view(
    *,
    kinds: Sequence[str] | None,
    folders: Sequence[str] | None,
    days: int | None,
    representations: Mapping[str, str],
    portion_bytes: int | None,
    item_bytes_max: int | None,
    remainder_bytes_max: int | None,
) -> WantedView:
    """What is wanted where the settings say this, as in a view and in `WantedView`.

    `representations` gives each kind the one in which its contents come; None restricts nothing.
    """
    view = View(
        kinds=None if kinds is None else tuple(kinds),
        folders=None if folders is None else tuple(folders),
        shown_as=tuple(
            ShownAs(kind=kind, representation=name)
            for kind, name in sorted(representations.items())
            if name != NATIVE  # equal views must be equal bytes
        ),
        portion_bytes=portion_bytes,
        item_bytes_max=item_bytes_max,
    )
    return WantedView(view, days, remainder_bytes_max)
