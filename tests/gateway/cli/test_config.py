"""``gateway config``: settings looked at before a gateway runs with them."""

import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import trustme

from gateway.run import Running
from gateway.settings import Settings, load
from tests.gateway.cli.conftest import Command
from tests.gateway.cli.test_terminal import on_terminal
from tests.settings_docs import ROOT

EXAMPLE = ROOT / "config" / "gateway.toml"
SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith("TALLYSYNC_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A settings file with all the files that it names, private where they should be."""
    authority = trustme.CA()
    identity = authority.issue_cert("gateway.example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    identity.cert_chain_pems[0].write_to_path(tmp_path / "gateway.crt")
    identity.private_key_pem.write_to_path(tmp_path / "gateway.key")
    (tmp_path / "gateway.password").write_text(f"{SECRET}\n")
    for name in ("gateway.key", "gateway.password"):
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "gateway.toml"
    path.write_text(
        'data_dir = "data"\n'
        'broker_host = "mqtt.example.org"\n'
        'broker_ca_file = "ca.crt"\n'
        'broker_cert_file = "gateway.crt"\n'
        'broker_key_file = "gateway.key"\n'
        'broker_password_file = "gateway.password"\n'
    )
    return path


class TestCheck:
    def test_all_is_well(self, command: Command, files: Path) -> None:
        done = command("config", "check", "--config", files)
        assert (done.code, done.out, done.err) == (0, f"{files}: ok\n", "")
        assert not (files.parent / "data").exists()  # it only looks

    def test_the_example(self, command: Command) -> None:
        assert command("config", "check", "--config", EXAMPLE).code == 0

    def test_without_a_file(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        done = command("config", "check")
        assert (done.code, done.err) == (0, "")
        assert done.out == "ok, without a settings file (--config FILE names one)\n"
        monkeypatch.setenv("TALLYSYNC_GATEWAY_API_PORT", "x")
        done = command("config", "check")
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            "error: the environment: TALLYSYNC_GATEWAY_API_PORT is a whole number from 0 to 65535,"
            " not 'x'\n"
        )

    def test_a_file_that_the_environment_names(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "g.toml").write_text("api_prot = 1\n")
        monkeypatch.setenv("TALLYSYNC_GATEWAY_CONFIG", "g.toml")
        said = "error: g.toml: no setting is called 'api_prot'; did you mean api_port?\n"
        for words in (["config", "check"], ["config", "show"], ["run"]):
            done = command(*words)
            assert (done.code, done.out, done.err) == (1, "", said)

    def test_each_error_is_a_line(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "g.toml").write_text("\n".join(f"x{n} = 1" for n in range(12)))
        for words in (["config", "check"], ["config", "show"], ["run"]):
            done = command(*words, "--config", "g.toml")
            assert done.code == 1
            assert done.err.splitlines()[0].startswith("error: g.toml: no setting is called 'x0'")
            assert done.err.splitlines()[10:] == ["error: and 2 more"]

    @pytest.mark.parametrize(
        ("name", "key", "said"),
        [
            ("ca.crt", "broker_ca_file", "there is no file {}"),
            ("gateway.crt", "broker_cert_file", "there is no file {}"),
            ("gateway.key", "broker_key_file", "there is no file {}"),
            ("gateway.password", "broker_password_file", "there is no file {}"),
        ],
    )
    def test_files_that_are_missing(
        self, command: Command, files: Path, name: str, key: str, said: str
    ) -> None:
        path = files.parent / name
        path.unlink()
        done = command("config", "check", "--config", files)
        assert (done.code, done.out) == (1, "")
        assert done.err == f"error: {files}: {key}: {said.format(path)}\n"
        path.touch(mode=0o600)
        done = command("config", "check", "--config", files)
        assert (done.code, done.err) == (1, f"error: {files}: {key}: {path} is empty\n")
        path.unlink()
        path.mkdir(mode=0o700)
        done = command("config", "check", "--config", files)
        assert done.code == 1
        assert done.err == f"error: {files}: {key}: {path} cannot be read: Is a directory\n"

    def test_a_pipe_is_not_waited_for(self, command: Command, files: Path) -> None:
        path = files.parent / "ca.crt"
        path.unlink()
        os.mkfifo(path)
        assert command("config", "check", "--config", files).code == 1

    @pytest.mark.parametrize("name", ["ca.crt", "gateway.crt", "gateway.key"])
    def test_what_is_no_certificate_or_key(self, command: Command, files: Path, name: str) -> None:
        (files.parent / name).write_text(SECRET)
        done = command("config", "check", "--config", files)
        assert (done.code, done.out) == (1, "")
        assert str(files.parent / name) in done.err
        assert SECRET not in done.err

    @pytest.mark.parametrize("text", [f"{SECRET}\nand more\n", "\n"])
    def test_what_is_no_password(self, command: Command, files: Path, text: str) -> None:
        (files.parent / "gateway.password").write_text(text)
        done = command("config", "check", "--config", files)
        assert done.code == 1
        assert done.err.startswith(f"error: {files}: broker_password_file: ")
        assert SECRET not in done.err

    @pytest.mark.parametrize("name", ["gateway.key", "gateway.password"])
    def test_a_secret_that_others_may_read(self, command: Command, files: Path, name: str) -> None:
        path = files.parent / name
        path.chmod(0o640)
        done = command("config", "check", "--config", files)
        assert (done.code, done.out) == (0, f"{files}: ok\n")
        key = "broker_" + name.removeprefix("gateway.")
        assert done.err == (
            f"warning: {files}: {key}_file: others may read {path}: chmod 600 {path}\n"
        )

    def test_plain_text_to_another_machine(self, command: Command, tmp_path: Path) -> None:
        text = 'broker_host = "mqtt.example.org"\nbroker_tls = "off"\n'
        (tmp_path / "g.toml").write_text(text)
        done = command("config", "check", "--config", "g.toml")
        assert done.code == 1
        assert 'broker_tls = "off"' in done.err
        (tmp_path / "g.toml").write_text(f"{text}broker_insecure = true\n")
        assert command("config", "check", "--config", "g.toml").code == 0

    def test_a_data_directory_that_cannot_be_made(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "g.toml").write_text('data_dir = "g.toml/data"\n')
        done = command("config", "check", "--config", "g.toml")
        assert done.code == 1
        assert done.err == (
            f"error: g.toml: data_dir: {tmp_path / 'g.toml'} is a file, and no folder\n"
        )

    def test_the_data_directory_of_the_command_line(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert command("config", "check", "--data", "here").code == 0
        done = command("config", "check", "--data", "file/data")
        assert done.code == 1
        assert done.err.startswith("error: the command line: data_dir: ")
        shown = command("config", "show", "--data", "here", "--json").json["settings"]["data_dir"]
        assert shown == {"value": "here", "from": "command line"}


class TestShow:
    def test_where_each_comes_from(
        self, command: Command, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TALLYSYNC_GATEWAY_API_PORT", "5")
        done = command("config", "show", "--config", files)
        assert (done.code, done.err) == (0, "")
        lines = done.out.splitlines()
        assert lines[0] == f'# Settings file: "{files}"'
        assert f'data_dir = "{files.parent}/data"' in done.out
        assert "api_port = 5                              # variable" in lines
        assert 'broker_host = "mqtt.example.org"          # file' in lines
        assert "broker_port = 21883                       # default" in lines
        assert "# devices_broker is not set" in lines
        assert str(files.parent / "gateway.password") in done.out
        assert SECRET not in done.out

    def test_it_is_a_settings_file(
        self, command: Command, files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("TALLYSYNC_GATEWAY_REPRESENTATIONS", "")
        shown = tmp_path / "elsewhere" / "shown.toml"
        shown.parent.mkdir()
        shown.write_text(command("config", "show", "--config", files).out)
        settings = load(files)
        monkeypatch.delenv("TALLYSYNC_GATEWAY_REPRESENTATIONS")
        assert load(shown).model_dump() == settings.model_dump()

    def test_json(self, command: Command, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_GATEWAY_API_PORT", "5")
        found = command("config", "show", "--config", files, "--json").json
        assert found["file"] == str(files)
        assert list(found["settings"]) == list(Settings.model_fields)
        assert found["settings"]["api_port"] == {
            "value": 5,
            "from": "variable",
            "variable": "TALLYSYNC_GATEWAY_API_PORT",
        }
        assert found["settings"]["broker_host"] == {"value": "mqtt.example.org", "from": "file"}
        assert found["settings"]["devices_broker"] == {"value": None, "from": "default"}
        assert found["settings"]["representations"] == {"value": ["compact"], "from": "default"}
        assert command("config", "show", "--json").json["file"] is None

    def test_what_a_terminal_would_obey_is_spelt_out(
        self, command: Command, tmp_path: Path
    ) -> None:
        (tmp_path / "g.toml").write_text('broker_user = "a\\u001b[2J\\"\\\\\\u0085\\u202eb é"\n')
        done = command("config", "show", "--config", "g.toml")
        assert done.code == 0
        assert all(line.isprintable() for line in done.out.splitlines())
        assert tomllib.loads(done.out)["broker_user"] == 'a\x1b[2J"\\\x85\u202eb é'

    @pytest.mark.parametrize("columns", [60, 200])
    def test_on_a_terminal(self, gateway: Running, columns: int) -> None:
        code, lines = on_terminal(gateway, columns, "config", "show")
        assert code == 0
        assert max(len(line) for line in lines if not line.startswith("data_dir")) <= 60
        assert "broker_port = 21883                       # default" in lines


def test_the_demo_says_what_is_wrong_in_the_environment(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSYNC_GATEWAY_BROKER_HOTS", "x")
    done = command("demo")
    assert done.code == 1
    assert done.err.startswith("error: the environment: no setting is called TALLYSYNC_GATEWAY_")


def test_help_waits_for_nothing() -> None:
    program = (
        "import sys, gateway.cli\n"
        "print({'pydantic', 'pydantic_settings', 'ssl', 'programs'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.decode() == "set()\n"


def test_no_gateway_is_asked(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert command("config", "check").code == 0
    assert command("config", "show").code == 0
