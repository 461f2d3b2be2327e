"""Finds the files to import, and reads each with the reader for its suffix."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from gateway.importing import content_lines
from gateway.importing.calendar_scanner import ICS_FILE_BYTES_MAX
from gateway.importing.found import Found, Left, Missing
from gateway.importing.icalendars import read_calendars
from gateway.importing.identity import IdRegistry
from gateway.importing.mails import read_mail
from gateway.importing.taking import Taking
from gateway.importing.vcards import read_cards
from programs.printable import safe_line
from sync_protocol import limits, names

Progress: TypeAlias = Callable[[int], object]

_CARDS: Final = ".vcf"
# Files that are held as a whole: how large they may be, and what takes the items out of them.
_WHOLE_FILES: Final = {
    ".ics": (ICS_FILE_BYTES_MAX, read_calendars),
    ".eml": (limits.CONTENT_BYTES_MAX, read_mail),
}
_SUFFIXES: Final = frozenset({_CARDS, *_WHOLE_FILES})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read.

    Attributes:
        path: of the file.
        where: the path as it may be shown: printable, whatever its name is.
        folder: that its items go to.
        size_bytes: when it was found, to show how far an import is.
    """

    path: Path
    where: str
    folder: str
    size_bytes: int


def source_files(roots: Iterable[Path]) -> Iterator[SourceFile | Left]:
    """All files to import, and what cannot be, in sorted order whatever the order of `roots` is.

    A root is a file or a folder. Items from a folder below a root go to the folder of that path,
    with `/` between names; those of a file right in a root, or that is one, go to the top. Symbolic
    links are not followed, but for roots. A folder that no folder of a feed may be called after
    (`sync_protocol.names.folder`) is left with all that is in it: mixed with other folders' items,
    its own would be hard to find again.
    """
    for root in sorted(set(roots), key=os.fsencode):
        try:
            status = root.stat()
        except (OSError, ValueError) as error:
            yield _unreadable(root, error)
        else:
            if stat.S_ISDIR(status.st_mode):
                yield from _files_in(root, folder="")
            else:
                yield _file(root, status, folder="")


def _files_in(directory: Path, *, folder: str) -> Iterator[SourceFile | Left]:
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield _unreadable(directory, error)
        return
    for entry in found:
        path = directory / entry.name
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            yield _unreadable(path, error)
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _files_below(path, folder=f"{folder}/{entry.name}".removeprefix("/"))
        else:
            yield _file(path, status, folder=folder)


def _files_below(directory: Path, *, folder: str) -> Iterator[SourceFile | Left]:
    try:
        names.folder(folder)
    except ValueError as error:
        reason = f"left with all that is in it: {error}; rename the folder"
        yield Left(shown_path(directory), reason, Missing.UNREAD)
    else:
        yield from _files_in(directory, folder=folder)


def _file(path: Path, status: os.stat_result, *, folder: str) -> SourceFile | Left:
    where = shown_path(path)
    if stat.S_ISLNK(status.st_mode):
        return Left(where, "a symbolic link, which is not followed: name its target to import it")
    if not stat.S_ISREG(status.st_mode):
        return Left(where, "no regular file")
    if path.suffix.lower() not in _SUFFIXES:
        return Left(where, f"not one of {' '.join(sorted(_SUFFIXES))}")
    if not status.st_size:
        return Left(where, "empty", Missing.DAMAGED)
    return SourceFile(path, where, folder, status.st_size)


def read_source(
    source: SourceFile, ids: IdRegistry, *, progress: Progress = lambda _: None
) -> Iterator[Found]:
    """What is in a file: at least one item, or one thing left.

    Args:
        source: the file.
        ids: of the whole import; files have to come in the order of `source_files`.
        progress: called with the number of bytes read since the last call.
    """
    taking = Taking(source.where, folder=source.folder, ids=ids)
    try:
        with source.path.open("rb") as file:
            if content_lines.is_utf16(file.read(2)):
                yield taking.damaged("text in UTF-16: save it as UTF-8")
                return
            file.seek(0)
            yield from _read(file, source.path.suffix.lower(), taking, progress)
    except OSError as error:
        yield _unreadable(source.path, error)


def _read(file: BinaryIO, suffix: str, taking: Taking, progress: Progress) -> Iterator[Found]:
    if suffix == _CARDS:
        yield from read_cards(_Watched(file, progress), taking)
        return
    bytes_max, read_items = _WHOLE_FILES[suffix]
    size_bytes = os.fstat(file.fileno()).st_size
    if size_bytes > bytes_max:
        yield taking.damaged(f"larger than {bytes_max // limits.MIB} MiB: too large for one file")
        return
    content = file.read(size_bytes)
    progress(len(content))
    yield from read_items(content, taking)


class _Watched:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress

    def read(self, size: int, /) -> bytes:
        chunk = self._file.read(size)
        self._progress(len(chunk))
        return chunk


def _unreadable(path: Path, error: Exception) -> Left:
    why = error.strerror if isinstance(error, OSError) else None
    return Left(shown_path(path), f"cannot be read: {why or error}", Missing.UNREAD)


def shown_path(path: Path) -> str:
    """The path as it may be shown: printable, whatever its name is."""
    return safe_line(os.fsencode(path).decode("utf-8", "backslashreplace"))
