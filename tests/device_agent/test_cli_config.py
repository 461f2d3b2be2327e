"""``device-agent config``: settings looked at before an agent runs with them."""

import json
from pathlib import Path

import pytest
import trustme

from device_agent import enrolment
from device_agent.settings import Settings, load
from sync_protocol.credential import Credential
from tests.device_agent.commands import Call
from tests.settings_docs import ROOT

EXAMPLE = ROOT / "config" / "device_agent.toml"
SECRET = "correct-horse"

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file in the working directory."""
    monkeypatch.chdir(tmp_path)
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(SECRET)
    path = tmp_path / "agent.toml"
    path.write_text(
        'id = "phone"\nfeeds = ["mail"]\npassword_file = "password"\ndata_dir = "data"\n'
        "[feed.mail]\ndays = 30\nkinds = ['mail']\nfolders = 'all'\n"
        "representations = { mail = 'compact' }\n"
    )
    return path


@pytest.fixture
def enrolled(tmp_path: Path) -> Credential:
    """What the device of that file is enrolled with."""
    credential = Credential(
        device="phone", secret=SECRET, host="mqtt.example.org", port=8883, feeds=("a", "b")
    )
    enrolment.keep(tmp_path / "data", credential)
    return credential


class TestCheck:
    def test_all_is_well(self, call: Call, file: Path) -> None:
        done = call("config", "check", "--config", file)
        assert (done.code, done.text, done.err) == (0, f"{file}: ok\n", "")
        assert not Path("data").exists()  # it only looks

    def test_the_example(self, call: Call) -> None:
        done = call("config", "check", "--config", EXAMPLE)
        assert done.code == 1
        assert [line.partition(":")[2].partition(":")[0] for line in done.err.splitlines()] == [
            " no device id",
            " no feed",
        ]

    def test_what_run_would_refuse_is_refused_in_its_words(self, call: Call, file: Path) -> None:
        for text in ('feeds = ["mail"]\n', 'id = "phone"\n'):
            file.write_text(text)
            done = call("config", "check", "--config", file)
            assert (done.code, done.text) == (1, "")
            assert done.err == call("run", "--config", file).err

    @pytest.mark.usefixtures("enrolled")
    def test_the_data_directory_of_the_command_line(self, call: Call, file: Path) -> None:
        file.write_text("")
        assert call("config", "check", "--config", file).code == 1
        assert call("config", "check", "--config", file, "--data", "data").code == 0
        shown = call("config", "show", "--config", file, "--data", "data").text
        assert 'id = "phone"                              # enrolment\n' in shown
        assert "# command line\n" in shown

    def test_a_certificate_that_is_not_used_yet(self, call: Call, file: Path) -> None:
        file.write_text('ca_file = "password"\n')  # the broker is on this machine
        done = call("config", "check", "--config", file)
        assert done.code == 1
        assert "ca_file" in done.err.splitlines()[0]
        assert [line.split(":")[1] for line in done.err.splitlines()[1:]] == [
            " no device id",
            " no feed",
        ]

    def test_without_a_file(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_AGENT_ID", "phone")
        monkeypatch.setenv("TALLYSYNC_AGENT_FEEDS", "mail")
        done = call("config", "check")
        assert (done.code, done.err) == (0, "")
        assert done.text == "ok, without a settings file (--config FILE names one)\n"
        monkeypatch.setenv("TALLYSYNC_AGENT_DAYS", "x")
        done = call("config", "check")
        assert (done.code, done.text) == (1, "")
        assert done.err == (
            "error: the environment: TALLYSYNC_AGENT_DAYS is a whole number from 1 to 36500, or"
            " \"all\", not 'x'\n"
        )

    def test_a_file_that_the_environment_names(
        self, call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text("feeds = ['mail']\n[feeds.mail]\ndays = 3\n")
        monkeypatch.setenv("TALLYSYNC_AGENT_CONFIG", "agent.toml")
        for words in (["config", "check"], ["config", "show"], ["status"]):
            done = call(*words)
            assert (done.code, done.text) == (1, "")
            assert done.err.startswith("error: agent.toml, line 2, column 12: this is not TOML: ")
            assert done.err.endswith("; did you mean [feed.mail]?\n")

    def test_each_error_is_a_line(self, call: Call, file: Path) -> None:
        file.write_text("\n".join(f"x{n} = 1" for n in range(12)))
        for words in (["config", "check"], ["config", "show"], ["run"], ["items"]):
            done = call(*words, "--config", "agent.toml")
            assert done.code == 1
            assert done.err.splitlines()[0].startswith("error: agent.toml: no setting is called 'x")
            assert done.err.splitlines()[10:] == ["error: and 2 more"]

    def test_files_that_are_missing(self, call: Call, file: Path) -> None:
        file.write_text(
            'id = "phone"\nfeeds = ["mail"]\n'
            'password_file = "p"\nca_file = "c"\ncert_file = "d"\nkey_file = "k"\ndata_dir = "x"\n'
        )
        Path("x").touch()
        done = call("config", "check", "--config", file)
        folder = file.parent
        assert (done.code, done.text) == (1, "")
        assert done.err.splitlines() == [
            f"error: {file}: ca_file: there is no file {folder}/c",
            f"error: {file}: cert_file: there is no file {folder}/d",
            f"error: {file}: key_file: there is no file {folder}/k",
            f"error: {file}: data_dir: {folder}/x is a file, and no folder",
            f"error: {file}: password_file: there is no file {folder}/p",
        ]

    def test_standard_input_is_not_looked_for(self, call: Call, file: Path) -> None:
        file.write_text('id = "phone"\nfeeds = ["mail"]\npassword_file = "-"\n')
        assert call("config", "check", "--config", file).code == 0

    def test_a_password_that_others_may_read(self, call: Call, file: Path) -> None:
        path = file.parent / "password"
        path.chmod(0o604)
        done = call("config", "check", "--config", file)
        assert (done.code, done.text) == (0, f"{file}: ok\n")
        assert done.err == (
            f"warning: {file}: password_file: others may read {path}: chmod 600 {path}\n"
        )

    def test_what_is_no_certificate(self, call: Call, file: Path) -> None:
        file.write_text(
            'id = "phone"\nfeeds = ["mail"]\n'
            'broker = "mqtt.example.org:8883"\nca_file = "password"\n'
        )
        done = call("config", "check", "--config", file)
        assert (done.code, done.text) == (1, "")
        assert str(file.parent / "password") in done.err
        assert SECRET not in done.err
        trustme.CA().cert_pem.write_to_path(file.parent / "password")
        assert call("config", "check", "--config", file).code == 0

    @pytest.mark.usefixtures("enrolled")
    def test_plain_text_to_the_broker_of_the_enrolment(self, call: Call, file: Path) -> None:
        file.write_text('data_dir = "data"\ntls = "off"\n')
        done = call("config", "check", "--config", file)
        assert (done.code, done.text) == (1, "")
        assert done.err.startswith('error: tls = "off" would have')
        file.write_text('data_dir = "data"\ntls = "off"\nbroker = "127.0.0.1:1"\n')
        assert call("config", "check", "--config", file).code == 0

    @pytest.mark.usefixtures("enrolled")
    def test_an_enrolment_that_others_may_read(self, call: Call, file: Path) -> None:
        file.write_text('data_dir = "data"\n')
        path = file.parent / "data" / enrolment.ENROLMENT_FILE
        path.chmod(0o644)
        done = call("config", "check", "--config", file)
        assert (done.code, done.text) == (0, f"{file}: ok\n")
        assert done.err == f"warning: others may read {path}: chmod 600 {path}\n"

    @pytest.mark.usefixtures("enrolled")
    def test_an_enrolment_that_is_damaged(self, call: Call, file: Path) -> None:
        Path("data", enrolment.ENROLMENT_FILE).write_text("{}")
        done = call("config", "check", "--config", file)
        assert done.code == 1
        assert "is damaged" in done.err


class TestShow:
    def test_where_each_comes_from(
        self, call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TALLYSYNC_AGENT_KINDS", "mail,contact")
        done = call("config", "show", "--config", file)
        assert (done.code, done.err) == (0, "")
        lines = done.text.splitlines()
        assert lines[0] == f'# Settings file: "{file}"'
        assert lines[1] == 'id = "phone"                              # file'
        assert 'kinds = ["mail", "contact"]               # variable' in lines
        assert 'days = "all"                              # default' in lines
        assert "# ca_file is not set" in lines
        assert lines[-6:] == [
            "",
            "[feed.mail]                               # file",
            'kinds = ["mail"]',
            'folders = "all"',
            "days = 30",
            'representations = { mail = "compact" }',
        ]
        assert SECRET not in done.text

    def test_it_is_a_settings_file(self, call: Call, file: Path) -> None:
        shown = file.parent / "shown.toml"
        shown.write_bytes(call("config", "show", "--config", file).out)
        assert load(shown).model_dump() == load(file).model_dump()
        assert load(shown).wanted("mail") == load(file).wanted("mail")

    @pytest.mark.usefixtures("enrolled")
    def test_what_the_enrolment_says(self, call: Call, file: Path) -> None:
        file.write_text('data_dir = "data"\nfeeds = ["b"]\n')
        lines = call("config", "show", "--config", file).text.splitlines()
        assert 'id = "phone"                              # enrolment' in lines
        assert 'feeds = ["b"]                             # file' in lines
        assert 'broker = "mqtt.example.org:8883"          # enrolment' in lines
        assert SECRET not in "".join(lines)

    @pytest.mark.usefixtures("enrolled")
    def test_the_example_leaves_the_enrolment_alone(self, call: Call, file: Path) -> None:
        file.write_text(EXAMPLE.read_text() + '\ndata_dir = "data"\n')
        found = json.loads(call("config", "show", "--config", file, "--json").out)["settings"]
        said = {key for key, each in found.items() if each["from"] == "enrolment"}
        assert said == {"id", "feeds", "broker", "tls", "topic_prefix"}

    def test_json(self, call: Call, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TALLYSYNC_AGENT_FORMAT", "json")
        found = json.loads(call("config", "show", "--config", file, "--json").out)
        assert found["file"] == str(file)
        assert set(found["settings"]) == set(Settings.model_fields)
        assert found["settings"]["format"] == {
            "value": "json",
            "from": "variable",
            "variable": "TALLYSYNC_AGENT_FORMAT",
        }
        assert found["settings"]["days"] == {"value": "all", "from": "default"}
        assert found["settings"]["ca_file"] == {"value": None, "from": "default"}
        assert found["settings"]["feed"]["value"]["mail"] == {
            "kinds": ["mail"],
            "folders": "all",
            "days": 30,
            "representations": {"mail": "compact"},
        }

    def test_names_of_feeds_are_keys(self, call: Call, file: Path) -> None:
        file.write_text("[feed.a-b_1]\n[feed.x]\nportion_bytes = 'all'\n")
        lines = call("config", "show", "--config", file).text.splitlines()
        assert [line.split()[0] for line in lines if line.startswith("[")] == [
            "[feed.a-b_1]",
            "[feed.x]",
        ]
        assert lines[-1] == 'portion_bytes = "all"'

    def test_it_fits_a_small_terminal(self, call: Call) -> None:
        lines = call("config", "show", "--config", EXAMPLE).text.splitlines()[1:]
        assert max(len(line) for line in lines if not line.startswith("data_dir")) <= 60
