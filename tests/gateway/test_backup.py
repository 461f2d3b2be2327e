"""Backups as files: made whole or not at all, and put back whole or not at all."""

import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.backup import Restored, back_up, examine, holds_state, restore
from gateway.backup_sqlite import BackupError, Contents
from gateway.state_file import SqliteStore
from tests.gateway.damage import flip_byte, lose_content
from tests.gateway.sample_feeds import FEED, change, put
from tests.gateway.states import STATE, held, make_state
from tests.gateway.stopped import NOW, restore_until

OLD = {"ada": b"old", "bob": b"old"}
NEW = {"ada": b"new"}
KEPT = "before-restore-20231114T221320.000000Z"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(path: Path) -> set[str]:
    return {found.name for found in path.iterdir()}


def state(data_dir: Path, items: dict[str, bytes]) -> Path:
    return make_state(data_dir, *(put(name, content) for name, content in items.items()))


def put_back(directory: Path, state_file: Path) -> Restored:
    return restore(directory, state_file, state_file.parent / "ledger", unix_time=NOW)


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """As on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Of a gateway that was killed."""
    path = tmp_path / "data"
    state(path, OLD)
    (path / "ledger").mkdir()
    (path / "ledger" / "phone.json").write_text("{}")
    return path


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    back_up(state(tmp_path / "other", NEW), path)
    return path


