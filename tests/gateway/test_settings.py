"""The settings: defaults, file, environment, command line, and what is wrong with them."""

import os
from pathlib import Path

import pytest

from gateway.representations.registry import installed_names
from gateway.settings import ENVIRONMENT_PREFIX, SettingsError, load
from programs.tls_settings import Tls
from tests.gateway.representations.installing import install

EXAMPLE = Path(__file__).parents[2] / "config" / "gateway.toml"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(variable)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_file_holds_the_defaults() -> None:
    assert load(EXAMPLE).model_dump() == load().model_dump()


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
        ("topic_prefix = 'a/#'", "topic_prefix"),
        ("broker_host = 'me:secret@a'", "broker_host"),
        ("devices_broker = 'a'", "devices_broker"),
        ("broker_accounts = 'hand'", "broker_accounts"),
        ("broker_tls = true", "broker_tls"),
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
            f"{path}: representations has 'compat', which is not installed; did you mean compact?"
        )
        # The environment overrides the file, so it is to blame.
        monkeypatch.setenv(self.VARIABLE, "xyz")
        with pytest.raises(SettingsError) as caught:
            load(path)
        assert str(caught.value) == (
            f"the environment: {self.VARIABLE} has 'xyz', which is not installed; those installed"
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
        monkeypatch.setenv(self.VARIABLE, "compact,")
        with pytest.raises(SettingsError) as caught:
            load()
        assert str(caught.value) == (
            f"the environment: {self.VARIABLE} (entry 2): a representation is a word of a-z, 0-9"
            " and -, at most 32, not ''"
        )


BROKER = 'broker_host = "mqtt.example.org"\n'


class TestContradictions:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('broker_ca_file = "x"', "broker_ca_file is set, but"),
            ('broker_cert_file = "x"\nbroker_key_file = "x"', "broker_cert_file is set, but"),
            ('broker_password_file = "x"', "broker_password_file is set, but"),
            ("broker_insecure = true", "broker_insecure is set, but"),
            ('broker_tls = "on"', 'broker_tls is "on", but'),
            (
                'broker_accounts = "dynamic-security"',
                'broker_accounts is "dynamic-security", but',
            ),
        ],
    )
    def test_of_a_broker_that_is_none(self, tmp_path: Path, text: str, said: str) -> None:
        path = written(tmp_path / "a.toml", text)
        with pytest.raises(SettingsError) as caught:
            load(path)
        assert caught.value.problems[0].startswith(f"{path}: {said} there is no broker_host: ")
        load(written(tmp_path / "a.toml", BROKER + text))

    def test_what_is_harmless_without_a_broker(self, tmp_path: Path) -> None:
        load(written(tmp_path / "a.toml", 'broker_tls = "off"\nbroker_insecure = false'))

    def test_half_of_an_identity(self, tmp_path: Path) -> None:
        keys = ("broker_cert_file", "broker_key_file")
        for has, lacks in (keys, keys[::-1]):
            path = written(tmp_path / "a.toml", f'{BROKER}{has} = "x"')
            with pytest.raises(SettingsError) as caught:
                load(path)
            assert caught.value.problems == (
                f"{path}: {has} is set and {lacks} is not: mutual TLS needs both",
            )

    def test_all_that_is_wrong_with_it(self, tmp_path: Path) -> None:
        path = written(
            tmp_path / "a.toml", 'broker_tls = "on"\nbroker_key_file = "x"\nrepresentations = ["x"]'
        )
        with pytest.raises(SettingsError) as caught:
            load(path)
        keys = [problem.split()[1] for problem in caught.value.problems]
        assert keys == ["broker_key_file", "broker_key_file", "broker_tls", "representations"]


def test_where_devices_reach_the_broker(tmp_path: Path) -> None:
    path = written(tmp_path / "a.toml", 'devices_broker = "[::1]:8883"')
    assert load(path).devices_broker == "[::1]:8883"


def test_how_the_broker_is_reached(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.toml",
        f'{BROKER}broker_tls = "on"\nbroker_ca_file = "a"\nbroker_cert_file = "b"\n'
        'broker_key_file = "c"\nbroker_insecure = true\n',
    )
    assert load(path).tls == Tls(
        mode="on",
        ca_file=tmp_path / "a",
        cert_file=tmp_path / "b",
        key_file=tmp_path / "c",
        insecure=True,
        key_prefix="broker_",
    )
