"""What a push presupposes, and what its tokens mean (docs/protocol.md, P3 and P4)."""

import pytest

from gateway import view
from gateway.feed import Alter, Delete, Mutation
from sync_protocol import tokens
from sync_protocol.limits import INTEGER_MAX
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, memory_feed, purge, put


def previous_of(*mutations: Mutation, purge_at: int | None = None) -> dict[int, int | None]:
    """For each row of a feed, what a device must hold before it."""
    store = memory_feed()
    for number, mutation in enumerate(mutations, start=1):
        change(store, mutation, now=NOW + number)
    if purge_at is not None:
        assert purge(store, before=NOW + purge_at + 1)
    with store.snapshot(FEED) as snapshot:
        return {row.seq: view.previous(snapshot, row.seq) for row in snapshot.rows(1, 99)}


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


@pytest.mark.parametrize(
    "other",
    [
        view.lineage(b"epoch--2", base=5, view_id=7),
        view.lineage(EPOCH, base=6, view_id=7),
        view.lineage(EPOCH, base=5, view_id=8),
        tokens.lineage(EPOCH, base=5, view_id=7, renderer_version=view.NATIVE_RENDERER_VERSION + 1),
    ],
    ids=["epoch", "base", "view", "renderer"],
)
def test_a_lineage_names_all_that_tokens_depend_on(other: int) -> None:
    assert view.lineage(EPOCH, base=5, view_id=7) != other


def test_a_lineage_is_the_same_everywhere_and_for_ever() -> None:
    # Bytes 0 to 3 of SHA-256("epoch--1" 0000000000000005 00000007 00000001).
    assert view.lineage(EPOCH, base=5, view_id=7) == 389529961


def test_a_lineage_of_the_largest_numbers() -> None:
    assert 0 <= view.lineage(b"\xff" * 8, base=INTEGER_MAX, view_id=2**32 - 1) < 2**32
