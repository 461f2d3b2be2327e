"""Settings: where they come from, and what is wrong with them."""

import os
import tomllib
from pathlib import Path

import pytest

from device_agent.schedule import Waits
from device_agent.settings import Settings, SettingsError, broker_address, load
from sync_protocol.wire import Format

EXAMPLE = Path(__file__).parents[2] / "config" / "device_agent.toml"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith("TALLYSYNC_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def test_defaults() -> None:
    found = load()
    assert (found.id, found.feeds, found.password_file) == (None, (), None)
    assert found.waits == Waits()
    assert found.format is Format.CBOR
    broker_address(found.broker)


def test_the_data_is_kept_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load().data_dir == tmp_path / "share" / "tallysync" / "agent"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load().data_dir == Path("/home/somebody/.local/share/tallysync/agent")


def test_the_example_is_the_defaults() -> None:
    assert load(EXAMPLE).model_dump() == load().model_dump()


def test_the_example_names_every_setting_and_no_other(file: Path) -> None:
    text = EXAMPLE.read_text()
    for key in ("id", "feeds", "data_dir", "password_file"):
        assert text.count(f"\n# {key} = ") == 1
        text = text.replace(f"\n# {key} = ", f"\n{key} = ")
    file.write_text(text)
    assert set(tomllib.loads(text)) == set(Settings.model_fields)
    assert load(file).id == "handheld-1"


def test_the_command_line_goes_before_the_environment_before_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('id = "file"\nfeeds = ["file"]\nkeepalive_s = 7\n')
    monkeypatch.setenv("TALLYSYNC_AGENT_FEEDS", "mail, contacts")
    monkeypatch.setenv("TALLYSYNC_AGENT_ID", "environment")
    found = load(file, id="line", feeds=None)
    assert (found.id, found.feeds, found.keepalive_s) == ("line", ("mail", "contacts"), 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("brokre = 1", r"no setting is called brokre \(.*agent.toml\); known are id, .*broker"),
        ("[broker]\nhost = 1", r"broker \(.*agent.toml\): Input should be a valid string"),
        ("id = 'a/b'", r"id \(.*agent.toml\): a device id is 1 to 64"),
        ("feeds = ['a', 'gateway']", r"feeds.1 \(.*agent.toml\): 'gateway' is"),
        ("broker = 'somewhere'", r"broker \(.*\): a broker is HOST:PORT"),
        ("sync_period_s = 0", r"sync_period_s \(.*\): Input should be greater"),
        ("sync_period_s = nan", r"sync_period_s \("),
        ("answer_bytes_max = 1", r"answer_bytes_max \(.*\): .*4096"),
        ("format = 'xml'", r"format \(.*\): Input should be 'cbor' or 'json'"),
        ("topic_prefix = 'a/#'", r"topic_prefix \(.*\): a topic prefix is levels"),
        ("id = ", "agent.toml is not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=said) as refused:
        load(file)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"agent\.toml (cannot be read|is not TOML)"):
        load(file)


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(SettingsError, match="there is no settings file"):
        load(file)


def test_what_is_wrong_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSYNC_AGENT_DEBOUNCE_S", "soon")
    with pytest.raises(SettingsError, match=r"debounce_s \(TALLYSYNC_AGENT_DEBOUNCE_S\)"):
        load()


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSYNC_AGENT_PASSWORD", "a secret")
    with pytest.raises(SettingsError, match=r"PASSWORD \(env.*TALLYSYNC_AGENT_BROKER") as refused:
        load()
    assert "a secret" not in str(refused.value)


def test_what_is_wrong_on_the_command_line_is_named() -> None:
    with pytest.raises(SettingsError, match=r"broker \(the command line\)"):
        load(broker="x")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:1", ("localhost", 1)),
        ("mqtt.example.org:65535", ("mqtt.example.org", 65_535)),
        ("[::1]:1883", ("::1", 1883)),
        ("127.0.0.1:21883", ("127.0.0.1", 21_883)),
    ],
)
def test_a_broker(text: str, address: tuple[str, int]) -> None:
    assert broker_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", ":", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:1x", "a:\N{ARABIC-INDIC DIGIT ONE}",
     "::1:1883", "[::1]", "[]:1", "a b:1", "mqtt://a:1", "me:secret@a:1", "a\n:1"],
)  # fmt: skip
def test_no_broker(text: str) -> None:
    with pytest.raises(ValueError, match=r"broker|brackets"):
        broker_address(text)
