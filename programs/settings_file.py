"""Settings from the command line, the environment, a TOML file and defaults, in this order."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from programs.printable import safe_line
from programs.settings_model import ProgramSettings, Source
from programs.settings_problems import (
    explained,
    meant_by_header,
    texts_for_lists,
    unknown_key,
    unknown_variable,
)
from programs.settings_types import STANDARD_INPUT
from programs.settings_words import is_path

SETTINGS_FILE_BYTES_MAX: Final = 256 * 1024
# More would scroll away what is wrong first.
PROBLEMS_MAX: Final = 10
# Names the settings file in the environment, so it is no setting.
CONFIG: Final = "CONFIG"

# What is longer names no table of ours.
_HEADER_CHARS_MAX: Final = 200
_AT_LINE: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")

S = TypeVar("S", bound=ProgramSettings)


class SettingsError(ValueError):
    """The settings cannot be used.

    Attributes:
        problems: at least one, each a line that says which setting, where, and how to mend it.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: Final = tuple(safe_line(problem) for problem in problems)
        super().__init__("\n".join(self.lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems, or the first `PROBLEMS_MAX` of them and how many more there are."""
        more = len(self.problems) - PROBLEMS_MAX
        told = self.problems[:PROBLEMS_MAX]
        return (*told, f"and {more} more") if more > 0 else told


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """Settings, and where they came from.

    Attributes:
        path: of the settings file, if there is one.
        sources: of all but the defaults, by key.
    """

    settings: S
    path: Path | None
    sources: Mapping[str, Source]

    def source(self, key: str) -> Source:
        """Where that setting came from."""
        return self.sources.get(key, Source())


def read(
    model: type[S], path: Path | None = None, overrides: Mapping[str, object] | None = None
) -> Loaded[S]:
    """The settings of a program.

    Relative paths in the file are relative to its folder, all others to the working directory.

    Args:
        model: what settings there are.
        path: a TOML file, if there is one.
        overrides: what the command line says; None does not override.

    Raises:
        SettingsError: with all that is wrong.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    in_file = {} if path is None else _read_file(model, path)
    variables = _variables(model)
    known = model.model_fields
    sources = {
        **{key: Source("file", str(path)) for key in in_file},
        **{key: Source("variable", variable) for key, variable in variables.items()},
        **{key: Source("command line") for key in given},
    }
    problems = [
        *(unknown_key(model, key, in_file[key], str(path)) for key in in_file if key not in known),
        *(
            unknown_variable(model, variable, CONFIG.lower())
            for key, variable in variables.items()
            if key not in known
        ),
    ]
    texts = texts_for_lists(model, in_file, str(path))
    problems += texts.values()
    values: dict[str, Any] = {
        key: _in_folder(known[key], value, path)
        for key, value in in_file.items()
        if key in known and key not in variables and key not in texts
    }
    try:
        loaded = Loaded(model(**(values | given)), path, sources)
    except ValidationError as error:
        problems += explained(model, error.errors(include_url=False), sources)
        raise SettingsError(problems) from None  # it would show secrets
    problems += [
        f"{loaded.source(key).of(key)} {why}" for key, why in loaded.settings.contradictions()
    ]
    if problems:
        raise SettingsError(problems)
    return loaded


def _read_file(model: type[ProgramSettings], path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(SETTINGS_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise SettingsError([f"there is no settings file {path}"]) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        why = getattr(error, "strerror", None) or error
        raise SettingsError([f"the settings file {path} cannot be read: {why}"]) from error
    if len(data) > SETTINGS_FILE_BYTES_MAX:
        raise SettingsError(
            [f"{path} is larger than {SETTINGS_FILE_BYTES_MAX} bytes, so it is no settings file"]
        )
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError([f"{path}, line {line}: this is not text in UTF-8"]) from None
    except RecursionError:
        raise SettingsError([f"{path}: this is nested too deep for a settings file"]) from None
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        where = f", line {found[1]}, column {found[2]}" if found else ""
        why = _AT_LINE.sub("", str(error))
        wrong = data.split(b"\n")[int(found[1]) - 1].decode() if found else ""
        meant = meant_by_header(model, wrong[:_HEADER_CHARS_MAX])
        raise SettingsError([f"{path}{where}: this is not TOML: {why}{meant}"]) from None
    except ValueError:  # of Python, which makes no integers of more than some 4,000 digits
        raise SettingsError([f"{path}: a number in it has too many digits"]) from None


def _variables(model: type[ProgramSettings]) -> dict[str, str]:
    """The variables that are there, by the key that each says something of."""
    prefix = model.variable("")
    return {
        name.upper().removeprefix(prefix).lower(): name
        for name in sorted(os.environ)
        if name.upper().startswith(prefix) and name.upper() != prefix + CONFIG
    }


def _in_folder(field: FieldInfo, value: object, path: Path | None) -> object:
    if path is None or not (is_path(field) and isinstance(value, str) and value):
        return value
    if value.startswith("~") or value == str(STANDARD_INPUT):
        return value
    return path.absolute().parent / value
