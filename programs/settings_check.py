"""Whether the files and folders that settings name can be used, for ``config check``."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from programs.printable import safe_line
from programs.secret_file import SecretFileError, exposure, read_secret
from programs.settings_file import Loaded, S
from programs.settings_types import STANDARD_INPUT, NamesFile, NamesFolder
from programs.settings_words import has, mark_of


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, each a line.

    Attributes:
        problems: with these the program cannot run.
        warnings: with these it should not.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def look(loaded: Loaded[S]) -> Findings:
    """Look at all files and folders that the settings name. Nothing is made or changed."""
    problems: list[str] = []
    warnings: list[str] = []
    for key, field in type(loaded.settings).model_fields.items():
        path = getattr(loaded.settings, key)
        if not isinstance(path, Path) or path == STANDARD_INPUT:
            continue
        begin = f"{loaded.source(key).of(key)}:"
        names = mark_of(field, NamesFile)
        if names is not None:
            problems += [f"{begin} {why}" for why in _file_problems(path, names)]
            if names.holds and (warning := exposure(path)):
                warnings.append(f"{begin} {warning}")
        if has(field, NamesFolder):
            problems += [f"{begin} {why}" for why in _folder_problems(path)]
    return Findings(tuple(map(safe_line, problems)), tuple(map(safe_line, warnings)))


def verdict(path: Path | None) -> str:
    """What is said of settings without a problem; `path` is their file, if there is one."""
    if path is None:
        return "ok, without a settings file (--config FILE names one)"
    return f"{safe_line(str(path))}: ok"


def _file_problems(path: Path, names: NamesFile) -> Iterator[str]:
    try:
        # Without waiting for whoever might write into a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            empty = not os.read(descriptor, 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        yield f"there is no file {path}"
    except OSError as error:
        yield f"{path} cannot be read: {error.strerror}"
    else:
        if empty:
            yield f"{path} is empty"
        elif names.holds == "password":
            yield from _password_problems(path)


def _password_problems(path: Path) -> Iterator[str]:
    try:
        read_secret(path, named="the file")
    except SecretFileError as error:
        yield str(error)


def _folder_problems(path: Path) -> Iterator[str]:
    """What hinders to write into a folder, or to make it."""
    try:
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
    except OSError as error:
        yield f"{path} cannot be used: {error.strerror}"
        return
    if not there.is_dir():
        yield f"{there} is a file, and no folder"
    elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        begin = "" if there == path else f"{path} cannot be made: "
        yield f"{begin}{there} cannot be written to by this user"
