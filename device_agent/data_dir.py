"""The agent's data directory: private, and used by one agent at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device_agent.store_sqlite import StoreError

STORE_FILE: Final = "agent.sqlite3"
_LOCK_FILE: Final = "lock"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """The data directory, made if need be, and nobody else's while it is used.

    Raises:
        StoreError: another agent uses it, or it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(
            f"the data directory {path} cannot be used ({error.strerror}): --data DIR names another"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreError(
            f"another agent runs with {path}: stop it, or name another directory with --data DIR"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
