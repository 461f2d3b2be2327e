"""What is wrong with settings, in sentences that say which, where and how to mend it."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from programs.settings_model import ProgramSettings, Source
from programs.settings_types import ALL, OrAll, comma_separated, comma_separated_pairs
from programs.settings_words import allowed, has, is_secret, metadata, quoted, table_of

_HEADER: Final = re.compile(r"\s*\[\s*(\w+)\s*\.\s*([^\]]+?)\s*\]")


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A question with the nearest right name, to end a sentence; empty if none is near."""
    alike = difflib.get_close_matches(wrong, sorted(known), n=1)
    return f"; did you mean {alike[0]}?" if alike else ""


def unknown_key(model: type[ProgramSettings], key: str, value: object, file: str) -> str:
    """There is no such key in any settings file."""
    meant = _meant_table(model, key, value) if isinstance(value, dict) else ""
    meant = meant or did_you_mean(key, model.model_fields) or _all_of(model)
    return f"{file}: no setting is called {quoted(key)}{meant}"


def unknown_variable(model: type[ProgramSettings], variable: str, *others: str) -> str:
    """There is no such variable; `others` are keys of no setting that are known in variables."""
    # All begin alike, so they are compared without that.
    key = variable.upper().removeprefix(model.variable("")).lower()
    alike = difflib.get_close_matches(key, [*model.model_fields, *others], n=1)
    meant = f"; did you mean {model.variable(alike[0])}?" if alike else _all_of(model)
    return f"the environment: no setting is called {variable}{meant}"


def meant_by_header(model: type[ProgramSettings], line: str) -> str:
    """What to ask where a line of a file is no TOML; nothing if it names no table.

    It is none where a table is named like a key that stands above, as in ``feeds = [...]`` and
    ``[feeds.mail]``.
    """
    found = _HEADER.match(line)
    if found is None or found[1] not in model.model_fields:
        return ""
    return _meant_table(model, found[1], {found[2]: {}})


def texts_for_lists(
    model: type[ProgramSettings], in_file: Mapping[str, object], file: str
) -> Mapping[str, str]:
    """What is wrong by key where a file has text as variables of the environment do."""
    found: dict[str, str] = {}
    for key, value in in_file.items():
        field = model.model_fields.get(key)
        table = None if field is None else table_of(field)
        if field is None:
            continue
        if table is None:
            if _is_text_for_list(field, value):
                found[key] = f"{file}: {key} is {allowed(field)}, not {quoted(value)}"
            continue
        for name, inner in value.items() if isinstance(value, dict) else ():
            for each, said in inner.items() if isinstance(inner, dict) else ():
                of = table.model_fields.get(each)
                if of is not None and _is_text_for_list(of, said):
                    what = f"{allowed(of)}, not {quoted(said)}"
                    found[key] = f"{file}: {key}.{name}.{each} is {what}"
    return found


def _is_text_for_list(field: FieldInfo, value: object) -> bool:
    if not isinstance(value, str) or (value == ALL and has(field, OrAll)):
        return False
    return any(each in (comma_separated, comma_separated_pairs) for each in metadata(field))


def explained(
    model: type[ProgramSettings], errors: Iterable[ErrorDetails], sources: Mapping[str, Source]
) -> Iterator[str]:
    """A sentence for each of pydantic's errors, without its words."""
    errors = list(errors)
    # Of a list with a wrong entry it is said, too, that it is now too short.
    lists = {error["loc"][:-1] for error in errors if isinstance(error["loc"][-1], int)}
    for error in errors:
        if error["loc"] in lists:
            continue
        key, *path = (part for part in error["loc"] if part != "[key]")
        assert isinstance(key, str)  # noqa: S101 - a setting
        source = sources.get(key, Source())
        field = model.model_fields[key]
        table = table_of(field)
        if table is not None and path:
            key = f"{key}.{path.pop(0)}"
            if path:
                name = str(path.pop(0))
                if name not in table.model_fields:
                    yield f"{source.name}: {_unknown_in_table(model, table, key, name)}"
                    continue
                key, field = f"{key}.{name}", table.model_fields[name]
        meant = ""
        if source.kind == "variable" and f"{key}s" in model.model_fields:  # FEED, for FEEDS
            meant = f"; did you mean {model.variable(key)}S?"
        yield source.of(key) + _why(model, key, field, path, error) + meant


def _why(
    model: type[ProgramSettings],
    key: str,
    field: FieldInfo,
    path: Sequence[int | str],
    error: ErrorDetails,
) -> str:
    where = "".join(f" (entry {at + 1})" if isinstance(at, int) else f".{at}" for at in path)
    if error["type"] == "value_error":
        return f"{where}: {error['ctx']['error']}"
    value = error["input"]
    # Somebody may have written the secret itself where its file is to be named.
    but = "" if is_secret(field) else f", not {quoted(value)}"
    meant = _meant_table(model, key, value) if isinstance(value, dict) else ""
    return f"{where} is {'text' if path else allowed(field)}{but}{meant}"


def _unknown_in_table(
    model: type[ProgramSettings], of: type[BaseModel], table: str, name: str
) -> str:
    known = of.model_fields
    meant = did_you_mean(name, known) or f"; there are {', '.join(known)}"
    if name in model.model_fields:
        meant = "; settings that are for all stand above the first table in the file"
    return f"no setting of [{table}] is called {quoted(name)}{meant}"


def _meant_table(model: type[ProgramSettings], key: str, value: Mapping[str, object]) -> str:
    """What somebody may have meant who wrote a table that is none."""
    for inner in value:
        if f"{key}_{inner}" in model.model_fields:
            return f"; did you mean {key}_{inner}, without a table?"
    tables = [name for name, field in model.model_fields.items() if table_of(field) is not None]
    for near in difflib.get_close_matches(key, tables, n=1):
        return f"; did you mean [{near}.{next(iter(value), 'NAME')}]?"
    return "".join(f"; did you mean [{table}.{key}]?" for table in tables[:1])


def _all_of(model: type[ProgramSettings]) -> str:
    return f"; '{model.program} config show' lists all"
