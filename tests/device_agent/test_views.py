"""What an agent wants of a feed, and how its time window moves."""

import pytest

from device_agent.views import KeptView, WantedView, day, wanted_view
from sync_protocol.views import WHOLE_FEED, ShownAs, View

DAY_S = 86_400


def test_by_default_all_is_wanted() -> None:
    assert WantedView().view_at(5.0) == WHOLE_FEED
    assert WantedView().remainder_bytes_max is None


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (100 * DAY_S, 70 * DAY_S),
        (101 * DAY_S - 0.001, 70 * DAY_S),
        (101 * DAY_S, 71 * DAY_S),
        (0, -30 * DAY_S),
    ],
)
def test_the_window_moves_once_a_day(now: float, since: int) -> None:
    wanted = WantedView(View(kinds=("mail",), since=5), days=30)
    assert wanted.since(now) == since
    assert wanted.view_at(now) == View(kinds=("mail",), since=since)


def test_a_window_without_days_stays() -> None:
    wanted = WantedView(View(since=5))
    assert wanted.since(10**9) == 5
    assert wanted.view_at(10**9) == View(since=5)


def test_what_was_said_of_the_window_is_the_same_every_day() -> None:
    said = [
        WantedView(),
        WantedView(View(since=3)),
        WantedView(View(since=-3)),
        WantedView(days=3),
        WantedView(days=1),
    ]
    assert len({it.window for it in said}) == len(said)
    assert WantedView(View(since=3), days=3).window == WantedView(days=3).window
    assert WantedView(View(kinds=("mail",)), remainder_bytes_max=3).window == WantedView().window
    assert KeptView(View(since=3)).window is None


@pytest.mark.parametrize(("now", "today"), [(0, 0), (DAY_S - 0.001, 0), (DAY_S, 1)])
def test_the_day(now: float, today: int) -> None:
    assert day(now) == today


def test_equal_wishes_are_equal_views() -> None:
    def wished(representations: dict[str, str]) -> WantedView:
        return wanted_view(
            kinds=["mail", "contact", "mail"],
            folders=None,
            days=3,
            representations=representations,
            portion_bytes=None,
            item_bytes_max=None,
            remainder_bytes_max=7,
        )

    shown = (ShownAs(kind="a", representation="compact"), ShownAs(kind="b", representation="x"))
    view = View(kinds=("contact", "mail"), shown_as=shown)
    assert wished({"b": "x", "a": "compact"}) == WantedView(view, 3, 7)
    assert wished({"a": "compact", "c": "native", "b": "x"}) == WantedView(view, 3, 7)
