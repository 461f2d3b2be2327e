"""The device's file: opened, made, refused, and killed in the middle."""

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.agent_file import HINDRANCE_CHARS_MAX, AgentFile, Hindrance
from device_agent.store import ReplicaStore
from device_agent.store_sqlite import StoreError
from tests.device_agent import writing_process
from tests.device_agent.builders import EPOCH
from tests.device_agent.test_store import STATE, held


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond `size` bytes: a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def overfill(store: ReplicaStore) -> None:
    with store.transaction():
        store.delete_item("a")
        store.append_content("b", 0, bytes(1_000_000))


class TestAgentFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "a %20?&# file.sqlite3"

    def test_is_private_and_remembers(self, path: Path) -> None:
        with contextlib.closing(AgentFile(path)) as file:
            file.replica("b").set_item(held("x"))
            file.replica("a").set_synced_at(12)
        assert path.stat().st_mode & 0o777 == 0o600
        with contextlib.closing(AgentFile(path)) as file:
            assert file.feeds() == ["a", "b"]
            assert file.replica("a").synced_at() == 12
            assert file.replica("b").synced_at() is None
            assert list(file.replica("b").items()) == [held("x")]

    def test_is_one_device_s(self, path: Path) -> None:
        AgentFile(path, device="phone").close()
        AgentFile(path, device="phone").close()
        with pytest.raises(StoreError, match="the file of device phone, not of tablet"):
            AgentFile(path, device="tablet")

    def test_damage_behind_the_header_is_said_with_its_cure(self, path: Path) -> None:
        AgentFile(path).close()
        data = bytearray(path.read_bytes())
        data[4096:] = bytes(len(data) - 4096)
        path.write_bytes(data)
        with pytest.raises(StoreError, match="move it away"):
            AgentFile(path, device="phone").replica("feed")

    def test_counts(self, path: Path) -> None:
        with contextlib.closing(AgentFile(path)) as file:
            store = file.replica("feed")
            for item in (held("a"), held("b", whole=False), held("c")):
                store.set_item(item)
            file.replica("another").set_item(held("d"))
            assert (store.item_count(), store.incomplete_count()) == (3, 1)

    def test_can_be_read_while_it_is_written(self, path: Path) -> None:
        with contextlib.closing(AgentFile(path)) as writer:
            writer.replica("feed").set_item(held("a"))
            reader = AgentFile(path, readonly=True)
            with contextlib.closing(reader), reader.snapshot():
                assert reader.replica("feed").item_count() == 1
                with writer.replica("feed").transaction():
                    writer.replica("feed").set_item(held("b"))
                assert reader.replica("feed").item_count() == 1

    def test_can_be_read_when_nobody_writes(self, path: Path) -> None:
        AgentFile(path).close()
        with contextlib.closing(AgentFile(path, readonly=True)) as reader:
            assert reader.feeds() == []

    def test_a_reader_cannot_write(self, path: Path) -> None:
        with contextlib.closing(AgentFile(path)) as writer:
            writer.replica("feed")
        with contextlib.closing(AgentFile(path, readonly=True)) as reader:
            store = reader.replica("feed")
            with pytest.raises(StoreError, match="cannot be read or written"), store.transaction():
                store.set_item(held("a"))

    def test_a_reader_makes_no_file(self, path: Path) -> None:
        with pytest.raises(StoreError, match="device-agent run"):
            AgentFile(path, readonly=True)
        assert not path.exists()

    @pytest.mark.parametrize("readonly", [True, False])
    def test_something_else_is_refused(self, path: Path, *, readonly: bool) -> None:
        path.write_bytes(b"dear diary" * 1000)
        with pytest.raises(StoreError, match="not an agent's file"):
            AgentFile(path, readonly=readonly)
        assert path.read_bytes() == b"dear diary" * 1000

    def test_another_version_is_refused(self, path: Path) -> None:
        with contextlib.closing(AgentFile(path)):
            pass
        data = bytearray(path.read_bytes())
        data[60:64] = (99).to_bytes(4)  # the user version, of SQLite's file header
        path.write_bytes(data)
        with pytest.raises(StoreError, match="state 99, and this one reads 2"):
            AgentFile(path)

    def test_a_path_that_cannot_be_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be opened"):
            AgentFile(tmp_path / "none" / "agent.sqlite3")
        with pytest.raises(StoreError, match="cannot be opened"):
            AgentFile(tmp_path)

    def test_a_damaged_token_set_is_told(self, path: Path) -> None:
        with contextlib.closing(AgentFile(path)) as file:
            file.replica("feed").set_state(STATE)
        data = path.read_bytes()
        coded = STATE.collection.held.encode() if STATE.collection else b""
        assert data.count(EPOCH) == 1
        path.write_bytes(data.replace(coded, b"\xff" * len(coded)))
        with (
            contextlib.closing(AgentFile(path)) as file,
            pytest.raises(StoreError, match="damaged"),
        ):
            file.replica("feed").state()

    def test_a_full_disk_leaves_the_file_as_it_was(self, path: Path) -> None:
        with contextlib.closing(AgentFile(path)) as file:
            store = file.replica("feed")
            store.set_item(held("a"))
            with (
                largest_file(100_000),
                pytest.raises(StoreError, match="cannot be read or written"),
            ):
                overfill(store)
            assert list(store.items()) == [held("a")]
            with store.transaction():
                store.set_item(held("b"))
            assert list(store.items()) == [held("a"), held("b")]


