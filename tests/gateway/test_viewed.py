"""What a view makes of a feed, rule by rule (docs/protocol.md, F5, F7 and V1 to V6)."""

from dataclasses import replace

import pytest

from gateway.feed import FeedStore, NotRenderedError, PoisonError
from gateway.feed_memory import MemorySnapshot
from gateway.rows import Alter, Delete, Mutation, Put, Rendering, Row
from gateway.viewed import ViewedFeed, effective_seq, narrowed_since
from sync_protocol import inventory
from sync_protocol.views import NATIVE, WHOLE_FEED, ShownAs, View
from tests.gateway.damage import hold_back
from tests.gateway.inventories import twin
from tests.gateway.rendered_feeds import (
    AS_HALF,
    BROKEN,
    HALF_VIEW,
    begin,
    change_halved,
    end,
    half_feed,
)
from tests.gateway.sample_feeds import FEED, change, memory_feed, put

WORK = View(folders=("Work",))
Seen = list[tuple[int, str, int | None]]


def seen(store: FeedStore, view: View, first: int = 1, last: int = 99) -> Seen:
    """Of each effective change its seq, item and, if it is a put, how large its content is."""
    with store.snapshot(FEED) as snapshot:
        return [
            (it.seq, it.row.id, None if it.rendering is None else it.rendering.size)
            for it in ViewedFeed(snapshot, view).changes(first, last)
        ]


def row_of(store: FeedStore, item_id: str = "ada") -> Row:
    with store.snapshot(FEED) as snapshot:
        row = snapshot.row(item_id)
    assert row is not None
    return row


def event(item_id: str, *, date: int | None = None, until: int | None = None) -> Put:
    return replace(put(item_id, b"event", kind="event", date=date), until=until)


# What is effective, F5


@pytest.mark.parametrize(
    ("mutations", "seq", "is_put"),
    [
        ([put(folder="Work")], 1, True),
        ([put(folder="Home")], None, False),
        ([put(folder="Work"), Alter("ada", flags=("x",))], 2, True),
        ([put(folder="Work"), Alter("ada", folder="Home")], 2, False),
        ([put(folder="Work"), Delete("ada")], 2, False),
        ([put(folder="Work"), Alter("ada", folder="Home"), Delete("ada")], 2, False),
        ([put(folder="Home"), Delete("ada")], None, False),
        ([put(folder="Home"), Alter("ada", folder="Work")], 2, True),
        (
            [
                put(folder="Work"),
                Alter("ada", folder="Home"),
                Alter("ada", folder="Work"),
                Alter("ada", folder="Attic"),
                Alter("ada", flags=("x",)),
            ],
            4,
            False,
        ),
        ([put(folder="Work"), Alter("ada", folder="Home"), Alter("ada", folder="Work")], 3, True),
        ([put(folder="Work"), Delete("ada"), put(folder="Home")], 2, False),
        ([put(folder="Work"), Delete("ada"), put(folder="Work", flags=("x",))], 3, True),
    ],
    ids=[
        *("in view", "never in view", "flagged", "moved out", "deleted", "moved out, then deleted"),
        *("deleted elsewhere", "moved in", "left twice", "came back", "put again elsewhere"),
        "put again in view",
    ],
)
def test_f5_what_a_view_of_a_folder_makes_of_an_item(
    mutations: list[Mutation],
    seq: int | None,
    is_put: bool,  # noqa: FBT001 - a parameter
) -> None:
    store = memory_feed(*mutations)
    assert effective_seq(row_of(store), WORK) == seq
    expected = [] if seq is None else [(seq, "ada", 11 if is_put else None)]
    assert seen(store, WORK) == expected


def test_f5_an_item_leaves_a_view_by_its_kind() -> None:
    store = memory_feed(put(kind="mail"), put(kind="note"), Alter("ada", flags=("x",)))
    assert seen(store, View(kinds=("mail",))) == [(2, "ada", None)]
    assert seen(store, View(kinds=("note",))) == [(3, "ada", 11)]
    assert seen(store, View(kinds=("contact",))) == []


def test_f5_a_move_within_the_view_is_one_change() -> None:
    store = memory_feed(put(folder="Work"), Alter("ada", folder="Home"))
    assert seen(store, View(folders=("Home", "Work"))) == [(2, "ada", 11)]
    assert seen(store, View(kinds=("contact",))) == [(2, "ada", 11)]


def test_f5_the_newest_leaving_of_several_folders_counts() -> None:
    store = memory_feed(
        put(folder="A"), Alter("ada", folder="B"), Alter("ada", folder="C"), put("bob", folder="A")
    )
    assert seen(store, View(folders=("A", "B"))) == [(3, "ada", None), (4, "bob", 11)]
    assert seen(store, View(folders=("A",))) == [(2, "ada", None), (4, "bob", 11)]


def test_f5_in_the_whole_feed_each_row_is_effective_at_its_seq() -> None:
    store = memory_feed(put("ada"), put("bob"), Alter("ada", folder="x"), Delete("bob"))
    assert seen(store, WHOLE_FEED) == [(3, "ada", 11), (4, "bob", None)]


