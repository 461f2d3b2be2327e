"""What an inventory of a view is answered (docs/protocol.md, G6 and V1 to V5)."""

from dataclasses import replace

import pytest

from gateway.feed import FeedStore
from gateway.rows import Alter
from sync_protocol import inventory
from sync_protocol.messages import Compared, Range
from sync_protocol.views import WHOLE_FEED, View
from tests.gateway.asking import compare, compared_of, lineage
from tests.gateway.damage import hold_back
from tests.gateway.inventories import NOTHING, entries, listed, parted, told, whole
from tests.gateway.rendered_feeds import (
    AS_HALF,
    BROKEN,
    HALF_TYPE,
    HALF_VIEW,
    change_halved,
    half_feed,
    version_of,
)
from tests.gateway.sample_feeds import FEED, change, memory_feed, put

WORK = View(folders=("Work",))


def compared(
    store: FeedStore, *ranges: Range, view: View = WORK, given: View | None = None
) -> Compared:
    with store.snapshot(FEED) as snapshot:
        return compared_of(compare(snapshot, *ranges, view=view, given=given))


def halves(*items: tuple[str, bytes], folder: str = "") -> FeedStore:
    """What a device holds that has the first halves of some contents."""
    made = [put(it, content[: len(content) // 2], media_type=HALF_TYPE) for it, content in items]
    return memory_feed(*made, *(Alter(it, folder=folder) for it, _ in items if folder))


def test_g6_what_is_out_of_view_is_dropped_and_what_is_in_it_is_missing() -> None:
    store = memory_feed(
        *(put("ada", folder="Work"), put("bob", folder="Home"), put("cyd", folder="Work")),
        *(put("dan", folder="Work"), Alter("dan", folder="Home")),
    )
    held = memory_feed(*(put(it, folder="Work") for it in ("ada", "bob", "dan")))
    found = compared(store, listed(held))
    gone = sorted(inventory.id_hash(it) for it in ("bob", "dan"))
    missing, puts, drops, split = told(found)
    assert (missing, puts, sorted(drops), split) == ([3], [], gone, [])


@pytest.mark.parametrize(
    "view",
    [View(folders=("Home",)), View(kinds=("mail",)), View(since=6), View(item_bytes_max=3)],
    ids=["folder", "kind", "window", "size"],
)
def test_g6_each_bound_of_a_view_drops(view: View) -> None:
    store = memory_feed(put("ada", b"1234", folder="Work", date=5))
    assert told(compared(store, listed(store), view=view)) == (
        *([], []),
        [inventory.id_hash("ada")],
        [],
    )
    assert told(compared(store, listed(memory_feed()), view=view)) == NOTHING
    assert told(compared(store, whole(memory_feed()), view=view)) == NOTHING


def test_g6_what_enters_a_view_is_missing_with_the_token_of_its_content() -> None:
    store = memory_feed(put("ada", folder="Home"), put("bob"), Alter("ada", folder="Work"))
    assert told(compared(store, listed(memory_feed()))) == ([1, 3], [], [], [])


def test_g6_the_fingerprint_is_of_what_is_in_view() -> None:
    store = memory_feed(put("ada", folder="Work"), put("bob", folder="Home"))
    held = memory_feed(put("ada", folder="Work"))
    for presented in (whole(held), parted(held)):
        assert told(compared(store, presented)) == NOTHING
        assert told(compared(store, presented, view=WHOLE_FEED))[3]
    assert told(compared(store, whole(store)))[3] == [""]


def test_g6_renderings_are_compared_and_not_what_they_were_made_of() -> None:
    content = b"1234abcd"
    store = half_feed(put("ada", content), put("bob", content))
    change_halved(store, put("ada", b"1234efgh"))
    held = halves(("ada", content), ("bob", content))
    for presented in (whole(held), parted(held), listed(held)):
        assert told(compared(store, presented, view=HALF_VIEW)) == NOTHING
    # Who holds them as they were made, lacks all.
    native = listed(store)
    assert told(compared(store, native, view=HALF_VIEW)) == ([1, 2, 3], [], [], [])
    assert told(compared(store, native, view=WHOLE_FEED)) == NOTHING


def test_g6_what_is_missing_is_missing_with_the_token_of_its_rendering() -> None:
    store = half_feed(put("ada", b"1234abcd"))
    change_halved(store, put("ada", b"1234efgh"), put("ada", b"1234ijkl", flags=("x",)))
    assert told(compared(store, listed(memory_feed()), view=HALF_VIEW)) == ([1, 3], [], [], [])
    assert told(compared(store, listed(memory_feed()), view=WHOLE_FEED)) == ([3], [], [], [])


def test_g6_a_put_without_content_says_what_the_rendering_is() -> None:
    store = half_feed(put("ada", b"1234abcd"))
    change_halved(store, Alter("ada", folder="Work"))
    found = compared(store, listed(halves(("ada", b"1234abcd"))), view=HALF_VIEW)
    (moved,) = found.puts
    assert (moved.id, moved.folder, moved.size, moved.media_type) == ("ada", "Work", 4, HALF_TYPE)
    assert moved.content is None
    assert told(found)[0] == []


def test_v4_what_cannot_be_rendered_is_dropped() -> None:
    store = half_feed(put("ada", BROKEN))
    held = halves(("ada", b"1234"))
    assert told(compared(store, listed(held), view=HALF_VIEW))[2] == [inventory.id_hash("ada")]


def test_v3_the_size_is_that_of_the_rendering() -> None:
    store = half_feed(put("ada", bytes(8)), put("bob", bytes(10)))
    view = View(shown_as=AS_HALF, item_bytes_max=4)
    assert told(compared(store, listed(memory_feed()), view=view)) == ([1], [], [], [])


def test_f7_what_is_held_back_is_neither_missing_nor_dropped_in_a_view() -> None:
    store = half_feed(put("ada", b"1234abcd", folder="Work"), put("bob", b"12", folder="Home"))
    hold_back(store, "ada")
    hold_back(store, "bob")
    view = View(folders=("Work",), shown_as=AS_HALF)
    held = halves(("ada", b"1234abcd"), folder="Work")
    other = halves(("ada", b"other"), folder="Work")
    for presented in (listed(held), listed(other), listed(memory_feed()), whole(held)):
        assert told(compared(store, presented, view=view)) == NOTHING
    # Elsewhere it has left the view all the same.
    gone = told(compared(store, listed(halves(("bob", b"12"), folder="Work")), view=view))
    assert gone == ([], [], [inventory.id_hash("bob")], [])


def test_i2_another_until_is_another_state() -> None:
    store = memory_feed(replace(put("ada", date=5), until=9))
    (entry,), (before,) = entries(store), entries(memory_feed(put("ada", date=5)))
    assert entry != before
    found = compared(store, listed(memory_feed(put("ada", date=5))), view=WHOLE_FEED)
    (told_put,) = found.puts
    assert (told_put.date, told_put.until) == (5, 9)


def test_p4_the_lineage_is_that_of_the_view() -> None:
    store = half_feed(put("ada"))
    for view in (WHOLE_FEED, WORK, HALF_VIEW):
        found = compared(store, whole(store), view=view)
        assert found.lineage == lineage(renderer_version=version_of(view))


@pytest.mark.parametrize(
    ("asked", "given", "since"), [(None, None, None), (5, 5, None), (None, 6, 6), (5, 6, 6)]
)
def test_v5_where_the_window_begins_is_told_only_if_it_is_narrower(
    asked: int | None, given: int | None, since: int | None
) -> None:
    store = memory_feed(put("ada", date=5))
    found = compared(store, listed(store), view=View(since=asked), given=View(since=given))
    assert found.since == since
    assert bool(found.drops) == (given == 6)


def test_v5_an_item_that_is_not_allowed_is_dropped() -> None:
    store = memory_feed(put("ada", folder="Work"), put("bob", folder="Home"))
    change(store, put("cyd", folder="Work"))
    found = compared(store, listed(store), view=WHOLE_FEED, given=WORK)
    assert told(found) == ([], [], [inventory.id_hash("bob")], [])
