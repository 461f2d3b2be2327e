"""The settings: defaults, file, environment, command line, and what is wrong with them."""

import re
from pathlib import Path

import pytest

from gateway.representations.registry import installed_names
from gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError, load
from tests.gateway.representations.installing import install

EXAMPLE = Path(__file__).parents[2] / "config" / "gateway.toml"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in Settings.model_fields:
        monkeypatch.delenv(f"{ENVIRONMENT_PREFIX}{key.upper()}", raising=False)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_file_holds_the_defaults() -> None:
    assert load(EXAMPLE).model_dump() == load().model_dump()


def test_the_example_file_names_every_key() -> None:
    named = re.findall(r"^(?:# )?([a-z_]+) = ", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(Settings.model_fields)


def test_the_commented_keys_load_too(tmp_path: Path) -> None:
    text = re.sub(r"^# (?=[a-z_]+ = )", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    settings = load(written(tmp_path / "gateway.toml", text))
    assert settings.data_dir == Path.home() / ".local/share/tallysync/gateway"
    assert settings.broker_host == "mqtt.example.org"


def test_who_overrides_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.toml", "api_port = 1\nbroker_port = 1\nbroker_keepalive_s = 10\n")
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}BROKER_PORT", "2")
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}API_PORT", "2")
    settings = load(path, api_port=3, topic_prefix=None)
    assert (settings.broker_keepalive_s, settings.broker_port, settings.api_port) == (10, 2, 3)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("api_prot = 1", "api_prot"),
        ("api_port = 65536", "api_port"),
        ("api_port = -1", "api_port"),
        ('api_port = "many"', "api_port"),
        ("ledger_flush_s = 0", "ledger_flush_s"),
        ("ledger_flush_s = nan", "ledger_flush_s"),
        ("answer_bytes_max = 1", "answer_bytes_max"),
        ("notification_content_bytes_max = 1000000", "notification_content_bytes_max"),
        ("delete_marker_retention_days = 0", "delete_marker_retention_days"),
        ("embedded_connections_max = 0", "embedded_connections_max"),
        ("render_s_max = 0.09", "render_s_max"),
        ("render_s_max = 60.1", "render_s_max"),
        ("render_s_max = nan", "render_s_max"),
        ("render_memory_bytes_max = 134217727", "render_memory_bytes_max"),
        ("render_memory_bytes_max = 17179869185", "render_memory_bytes_max"),
        ("representations = 5", "representations"),
        ("representations = ['Compact']", "representations"),
        ("representations = ['']", "representations"),
        ("representations = ['compat']", "representations"),
        ("api_port = ", "not TOML"),
    ],
)
def test_what_is_wrong_in_a_file(tmp_path: Path, text: str, named: str) -> None:
    path = written(tmp_path / "wrong.toml", text)
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert named in str(caught.value)
    assert "wrong.toml" in str(caught.value)


def test_an_unknown_key_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the settings are answer_bytes_max, api_port, "):
        load(written(tmp_path / "wrong.toml", "x = 1"))


def test_an_unknown_key_is_answered_with_one_that_is_like_it(tmp_path: Path) -> None:
    path = written(tmp_path / "wrong.toml", "broker_pasword_file = 'x'")
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value).startswith(
        f"no setting is called broker_pasword_file ({path}); did you mean broker_password_file?"
        " the settings are "
    )


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}API_PORT", "x")
    with pytest.raises(SettingsError, match=f"{ENVIRONMENT_PREFIX}API_PORT"):
        load()


class TestRepresentations:
    VARIABLE = f"{ENVIRONMENT_PREFIX}REPRESENTATIONS"

    @pytest.mark.parametrize("text", ["compact", " compact ", "compact, compact"])
    def test_in_the_environment(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv(self.VARIABLE, text)
        assert set(load().representations) == {"compact"}

    def test_in_a_file(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.toml", "representations = ['compact']")
        assert load(path).representations == ("compact",)

    def test_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert load(written(tmp_path / "a.toml", "representations = []")).representations == ()
        monkeypatch.setenv(self.VARIABLE, "")
        assert load().representations == ()

    def test_one_that_is_not_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = ", ".join(installed_names())
        path = written(tmp_path / "a.toml", "representations = ['compact', 'compat']")
        with pytest.raises(SettingsError) as caught:
            load(path)
        assert str(caught.value) == (
            f"representations in {path}: no representation is called compat; did you mean compact?"
            f" those installed are {known}"
        )
        # The environment overrides the file, so it is to blame.
        monkeypatch.setenv(self.VARIABLE, "xyz")
        with pytest.raises(SettingsError) as caught:
            load(path)
        assert str(caught.value) == (
            f"representations in {self.VARIABLE}: no representation is called xyz; those installed"
            f" are {known}"
        )

    def test_they_are_not_imported_to_know_their_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "unwanted.py").write_text("raise SystemExit\n")
        install(tmp_path, monkeypatch, {"unwanted": "unwanted:UNWANTED"})
        assert load().representations == ("compact",)
        monkeypatch.setenv(self.VARIABLE, "compact,unwanted")
        assert load().representations == ("compact", "unwanted")

    def test_a_text_that_is_no_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(self.VARIABLE, "compact,,")
        with pytest.raises(SettingsError) as caught:
            load()
        assert str(caught.value) == (
            f"representations in {self.VARIABLE}: a representation is a word of a-z, 0-9 and -, at"
            " most 32, not ''"
        )


def test_who_is_to_blame_for_a_wrong_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.toml", "api_port = 70000")
    with pytest.raises(SettingsError, match=f"^api_port in {path}: "):
        load(path)
    variable = f"{ENVIRONMENT_PREFIX}API_PORT"
    monkeypatch.setenv(variable, "70001")
    with pytest.raises(SettingsError, match=f"^api_port in {variable}: "):
        load(path)
    with pytest.raises(SettingsError, match=r"^api_port in the command line: "):
        load(path, api_port=70_002)


def test_the_bounds_that_the_example_file_tells() -> None:
    # Of the keys of which it tells any; the rest are what nobody will reach.
    text = EXAMPLE.read_text(encoding="utf-8")
    assert "0.1 to 60." in text
    assert load(render_s_max=0.1).render_s_max == 0.1
    assert load(render_s_max=60).render_s_max == 60
    assert "134217728 (128 MiB) to 17179869184 (16 GiB)" in text
    for size in (128 * 2**20, 16 * 2**30):
        assert load(render_memory_bytes_max=size).render_memory_bytes_max == size


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no settings file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not TOML"):
        load(tmp_path / "bytes.toml")