def test_f5_in_a_part_of_the_feed_changes_lie_between_both_ends() -> None:
    store = memory_feed(*(put(f"item-{number}", folder="Work") for number in range(1, 7)))
    change(store, Alter("item-2", folder="Home"))
    assert [seq for seq, *_ in seen(store, WORK, 3, 5)] == [3, 4, 5]
    assert seen(store, WORK, 6, 7) == [(6, "item-6", 11), (7, "item-2", None)]
    assert seen(store, WORK, 5, 4) == []


# What is held back, F7


def test_f7_what_is_held_back_in_view_is_effective_nowhere() -> None:
    store = memory_feed(put(folder="Work"), Alter("ada", folder="Home"), put(folder="Work"))
    hold_back(store)
    for view in (WORK, WHOLE_FEED, View(kinds=("contact",))):
        assert effective_seq(row_of(store), view) is None
        assert seen(store, view) == []


def test_f7_what_is_held_back_has_left_a_view_all_the_same() -> None:
    store = memory_feed(put(folder="Work"), Alter("ada", folder="Home"))
    hold_back(store)
    assert seen(store, WORK) == [(2, "ada", None)]
    change(store, Alter("ada", folder="Attic"))
    assert seen(store, View(folders=("Home",))) == [(4, "ada", None)]


# The window, V2; the size, V3


def test_v2_an_item_that_ends_before_the_window_is_a_remove_at_its_seq() -> None:
    store = memory_feed(
        put("old", date=9), put("new", date=10), put("ever"), event("long", date=1, until=10)
    )
    change(store, event("over", date=99, until=9))
    assert seen(store, View(since=10)) == [
        (1, "old", None),
        (2, "new", 11),
        (3, "ever", 11),
        (4, "long", 5),
        (5, "over", None),
    ]


def test_v3_a_large_item_is_a_remove_at_its_seq() -> None:
    store = memory_feed(put("ada", bytes(10)), put("bob", bytes(11)), put("cyd", b""))
    assert seen(store, View(item_bytes_max=10)) == [(1, "ada", 10), (2, "bob", None), (3, "cyd", 0)]
    assert seen(store, View(item_bytes_max=0))[-1] == (3, "cyd", 0)


def test_v3_the_size_is_that_of_the_representation() -> None:
    store = half_feed(put("ada", bytes(20)), put("bob", bytes(22)))
    view = View(shown_as=AS_HALF, item_bytes_max=10)
    assert seen(store, view) == [(1, "ada", 10), (2, "bob", None)]


# Representations, V4


def test_v4_a_content_comes_as_the_view_wants_its_kind() -> None:
    store = half_feed(put("ada", b"12345678"), put("pad", b"1234", kind="note"))
    assert seen(store, HALF_VIEW) == [(1, "ada", 4), (2, "pad", 4)]
    assert seen(store, WHOLE_FEED) == [(1, "ada", 8), (2, "pad", 4)]
    with store.snapshot(FEED) as snapshot:
        feed = ViewedFeed(snapshot, HALF_VIEW)
        contents = [feed.content(it, offset=1, bytes_max=9) for it in feed.changes(1, 9)]
    assert contents == [b"234", b"234"]


def test_v4_what_cannot_be_rendered_is_a_remove_at_its_seq() -> None:
    store = half_feed(put("ada", BROKEN), put("bob"))
    assert seen(store, HALF_VIEW) == [(1, "ada", None), (2, "bob", 5)]
    assert seen(store, WHOLE_FEED) == [(1, "ada", 1), (2, "bob", 11)]
    with store.snapshot(FEED) as snapshot:
        assert ViewedFeed(snapshot, HALF_VIEW).find("ada") is None


def test_v4_nobody_sees_a_feed_that_is_not_all_rendered() -> None:
    store = memory_feed(put())
    with store.snapshot(FEED) as snapshot, pytest.raises(NotRenderedError, match="half") as caught:
        ViewedFeed(snapshot, HALF_VIEW)
    assert caught.value.representations == ("half",)
    begin(store)
    with store.snapshot(FEED) as snapshot, pytest.raises(NotRenderedError, match="as half"):
        ViewedFeed(snapshot, HALF_VIEW)
    with store.snapshot(FEED) as snapshot:
        ViewedFeed(snapshot, View(shown_as=(ShownAs(kind="contact", representation=NATIVE),)))


def test_v4_nobody_sees_a_kind_that_a_feed_has_not_rendered() -> None:
    # A newer gateway renders more kinds, and the feed was rendered by the one before.
    view = View(shown_as=(ShownAs(kind="task", representation="half"),))
    with half_feed(put(kind="task")).snapshot(FEED) as snapshot, pytest.raises(NotRenderedError):
        ViewedFeed(snapshot, view)


class LostRendering(MemorySnapshot):
    """The disk lost how cyd was rendered."""

    def rendering(self, item_id: str, representation: str) -> Rendering | None:
        return None if item_id == "cyd" else super().rendering(item_id, representation)


