"""Whatever stands in a settings file: settings, or plain sentences about what is wrong."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from programs.settings_check import look
from programs.settings_file import SettingsError, read
from programs.settings_model import ProgramSettings
from programs.settings_shown import as_json, as_toml
from programs.settings_words import toml_key, toml_text
from tests.settings_docs import EXAMPLES

MODELS = list(EXAMPLES.values())
# Words of pydantic, which tells of Python's types.
JARGON = re.compile(r"Input should|Value error|valid (integer|string|number|tuple|dict)")

pytestmark = pytest.mark.usefixtures("no_variables")

SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=50)
    | st.sampled_from(["all", "auto", "-", "~/a", "~nobody-is-it", "a:1", "me:secret@a:1", ""])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("model", MODELS, ids=[model.program for model in MODELS])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_value_of_any_key(
    model: type[ProgramSettings], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    keys = st.sampled_from(sorted(model.model_fields)) | st.text(max_size=20)
    values = data.draw(st.dictionaries(keys, VALUES, max_size=4))
    path = tmp_path_factory.getbasetemp() / f"{model.program}.toml"
    text = "".join(f"{toml_key(key)} = {toml_text(value)}\n" for key, value in values.items())
    path.write_text(text, encoding="utf-8")
    _settings_or_sentences(model, path)


@pytest.mark.parametrize("model", MODELS, ids=[model.program for model in MODELS])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(written=st.binary(max_size=200))
@example(written=b"a = '''\n" * 3)
@example(written=b"feeds = []\n[feeds." + b"\t" * 100)
def test_any_bytes(
    model: type[ProgramSettings], tmp_path_factory: pytest.TempPathFactory, written: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{model.program}.toml"
    path.write_bytes(written)
    _settings_or_sentences(model, path)


def _settings_or_sentences(model: type[ProgramSettings], path: Path) -> None:
    problems: tuple[str, ...] = ()
    try:
        loaded = read(model, path)
    except SettingsError as error:
        problems = error.problems or ("",)
    else:
        look(loaded)
        assert as_json(loaded)["settings"]
        assert all(line.isprintable() for line in as_toml(loaded))
    for problem in problems:
        assert problem
        assert problem.isprintable()
        assert not JARGON.search(problem)
        assert len(problem) < 600
