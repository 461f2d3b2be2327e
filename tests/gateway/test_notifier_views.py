"""What is pushed to replicas of different views (docs/protocol.md, P1 to P4 and V1 to V6)."""

from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

import pytest

from gateway.feed import FeedStore, PoisonError
from gateway.feed_memory import MemorySnapshot
from gateway.notifier import Push, Target, pushes
from gateway.rows import Alter, Delete, Rendering
from sync_protocol import wire
from sync_protocol.digests import digest_of
from sync_protocol.limits import NOTIFICATION_BYTES_MAX
from sync_protocol.messages import Notification, Put
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format
from tests.gateway.asking import lineage
from tests.gateway.damage import hold_back
from tests.gateway.inventories import twin
from tests.gateway.recording import RecordingSnapshot
from tests.gateway.rendered_feeds import (
    AS_HALF,
    BROKEN,
    HALF_TYPE,
    HALF_VIEW,
    begin,
    change_halved,
    end,
    half_feed,
    version_of,
)
from tests.gateway.sample_feeds import FEED, NOW, change, memory_feed, purge, put

WORK = View(folders=("Work",))
HOME = View(folders=("Home",))
OCTETS = "application/octet-stream"
PHONE = Target("phone", b"one-time", base=0, view_id=7, form=Format.CBOR)
CONTENT_BYTES_MAX = 100


def target(view: View, name: str = "phone", form: Format = Format.CBOR) -> Target:
    return replace(PHONE, device=name, view=view, form=form)


def push_all(store: FeedStore, cursor: int, *targets: Target) -> list[Push]:
    with store.snapshot(FEED) as snapshot:
        return list(
            pushes(
                snapshot,
                cursor=cursor,
                targets=targets,
                notification_content_bytes_max=CONTENT_BYTES_MAX,
            )
        )


def read(push: Push) -> Notification:
    return wire.decode(Notification, push.payload, bytes_max=NOTIFICATION_BYTES_MAX)


def read_all(store: FeedStore, cursor: int, view: View) -> list[Notification]:
    return [read(push) for push in push_all(store, cursor, target(view))]


def told(pushed: Sequence[Notification]) -> list[tuple[str, int, int | None, bool]]:
    """Item, n, prev, and whether it is a put."""
    return [(it.item_id, it.n, it.prev, it.put is not None) for it in pushed]


def contents(pushed: Sequence[Notification]) -> list[bytes | None]:
    return [None if it.put is None else it.put.content for it in pushed]


# What a view sees, F5 and P3


def test_p1_only_what_a_view_sees_is_pushed_and_presupposed() -> None:
    store = memory_feed(
        *(put("ada", folder="Work"), put("bob", folder="Home"), put("cyd", folder="Work")),
        *(put("dan", folder="Home"), put("eve", folder="Work")),
    )
    pushed = read_all(store, 1, WORK)
    assert told(pushed) == [("cyd", 3, 1, True), ("eve", 5, 3, True)]
    assert [it.asof for it in pushed] == [5, 5]
    assert told(read_all(store, 4, HOME)) == []
    assert told(read_all(store, 0, View(kinds=("mail",)))) == []


def test_f5_who_leaves_a_view_is_pushed_as_a_remove() -> None:
    store = memory_feed(put("ada", folder="Work"), Alter("ada", folder="Home"))
    assert told(read_all(store, 1, WORK)) == [("ada", 2, None, False)]
    assert told(read_all(store, 1, HOME)) == [("ada", 2, None, True)]
    change(store, Delete("ada"))
    assert told(read_all(store, 2, WORK)) == []
    assert told(read_all(store, 2, HOME)) == [("ada", 3, None, False)]


@pytest.mark.parametrize("view", [View(since=6), View(item_bytes_max=3)], ids=["window", "size"])
def test_v2_v3_what_is_not_in_a_view_is_pushed_as_a_remove(view: View) -> None:
    store = memory_feed(put("ada", b"1234", date=5))
    assert told(read_all(store, 0, view)) == [("ada", 1, None, False)]