def test_v4_a_rendering_that_the_disk_lost_is_poison_when_its_turn_comes() -> None:
    store = twin(LostRendering)
    begin(store)
    assert end(store)
    change_halved(store, put("ada"), put("bob"), put("cyd"))
    with store.snapshot(FEED) as snapshot:
        found = ViewedFeed(snapshot, HALF_VIEW).changes(1, 9)
        assert [next(found).seq, next(found).seq] == [1, 2]
        with pytest.raises(PoisonError, match="'cyd' is not rendered as half: put it again") as it:
            next(found)
    assert (it.value.item_id, it.value.seq, it.value.lasting) == ("cyd", 3, True)


# What is in a view, G4 and G6


def test_g6_the_entries_are_what_is_in_view() -> None:
    store = half_feed(
        put("ada", b"1234", folder="Work"),
        put("late", b"1234", folder="Work", date=10),
        put("old", b"1234", folder="Work", date=9),
        put("home", b"1234", folder="Home"),
        put("large", bytes(42), folder="Work"),
        put("broken", BROKEN, folder="Work"),
        put("note", b"1234", kind="note", folder="Work"),
        put("held", b"1234", folder="Work"),
        put("gone", b"1234", folder="Work"),
        Delete("gone"),
    )
    hold_back(store, "held")
    window = {"folders": ("Work",), "since": 10, "item_bytes_max": 20}
    for shown_as, extra in ((AS_HALF, set()), ((), {"broken"})):
        view = View.model_validate(window).model_copy(update={"shown_as": shown_as})
        with store.snapshot(FEED) as snapshot:
            feed = ViewedFeed(snapshot, view)
            entries = list(feed.entries(*inventory.bounds("")))
            found = {it.id: feed.find(it.id) for it in entries}
        assert {it.id for it in entries} == {"ada", "late", "note", "held"} | extra
        for entry in entries:
            change_found = found[entry.id]
            assert change_found is not None
            assert change_found.rendering is not None
            row, rendering = change_found.row, change_found.rendering
            assert entry.etag == row.etag(rendering)
            assert (entry.seq, entry.c, entry.size) == (row.seq, rendering.c, rendering.size)


def test_g6_an_etag_in_a_view_is_that_of_what_it_shows() -> None:
    one, two = half_feed(put("ada", b"1234")), half_feed(put("ada", b"1299"))

    def etag(store: FeedStore, view: View) -> bytes:
        with store.snapshot(FEED) as snapshot:
            (entry,) = ViewedFeed(snapshot, view).entries(*inventory.bounds(""))
        return entry.etag

    assert etag(one, HALF_VIEW) == etag(two, HALF_VIEW)
    assert etag(one, WHOLE_FEED) != etag(two, WHOLE_FEED)


def test_g4_found_is_what_is_in_view_now_held_back_or_not() -> None:
    store = memory_feed(put("ada", folder="Work"), put("bob", folder="Home"))
    hold_back(store)
    with store.snapshot(FEED) as snapshot:
        feed = ViewedFeed(snapshot, WORK)
        found = feed.find("ada")
        assert [feed.find(it) for it in ("bob", "eve")] == [None, None]
    assert found is not None
    assert (found.seq, found.row.quarantined is None) == (1, False)


# Portions, V6


@pytest.mark.parametrize(
    ("bytes_max", "portion"),
    [(0, b""), (5, b"alpha"), (8, b"alpha\n"), (12, b"alpha\nbeta\n"), (99, b"alpha\nbeta\ngamma")],
)
def test_v6_a_portion_ends_where_its_media_type_can_be_read(bytes_max: int, portion: bytes) -> None:
    store = memory_feed(put("ada", b"alpha\nbeta\ngamma", media_type="text/plain"))
    with store.snapshot(FEED) as snapshot:
        feed = ViewedFeed(snapshot, WHOLE_FEED)
        (found,) = feed.changes(1, 9)
        assert feed.portion(found, bytes_max=bytes_max) == portion


def test_v6_a_portion_is_cut_for_the_media_type_that_is_shown() -> None:
    content = b"abcd\nefghijklmn\nop" + bytes(18)
    # Natively these bytes are no text, so they are cut anywhere.
    store = half_feed(put("ada", content, media_type="application/x"))
    portions = []
    for view in (WHOLE_FEED, HALF_VIEW):
        with store.snapshot(FEED) as snapshot:
            feed = ViewedFeed(snapshot, view)
            (found,) = feed.changes(1, 9)
            portions.append(feed.portion(found, bytes_max=9))
    assert portions == [b"abcd\nefgh", b"abcd\n"]


# What the operator bounds, V5


def test_v5_since_is_told_if_it_is_another_than_was_asked_for() -> None:
    asked, none = View(since=5), WHOLE_FEED
    assert narrowed_since(none, none) is None
    assert narrowed_since(asked, asked) is None
    assert narrowed_since(none, asked) == 5
    assert narrowed_since(asked, View(since=9)) == 9
