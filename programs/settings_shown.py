"""The settings of a program as they apply, for ``config show``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from programs.settings_file import Loaded, S
from programs.settings_model import Source
from programs.settings_words import as_written, in_order, is_table, toml_key, toml_text

# Most settings are shorter, so that the words behind them make a column on a small terminal, too.
_SAID_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting. No setting is a secret: secrets are in files, of which it has the path.

    Attributes:
        value: made of what TOML and JSON know; None is not set.
    """

    key: str
    value: object
    source: Source


def shown(loaded: Loaded[S]) -> Iterator[Shown]:
    """All settings, in the order of `in_order`."""
    for key, field in in_order(type(loaded.settings)).items():
        yield Shown(key, as_written(field, getattr(loaded.settings, key)), loaded.source(key))


def as_json(loaded: Loaded[S]) -> dict[str, object]:
    """All settings for programs: ``{"file", "settings": {KEY: {"value", "from", "variable"}}}``."""
    settings = {
        each.key: {"value": each.value, "from": each.source.kind}
        | ({"variable": each.source.name} if each.source.kind == "variable" else {})
        for each in shown(loaded)
    }
    return {"file": None if loaded.path is None else str(loaded.path), "settings": settings}


def as_toml(loaded: Loaded[S]) -> Iterator[str]:
    """All settings as the lines of a settings file, which says of each where it came from."""
    file = "none" if loaded.path is None else toml_text(loaded.path)
    yield f"# Settings file: {file}"
    for each in shown(loaded):
        if each.value is None:
            yield f"# {each.key} is not set"
        elif is_table(type(loaded.settings).model_fields[each.key]):
            yield from _tables(each)
        else:
            yield _line(f"{each.key} = {toml_text(each.value)}", each.source)


def _tables(each: Shown) -> Iterator[str]:
    assert isinstance(each.value, dict)  # noqa: S101 - a table of tables
    for name, table in each.value.items():
        yield ""
        yield _line(f"[{each.key}.{toml_key(name)}]", each.source)
        yield from (f"{key} = {toml_text(value)}" for key, value in table.items())


def _line(said: str, source: Source) -> str:
    return f"{said:{_SAID_CHARS}}  # {source.kind}"
