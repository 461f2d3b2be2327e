"""Backups of the gateway's state: made beside its work, and put back while it rests."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway import backup_sqlite
from gateway.backup_sqlite import BackupError, Contents

_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
# What SQLite may leave beside a file in use. It would apply the first two to any file of that name.
_JOURNALS: Final = ("-wal", "-journal")
_INDEX: Final = "-shm"


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore.

    Attributes:
        contents: what the state holds now.
        kept: the directory that keeps what was there, if anything was.
        kept_is_backup: whether that can be restored in turn.
    """

    contents: Contents
    kept: Path | None
    kept_is_backup: bool


def back_up(state_file: Path, directory: Path) -> Contents:
    """Save one snapshot of the state, which may be in use, under its name in `directory`.

    It is on the disk and checked when this returns. The directory is made, readable by its owner
    only, or empty; the one above it must be there.

    Raises:
        BackupError: nothing was saved.
    """
    target = directory / state_file.name
    with _explained(), _new_directory(directory, state_file), _unfinished(target) as part:
        backup_sqlite.copy(state_file, part)
        _sync(part)
        contents = backup_sqlite.check(part)
        part.rename(target)
        _sync(directory)
    return contents


@contextlib.contextmanager
def _new_directory(directory: Path, state_file: Path) -> Iterator[None]:
    """Make `directory`, or see that it is empty; what was made is gone if no backup comes of it."""
    if directory.is_dir():
        if _is_same(directory, state_file.parent):
            raise BackupError(f"{directory} is the gateway's data directory: name a new directory")
        if os.path.lexists(directory / state_file.name):
            raise BackupError(f"{directory} holds a backup already: name a new directory")
        if any(directory.iterdir()):
            raise BackupError(f"{directory} is not empty: name a new directory")
        yield
        return
    if os.path.lexists(directory):
        raise BackupError(f"{directory} is no directory: name a new one")
    if not directory.parent.is_dir():
        raise BackupError(
            f"there is no directory {directory.parent}: make it, or see whether its disk is mounted"
        )
    directory.mkdir(mode=_PRIVATE_DIRECTORY)
    try:
        _sync(directory.parent)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            directory.rmdir()
        raise


def examine(directory: Path, state_file: Path) -> Contents:
    """What the backup in `directory` holds, which is only read.

    Raises:
        BackupError: it cannot be restored to `state_file`.
    """
    return backup_sqlite.check(_source(directory, state_file))


def holds_state(state_file: Path) -> bool:
    """Whether there is a state to lose: the file, or but the journal of one that is gone."""
    return any(path.exists() for path in (state_file, *_journals(state_file)))


def restore(directory: Path, state_file: Path, ledger_dir: Path, *, unix_time: float) -> Restored:
    """Put the backup in `directory` in the place of a state that nobody uses.

    Whenever this is cut off, either the old or the new state is in use as a whole.

    Args:
        directory: where `back_up` saved it.
        state_file: of the gateway, whose data directory the caller has locked.
        ledger_dir: it tells of the old state; requests rebuild it.
        unix_time: now, which names the directory that keeps the old state.

    Raises:
        BackupError: the backup cannot be used, or the disk does not take it.
    """
    source = _source(directory, state_file)
    with _explained(), _unfinished(state_file) as part:
        shutil.copyfile(source, part)
        _sync(part)
        contents = backup_sqlite.check(part)
        kept = _keep(state_file, unix_time)
        for old in (*_journals(state_file), _beside(state_file, _INDEX)):
            old.unlink(missing_ok=True)
        # No journal of the old state may be found again beside the new one.
        _sync(state_file.parent)
        part.replace(state_file)
        # After the new state: where there was none, it is what forbids an empty start.
        if ledger_dir.exists():
            shutil.rmtree(ledger_dir)
        _sync(state_file.parent)
    return Restored(contents, kept, kept is not None and _is_backup(kept, state_file))


def _source(directory: Path, state_file: Path) -> Path:
    source = directory / state_file.name
    with _explained():
        if directory.is_file():
            raise BackupError(
                f"{directory} is a file: name the directory of a backup, which holds a"
                f" {state_file.name}"
            )
        if not source.is_file():
            raise BackupError(f"{directory} holds no backup: there is no {state_file.name} in it")
        if _is_same(directory, state_file.parent):
            raise BackupError(
                f"{directory} is the gateway's data directory: name the directory of a backup"
            )
        for journal in _journals(source):
            if journal.exists():
                raise BackupError(
                    f"{directory} holds no backup, but a state in use: there is a {journal.name}"
                )
    return source


def _keep(state_file: Path, unix_time: float) -> Path | None:
    """Keep the state under a second name, as a backup; it stays in use."""
    if not holds_state(state_file):
        return None
    stamp = datetime.fromtimestamp(unix_time, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = state_file.parent / f"before-restore-{stamp}"
    kept.mkdir(mode=_PRIVATE_DIRECTORY)
    try:
        for old in (state_file, *_journals(state_file)):
            if old.exists():
                (kept / old.name).hardlink_to(old)
        _sync(kept)
        _sync(state_file.parent)
        if state_file.exists() and backup_sqlite.settle(state_file):
            for journal in _journals(kept / state_file.name):
                journal.unlink(missing_ok=True)
            _sync(kept)
    except BaseException:
        shutil.rmtree(kept)
        raise
    return kept


def _is_backup(directory: Path, state_file: Path) -> bool:
    try:
        examine(directory, state_file)
    except BackupError:
        return False
    return True


def _is_same(directory: Path, other: Path) -> bool:
    return other.is_dir() and directory.samefile(other)


def _journals(path: Path) -> tuple[Path, ...]:
    return tuple(_beside(path, suffix) for suffix in _JOURNALS)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


@contextlib.contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """An empty private file that will be renamed to `path`; gone at the end if it was not."""
    part = _beside(path, ".part")
    _remove(part)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE))
        yield part
    finally:
        _remove(part)


def _remove(part: Path) -> None:
    # SQLite leaves its journal behind where the disk is full.
    for path in (part, *_journals(part)):
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupError(
            f"{error.filename or 'the disk'} cannot be used ({error.strerror}): see whether it may"
            " be written, or name another directory"
        ) from error
