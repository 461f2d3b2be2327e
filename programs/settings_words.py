"""What settings may be, in plain words: for errors, for the documentation and for the examples."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from programs.settings_types import ALL, NamesFile, OrAll, Words

M = TypeVar("M")

# What an error quotes of a value that somebody wrote.
QUOTED_CHARS_MAX: Final = 40

_SIZES: Final = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20}
_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number"}
_UNSAFE: Final = re.compile(r'["\\]|[^ -~]')


def metadata(field: FieldInfo) -> Iterator[object]:
    """All that is annotated in a field's type, outermost first."""
    yield from field.metadata
    for annotation in _types(field.annotation):
        if get_origin(annotation) is Annotated:
            yield from annotation.__metadata__


def _types(annotation: object) -> Iterator[Any]:
    """A type, and those of which it is made."""
    yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)


def mark_of(field: FieldInfo, mark: type[M]) -> M | None:
    """The mark of that class in the field's type, if there is one."""
    return next((each for each in metadata(field) if isinstance(each, mark)), None)


def has(field: FieldInfo, mark: type) -> bool:
    """Whether a mark of that class is in the field's type."""
    return mark_of(field, mark) is not None


def in_order(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The settings as people want to read them: a model's own before those that it shares.

    Tables come last, as they have to in a file.
    """
    own = inspect.get_annotations(model)
    return dict(
        sorted(model.model_fields.items(), key=lambda item: (is_table(item[1]), item[0] not in own))
    )


def is_path(field: FieldInfo) -> bool:
    """Whether the setting is a path."""
    return Path in _types(field.annotation)


def is_bool(field: FieldInfo) -> bool:
    """Whether the setting is true or false."""
    return bool in _types(field.annotation)


def is_secret(field: FieldInfo) -> bool:
    """Whether the setting names a file with a secret."""
    return any(isinstance(each, NamesFile) and each.holds for each in metadata(field))


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of each table in a table of tables; None if the setting is something else."""
    for each in _types(field.annotation):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def is_table(field: FieldInfo) -> bool:
    """Whether the setting is a table of tables of settings."""
    return table_of(field) is not None


def allowed(field: FieldInfo) -> str:
    """What the setting may be, as in "a whole number from 5 to 3600"."""
    said = _said(field)
    return f'{said}, or "{ALL}"' if has(field, OrAll) else said


def _said(field: FieldInfo) -> str:
    marks = list(metadata(field))
    for mark in marks:
        if isinstance(mark, Words):
            return mark.text + _count(marks)
    kinds = list(_types(field.annotation))
    for kind, text in _KINDS.items():
        if kind in kinds:
            return text + _bounds(marks)
    return next(filter(None, map(_choice, kinds)), "text")


def _choice(kind: Any) -> str:  # noqa: ANN401 - types have no type
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of([each.value for each in kind])
    return ""


def _one_of(values: Sequence[object]) -> str:
    *first, last = (f'"{value}"' for value in values)
    return f"{', '.join(first)} or {last}" if first else last


def _bounds(marks: Sequence[object]) -> str:
    least = [mark.ge for mark in marks if isinstance(mark, Ge)]
    above = [mark.gt for mark in marks if isinstance(mark, Gt)]
    most = [mark.le for mark in marks if isinstance(mark, Le)]
    low = f" from {_number(least[0])}" if least else f" above {above[0]}" if above else ""
    join = "," if above else ""
    return low + (f"{join} to {_number(most[0])}" if most else "")


def _number(number: object) -> str:
    """A bound; those that are so large are of bytes."""
    size = number if isinstance(number, int) else 0
    unit = next((name for name, part in _SIZES.items() if size >= part and size % part == 0), None)
    return f"{number}" if unit is None else f"{number} ({size // _SIZES[unit]} {unit})"


def _count(marks: Sequence[object]) -> str:
    for mark in marks:
        if isinstance(mark, Len):
            least = f"{mark.min_length} to " if mark.min_length else "at most "
            return f", {least}{mark.max_length}"
    return ""


def quoted(value: object) -> str:
    """A value as an error may show it: short, printable, and as a settings file has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return ascii(value if len(value) <= QUOTED_CHARS_MAX else value[:QUOTED_CHARS_MAX] + "...")
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}" if value else "an empty list"
    text = ascii(value) if isinstance(value, (int, float)) else ascii(str(value))
    return text if len(text) <= QUOTED_CHARS_MAX else text[:QUOTED_CHARS_MAX] + "..."


def as_written(field: FieldInfo, value: object) -> object:
    """A setting as a file would have it, made of what TOML and JSON know; None is not set."""
    match value:
        case None:
            return ALL if has(field, OrAll) else None
        case Enum():
            return value.value
        case Path():
            return str(value)
        case tuple():
            return list(value)
        case dict():
            return {key: _table_as_written(each) for key, each in value.items()}
        case _:
            return value


def _table_as_written(value: object) -> object:
    if not isinstance(value, BaseModel):
        return value
    fields = type(value).model_fields
    said = [key for key in fields if key in value.model_fields_set]
    return {key: as_written(fields[key], getattr(value, key)) for key in said}


def toml_text(value: object) -> str:
    """A value as TOML, printable on any terminal."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | Path():
            return f'"{_UNSAFE.sub(_escaped, str(value))}"'
        case Mapping():
            pairs = ", ".join(f"{toml_key(key)} = {toml_text(each)}" for key, each in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case list() | tuple():
            return f"[{', '.join(toml_text(each) for each in value)}]"
        case _:
            return str(value)


def toml_key(key: str) -> str:
    """A key as TOML, bare if it may be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_text(key)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return f"\\U{ord(char):08x}"
