"""The data directory: private, one agent's at a time, and who that is."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent import data_dir
from device_agent.data_dir import POKE, announce, is_locked, locked, poke
from device_agent.store_sqlite import StoreError


def test_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with locked(path):
        assert path.stat().st_mode & 0o777 == 0o700
        assert all(file.stat().st_mode & 0o077 == 0 for file in path.iterdir())


def test_is_one_agents_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(StoreError, match="another agent runs with"), locked(tmp_path):
            pass
        with locked(tmp_path / "another"):
            pass
    with locked(tmp_path):
        pass


def test_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_is_free_again_after_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from device_agent.data_dir import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path], check=False, timeout=30)
    assert killed.returncode == -9
    with locked(tmp_path):
        pass


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(StoreError, match="--data DIR names another"), locked(path):
        pass


class TestIsLocked:
    def test_while_an_agent_runs(self, tmp_path: Path) -> None:
        assert not is_locked(tmp_path)
        with locked(tmp_path):
            assert is_locked(tmp_path)
            assert is_locked(tmp_path)
        assert not is_locked(tmp_path)

    def test_who_looks_keeps_no_agent_from_starting(self, tmp_path: Path) -> None:
        with locked(tmp_path):
            pass
        descriptor = os.open(tmp_path / "lock", os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        threading.Timer(0.02, os.close, [descriptor]).start()
        with locked(tmp_path):
            assert is_locked(tmp_path)

    def test_a_directory_that_cannot_be_looked_into_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="cannot be used"):
            is_locked(tmp_path / "file")


class TestPoke:
    @pytest.fixture
    def poked(self) -> Iterator[threading.Event]:
        event = threading.Event()
        before = signal.signal(POKE, lambda *_: event.set())
        yield event
        signal.signal(POKE, before)

    @pytest.fixture
    def bystander(self) -> Iterator[subprocess.Popen[bytes]]:
        """A process that any signal would end."""
        with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
            yield process
            assert process.poll() is None, "it was not left alone"
            process.kill()

    def test_reaches_who_said_so(self, tmp_path: Path, poked: threading.Event) -> None:
        with locked(tmp_path):
            assert not poke(tmp_path)
            announce(tmp_path)
            assert poke(tmp_path)
            assert poked.wait(10)
        assert not poke(tmp_path)

    def test_nobody_without_a_lock(
        self, tmp_path: Path, bystander: subprocess.Popen[bytes]
    ) -> None:
        assert not poke(tmp_path / "none")
        (tmp_path / "lock").write_text(f"{bystander.pid}\n")
        assert not poke(tmp_path)

    def test_nobody_whose_number_was_left_by_a_kill(
        self, tmp_path: Path, bystander: subprocess.Popen[bytes]
    ) -> None:
        (tmp_path / "lock").write_text(f"{bystander.pid}\n")
        with locked(tmp_path):
            assert not poke(tmp_path)

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process cannot be held on to")
    def test_nobody_who_got_the_number_meanwhile(
        self, tmp_path: Path, poked: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pidfd_open = os.pidfd_open

        def open_late(pid: int) -> int:
            (tmp_path / "lock").write_bytes(b"")  # the agent ended
            return pidfd_open(pid)

        with locked(tmp_path):
            announce(tmp_path)
            monkeypatch.setattr(os, "pidfd_open", open_late)
            assert not poke(tmp_path)
        assert not poked.is_set()

    def test_the_number_goes_with_the_lock(self, tmp_path: Path) -> None:
        with locked(tmp_path):
            announce(tmp_path)
            assert (tmp_path / "lock").read_text().startswith(f"{os.getpid()} ")
        assert (tmp_path / "lock").read_bytes() == b""

    @pytest.mark.parametrize("name", ["_BOOT_ID", "_PID_NAMESPACE"])
    def test_nobody_whose_number_means_another_here(
        self,
        tmp_path: Path,
        poked: threading.Event,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
    ) -> None:
        """The agent runs in another container, or it did on a machine that died."""
        another = tmp_path / "another"
        another.write_text("another\n")
        with locked(tmp_path):
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(data_dir, name, another)
                announce(tmp_path)
            assert not poke(tmp_path)
        assert not poked.is_set()

    def test_where_nobody_knows_what_numbers_mean_they_mean_the_same(
        self, tmp_path: Path, poked: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(data_dir, "_BOOT_ID", tmp_path / "none")
        with locked(tmp_path):
            announce(tmp_path)
            assert (tmp_path / "lock").read_text() == f"{os.getpid()} \n"
            assert poke(tmp_path)
        assert poked.wait(10)

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"0\n",
            b"-1\n",
            b"-",
            b"12",
            b"1 2\n",
            b"\xff\n",
            b"9" * 30,
            b"999999999\n",
            b"1 \n",
            b"1 " + b"x" * 200 + b"\n",
        ],
    )
    def test_nobody_by_what_is_no_number_of_a_process(self, tmp_path: Path, said: bytes) -> None:
        with locked(tmp_path):
            (tmp_path / "lock").write_bytes(said)
            assert not poke(tmp_path)
