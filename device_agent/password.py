"""Where the device's password comes from: a file, standard input or the terminal."""

import getpass
import sys
from pathlib import Path

from device_agent.errors import AgentError
from programs.secret_file import (
    SECRET_BYTES_MAX,
    Secret,
    SecretFileError,
    read_secret,
    secret_line,
)
from programs.settings_types import STANDARD_INPUT


class PasswordError(AgentError):
    """There is no password, or it cannot be read. The message never quotes it."""


def read_password(device: str, path: Path | None) -> Secret:
    """The password.

    Args:
        device: whose password it is, for the question.
        path: its file, ``-`` for standard input, or None to ask for it on the terminal.

    Raises:
        PasswordError: there is none.
    """
    try:
        if path is None:
            return Secret(secret_line(_asked_for(device), where="what was typed"))
        if path == STANDARD_INPUT:
            line = sys.stdin.readline(SECRET_BYTES_MAX + 3)
            return Secret(secret_line(line, where="standard input"))
        return read_secret(path, named="the password file")
    except SecretFileError as error:
        raise PasswordError(str(error)) from error


def _asked_for(device: str) -> str:
    if not sys.stdin.isatty():
        raise PasswordError(
            "no password: name a file that holds it with --password-file FILE (- is standard"
            " input), or run this on a terminal to be asked for it; or 'device-agent enroll' takes"
            " it from a credential"
        )
    try:
        return getpass.getpass(f"Password of device {device}: ")
    except EOFError:
        raise PasswordError("no password was typed") from None