def test_f7_what_is_held_back_and_has_left_is_removed() -> None:
    store = memory_feed(put("ada", folder="Work"), Alter("ada", folder="Home"))
    hold_back(store)
    assert told(read_all(store, 1, WORK)) == [("ada", 2, None, False)]
    assert told(read_all(store, 1, HOME)) == []


def test_p3_in_a_view_a_push_is_past_what_was_purged() -> None:
    store = memory_feed(put("ada", folder="Work"), put("bob", folder="Home"), Delete("bob"))
    purge(store, before=NOW + 1)
    change(store, put("cyd", folder="Work"))
    assert told(read_all(store, 3, WORK)) == [("cyd", 4, 3, True)]


# Contents, P2


def test_p2_who_enters_a_view_comes_with_content() -> None:
    store = memory_feed(put("ada", b"one", folder="Home"), Alter("ada", folder="Work"))
    (pushed,) = read_all(store, 1, WORK)
    assert (pushed.n, pushed.c, contents([pushed])) == (2, 1, [b"one"])
    # Who sees both places has it.
    (pushed,) = read_all(store, 1, WHOLE_FEED)
    assert (pushed.c, contents([pushed])) == (None, [None])


def test_p2_who_only_came_back_comes_without() -> None:
    store = memory_feed(
        put(folder="Work"), Alter("ada", folder="Home"), Alter("ada", folder="Work")
    )
    assert contents(read_all(store, 1, WORK)) == [None]
    assert contents(read_all(store, 2, WORK)) == [b"BEGIN:VCARD"]


def test_p2_flags_of_what_is_in_view_come_without() -> None:
    store = memory_feed(put(folder="Home"), Alter("ada", folder="Work"))
    change(store, Alter("ada", flags=("x",)))
    assert contents(read_all(store, 2, WORK)) == [None]
    assert contents(read_all(store, 1, WORK)) == [b"BEGIN:VCARD"], "it entered since"


@pytest.mark.parametrize(
    ("portion_bytes", "sizes"),
    [(None, [50, 100]), (0, [0, 0]), (60, [50, 60]), (100, [50, 100]), (5_000, [50, 100])],
)
def test_v6_the_smaller_of_both_portions_counts(
    portion_bytes: int | None, sizes: list[int]
) -> None:
    store = memory_feed(*(put(f"item-{it}", bytes(it), media_type=OCTETS) for it in (50, 5_000)))
    pushed = contents(read_all(store, 0, View(portion_bytes=portion_bytes)))
    assert [None if it is None else len(it) for it in pushed] == sizes


def test_v6_a_portion_ends_where_it_can_be_read() -> None:
    store = memory_feed(put("ada", b"alpha\nbeta\ngamma\n", media_type="text/plain"))
    assert contents(read_all(store, 0, View(portion_bytes=12))) == [b"alpha\nbeta\n"]


# Representations, V4


def test_v4_a_push_is_in_the_representation_of_the_view() -> None:
    store = half_feed(put("ada", b"12345678"), put("bob", BROKEN))
    ada, bob = read_all(store, 0, HALF_VIEW)
    assert ada.put is not None
    assert (ada.put.content, ada.put.size, ada.put.media_type) == (b"1234", 4, HALF_TYPE)
    assert ada.put.digest == digest_of([b"1234"])
    assert (bob.remove, bob.prev) == ("bob", 1)
    assert ada.lineage == lineage(view_id=7, renderer_version=version_of(HALF_VIEW))


def test_p2_a_rendering_that_is_the_same_does_not_come_again() -> None:
    store = half_feed(put("ada", b"1234abcd"))
    change_halved(store, put("ada", b"1234efgh"))
    (half,) = read_all(store, 1, HALF_VIEW)
    assert (half.n, half.c, contents([half])) == (2, None, [None])
    (native,) = read_all(store, 1, WHOLE_FEED)
    assert contents([native]) == [b"1234efgh"]
    (both,) = read_all(store, 0, HALF_VIEW)
    assert (both.n, both.c, contents([both])) == (2, 1, [b"1234"])


