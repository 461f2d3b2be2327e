"""What tokens mean in a view, and what changes presuppose (docs/protocol.md, P2 to P4)."""

import pytest

from gateway.feed import FeedRepresentation, FeedStore
from gateway.rows import Alter, Delete, Mutation
from gateway.viewed import NATIVE_RENDERER_VERSION, ViewedFeed, renderer_version
from sync_protocol import tokens
from sync_protocol.limits import INTEGER_MAX
from sync_protocol.views import NATIVE, WHOLE_FEED, ShownAs, View
from tests.gateway.asking import GENERATION
from tests.gateway.rendered_feeds import HALF, HALF_VIEW, half_feed, version_of
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, memory_feed, purge, put

WORK = View(folders=("Work",))


# What must be held before, P3


def previous_of(
    *mutations: Mutation, purge_at: int | None = None, view: View = WHOLE_FEED
) -> dict[int, int | None]:
    """For each effective change, what a device must hold before it."""
    store = memory_feed()
    for number, mutation in enumerate(mutations, start=1):
        change(store, mutation, now=NOW + number)
    if purge_at is not None:
        assert purge(store, before=NOW + purge_at + 1)
    with store.snapshot(FEED) as snapshot:
        feed = ViewedFeed(snapshot, view)
        return {it.seq: feed.previous(it.seq) for it in feed.changes(1, 99)}


def test_the_first_change_presupposes_nothing() -> None:
    assert previous_of(put("ada")) == {1: None}


def test_a_change_presupposes_the_one_before() -> None:
    assert previous_of(put("ada"), put("bob"), Delete("ada")) == {2: None, 3: 2}


def test_superseded_changes_leave_no_hole() -> None:
    newer = [put("ada", b"%d" % number) for number in range(5)]
    assert previous_of(put("bob"), *newer, Alter("bob", folder="x")) == {6: None, 7: 6}


def test_a_device_must_be_past_what_was_purged() -> None:
    # The delete of bob, at 3, is forgotten: a device at 1 would never hear of it.
    rows = previous_of(put("ada"), put("bob"), Delete("bob"), put("cyd"), purge_at=3)
    assert rows == {1: None, 4: 3}


def test_a_purge_long_ago_does_not_matter() -> None:
    rows = previous_of(put("bob"), Delete("bob"), put("ada"), put("cyd"), purge_at=2)
    assert rows == {3: 2, 4: 3}


def test_what_is_older_than_the_purge_presupposes_all_before_it() -> None:
    rows = previous_of(put("ada"), put("cyd"), put("bob"), Delete("bob"), purge_at=4)
    assert rows == {1: None, 2: 1}


def test_p3_a_view_presupposes_only_what_it_sees() -> None:
    rows = previous_of(
        *(put("ada", folder="Work"), put("bob", folder="Home"), put("cyd", folder="Work")),
        *(Alter("ada", folder="Home"), put("dan", folder="Home"), put("eve", folder="Work")),
        view=WORK,
    )
    assert rows == {3: None, 4: 3, 6: 4}


def test_p3_in_a_view_a_device_must_be_past_what_was_purged() -> None:
    # At 2, ada left the view: that is forgotten, and at 3 something that the view never saw.
    rows = previous_of(
        *(put("ada", folder="Work"), Alter("ada", folder="Home"), put("bob", folder="Home")),
        *(Delete("bob"), put("cyd", folder="Work"), put("dan", folder="Work")),
        purge_at=4,
        view=WORK,
    )
    assert rows == {5: 4, 6: 5}


# What entered, P2


@pytest.mark.parametrize(
    ("mutations", "since", "entered"),
    [
        ([put(folder="Home"), Alter("ada", folder="Work")], 1, True),
        ([put(folder="Home"), Alter("ada", folder="Work")], 2, False),
        ([put(folder="Work"), Alter("ada", flags=("x",))], 1, False),
        ([put(folder="Work"), Alter("ada", folder="Home"), Alter("ada", folder="Work")], 1, False),
        ([put(folder="Work"), Alter("ada", folder="Home"), Alter("ada", folder="Work")], 2, True),
        ([put(folder="Home"), Alter("ada", folder="A"), Alter("ada", folder="Work")], 1, True),
    ],
    ids=["moved in", "moved in before", "flagged", "came back", "back at last", "by a detour"],
)
def test_p2_what_has_entered_a_view(
    mutations: list[Mutation],
    since: int,
    entered: bool,  # noqa: FBT001 - a parameter
) -> None:
    with memory_feed(*mutations).snapshot(FEED) as snapshot:
        row = snapshot.row("ada")
        assert row is not None
        assert ViewedFeed(snapshot, WORK).has_entered(row, since=since) is entered
        assert not ViewedFeed(snapshot, WHOLE_FEED).has_entered(row, since=since)


