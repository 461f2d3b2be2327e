"""What of its feeds a device may see, whatever it asks for (docs/protocol.md, V5)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.device import DAYS_MAX, Allowed
from sync_protocol import limits
from sync_protocol.views import WHOLE_FEED, View
from tests.sync_protocol import strategies

DAY_S = 86_400
NOW = 20_000 * DAY_S + 12_345


@pytest.mark.parametrize("view", [WHOLE_FEED, View(kinds=("mail",), since=5, item_bytes_max=0)])
def test_v5_who_is_allowed_all_gets_what_was_asked_for(view: View) -> None:
    assert Allowed().bound(view, now=NOW) == view


@pytest.mark.parametrize("name", ["kinds", "folders"])
@pytest.mark.parametrize(
    ("asked", "allowed", "given"),
    [
        (None, None, None),
        (("a", "b"), None, ("a", "b")),
        (None, ("b", "a", "b"), ("a", "b")),
        (("a", "b"), ("c", "b"), ("b",)),
        (("a", "b"), ("b", "a"), ("a", "b")),
    ],
)
def test_v5_kinds_and_folders_are_those_that_are_wanted_and_allowed(
    name: str,
    asked: tuple[str, ...] | None,
    allowed: tuple[str, ...] | None,
    given: tuple[str, ...] | None,
) -> None:
    bound = Allowed.model_validate({name: allowed}).bound(
        View.model_validate({name: asked}), now=NOW
    )
    assert bound == View.model_validate({name: given})


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"kinds": ("mail",)}, {"kinds": ("contact",)}),
        ({"folders": ("Work",)}, {"folders": ("",)}),
        ({"folders": ("Work", "Home")}, {"folders": ("Work/Old",)}),
        ({"kinds": ("mail",), "folders": ("Work",)}, {"kinds": ("mail",), "folders": ("Home",)}),
    ],
)
def test_v5_who_wants_nothing_that_is_allowed_gets_an_empty_view(
    asked: dict[str, Any], allowed: dict[str, Any]
) -> None:
    bound = Allowed(**allowed).bound(View(**asked), now=NOW)
    assert () in {bound.kinds, bound.folders}
    assert not bound.wants_all_places
    places = [(kind, folder) for kind in ("mail", "contact") for folder in ("", "Work", "Home")]
    assert not any(bound.wants(*place) for place in places)


@pytest.mark.parametrize(
    ("days_max", "asked", "since"),
    [
        (0, None, 20_000 * DAY_S),
        (1, None, 19_999 * DAY_S),
        (1, 19_999 * DAY_S - 1, 19_999 * DAY_S),
        (1, 19_999 * DAY_S + 1, 19_999 * DAY_S + 1),
        (1, NOW + DAY_S, NOW + DAY_S),
        (None, -5, -5),
        (DAYS_MAX, None, (20_000 - DAYS_MAX) * DAY_S),
    ],
)
def test_v5_the_window_begins_at_midnight_or_later_if_that_is_asked_for(
    days_max: int | None, asked: int | None, since: int
) -> None:
    bound = Allowed(days_max=days_max).bound(View(since=asked), now=NOW)
    assert bound == View(since=since)


def test_v5_the_window_is_the_same_all_day() -> None:
    allowed = Allowed(days_max=7)
    midnight = 20_000 * DAY_S
    bounds = [
        allowed.bound(WHOLE_FEED, now=midnight + second) for second in (-1, 0, 1, DAY_S - 1, DAY_S)
    ]
    assert bounds[1] == bounds[2] == bounds[3]
    assert len({str(it) for it in bounds}) == 3


@pytest.mark.parametrize(
    ("asked", "allowed", "given"),
    [(None, 5, 5), (4, 5, 4), (5, 4, 4), (5, None, 5), (0, 5, 0), (5, 0, 0)],
)
def test_v5_the_smaller_size_counts(
    asked: int | None, allowed: int | None, given: int | None
) -> None:
    bound = Allowed(item_bytes_max=allowed).bound(View(item_bytes_max=asked), now=NOW)
    assert bound == View(item_bytes_max=given)


_kinds = st.none() | st.lists(strategies.kinds, min_size=1, max_size=3, unique=True).map(tuple)
_folders = st.none() | st.lists(
    st.sampled_from(["", "Work", "Home"]), min_size=1, max_size=3, unique=True
).map(tuple)
_allowed = st.builds(
    Allowed,
    kinds=_kinds,
    folders=_folders,
    days_max=st.none() | st.integers(0, DAYS_MAX),
    item_bytes_max=st.none() | strategies.naturals,
)


_places = st.tuples(strategies.kinds, st.sampled_from(["", "Work"]))


@given(
    asked=strategies.views(),
    allowed=_allowed,
    place=_places,
    date=st.none() | strategies.integers,
    size=strategies.naturals,
)
def test_v5_nothing_is_given_that_is_not_both_wanted_and_allowed(
    asked: View, allowed: Allowed, place: tuple[str, str], date: int | None, size: int
) -> None:
    given_view = allowed.bound(asked, now=NOW)
    limit = View(
        kinds=allowed.kinds,
        folders=allowed.folders,
        since=None if allowed.days_max is None else (20_000 - allowed.days_max) * DAY_S,
        item_bytes_max=allowed.item_bytes_max,
    )

    def shows(view: View) -> bool:
        return (
            view.wants(*place)
            and view.has_in_window(date, None)
            and (view.item_bytes_max is None or size <= view.item_bytes_max)
        )

    assert shows(given_view) == (shows(asked) and shows(limit))
    assert View.model_validate(given_view.model_dump()) == given_view, "it can be kept"
    assert (given_view.shown_as, given_view.portion_bytes) == (asked.shown_as, asked.portion_bytes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kinds": ()},
        {"kinds": ("Mail",)},
        {"kinds": tuple(f"k{number}" for number in range(limits.VIEW_KINDS_MAX + 1))},
        {"folders": ()},
        {"folders": ("a\n",)},
        {"folders": tuple(map(str, range(limits.VIEW_FOLDERS_MAX + 1)))},
        {"days_max": -1},
        {"days_max": DAYS_MAX + 1},
        {"item_bytes_max": -1},
        {"more": 1},
    ],
    ids=str,
)
def test_what_cannot_be_allowed(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Allowed(**wrong)


@pytest.mark.parametrize("name", ["days_max", "item_bytes_max"])
@pytest.mark.parametrize("value", ["true", '"5"', "5.0"])
def test_a_limit_is_a_whole_number_and_nothing_that_may_be_taken_for_one(
    name: str, value: str
) -> None:
    assert Allowed.model_validate_json(f'{{"{name}": 5}}') == Allowed.model_validate({name: 5})
    with pytest.raises(ValidationError):
        Allowed.model_validate_json(f'{{"{name}": {value}}}')
