"""The data directory: private, and for one gateway at a time."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.data_dir import DataDirError, default_data_dir, locked


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_made_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with locked(path) as directory:
        assert directory == path
        assert mode(path) == 0o700
        assert [mode(file) for file in path.iterdir()] == [0o600]


def test_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        for _ in range(2):
            with pytest.raises(DataDirError, match="another gateway runs with"), locked(tmp_path):
                pass
    with locked(tmp_path):
        pass


def test_free_again_when_its_process_is_killed(tmp_path: Path) -> None:
    holds = (
        "import sys; from pathlib import Path; from gateway.data_dir import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(DataDirError, match=str(tmp_path)), locked(tmp_path):
            pass
        holder.kill()
        holder.wait(10)
        with locked(tmp_path):
            pass


def test_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataDirError, match="--data DIR"), locked(path):
            pass


def test_the_default_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "tallysync" / "gateway"
