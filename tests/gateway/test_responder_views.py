"""What a request with a view is answered (docs/protocol.md, F5, G3 to G5 and V1 to V6)."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.feed import FeedStore, NotRenderedError
from gateway.feed_memory import MemoryFeedStore
from gateway.responder import AnswerLimits, Replica
from gateway.rows import Alter, Delete
from sync_protocol.digests import digest_of
from sync_protocol.limits import ANSWER_BYTES_MIN
from sync_protocol.messages import Collection, Delta, Remainder, Wanted
from sync_protocol.token_set import TokenSet
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format
from tests.gateway.asking import (
    VIEW_ID,
    Walker,
    ask,
    collection,
    content_of,
    delta_of,
    held_in,
    lineage,
    nothing_held,
    void_of,
)
from tests.gateway.damage import hold_back
from tests.gateway.rendered_feeds import (
    AS_HALF,
    BROKEN,
    HALF,
    HALF_TYPE,
    HALF_VIEW,
    begin,
    change_halved,
    end,
    half_feed,
    version_of,
)
from tests.gateway.sample_feeds import EPOCH, change, memory_feed, put

WORK = View(folders=("Work",))
OCTETS = "application/octet-stream"
LARGE = bytes(range(256)) * 40


def held(*ranges: tuple[int, int], view: View = WORK, **more: Any) -> Collection:  # noqa: ANN401 - of a collection
    return collection(*ranges, renderer_version=version_of(view), **more)


def answered(store: FeedStore, *ranges: tuple[int, int], view: View = WORK) -> Delta:
    return delta_of(ask(store, held(*ranges, view=view), view=view))


def told(delta: Delta) -> list[tuple[int, str, bool]]:
    """Token and item of each change, and whether it is a put."""
    return [(it.n, it.item_id, it.put is not None) for it in delta.changes]


# What is absent, G3 and F5


def test_f5_only_what_a_view_sees_is_sent() -> None:
    store = memory_feed(
        *(put("ada", folder="Work"), put("bob", folder="Home"), put("cyd", folder="Work")),
        put("dan", folder="Work", kind="mail"),
    )
    assert told(answered(store)) == [(4, "dan", True), (3, "cyd", True), (1, "ada", True)]
    contacts = View(folders=("Work",), kinds=("contact",))
    assert told(answered(store, view=contacts)) == [(3, "cyd", True), (1, "ada", True)]


def test_g3_holes_in_which_a_view_sees_nothing_are_closed() -> None:
    store = memory_feed(
        *(put(f"item-{it}", folder="Work" if it % 3 else "Home") for it in range(9))
    )
    delta = answered(store, (2, 2), (8, 9))
    assert told(delta) == [(6, "item-5", True), (5, "item-4", True), (3, "item-2", True)]
    assert (held_in(delta), delta.more) == ([(1, 9)], False)
    nothing = answered(store, (2, 3), (5, 6), (8, 9))
    assert (told(nothing), held_in(nothing)) == ([], [(1, 9)])


def test_f5_who_left_a_view_is_removed_where_it_left() -> None:
    store = memory_feed(put("ada", folder="Work"), put("bob", folder="Work"))
    change(store, Alter("ada", folder="Home"), put("ada", b"new"), Delete("bob"))
    assert told(answered(store)) == [(5, "bob", False), (3, "ada", False)]
    # Whoever heard of the leaving is not told again, whatever became of the item since.
    assert told(answered(store, (1, 3))) == [(5, "bob", False)]
    assert told(answered(store, (1, 2), (5, 5))) == [(3, "ada", False)]


def test_v2_what_is_over_before_the_window_is_removed() -> None:
    store = memory_feed(put("ada", date=5), put("bob", date=6))
    assert told(answered(store, view=View(since=6))) == [(2, "bob", True), (1, "ada", False)]


def test_v3_what_is_too_large_is_removed() -> None:
    store = memory_feed(put("ada", bytes(9)), put("bob", bytes(10)))
    view = View(item_bytes_max=9)
    assert told(answered(store, view=view)) == [(2, "bob", False), (1, "ada", True)]


def test_f5_a_page_that_is_full_goes_on_where_it_ended() -> None:
    store = memory_feed(
        *(put(f"item-{it}", bytes(900), folder="Work" if it % 2 else "Home") for it in range(40)),
        *(Alter(f"item-{it}", folder="Home") for it in range(1, 40, 4)),
    )
    walker = Walker(store, view=WORK)
    walker.ask_for_all(pages_max=20)
    assert len(walker.pages) > 3
    live = {it for it, change in walker.changes.items() if change.put is not None}
    assert live == {f"item-{it}" for it in range(3, 40, 4)}
    assert {it for it in walker.changes if it not in live} == {
        f"item-{it}" for it in range(1, 40, 4)
    }
    sent = [it.n for _, page in walker.pages for it in page.changes]
    assert sent == sorted(set(sent), reverse=True), "newest first, nothing twice"
    assert walker.held == TokenSet.span(1, 50)


def test_g1_the_tokens_of_another_representation_mean_nothing() -> None:
    store = half_feed(put("ada"))
    assert void_of(ask(store, held((1, 1), view=WHOLE_FEED), view=HALF_VIEW)) == "lineage"
    assert void_of(ask(store, held((1, 1), view=HALF_VIEW), view=WHOLE_FEED)) == "lineage"
    assert told(answered(store, (1, 1), view=HALF_VIEW)) == []


def test_g1_a_newer_renderer_ends_all_tokens() -> None:
    store = memory_feed()
    begin(store, replace(HALF, version=2))
    assert end(store)
    change_halved(store, put("ada"))
    assert void_of(ask(store, held((1, 1), view=HALF_VIEW), view=HALF_VIEW)) == "lineage"


def test_g5_the_answer_and_what_is_known_of_the_replica_are_of_the_view() -> None:
    store = half_feed(put("ada", b"1234"))
    response = ask(store, view=HALF_VIEW)
    delta = delta_of(response)
    assert delta.lineage == lineage(renderer_version=version_of(HALF_VIEW))
    assert response.replica == Replica(
        0, VIEW_ID, Format.CBOR, EPOCH, TokenSet.span(1, 1), HALF_VIEW
    )


# Representations, V4


def test_v4_a_content_comes_in_the_representation_of_the_view() -> None:
    store = half_feed(put("ada", b"12345678"), put("pad", b"1234", kind="note"))
    delta = answered(store, view=HALF_VIEW)
    found = {it.item_id: it.put for it in delta.changes}
    ada, pad = found["ada"], found["pad"]
    assert ada is not None
    assert pad is not None
    assert (ada.content, ada.size, ada.media_type) == (b"1234", 4, HALF_TYPE)
    assert ada.digest == digest_of([b"1234"])
    assert (pad.content, pad.media_type) == (b"1234", "text/vcard")


def test_v4_what_cannot_be_rendered_is_removed() -> None:
    store = half_feed(put("ada", b"1234"), put("ada", BROKEN))
    assert told(answered(store, view=HALF_VIEW)) == [(2, "ada", False)]
    assert told(answered(store, view=WHOLE_FEED)) == [(2, "ada", True)]


def test_v4_a_feed_that_is_not_rendered_answers_nobody() -> None:
    store = memory_feed(put())
    begin(store)
    with pytest.raises(NotRenderedError):
        ask(store, held(view=HALF_VIEW), view=HALF_VIEW)


def test_f1_a_content_whose_rendering_is_the_same_is_not_sent_again() -> None:
    store = half_feed(put("ada", b"1234abcd"))
    change_halved(store, put("ada", b"1234efgh"))
    (change,) = answered(store, (1, 1), view=HALF_VIEW).changes
    assert (change.n, content_of(change)) == (2, None)
    (native,) = answered(store, (1, 1), view=WHOLE_FEED).changes
    assert content_of(native) == b"1234efgh"


def test_g3_the_token_of_a_rendering_comes_with_it() -> None:
    store = half_feed(put("ada", b"1234abcd"), *(put(f"item-{it}", LARGE) for it in range(3)))
    change_halved(store, put("ada", b"1234efgh"))
    view = View(shown_as=AS_HALF, portion_bytes=3_000)
    delta = delta_of(ask(store, held(view=view), view=view, answer_bytes_max=ANSWER_BYTES_MIN))
    assert told(delta) == [(5, "ada", True), (4, "item-2", True)]
    assert content_of(delta.changes[0]) == b"1234"
    assert held_in(delta) == [(1, 1), (4, 5)], "c of the rendering, which is older than the content"


# Remainders, G4


def wanted(item_id: str, content: bytes, offset: int = 0) -> Wanted:
    return Wanted(id=item_id, digest=digest_of([content]), offset=offset)


def remainders(store: FeedStore, view: View, *asked: Wanted) -> tuple[Remainder, ...]:
    presented = held((1, 9), view=view, asof=9)
    return delta_of(ask(store, presented, view=view, wanted=asked)).remainders


def test_g4_what_is_wanted_is_the_rendering() -> None:
    content = LARGE[:4_000]
    store = half_feed(put("ada", content))
    half = content[:2_000]
    (remainder,) = remainders(store, HALF_VIEW, wanted("ada", half, 500))
    assert (remainder.offset, remainder.content) == (500, half[500:])
    assert remainders(store, HALF_VIEW, wanted("ada", content, 500)) == ()
    assert remainders(store, WHOLE_FEED, wanted("ada", half, 500)) == ()


def test_g4_what_is_wanted_comes_by_itself_and_not_with_its_change() -> None:
    store = half_feed(put("ada", LARGE))
    asked = [wanted("ada", LARGE[: len(LARGE) // 2], 5)]
    delta = delta_of(ask(store, held(view=HALF_VIEW), view=HALF_VIEW, wanted=asked))
    assert content_of(delta.changes[0]) is None
    assert [it.content for it in delta.remainders] == [LARGE[5 : len(LARGE) // 2]]


@pytest.mark.parametrize(
    "view",
    [
        View(folders=("Home",)),
        View(kinds=("mail",)),
        View(since=6),
        View(item_bytes_max=len(LARGE) - 1),
    ],
    ids=["folder", "kind", "window", "size"],
)
def test_g4_what_is_not_in_view_is_not_given_out(view: View) -> None:
    store = memory_feed(put("ada", LARGE, folder="Work", date=5))
    assert remainders(store, WHOLE_FEED, wanted("ada", LARGE))
    assert remainders(store, view, wanted("ada", LARGE)) == ()


def test_f7_only_of_what_is_in_view_is_told_that_it_is_withheld() -> None:
    store = memory_feed(put("ada", LARGE, folder="Work"), put("bob", LARGE, folder="Home"))
    hold_back(store, "ada")
    hold_back(store, "bob")
    asked = [wanted("ada", LARGE), wanted("bob", LARGE)]
    delta = delta_of(ask(store, held((1, 4), asof=4), view=WORK, wanted=asked))
    assert delta.withheld == ("ada",)


# Portions, V6


def sizes_of(store: MemoryFeedStore, view: View, bounds: AnswerLimits) -> dict[str, int | None]:
    delta = delta_of(ask(store, held(view=view), view=view, bounds=bounds))
    contents = {it.item_id: content_of(it) for it in delta.changes}
    return {it: None if content is None else len(content) for it, content in contents.items()}


@pytest.mark.parametrize(
    ("portion_bytes", "expected"),
    [
        (None, {"small": 100, "middle": 500, "large": 60}),
        (100, {"small": 100, "middle": 100, "large": 100}),
        (99, {"small": 99, "middle": 99, "large": 99}),
        (5_000, {"small": 100, "middle": 500, "large": 1_000}),
        (0, {"small": 0, "middle": 0, "large": 0}),
    ],
)
def test_v6_a_content_comes_whole_or_as_the_portion_that_the_view_asks_for(
    portion_bytes: int | None, expected: dict[str, int]
) -> None:
    named = {"small": 100, "middle": 500, "large": 1_000}
    store = memory_feed(*(put(it, bytes(size), media_type=OCTETS) for it, size in named.items()))
    bounds = AnswerLimits(portion_bytes=60, inline_bytes_max=500)
    assert sizes_of(store, View(portion_bytes=portion_bytes), bounds) == expected


def test_v6_a_portion_ends_where_it_can_be_read() -> None:
    store = memory_feed(put("ada", b"alpha\nbeta\ngamma\n", media_type="text/plain"))
    view = View(portion_bytes=12)
    (change,) = answered(store, view=view).changes
    assert content_of(change) == b"alpha\nbeta\n"


def test_v6_a_portion_of_no_bytes_is_a_content_that_came() -> None:
    store = memory_feed(put("ada", b"1234"), Alter("ada", flags=("x",)))
    view = View(portion_bytes=0)
    delta = answered(store, view=view)
    assert content_of(delta.changes[0]) == b""
    change(store, Alter("ada", flags=("y",)))
    (again,) = answered(store, *held_in(delta), view=view).changes
    assert content_of(again) is None


# What the operator bounds, V5


@pytest.mark.parametrize(
    ("asked", "given", "since"),
    [
        (None, None, None),
        (5, 5, None),
        (None, 6, 6),
        (5, 6, 6),
    ],
)
def test_v5_where_the_window_begins_is_told_only_if_it_is_narrower(
    asked: int | None, given: int | None, since: int | None
) -> None:
    store = memory_feed(put("ada", date=5), put("bob", date=6))
    response = ask(store, view=View(since=asked), given=View(since=given))
    delta = delta_of(response)
    assert delta.since == since
    assert response.replica is not None
    assert response.replica.view == View(since=given)
    assert told(delta) == [(2, "bob", True), (1, "ada", given != 6)]


def test_v5_what_counts_is_what_is_allowed_and_not_what_is_asked_for() -> None:
    store = memory_feed(put("ada", folder="Work"), put("bob", folder="Home"))
    response = ask(store, nothing_held(store, view=WORK), view=WHOLE_FEED, given=WORK)
    assert told(delta_of(response)) == [(1, "ada", True)]
    asked = [wanted("bob", b"BEGIN:VCARD")]
    response = ask(store, held((1, 2)), view=WHOLE_FEED, given=WORK, wanted=asked)
    assert delta_of(response).remainders == ()
