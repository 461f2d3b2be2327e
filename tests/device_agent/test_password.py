"""Where the password comes from, and that no error quotes it."""

import getpass
import io
from pathlib import Path

import pytest

from device_agent.password import PasswordError, read_password
from programs.secret_file import SECRET_BYTES_MAX, Secret
from programs.settings_types import STANDARD_INPUT


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize("text", ["a secret", "a secret\n", "a secret\r\n"])
def test_from_a_file(file: Path, text: str) -> None:
    file.write_text(text)
    assert read_password("phone", file) == Secret("a secret")


def test_a_file_that_others_may_read_is_warned_of(file: Path) -> None:
    file.write_text("a secret")
    file.chmod(0o640)
    secret = read_password("phone", file)
    assert secret.text == "a secret"
    assert secret.warning is not None
    assert f"chmod 600 {file}" in secret.warning
    assert "a secret" not in f"{secret.warning} {secret!r}"


def test_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret\nmore"))
    assert read_password("phone", STANDARD_INPUT) == Secret("a secret")


def test_asked_for_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str] = []

    def ask(question: str) -> str:
        questions.append(question)
        return "a secret"

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", ask)
    assert read_password("phone", None) == Secret("a secret")
    assert questions == ["Password of device phone: "]


def test_without_a_terminal_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret\n"))
    with pytest.raises(PasswordError, match="--password-file FILE"):
        read_password("phone", None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "there is no password in"),
        (b"\n", "there is no password in"),
        (b"a secret\nanother", "one line"),
        (b"a secret" + bytes(SECRET_BYTES_MAX), "one line of at most 65535 bytes"),
        (b"a secret\xff", "not UTF-8"),
    ],
)
def test_a_file_without_a_password(file: Path, data: bytes, said: str) -> None:
    file.write_bytes(data)
    with pytest.raises(PasswordError, match=said) as refused:
        read_password("phone", file)
    assert "a secret" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PasswordError, match="cannot be read: No such file"):
        read_password("phone", tmp_path / "none")
    with pytest.raises(PasswordError, match="cannot be read: Is a directory"):
        read_password("phone", tmp_path)
