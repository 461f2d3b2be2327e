"""State files as wholes: what is one, and one that others use."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.backup_sqlite import BackupError, Contents, check, copy, settle
from gateway.feed_schema import STATE_VERSION
from gateway.rows import Delete
from sync_protocol import limits
from tests.gateway.damage import flip_byte, lose_content
from tests.gateway.sample_feeds import FEED, put
from tests.gateway.states import held, make_state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with nothing beside it."""
    used = make_state(
        tmp_path / "data", put("a", bytes(10_000)), put("b"), Delete("b"), devices=["phone", "pda"]
    )
    copied = tmp_path / "copy"
    copied.touch()
    copy(used, copied)
    return copied


def changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def test_what_a_copy_holds(path: Path) -> None:
    assert check(path) == Contents(feeds=1, items=1, devices=2, size_bytes=path.stat().st_size)


@pytest.mark.parametrize("harm", [lose_content, flip_byte])
def test_contents_that_are_lost_or_damaged(path: Path, harm: Callable[[Path, str], object]) -> None:
    harm(path, "a")
    found = check(path)
    assert (found.items, found.damaged_items, found.damaged_named) == (1, 1, (f"{FEED}/a",))


@pytest.mark.parametrize("size_bytes", [0, 1, 2 * limits.MIB, 2 * limits.MIB + 1])
def test_contents_of_any_size_are_whole(tmp_path: Path, size_bytes: int) -> None:
    path = make_state(tmp_path / "data", put("a", bytes(size_bytes)))
    settle(path)
    assert check(path).damaged_items == 0


def test_a_content_that_was_cut_is_damaged(path: Path) -> None:
    changed(path, "UPDATE content SET bytes = zeroblob(9999) WHERE item = 'a'")
    assert check(path).damaged_named == (f"{FEED}/a",)


def test_a_check_leaves_nothing_behind(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    before = path.read_bytes()
    path.chmod(0o400)
    check(path)
    assert path.read_bytes() == before
    assert {found.name for found in path.parent.iterdir()} == {"copy", "data"}


def test_a_name_that_would_mean_something_in_an_address(path: Path) -> None:
    check(path.rename(path.with_name("a?b#c%20d")))


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (STATE_VERSION + 1, f"state {STATE_VERSION + 1}, and this one reads {STATE_VERSION}"),
        (STATE_VERSION - 1, f"state {STATE_VERSION - 1}, and this one reads {STATE_VERSION}"),
    ],
)
def test_another_version(path: Path, version: int, why: str) -> None:
    changed(path, f"PRAGMA user_version = {version}")
    with pytest.raises(BackupError, match=why):
        check(path)


def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    changed(path, "CREATE TABLE feed (name)", f"PRAGMA user_version = {STATE_VERSION}")
    with pytest.raises(BackupError, match=f"{path} is not a state file of the gateway"):
        check(path)


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-4096],
        lambda data: data[:4096] + bytes(4096) + data[8192:],
        lambda data: data[:4096] + data[8192:] + data[4096:8192],
        lambda data: bytes(100) + data[100:],
    ],
    ids=["cut", "a page of zeros", "pages out of order", "no heading"],
)
def test_damage(path: Path, harm: Callable[[bytes], bytes]) -> None:
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(BackupError, match=r"damaged .*use an earlier backup"):
        check(path)


def test_a_state_is_brought_to_rest(tmp_path: Path) -> None:
    path = make_state(tmp_path / "data", put("a", b"in the journal"))
    settle(path)
    assert {found.name for found in path.parent.iterdir()} == {path.name}
    assert held(path) == {"a": b"in the journal"}
    settle(path)


def test_a_state_that_another_program_reads_is_not(tmp_path: Path) -> None:
    path = make_state(tmp_path / "data", put("a"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT * FROM feed").fetchone()
        with pytest.raises(BackupError, match="another program reads"):
            settle(path)
    settle(path)
