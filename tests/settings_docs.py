"""What config/*.toml and docs/settings.md say of each setting, made of the settings themselves.

``python -m tests.settings_docs --write`` writes it there; a test compares it with what is there.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from annotated_types import Ge, Gt, Le, Len
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import device_agent.settings
import gateway.settings
from programs.settings_model import ProgramSettings
from programs.settings_types import FromEnrolment
from programs.settings_words import (
    allowed,
    as_written,
    has,
    in_order,
    is_table,
    metadata,
    toml_text,
)

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs" / "settings.md"
EXAMPLES: Final[dict[Path, type[ProgramSettings]]] = {
    ROOT / "config" / "gateway.toml": gateway.settings.Settings,
    ROOT / "config" / "device_agent.toml": device_agent.settings.Settings,
}
# What stands before some settings in an example, by the first of them.
_INTRODUCTIONS: Final = {
    "kinds": (
        'What is wanted of the feeds. "all" says that there is no limit. To change any of these'
        " sends no content again that is here and is still wanted; what is no longer wanted is"
        " dropped."
    )
}
_UNITS: Final = {
    r"requests_per_minute": "requests a minute",
    r"bytes_per_hour": "bytes an hour",
    r"bytes": "bytes",
    r"days": "days",
    r"_s(_max)?$": "seconds",
    r"connections": "connections",
    r"share": "share of 1",
    r"port$": "port",
}
_COLUMNS: Final = 100
_TABLE: Final = re.compile(r"(<!-- table of (\S+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def unit(key: str) -> str:
    """The unit of a setting; nothing for those that are no numbers."""
    return next((text for part, text in _UNITS.items() if re.search(part, key)), "")


def default_of(model: type[BaseModel], key: str) -> object:
    """The default as a file would have it; None where there is none, or the machine makes it."""
    field = model.model_fields[key]
    if field.examples:
        return None
    return as_written(field, field.get_default(call_default_factory=True, validated_data={}))


def example(text: str, model: type[ProgramSettings]) -> str:
    """An example file: the head of `text`, and each setting with what it is."""
    head, _, _ = text.partition("\n\n")
    return head + "\n" + "".join(f"\n{entry}\n" for entry in _entries(model))


def docs(text: str) -> str:
    """The documentation, with its tables made anew."""
    models = {model.program: model for model in EXAMPLES.values()}
    return _TABLE.sub(lambda found: f"{found[1]}\n{_table(models[found[2]])}\n\n", text)


def files() -> Iterator[tuple[Path, str, str]]:
    """Each file with the text that it has and the one that it should have."""
    for path, model in EXAMPLES.items():
        text = path.read_text(encoding="utf-8")
        yield path, text, example(text, model)
    text = DOCS.read_text(encoding="utf-8")
    yield DOCS, text, docs(text)


def _entries(model: type[ProgramSettings]) -> Iterator[str]:
    for key, field in in_order(model).items():
        if key in _INTRODUCTIONS:
            yield _comment(_INTRODUCTIONS[key])
        default = default_of(model, key)
        if default is not None:
            hidden = "# " if has(field, FromEnrolment) else ""
            said = f"{hidden}{key} = {toml_text(default)}"
        elif is_table(field):
            said = "\n".join(f"# {line}" for line in _example_table(key, field))
        else:
            said = f"# {key} = {toml_text((field.examples or [''])[0])}"
        yield f"{_comment(_described(field))}\n{said}"


def _example_table(key: str, field: FieldInfo) -> Iterator[str]:
    for name, table in (field.examples or [{}])[0].items():
        yield f"[{key}.{name}]"
        yield from (f"{inner} = {toml_text(value)}" for inner, value in table.items())


def _described(field: FieldInfo) -> str:
    bounded = any(isinstance(mark, (Ge, Gt, Le, Len)) for mark in metadata(field))
    what = allowed(field)
    return (
        f"{field.description} {what[0].upper()}{what[1:]}." if bounded else f"{field.description}"
    )


def _comment(text: str) -> str:
    return textwrap.fill(
        text,
        width=_COLUMNS,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _table(model: type[ProgramSettings]) -> str:
    return "\n".join(_rows(model))


def _rows(model: type[ProgramSettings]) -> Iterator[str]:
    yield "| key and variable | what it is | unit | default | what for |"
    yield "|---|---|---|---|---|"
    for key, field in in_order(model).items():
        default = default_of(model, key)
        variable = "" if is_table(field) else f"<br>`{model.variable(key)}`"
        cells = [
            f"`{key}`{variable}",
            allowed(field),
            unit(key),
            "" if default is None else f"`{toml_text(default)}`",
            field.description or "",
        ]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    for path, text, should in files():
        if text != should:
            print(f"{path.relative_to(ROOT)} differs")  # noqa: T201
            if "--write" in sys.argv[1:]:
                path.write_text(should, encoding="utf-8")
