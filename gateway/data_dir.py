"""The gateway's data directory: private, and used by one gateway at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from platformdirs import user_data_path

_LOCK_FILE: Final = "lock"
# Where a running gateway says how its HTTP API is reached (docs/api.md).
API_FILE: Final = "api.json"


def default_data_dir() -> Path:
    """The data directory where none is named."""
    return user_data_path("tallysync") / "gateway"


class DataDirError(Exception):
    """The data directory cannot be used; the message says how to mend it."""


class DataDirInUseError(DataDirError):
    """Another gateway uses the data directory."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[Path]:
    """`path`, made if need be, readable by its owner only, and nobody else's while it is used.

    Raises:
        DataDirInUseError: another gateway uses it.
        DataDirError: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataDirError(
            f"the data directory {path} cannot be used ({error.strerror}): --data DIR names another"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataDirInUseError(
                f"another gateway runs with {path}: stop it, or name another directory with"
                " --data DIR"
            ) from None
        yield path
    finally:
        os.close(descriptor)
