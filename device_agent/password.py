"""Where the device's password comes from: a file, standard input or the terminal."""

import getpass
import sys
from pathlib import Path
from typing import Final

from device_agent.errors import AgentError

STANDARD_INPUT: Final = Path("-")
# MQTT 3.1.1, section 3.1.3.5: a password has a length of two bytes.
PASSWORD_BYTES_MAX: Final = 65_535

_OTHERS_MAY: Final = 0o077


class PasswordError(AgentError):
    """There is no password, or it cannot be read. The message never quotes it."""


def read_password(device: str, path: Path | None) -> tuple[str, str | None]:
    """The password, and a warning about where it is kept.

    Args:
        device: whose password it is, for the question.
        path: its file, ``-`` for standard input, or None to ask for it on the terminal.

    Raises:
        PasswordError: there is none.
    """
    if path is None:
        return _checked(_asked_for(device), "what was typed"), None
    if path == STANDARD_INPUT:
        return _checked(sys.stdin.readline(PASSWORD_BYTES_MAX + 2), "standard input"), None
    warning = None
    try:
        with path.open("rb") as file:
            data = file.read(PASSWORD_BYTES_MAX + 2)
        if path.stat().st_mode & _OTHERS_MAY:
            warning = f"others may read the password file {path}: chmod 600 {path}"
        text = data.decode()
    except OSError as error:
        raise PasswordError(
            f"the password file {path} cannot be read: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError:
        raise PasswordError(f"the password file {path} is not UTF-8 text") from None
    return _checked(text, str(path)), warning


def _asked_for(device: str) -> str:
    if not sys.stdin.isatty():
        raise PasswordError(
            "no password: name a file that holds it with --password-file FILE (- is standard"
            " input), or run this on a terminal to be asked for it"
        )
    try:
        return getpass.getpass(f"Password of device {device}: ")
    except EOFError:
        raise PasswordError("no password was typed") from None


def _checked(text: str, where: str) -> str:
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise PasswordError(f"there is no password in {where}")
    if "\n" in password or len(password.encode(errors="replace")) > PASSWORD_BYTES_MAX:
        raise PasswordError(
            f"a password is one line of at most {PASSWORD_BYTES_MAX} bytes, unlike {where}"
        )
    return password
