"""The agent's data directory: private, and used by one agent at a time."""

import contextlib
import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device_agent.store_sqlite import StoreError

STORE_FILE: Final = "agent.sqlite3"
_LOCK_FILE: Final = "lock"
# Has a running agent look what is wanted.
POKE: Final = signal.SIGUSR1
# Who only looks whether an agent runs holds the lock for a moment, too.
_LOCK_TRIES: Final = 3
_LOCK_WAIT_S: Final = 0.05
_HOLDER: Final = re.compile(r"([1-9][0-9]{0,9}) (\S*)\n")
_HOLDER_BYTES_MAX: Final = 100
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE: Final = Path("/proc/self/ns/pid")


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
        if not _taken(descriptor):
            raise StoreError(
                f"another agent runs with {path}: stop it, or name another directory with"
                " --data DIR"
            )
        os.ftruncate(descriptor, 0)  # what an agent wrote that was killed
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    for more in reversed(range(_LOCK_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if more:
                time.sleep(_LOCK_WAIT_S)
        else:
            return True
    return False


def is_locked(path: Path) -> bool:
    """Whether an agent runs with the data directory.

    Raises:
        StoreError: it cannot be told.
    """
    try:
        descriptor = os.open(path / _LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(
            f"the data directory {path} cannot be used ({error.strerror}): --data DIR names another"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def announce(path: Path) -> None:
    """Say who runs with the data directory: this process, which handles `POKE`.

    Only for who has it `locked`.
    """
    (path / _LOCK_FILE).write_text(f"{os.getpid()} {_numbering()}\n")


def _numbering() -> str:
    """Where process ids mean the same as here: a start of a machine, and a container on it.

    Empty where the system does not tell.
    """
    try:
        return f"{_BOOT_ID.read_text().strip()}/{_PID_NAMESPACE.stat().st_ino}"
    except OSError:
        return ""


def poke(path: Path) -> bool:
    """Send `POKE` to the agent that runs with the data directory; whether it could be sent.

    Not every agent can be poked: one that shares the directory with this process, but not its
    process ids, as in another container, looks with its next sync. Nobody else is poked: the id is
    one's that holds the lock. (Except where the system does not tell whose process ids these are,
    or cannot hold on to a process.)
    """
    pid = _holder(path)
    if pid is None:
        return False
    try:
        if sys.platform == "linux":
            process = os.pidfd_open(pid)
            try:
                # It may have ended before it was opened, and its number be another's by then.
                if _holder(path) != pid:
                    return False
                signal.pidfd_send_signal(process, POKE)
            finally:
                os.close(process)
        else:
            os.kill(pid, POKE)
    except OSError:
        return False
    return True


def _holder(path: Path) -> int | None:
    """The process that holds the lock, if it said so and has an id here."""
    if not is_locked(path):
        return None
    text = (path / _LOCK_FILE).read_bytes()[:_HOLDER_BYTES_MAX].decode("ascii", "replace")
    said = _HOLDER.fullmatch(text)
    return int(said[1]) if said and said[2] == _numbering() else None
