"""Files that hold a secret: one line that is read, and text that only its owner may read."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# MQTT 3.1.1, section 3.1.3.5: a password has a length of two bytes.
SECRET_BYTES_MAX: Final = 65_535

_OTHERS_MAY: Final = 0o077


class SecretFileError(Exception):
    """A secret cannot be read; the message says which file and why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and, where others may read its file, what to say of that."""

    text: str = field(repr=False)
    warning: str | None = None


def read_secret(path: Path, *, named: str) -> Secret:
    """The one line of a file, without what ends it.

    Args:
        path: of the file.
        named: what it is called in errors: an option, or the key of a setting.

    Raises:
        SecretFileError: there is none, or more than one line.
    """
    where = f"{named} {path}"
    try:
        with path.open("rb") as file:
            data = file.read(SECRET_BYTES_MAX + 3)  # a line end may be of two bytes
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise SecretFileError(
            f"{where} cannot be read: {error.strerror or error}; it is a file that holds the"
            " password and nothing else"
        ) from error
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise SecretFileError(f"{where} is not UTF-8 text") from None
    return Secret(secret_line(text, where=where), _exposure(path, mode))


def exposure(path: Path) -> str | None:
    """What to say of a file with a secret that others than its owner may read or change."""
    try:
        return _exposure(path, path.stat().st_mode)
    except OSError:
        return None  # that it cannot be read is told where it is


def _exposure(path: Path, mode: int) -> str | None:
    is_open = stat.S_ISREG(mode) and mode & _OTHERS_MAY
    return f"others may read {path}: chmod 600 {path}" if is_open else None


def secret_line(text: str, *, where: str) -> str:
    """`text` without its line end.

    Raises:
        SecretFileError: it is empty, or more than one line of `SECRET_BYTES_MAX` bytes.
    """
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretFileError(f"there is no password in {where}")
    if "\n" in secret or len(secret.encode(errors="replace")) > SECRET_BYTES_MAX:
        raise SecretFileError(
            f"a password is one line of at most {SECRET_BYTES_MAX} bytes, unlike {where}"
        )
    return secret


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all, and durably.

    Raises:
        OSError: it cannot be written; what was there still is.
    """
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