class TestBackUp:
    def test_one_private_file(self, data_dir: Path, tmp_path: Path) -> None:
        directory = tmp_path / "backup"
        contents = back_up(data_dir / STATE, directory)
        assert contents == Contents(1, 2, 0, (directory / STATE).stat().st_size)
        assert names(directory) == {STATE}
        assert (mode(directory), mode(directory / STATE)) == (0o700, 0o600)
        assert held(directory / STATE) == OLD

    def test_while_it_is_written(self, tmp_path: Path) -> None:
        with closing(SqliteStore(state(tmp_path / "data", OLD))) as store:
            with store.transaction() as transaction:
                transaction.apply("contacts", put("carl"), now=1)
                back_up(tmp_path / "data" / STATE, tmp_path / "backup")
            change(store, put("dora"))
        assert held(tmp_path / "backup" / STATE) == OLD

    def test_a_backup_is_never_replaced(self, data_dir: Path, backup: Path) -> None:
        with pytest.raises(BackupError, match=r"holds a backup already: name a new directory"):
            back_up(data_dir / STATE, backup)
        assert held(backup / STATE) == NEW

    def test_in_a_directory_that_is_empty(self, data_dir: Path, tmp_path: Path) -> None:
        directory = tmp_path / "disk"
        directory.mkdir(mode=0o755)
        back_up(data_dir / STATE, directory)
        assert names(directory) == {STATE}
        assert mode(directory / STATE) == 0o600

    def test_not_beside_other_files(self, data_dir: Path, tmp_path: Path) -> None:
        directory = tmp_path / "home"
        directory.mkdir()
        (directory / "other").touch()
        with pytest.raises(BackupError, match=r"home is not empty: name a new directory"):
            back_up(data_dir / STATE, directory)
        assert names(directory) == {"other"}

    def test_not_beside_the_state(self, data_dir: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(data_dir)
        before = names(data_dir)
        for directory in (data_dir, tmp_path / "link"):
            with pytest.raises(BackupError, match=f"{directory} is the gateway's data directory"):
                back_up(data_dir / STATE, directory)
        assert names(data_dir) == before

    @pytest.mark.parametrize(
        ("where", "why"),
        [
            ("none/backup", "there is no directory {}/none: make it, or see whether its disk is"),
            ("file", "{}/file is no directory: name a new one"),
            ("file/backup", "there is no directory {}/file:"),
        ],
    )
    def test_no_such_place(self, data_dir: Path, tmp_path: Path, where: str, why: str) -> None:
        (tmp_path / "file").touch()
        before = names(tmp_path)
        with pytest.raises(BackupError, match=why.format(tmp_path)):
            back_up(data_dir / STATE, tmp_path / where)
        assert names(tmp_path) == before

    def test_damaged_contents_are_saved_and_told_of(self, tmp_path: Path) -> None:
        state_file = state(tmp_path / "data", {f"item-{n}": b"content" for n in range(9)})
        for number in range(1, 7):
            (lose_content if number % 2 else flip_byte)(state_file, f"item-{number}")
        contents = back_up(state_file, tmp_path / "backup")
        assert (contents.items, contents.damaged_items) == (9, 6)
        assert contents.damaged_named == tuple(f"{FEED}/item-{n}" for n in range(1, 6))
        assert held(tmp_path / "backup" / STATE)["item-8"] == b"content"

    @pytest.mark.parametrize("made", [True, False])
    def test_a_disk_that_is_full(self, data_dir: Path, tmp_path: Path, *, made: bool) -> None:
        # More than SQLite keeps in memory, or it leaves no journal behind.
        with closing(SqliteStore(data_dir / STATE)) as store:
            change(store, put("large", bytes(5_000_000)))
        directory = tmp_path / "backup"
        if not made:
            directory.mkdir()
        with files_of_at_most(100_000), pytest.raises(BackupError, match=r"see to the room there"):
            back_up(data_dir / STATE, directory)
        assert directory.exists() is not made
        assert list(directory.glob("*")) == []

    def test_a_damaged_state_is_not_saved(self, data_dir: Path, tmp_path: Path) -> None:
        (data_dir / STATE).write_bytes(b"damaged" * 1_000)
        (data_dir / f"{STATE}-wal").unlink()
        with pytest.raises(BackupError, match="cannot be copied"):
            back_up(data_dir / STATE, tmp_path / "backup")
        assert not (tmp_path / "backup").exists()


class TestRestore:
    def test_in_the_place_of_a_state(self, data_dir: Path, backup: Path) -> None:
        before = (backup / STATE).read_bytes()
        restored = put_back(backup, data_dir / STATE)
        assert restored == Restored(
            Contents(1, 1, 0, len(before)), data_dir / KEPT, kept_is_backup=True
        )
        assert names(data_dir) == {STATE, KEPT}
        assert (mode(data_dir / STATE), mode(data_dir / KEPT)) == (0o600, 0o700)
        assert held(data_dir / STATE) == NEW
        assert names(backup) == {STATE}
        assert (backup / STATE).read_bytes() == before

    def test_what_was_kept_can_be_restored(self, data_dir: Path, backup: Path) -> None:
        kept = put_back(backup, data_dir / STATE).kept
        assert kept is not None
        assert names(kept) == {STATE}
        other = data_dir.with_name("again") / STATE
        other.parent.mkdir()
        assert put_back(kept, other).kept is None
        assert held(other) == OLD

    def test_in_an_empty_data_directory(self, tmp_path: Path, backup: Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        assert not holds_state(empty / STATE)
        assert put_back(backup, empty / STATE).kept is None
        assert names(empty) == {STATE}
        assert held(empty / STATE) == NEW

    def test_a_journal_without_its_state_is_not_applied(self, data_dir: Path, backup: Path) -> None:
        (data_dir / STATE).unlink()
        journal = (data_dir / f"{STATE}-wal").read_bytes()
        assert holds_state(data_dir / STATE)
        restored = put_back(backup, data_dir / STATE)
        assert held(data_dir / STATE) == NEW
        assert (restored.kept, restored.kept_is_backup) == (data_dir / KEPT, False)
        assert names(data_dir / KEPT) == {f"{STATE}-wal"}
        assert (data_dir / KEPT / f"{STATE}-wal").read_bytes() == journal

    def test_in_the_place_of_a_damaged_state(self, data_dir: Path, backup: Path) -> None:
        (data_dir / STATE).write_bytes(b"damaged" * 1_000)
        (data_dir / f"{STATE}-wal").write_bytes(b"journal")
        assert not put_back(backup, data_dir / STATE).kept_is_backup
        assert held(data_dir / STATE) == NEW
        assert (data_dir / KEPT / STATE).read_bytes() == b"damaged" * 1_000
        assert (data_dir / KEPT / f"{STATE}-wal").read_bytes() == b"journal"

    @pytest.mark.parametrize(
        ("harm", "why"),
        [
            (lambda path: path.unlink(), "holds no backup: there is no gateway.sqlite3 in it"),
            (lambda path: path.write_bytes(b""), "not a state file of the gateway"),
            (lambda path: path.write_bytes(b"foreign" * 1_000), "not a state file of the gateway"),
            (lambda path: path.with_name(f"{STATE}-wal").touch(), "a state in use"),
            (lambda path: os.truncate(path, path.stat().st_size // 2), "damaged"),
        ],
        ids=["absent", "empty", "foreign", "in use", "cut"],
    )
    def test_what_is_no_backup_changes_nothing(
        self, data_dir: Path, backup: Path, *, harm: Callable[[Path], object], why: str
    ) -> None:
        harm(backup / STATE)
        before = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
        with pytest.raises(BackupError, match=why):
            examine(backup, data_dir / STATE)
        with pytest.raises(BackupError, match=why):
            put_back(backup, data_dir / STATE)
        assert before == {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}

    def test_a_file_is_no_directory(self, data_dir: Path, backup: Path) -> None:
        with pytest.raises(BackupError, match=f"{STATE} is a file: name the directory of a backup"):
            put_back(backup / STATE, data_dir / STATE)

    def test_the_state_is_no_backup_of_itself(self, backup: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(backup)
        for directory in (backup, tmp_path / "link"):
            with pytest.raises(BackupError, match=f"{directory} is the gateway's data directory"):
                put_back(directory, backup / STATE)
        assert names(backup) == {STATE}

    def test_a_disk_that_is_full(self, data_dir: Path, backup: Path) -> None:
        before = names(data_dir)
        with files_of_at_most(10_000), pytest.raises(BackupError, match="File too large"):
            put_back(backup, data_dir / STATE)
        assert names(data_dir) == before
        assert held(data_dir / STATE) == OLD

    def test_no_place_for_what_is_kept(self, data_dir: Path, backup: Path) -> None:
        (data_dir / KEPT).mkdir()
        with pytest.raises(BackupError, match=f"{KEPT} cannot be used"):
            put_back(backup, data_dir / STATE)
        assert held(data_dir / STATE) == OLD


def test_a_restore_that_is_killed_anywhere(data_dir: Path, backup: Path, tmp_path: Path) -> None:
    seen: list[Mapping[str, bytes]] = []
    finished = False
    while not finished:
        case = tmp_path / f"case{len(seen)}"
        shutil.copytree(data_dir, case)
        finished = restore_until(backup, case, len(seen))
        restored = held(case / STATE)
        assert restored in (OLD, NEW)
        seen.append(restored)
        if restored == NEW:
            assert held(case / KEPT / STATE) == OLD
        # It goes last: where no state was, it is what forbids an empty start.
        assert restored == NEW or (case / "ledger").exists()
        assert not finished or not (case / "ledger").exists()
        # And the same again does it, a moment later.
        shutil.rmtree(case / KEPT, ignore_errors=True)
        put_back(backup, case / STATE)
        assert held(case / STATE) == NEW
        shutil.rmtree(case)
    # The old state, then the new one, and never the old one again.
    assert seen[0] == OLD
    assert seen[-1] == NEW
    assert seen == sorted(seen, key=NEW.__eq__)
    assert len(seen) > 20


def test_no_journal_is_ever_beside_a_state_that_it_is_not_of(
    data_dir: Path, backup: Path, tmp_path: Path
) -> None:
    (data_dir / STATE).unlink()
    dealings = 0
    finished = False
    while not finished:
        case = tmp_path / f"case{dealings}"
        shutil.copytree(data_dir, case)
        finished = restore_until(backup, case, dealings)
        dealings += 1
        if (case / STATE).exists():
            assert held(case / STATE) == NEW
    assert dealings > 10