def test_v4_who_waits_for_renderings_keeps_nobody_from_pushes() -> None:
    store = memory_feed(put("ada"))
    begin(store)
    targets = [target(HALF_VIEW, "pager"), target(WHOLE_FEED, "phone"), target(WORK, "tablet")]
    assert [it.device for it in push_all(store, 0, *targets)] == ["phone"]


# Many views


def test_p1_pushes_of_all_views_come_in_the_order_of_their_changes() -> None:
    store = memory_feed(
        *(put(f"item-{it}", folder="Work" if it % 2 else "Home") for it in range(1, 7)),
        Alter("item-1", folder="Home"),
    )
    made = push_all(store, 1, target(WORK, "one"), target(HOME, "two"), target(WHOLE_FEED, "three"))
    assert [it.seq for it in made] == sorted(it.seq for it in made)
    assert [(it.seq, it.device) for it in made] == [
        *((2, "two"), (2, "three"), (3, "one"), (3, "three"), (4, "two"), (4, "three")),
        *((5, "one"), (5, "three"), (6, "two"), (6, "three")),
        *((7, "one"), (7, "two"), (7, "three")),
    ]
    last = {it.device: read(it) for it in made if it.seq == 7}
    assert [last[it].put is None for it in ("one", "two", "three")] == [True, False, False]


def test_targets_of_one_view_share_what_is_read_and_encoded() -> None:
    store = half_feed(put("ada", bytes(50)), put("bob", bytes(60)))
    views = (WHOLE_FEED, View(kinds=("contact",)), HALF_VIEW, View(portion_bytes=10))
    targets = [
        target(view, f"device-{number}-{copy}", list(Format)[copy % 2])
        for number, view in enumerate(views)
        for copy in range(20)
    ]
    with (
        store.snapshot(FEED) as snapshot,
        mock.patch("gateway.notifier.wire.encode", side_effect=wire.encode) as encode,
    ):
        recording = RecordingSnapshot(snapshot)
        made = list(
            pushes(
                recording,
                cursor=0,
                targets=targets,
                notification_content_bytes_max=CONTENT_BYTES_MAX,
            )
        )
    assert len(made) == 2 * len(targets)
    assert len(recording.read) == 2 * len(views), "once for each view"
    # The first two views show both items in the same way.
    puts = [it for it in encode.call_args_list if isinstance(it.args[0], Put)]
    assert len(puts) == 2 * (len(views) - 1) * len(Format)


def test_each_target_gets_its_own_views_form_of_an_item() -> None:
    store = half_feed(put("ada", b"12345678", folder="Work"))
    views = (WHOLE_FEED, HALF_VIEW, View(since=0), View(portion_bytes=2), View(item_bytes_max=7))
    targets = [
        target(view, f"{number} {form}", form)
        for number, view in enumerate([*views, *views[::-1]])
        for form in Format
    ]
    made = push_all(store, 0, *targets)
    assert sorted(it.device for it in made) == sorted(it.device for it in targets)
    by_device = {it.device: it for it in targets}
    for push in made:
        view = by_device[push.device].view
        (expected,) = read_all(store, 0, view)
        assert read(push) == expected, push.device
        assert wire.form_of(push.payload) is by_device[push.device].form


class LostRendering(MemorySnapshot):
    """The disk lost how cyd was rendered."""

    def rendering(self, item_id: str, representation: str) -> Rendering | None:
        return None if item_id == "cyd" else super().rendering(item_id, representation)


def test_f7_what_is_older_than_what_breaks_a_view_goes_out_to_all() -> None:
    store = twin(LostRendering)
    begin(store)
    assert end(store)
    view = View(kinds=("event",), shown_as=AS_HALF)
    change_halved(store, put("ada"), put("bob"), put("cyd", kind="event"), put("dan"))
    made: list[str] = []
    with store.snapshot(FEED) as snapshot:
        found = pushes(
            snapshot,
            cursor=0,
            targets=[target(view, "pager"), target(WHOLE_FEED, "phone")],
            notification_content_bytes_max=CONTENT_BYTES_MAX,
        )
        with pytest.raises(PoisonError) as caught:
            made.extend(it.item_id for it in found)
    assert caught.value.seq == 3
    assert made == ["ada", "bob"]
