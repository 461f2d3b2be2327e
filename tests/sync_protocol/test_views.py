"""What a view is on the wire (M12), and what it wants (V1, V2 and V4)."""

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sync_protocol import limits, messages, wire
from sync_protocol.errors import ProtocolError
from sync_protocol.limits import INTEGER_MAX
from sync_protocol.messages import Range, Request
from sync_protocol.views import NATIVE, WHOLE_FEED, ShownAs, View
from sync_protocol.wire import Format
from tests.sync_protocol import strategies

VIEW_KEY = 9
PLACES = [("contact", ""), ("contact", "Work"), ("mail", ""), ("mail", "Work")]
LARGEST = View(
    kinds=tuple(f"k{number:031}" for number in range(limits.VIEW_KINDS_MAX)),
    folders=tuple(f"{number:0255}" for number in range(limits.VIEW_FOLDERS_MAX)),
    since=-INTEGER_MAX,
    shown_as=tuple(
        ShownAs(kind=f"k{number:031}", representation="r" * 32)
        for number in range(limits.VIEW_KINDS_MAX)
    ),
    portion_bytes=INTEGER_MAX,
    item_bytes_max=INTEGER_MAX,
)


def asked(view: View = WHOLE_FEED) -> Request:
    return Request(v=1, id=bytes(8), view_id=7, inventory=(Range(entries=b""),), view=view)


def requested(coded: object) -> Request:
    """A request with that for a view, as it is read from CBOR."""
    tree = cbor2.loads(wire.encode(asked(), Format.CBOR)) | {VIEW_KEY: coded}
    return messages.decode_request(cbor2.dumps(tree))


# The wire, M12


def test_m12_the_keys_are_those_of_the_protocol() -> None:
    view = View(
        kinds=("contact",),
        folders=("", "Work"),
        since=-5,
        shown_as=(ShownAs(kind="contact", representation="compact"),),
        portion_bytes=0,
        item_bytes_max=9,
    )
    coded = {
        1: ["contact"],
        2: ["", "Work"],
        3: -5,
        4: [{1: "contact", 2: "compact"}],
        5: 0,
        6: 9,
    }
    assert cbor2.loads(wire.encode(asked(view), Format.CBOR))[VIEW_KEY] == coded
    assert requested(coded).view == view


@pytest.mark.parametrize("form", Format)
def test_m12_the_whole_feed_takes_no_byte(form: Format) -> None:
    encoded = wire.encode(asked(), form)
    assert b"view" not in encoded.replace(b"view_id", b"")
    assert VIEW_KEY not in (cbor2.loads(encoded) if form is Format.CBOR else {})
    assert messages.decode_request(encoded).view == WHOLE_FEED


@given(view=strategies.views(), form=st.sampled_from(Format))
def test_m12_any_view_is_read_as_it_was_written(view: View, form: Format) -> None:
    assert messages.decode_request(wire.encode(asked(view), form)).view == view


def test_m12_the_largest_view_leaves_most_of_a_request_to_the_rest() -> None:
    for form in Format:
        assert len(wire.encode(asked(LARGEST), form)) < limits.REQUEST_BYTES_MAX // 4


@pytest.mark.parametrize(
    "wrong",
    [
        {1: [f"k{number}" for number in range(limits.VIEW_KINDS_MAX + 1)]},
        {1: ["Contact"]},
        {1: [5]},
        {1: "contact"},
        {2: [f"{number}" for number in range(limits.VIEW_FOLDERS_MAX + 1)]},
        {2: ["a\n"]},
        {2: ["x" * 256]},
        {3: INTEGER_MAX + 1},
        {3: 0.5},
        {3: "0"},
        {4: [{1: "contact"}]},
        {4: [{1: "contact", 2: "Compact"}]},
        {4: [{1: "contact", 2: "compact"}, {1: "contact", 2: "native"}]},
        {4: [{1: "mail", 2: "compact"}, {1: "contact", 2: "compact"}]},
        {4: [{1: f"k{number:02}", 2: "native"} for number in range(limits.VIEW_KINDS_MAX + 1)]},
        {5: -1},
        {6: -1},
        {6: INTEGER_MAX + 1},
        [],
        "all",
    ],
    ids=str,
)
def test_m12_a_wrong_view_makes_the_request_wrong(wrong: object) -> None:
    with pytest.raises(ProtocolError) as refused:
        requested(wrong)
    assert refused.value.reason == "invalid"
    assert "view" in str(refused.value).lower()


