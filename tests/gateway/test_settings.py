"""The settings: defaults, file, environment, command line, and what is wrong with them."""

import re
from pathlib import Path

import pytest

from gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError, load

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


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no settings file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not TOML"):
        load(tmp_path / "bytes.toml")
