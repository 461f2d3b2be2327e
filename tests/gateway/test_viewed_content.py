"""The contents that views show, and what is damaged (docs/protocol.md, F7)."""

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import viewed
from gateway.feed import PoisonError
from gateway.state_file import SqliteStore
from gateway.viewed import ViewedFeed
from tests.gateway.damage import break_page, cut_content, flip_byte, lose_content
from tests.gateway.rendered_feeds import HALF_VIEW, begin, change_halved, end
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, memory_feed, put


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
        return viewed.content(snapshot, row, row.native, offset=offset, bytes_max=bytes_max)


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
        assert viewed.content(snapshot, row, row.native, offset=0, bytes_max=9) == b""


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
    wrong_row = replace(row, **wrong)
    with pytest.raises(PoisonError, match=rf"'ada' has a field '{says}' that no message") as caught:
        viewed.put_of(wrong_row, wrong_row.native, None)
    assert (caught.value.item_id, caught.value.seq) == ("ada", 1)
    assert "ecret" not in str(caught.value)


@pytest.fixture
def half_path(tmp_path: Path) -> Path:
    """A state file with ada, of which devices may see a half of five bytes."""
    path = tmp_path / "gateway.sqlite3"
    with contextlib.closing(SqliteStore(path)) as store:
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
        begin(store)
        assert end(store)
        change_halved(store, put("ada", b"bytesBYTES"))
    return path


def read_half(path: Path, offset: int, bytes_max: int) -> bytes:
    with contextlib.closing(SqliteStore(path)) as store, store.snapshot(FEED) as snapshot:
        feed = ViewedFeed(snapshot, HALF_VIEW)
        (found,) = feed.changes(1, 9)
        return feed.content(found, offset=offset, bytes_max=bytes_max)


def test_a_rendering_from_a_byte_on(half_path: Path) -> None:
    assert [read_half(half_path, *it) for it in ((0, 9), (2, 2), (2, 9), (5, 9), (0, 0))] == [
        *(b"bytes", b"te", b"tes", b"", b"")
    ]


def test_a_native_content_that_is_damaged_does_not_matter_to_its_rendering(half_path: Path) -> None:
    flip_byte(half_path, "ada")
    assert read_half(half_path, 0, 9) == b"bytes"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("CAST('bytez' AS BLOB)", "damaged content"),
        ("CAST('byte' AS BLOB)", "another length"),
        ("x''", "lost its content"),
    ],
)
def test_a_rendering_that_is_damaged_is_told_at_its_end(
    half_path: Path, damage: str, says: str
) -> None:
    with contextlib.closing(sqlite3.connect(half_path)) as db, db:
        db.execute(f"UPDATE rendering SET bytes = {damage}")  # noqa: S608 - our own words
    with pytest.raises(PoisonError, match=f"'ada' has .*{says}") as caught:
        read_half(half_path, 0, 9)
    assert caught.value.lasting
    assert read(half_path, 0, 99) == b"bytesBYTES"