# What tokens mean, P4


def lineage_of(
    view: View = WHOLE_FEED,
    *,
    store: FeedStore | None = None,
    epoch: bytes = EPOCH,
    base: int = 5,
    view_id: int = 7,
    generation: bytes = GENERATION,
) -> int:
    with (store or memory_feed()).snapshot(FEED) as snapshot:
        feed = ViewedFeed(snapshot, view)
        return feed.lineage(epoch, base=base, view_id=view_id, generation=generation)


@pytest.mark.parametrize(
    "other",
    [
        lineage_of(epoch=b"epoch--2"),
        lineage_of(base=6),
        lineage_of(view_id=8),
        lineage_of(generation=b"the old!"),
        lineage_of(HALF_VIEW, store=half_feed()),
        tokens.lineage(
            EPOCH,
            base=5,
            view_id=7,
            renderer_version=NATIVE_RENDERER_VERSION + 1,
            generation=GENERATION,
        ),
    ],
    ids=["epoch", "base", "view", "generation", "representation", "renderer"],
)
def test_a_lineage_names_all_that_tokens_depend_on(other: int) -> None:
    assert lineage_of() != other


def test_a_lineage_is_the_same_everywhere_and_for_ever() -> None:
    # Bytes 0 to 3 of SHA-256("epoch--1" 0000000000000005 00000007 00000001 "one-time").
    assert lineage_of(generation=b"one-time") == 223865085


def test_a_lineage_of_the_largest_numbers() -> None:
    largest = lineage_of(
        epoch=b"\xff" * 8, base=INTEGER_MAX, view_id=2**32 - 1, generation=b"\xff" * 8
    )
    assert 0 <= largest < 2**32


def test_p4_the_version_is_that_of_all_that_renders_the_view() -> None:
    contact, mail = (ShownAs(kind=kind, representation="half") for kind in ("contact", "mail"))
    short = ShownAs(kind="mail", representation="short")
    one, two = (FeedRepresentation("half", version, frozenset()) for version in (1, 2))
    other = FeedRepresentation("short", 1, frozenset())
    versions = [
        renderer_version(View(shown_as=shown), {"half": half, "short": other})
        for shown, half in [
            ((), one),
            ((contact,), one),
            ((contact,), two),
            ((mail,), one),
            ((short,), one),
            ((contact, mail), one),
            ((contact, short), one),
            ((contact, short), two),
        ]
    ]
    assert len(set(versions)) == len(versions)
    assert all(0 <= version < 2**32 for version in versions)
    assert versions[0] == NATIVE_RENDERER_VERSION
    # Others that the feed is rendered in do not matter, and contents as they are have no version.
    assert renderer_version(View(shown_as=(contact,)), {"half": one}) == versions[1]


def test_p4_what_comes_as_it_is_has_the_version_of_that() -> None:
    native = ShownAs(kind="mail", representation=NATIVE)
    half = ShownAs(kind="contact", representation="half")
    views = [WHOLE_FEED, WORK, View(since=5), View(item_bytes_max=0), View(shown_as=(native,))]
    assert {renderer_version(view, {}) for view in views} == {NATIVE_RENDERER_VERSION}
    both = renderer_version(View(shown_as=(half, native)), {"half": HALF})
    assert both == renderer_version(View(shown_as=(half,)), {"half": HALF})


def test_p4_a_version_is_the_same_everywhere_and_for_ever() -> None:
    # Bytes 0 to 3 of SHA-256("contact=half/1,event=half/1").
    assert version_of(HALF_VIEW) == 0x6AAC388B