@pytest.mark.parametrize("kill_at", range(8))
def test_killed_between_any_two_steps_all_or_nothing_is_there(tmp_path: Path, kill_at: int) -> None:
    """The process gets SIGKILL at its `kill_at`-th write within some transaction."""
    path = tmp_path / "agent.sqlite3"
    killed = subprocess.run(
        [sys.executable, "-m", writing_process.__name__, path, str(40 + kill_at)],
        capture_output=True,
        check=False,
        timeout=30,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with contextlib.closing(AgentFile(path)) as file:
        store = file.replica("feed")
        state = store.state()
        assert state is not None
        assert state.collection is not None
        newest = state.collection.held.last
        assert newest > 0
        writing_process.check(store, newest)


def test_a_lone_journal_is_no_empty_start(tmp_path: Path) -> None:
    path = tmp_path / "agent.sqlite3"
    journal = tmp_path / "agent.sqlite3-wal"
    journal.write_bytes(b"what was committed last")
    with pytest.raises(StoreError, match="is gone, and its journal is still there"):
        AgentFile(path, device="phone")
    assert not path.exists()
    assert journal.read_bytes() == b"what was committed last"


class TestHindrance:
    def test_it_is_kept_since_when_it_was_first_so(self, tmp_path: Path) -> None:
        path = tmp_path / "agent.sqlite3"
        with contextlib.closing(AgentFile(path)) as file:
            assert file.hindrance is None
            for at in (5.5, 9.0):
                file.set_hindrance("no route", unix_time=at)
        with contextlib.closing(AgentFile(path, readonly=True)) as file:
            assert file.hindrance == Hindrance("no route", 5)
        with contextlib.closing(AgentFile(path)) as file:
            file.set_hindrance("x" * 2 * HINDRANCE_CHARS_MAX, unix_time=7)
            assert file.hindrance == Hindrance("x" * HINDRANCE_CHARS_MAX, 7)
            file.set_hindrance(None, unix_time=8)
            assert file.hindrance is None

    def test_a_file_of_before_it_has_none(self, tmp_path: Path) -> None:
        path = tmp_path / "agent.sqlite3"
        with contextlib.closing(AgentFile(path)):
            pass
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("DROP TABLE hindrance")
        with contextlib.closing(AgentFile(path, readonly=True)) as file:
            assert file.hindrance is None
        with contextlib.closing(AgentFile(path)) as file:
            file.set_hindrance("no route", unix_time=1)
            assert file.hindrance == Hindrance("no route", 1)


@pytest.mark.parametrize("readonly", [True, False])
def test_a_name_that_is_too_long_is_refused(tmp_path: Path, *, readonly: bool) -> None:
    with pytest.raises(StoreError, match=r"cannot be opened \(File name too long\)"):
        AgentFile(tmp_path / ("x" * 300) / "agent.sqlite3", readonly=readonly)
