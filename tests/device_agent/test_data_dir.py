"""The data directory: private, and one agent's at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from device_agent.data_dir import locked
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
