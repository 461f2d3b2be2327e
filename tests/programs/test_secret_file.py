"""Secrets in files: one bounded line that errors never quote, and files of their owner's only."""

import os
import stat
from pathlib import Path

import pytest

from programs.secret_file import (
    SECRET_BYTES_MAX,
    Secret,
    SecretFileError,
    exposure,
    read_secret,
    write_private,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_line_of_a_file(file: Path, end: str) -> None:
    file.write_text(f"a sécret{end}")
    assert read_secret(file, named="password_file") == Secret("a sécret")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_read_is_warned_of(file: Path, mode: int) -> None:
    file.write_text("a secret")
    file.chmod(mode)
    secret = read_secret(file, named="password_file")
    assert secret.text == "a secret"
    assert secret.warning == exposure(file) == f"others may read {file}: chmod 600 {file}"
    assert "a secret" not in repr(secret)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "there is no password in password_file"),
        (b"\r\n", "there is no password in password_file"),
        (b"a secret\nanother\n", "a password is one line of at most 65535 bytes"),
        (b"a secret\xff", "is not UTF-8 text"),
        (b"s" * (SECRET_BYTES_MAX + 1), "a password is one line of at most 65535 bytes"),
        (b"s" * 1_000_000, "a password is one line of at most 65535 bytes"),
    ],
)
def test_a_file_without_a_secret(file: Path, data: bytes, why: str) -> None:
    file.write_bytes(data)
    with pytest.raises(SecretFileError, match=why) as refused:
        read_secret(file, named="password_file")
    assert str(file) in str(refused.value)
    assert "a secret" not in str(refused.value)


def test_what_is_no_file_of_anybody_is_not_warned_of(file: Path) -> None:
    assert exposure(file) is None
    assert exposure(file.parent / "none") is None
    ours, theirs = os.pipe()
    os.write(theirs, b"a secret\n")
    os.close(theirs)
    os.fchmod(ours, 0o666)
    try:
        secret = read_secret(Path(f"/dev/fd/{ours}"), named="password_file")
    finally:
        os.close(ours)
    assert secret == Secret("a secret")


def test_the_longest_secret(file: Path) -> None:
    file.write_bytes(b"s" * SECRET_BYTES_MAX + b"\r\n")
    assert len(read_secret(file, named="password_file").text) == SECRET_BYTES_MAX


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SecretFileError, match=f"password_file {path} cannot be read: {why}"):
            read_secret(path, named="password_file")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_private_files(tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text("old")
    path.chmod(0o644)
    # What a run that was killed may have left behind.
    (tmp_path / "api.tmp").write_text("half")
    write_private(path, "new")
    assert (path.read_text(), mode_of(path)) == ("new", 0o600)
    assert [found.name for found in tmp_path.iterdir()] == ["api.json"]


def test_a_private_file_that_cannot_be_written_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.json"
    write_private(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, "new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["api.json"]
