"""The examples, the documentation and the settings say the same."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from programs.settings_file import SettingsError, read
from programs.settings_model import ProgramSettings
from programs.settings_words import allowed, metadata
from tests.settings_docs import DOCS, EXAMPLES, default_of, docs, example, files, unit

MODELS = list(EXAMPLES.values())
NUMBERS = [
    (model, key)
    for model in MODELS
    for key, field in model.model_fields.items()
    if "number" in allowed(field)
]

pytestmark = pytest.mark.usefixtures("no_variables")


def test_they_are_as_the_settings_are() -> None:
    for path, has, should in files():
        assert has == should, f"{path.name}: 'python -m tests.settings_docs --write' mends it"


@pytest.mark.parametrize("path", EXAMPLES)
def test_a_change_of_an_example_is_noticed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for changed in (
        text.replace("21883", "21884"),
        text.replace("\nanswer_bytes_max =", "\n# answer_bytes_max ="),
        text.replace("Seconds of silence", "Silence"),
        text.replace("to 3600.", "to 3601."),
    ):
        assert changed != text
        assert example(changed, EXAMPLES[path]) == text


def test_a_change_of_the_documentation_is_noticed() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert docs(text.replace("21883", "21884")) == text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(model.model_fields) for model in MODELS)
    for row in rows:
        assert docs(text.replace(f"{row}\n", "")) == text


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_has_every_key(path: Path, tmp_path: Path) -> None:
    model = EXAMPLES[path]
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:  # what is commented out, and would be a setting
            lines.append(line.removeprefix("# "))
            tomllib.loads(lines[-1])
        except tomllib.TOMLDecodeError:
            lines[-1] = line
    (tmp_path / path.name).write_text("\n".join(lines), encoding="utf-8")
    loaded = read(model, tmp_path / path.name)
    assert {loaded.source(key).kind for key in model.model_fields} == {"file"}


@pytest.mark.parametrize("model", MODELS, ids=[model.program for model in MODELS])
def test_every_setting_is_told(model: type[ProgramSettings]) -> None:
    for key, field in model.model_fields.items():
        assert field.description, key
        assert field.description.endswith("."), key
        assert (default_of(model, key) is None) is bool(field.examples), key
        assert len(model.variable(key)) == len(f"{model.model_config['env_prefix']}{key}")


@pytest.mark.parametrize(
    ("model", "key"), NUMBERS, ids=[f"{model.program} {key}" for model, key in NUMBERS]
)
def test_a_number_has_a_unit_and_the_bounds_that_are_told(
    model: type[ProgramSettings], key: str
) -> None:
    field = model.model_fields[key]
    assert unit(key)
    bounds = [*filter(None, map(_inside_and_outside, metadata(field)))]
    assert len(bounds) == 2
    for inside, outside in bounds:
        assert not _refused(model, key, inside)
        assert _refused(model, key, outside)


def _inside_and_outside(mark: object) -> tuple[float, float] | None:
    for name, direction in (("ge", -1), ("le", +1)):
        bound: Any = getattr(mark, name, None)
        if bound is not None:
            return bound, bound + direction * (1 if isinstance(bound, int) else 0.001)
    above: Any = getattr(mark, "gt", None)
    return None if above is None else (above + 0.001, above)


def _refused(model: type[ProgramSettings], key: str, value: object) -> bool:
    try:
        read(model, overrides={key: value})
    except SettingsError as error:  # two settings may contradict each other all the same
        return any(allowed(model.model_fields[key]) in problem for problem in error.problems)
    return False
