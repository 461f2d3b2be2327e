"""What a push presupposes, and what its tokens mean (docs/protocol.md, P3 and P4)."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import view
from gateway.feed import Alter, Delete, Mutation, PoisonError
from gateway.state_file import SqliteStore
from sync_protocol import tokens
from sync_protocol.limits import INTEGER_MAX
from tests.gateway.asking import GENERATION
from tests.gateway.damage import break_page, cut_content, flip_byte, lose_content
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
        view.lineage(b"epoch--2", base=5, view_id=7, generation=GENERATION),
        view.lineage(EPOCH, base=6, view_id=7, generation=GENERATION),
        view.lineage(EPOCH, base=5, view_id=8, generation=GENERATION),
        view.lineage(EPOCH, base=5, view_id=7, generation=b"the old!"),
        tokens.lineage(
            EPOCH,
            base=5,
            view_id=7,
            renderer_version=view.NATIVE_RENDERER_VERSION + 1,
            generation=GENERATION,
        ),
    ],
    ids=["epoch", "base", "view", "generation", "renderer"],
)
def test_a_lineage_names_all_that_tokens_depend_on(other: int) -> None:
    assert view.lineage(EPOCH, base=5, view_id=7, generation=GENERATION) != other


def test_a_lineage_is_the_same_everywhere_and_for_ever() -> None:
    # Bytes 0 to 3 of SHA-256("epoch--1" 0000000000000005 00000007 00000001 "one-time").
    assert view.lineage(EPOCH, base=5, view_id=7, generation=b"one-time") == 223865085


def test_a_lineage_of_the_largest_numbers() -> None:
    largest = view.lineage(b"\xff" * 8, base=INTEGER_MAX, view_id=2**32 - 1, generation=b"\xff" * 8)
    assert 0 <= largest < 2**32


# What breaks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state file with ada, of five bytes."""
    path = tmp_path / "gateway.sqlite3"
    with contextlib.closing(SqliteStore(path)) as store:
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        change(store, put("ada", b"bytes"))
    return path


def read(path: Path, offset: int, bytes_max: int) -> bytes:
    with contextlib.closing(SqliteStore(path)) as store, store.snapshot(FEED) as snapshot:
        row = snapshot.row("ada")
        assert row is not None
        return view.content(snapshot, row, offset=offset, bytes_max=bytes_max)


def test_content_from_a_byte_on(path: Path) -> None:
    assert [read(path, *it) for it in ((0, 5), (0, 9), (2, 2), (2, 9), (5, 9), (9, 9), (0, 0))] == [
        *(b"bytes", b"bytes", b"te", b"tes", b"", b"", b"")
    ]


@pytest.mark.parametrize("wanted", [(0, 5), (0, 1), (4, 9)])
def test_a_content_that_is_lost(path: Path, wanted: tuple[int, int]) -> None:
    lose_content(path, "ada")
    with pytest.raises(PoisonError, match="item 'ada' has lost its content") as caught:
        read(path, *wanted)
    assert (caught.value.item_id, caught.value.seq, caught.value.lasting) == ("ada", 1, True)
    assert read(path, 5, 9) == b""  # nothing is asked of it


@pytest.mark.parametrize("wanted", [(0, 9), (3, 9)])
def test_a_content_of_another_length(path: Path, wanted: tuple[int, int]) -> None:
    cut_content(path, "ada")
    with pytest.raises(PoisonError, match="item 'ada' has a content of another length") as caught:
        read(path, *wanted)
    assert caught.value.lasting


def test_a_content_that_cannot_be_read_may_be_readable_the_next_time(tmp_path: Path) -> None:
    path, large = tmp_path / "gateway.sqlite3", b"A" * 40_000
    with contextlib.closing(SqliteStore(path)) as store:
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        change(store, put("ada", large))
    break_page(path, large)
    with pytest.raises(PoisonError, match="item 'ada' has a content that cannot be") as caught:
        read(path, 0, 40_000)
    assert (caught.value.item_id, caught.value.seq, caught.value.lasting) == ("ada", 1, False)
    assert "restore a backup" in str(caught.value)
    assert read(path, 0, 100) == large[:100]


@pytest.mark.parametrize("wanted", [(0, 5), (0, 99), (4, 1), (1, 99)])
def test_a_content_that_is_damaged_is_told_at_its_end(path: Path, wanted: tuple[int, int]) -> None:
    flip_byte(path, "ada")
    with pytest.raises(PoisonError, match="item 'ada' has a damaged content") as caught:
        read(path, *wanted)
    assert (caught.value.item_id, caught.value.seq, caught.value.lasting) == ("ada", 1, True)
    assert read(path, 0, 4) == b"byte"


def test_an_empty_content_breaks_nothing() -> None:
    with memory_feed(put("ada", b"")).snapshot(FEED) as snapshot:
        row = snapshot.row("ada")
        assert row is not None
        assert view.content(snapshot, row, offset=0, bytes_max=9) == b""


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"flags": ("secret words",)}, "flags"),
        ({"kind": "Secret"}, "kind"),
        ({"size": -1}, "size"),
    ],
)
def test_a_row_that_no_message_can_carry(wrong: Mapping[str, Any], says: str) -> None:
    with memory_feed(put("ada")).snapshot(FEED) as snapshot:
        row = snapshot.row("ada")
    assert row is not None
    with pytest.raises(PoisonError, match=rf"'ada' has a field '{says}' that no message") as caught:
        view.put_of(replace(row, **wrong), None)
    assert (caught.value.item_id, caught.value.seq) == ("ada", 1)
    assert "ecret" not in str(caught.value)