def test_w5_an_unknown_field_of_a_view_is_ignored() -> None:
    assert requested({1: ["mail"], 99: [1]}).view == View(kinds=("mail",))


def test_kinds_and_folders_are_sets() -> None:
    one = View(kinds=("mail", "contact", "mail"), folders=("b", "", "b"))
    two = View(kinds=("contact", "mail"), folders=("", "b"))
    assert one == two
    assert hash(one) == hash(two)
    assert wire.encode(one, Format.CBOR) == wire.encode(two, Format.CBOR)


def test_a_view_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        WHOLE_FEED.since = 5  # type: ignore[misc]  # which is the point


# What it wants, V1


@pytest.mark.parametrize(
    ("view", "wanted"),
    [
        ({}, PLACES),
        ({"kinds": ("mail",)}, [("mail", ""), ("mail", "Work")]),
        ({"folders": ("Work",)}, [("contact", "Work"), ("mail", "Work")]),
        ({"folders": ("",)}, [("contact", ""), ("mail", "")]),
        ({"kinds": ("mail",), "folders": ("Work",)}, [("mail", "Work")]),
        ({"kinds": ("contact", "mail"), "folders": ("Home",)}, []),
        ({"folders": ("Work/Old", "W")}, []),
        ({"kinds": ()}, []),
        ({"folders": ()}, []),
    ],
    ids=str,
)
def test_v1_an_item_is_wanted_for_its_kind_and_its_very_folder(
    view: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    made = View(**view)
    assert [it for it in PLACES if made.wants(*it)] == wanted


@pytest.mark.parametrize(
    ("view", "all_places"),
    [
        ({}, True),
        ({"since": 5, "portion_bytes": 0, "item_bytes_max": 0}, True),
        ({"kinds": ("mail",)}, False),
        ({"folders": ("",)}, False),
        ({"kinds": ()}, False),
        ({"folders": ()}, False),
    ],
    ids=str,
)
def test_v1_only_kinds_and_folders_restrict_places(view: dict[str, Any], all_places: bool) -> None:  # noqa: FBT001 - a parameter
    assert View(**view).wants_all_places is all_places


# The time window, V2


@pytest.mark.parametrize(
    ("date", "until", "is_in"),
    [
        (None, None, True),
        (9, None, False),
        (10, None, True),
        (11, None, True),
        (1, 9, False),
        (1, 10, True),
        (99, 9, False),
        (None, 9, False),
        (None, 10, True),
    ],
)
def test_v2_an_item_is_in_the_window_by_its_until_or_else_its_date(
    date: int | None,
    until: int | None,
    is_in: bool,  # noqa: FBT001 - a parameter
) -> None:
    assert View(since=10).has_in_window(date, until) is is_in


@given(date=st.none() | strategies.integers, until=st.none() | strategies.integers)
def test_v2_without_a_beginning_all_is_in_it(date: int | None, until: int | None) -> None:
    assert WHOLE_FEED.has_in_window(date, until)


def test_v2_a_window_may_begin_at_the_epoch_of_unix_time() -> None:
    assert not View(since=0).has_in_window(-1, None)
    assert not View(since=10).has_in_window(99, 0)


# Representations, V4


def test_v4_each_kind_has_its_representation_and_others_come_as_they_are() -> None:
    view = View(
        shown_as=(
            ShownAs(kind="contact", representation="compact"),
            ShownAs(kind="event", representation=NATIVE),
            ShownAs(kind="mail", representation="short"),
        )
    )
    shown = [view.representation(kind) for kind in ("contact", "event", "mail", "task", "note")]
    assert shown == ["compact", NATIVE, "short", NATIVE, NATIVE]
