"""``device-agent enroll``, and the commands that need nothing else then."""

import contextlib
import dataclasses
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent import enrolment
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE, locked
from device_agent.enrolment import ENROLMENT_FILE
from sync_protocol.credential import CREDENTIAL_CHARS_MAX, Credential
from tests.certificates import ca_der
from tests.device_agent.commands import Call, fill, text_item
from tests.device_agent.peers import PASSWORD, PATIENCE_S, Broker, ScriptedGateway
from tests.open_folder import open_folder
from tests.settings_docs import ROOT

SECRET = "a-very-secret-one"
CREDENTIAL = Credential(
    device="phone",
    secret=SECRET,
    host="mqtt.example.org",
    port=8883,
    feeds=("contacts",),
    ca=ca_der(),
)
ENROLLED = "Enrolled as phone at mqtt.example.org:8883, for contacts.\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "credential.txt"
    path.write_text(CREDENTIAL.line() + "\n")
    return path


def typed(data: Path, text: str) -> tuple[int, bytes]:
    """Enrol with what is pasted on a terminal: how that ended, and what the terminal showed."""
    ours, theirs = pty.openpty()
    with contextlib.closing(os.fdopen(ours, "r+b", buffering=0)) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "device_agent", "enroll", "--data", str(data)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        while b"Enter twice: " not in shown:
            shown += terminal.read(1024)
        os.write(ours, f"{text}\n\n".encode())
        with contextlib.suppress(OSError):  # a terminal without a program is at its end
            while more := terminal.read(1024):
                shown += more
        return process.wait(PATIENCE_S), shown


class TestFrom:
    def test_a_file(self, call: Call, data: Path, file: Path) -> None:
        done = call("enroll", "--file", file, "--data", data)
        assert (done.code, done.err) == (0, "")
        assert done.text.startswith(ENROLLED)
        assert f"  device-agent run --data {data}\n" in done.text
        assert f"Delete {file}: " in done.text
        assert SECRET not in done.text
        assert enrolment.kept(data) == CREDENTIAL

    @pytest.mark.parametrize("option", [[], ["--file", "-"]])
    def test_standard_input(
        self, call: Call, data: Path, monkeypatch: pytest.MonkeyPatch, option: list[str]
    ) -> None:
        line = CREDENTIAL.line()
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{line[:80]}\n{line[80:160]}\n{line[160:]}"))
        assert call("enroll", *option, "--data", data).code == 0
        assert enrolment.kept(data) == CREDENTIAL

    def test_the_command_line_with_a_warning(self, call: Call, data: Path) -> None:
        done = call("enroll", CREDENTIAL.line(), "--data", data)
        assert (done.code, done.text.partition("\n")[0] + "\n") == (0, ENROLLED)
        assert "WARNING a credential on a command line stays in the shell's history" in done.err
        assert SECRET not in done.err
        assert enrolment.kept(data) == CREDENTIAL

    @pytest.mark.parametrize("width", [40, 79, 10_000])
    def test_the_terminal_which_does_not_show_it(self, data: Path, width: int) -> None:
        line = CREDENTIAL.line()
        pasted = "\n".join(line[at : at + width] for at in range(0, len(line), width))
        code, shown = typed(data, pasted)
        assert code == 0
        assert ENROLLED.encode().strip() in shown
        assert SECRET.encode() not in shown
        assert enrolment.kept(data) == CREDENTIAL

    def test_more_than_a_terminal_takes_of_a_line(self, data: Path) -> None:
        code, shown = typed(data, CREDENTIAL.line() + "&feed=x" * 600)
        assert code == 1
        assert b"name that with --file FILE" in shown
        assert not data.exists()

    def test_two_places_at_once(self, call: Call, data: Path, file: Path) -> None:
        done = call("enroll", CREDENTIAL.line(), "--file", file, "--data", data)
        assert done.code == 2
        assert "LINE and --file exclude each other" in done.err


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "it begins with tallysync://"),
            (f"tallysync://phone:{SECRET}@mqtt", "was it copied in full?"),
            (CREDENTIAL.line()[:-40], "the CA's certificate is not whole"),
            ("x" * 3 * CREDENTIAL_CHARS_MAX, "it is longer than 8192 characters"),
            (
                dataclasses.replace(CREDENTIAL, ca=b"\x30\x00").line(),
                "the CA's certificate in this device's enrolment cannot be used",
            ),
        ],
    )
    def test_what_is_none(self, call: Call, data: Path, file: Path, text: str, why: str) -> None:
        file.write_text(text)
        done = call("enroll", "--file", file, "--data", data)
        assert (done.code, done.out) == (1, b"")
        assert why in done.err
        assert SECRET not in done.err
        assert not data.exists()

    def test_a_file_that_cannot_be_read(self, call: Call, data: Path, tmp_path: Path) -> None:
        done = call("enroll", "--file", tmp_path / "none", "--data", data)
        assert done.code == 1
        assert "none cannot be read: No such file" in done.err
        binary = tmp_path / "binary"
        binary.write_bytes(bytes(range(256)))
        assert "it begins with tallysync://" in call("enroll", "--file", binary).err

    def test_another_device_where_items_are(self, call: Call, data: Path, file: Path) -> None:
        data.mkdir()
        with contextlib.closing(AgentFile(data / STORE_FILE, device="pager")) as made:
            fill(made, "contacts", [text_item("ada", b"Ada")])
        done = call("enroll", "--file", file, "--data", data)
        assert done.code == 1
        assert "is of device pager and holds 1 items" in done.err
        assert not (data / ENROLMENT_FILE).exists()


class TestAgain:
    def test_says_that_it_replaced_the_first(self, call: Call, data: Path, file: Path) -> None:
        call("enroll", "--file", file, "--data", data)
        file.write_text(dataclasses.replace(CREDENTIAL, secret="another").line())
        done = call("enroll", "--file", file, "--data", data)
        assert (done.code, done.err) == (0, "")
        assert "took the place of the enrolment as phone that was there" in done.text

    def test_mends_a_damaged_one(self, call: Call, data: Path, file: Path) -> None:
        data.mkdir()
        (data / ENROLMENT_FILE).write_text("{")
        assert "is damaged" in call("sync", "--data", data).err
        done = call("enroll", "--file", file, "--data", data)
        assert done.code == 0
        assert "is damaged" in done.err
        assert enrolment.kept(data) == CREDENTIAL

    def test_while_an_agent_runs(self, call: Call, data: Path, file: Path) -> None:
        with locked(data):
            done = call("enroll", "--file", file, "--data", data)
        assert "The agent that runs goes on as before: start it again." in done.text


def test_a_broker_that_will_be_refused_is_told_at_once(call: Call, data: Path, file: Path) -> None:
    file.write_text(dataclasses.replace(CREDENTIAL, tls=False).line())
    done = call("enroll", "--file", file, "--data", data)
    assert done.code == 0
    assert 'WARNING the broker will not be connected to: tls = "off" would' in done.err


def test_settings_of_another_device_are_told_of(call: Call, data: Path, file: Path) -> None:
    config = data.parent / "agent.toml"
    config.write_text('id = "tablet"\n')
    done = call("enroll", "--file", file, "--data", data, "--config", config)
    assert done.code == 0
    assert "WARNING the settings say id = tablet, so that this enrolment will not be" in done.err
    assert "device-agent run" not in done.text


def test_the_broker_that_the_settings_name_is_looked_at(
    call: Call, data: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(dataclasses.replace(CREDENTIAL, tls=False).line())
    monkeypatch.setenv("TALLYSYNC_AGENT_BROKER", "127.0.0.1:1883")
    assert call("enroll", "--file", file, "--data", data).err == ""


class TestStatus:
    def test_before_anything_was_fetched(self, call: Call, data: Path, file: Path) -> None:
        assert call("status", "--data", data).code == 1
        call("enroll", "--file", file, "--data", data)
        done = call("status", "--data", data)
        assert (done.code, done.err) == (0, "")
        assert done.text.splitlines()[0] == (
            "enrolled as phone at mqtt.example.org:8883, for contacts"
        )
        found = json.loads(call("status", "--data", data, "--json").text)
        assert found["feeds"] == []
        assert found["enrolment"] == {
            "device": "phone",
            "broker": "mqtt.example.org:8883",
            "feeds": ["contacts"],
            "topic_prefix": "sync/v1",
            "has_ca": True,
        }

    def test_with_items(self, call: Call, data: Path) -> None:
        data.mkdir()
        with contextlib.closing(AgentFile(data / STORE_FILE, device="phone")) as made:
            fill(made, "contacts", [text_item("ada", b"Ada")])
        assert "enrolled" not in call("status", "--data", data).text
        enrolment.keep(data, CREDENTIAL)
        assert call("status", "--data", data).text.startswith("enrolled as phone at ")
        assert SECRET not in call("status", "--data", data, "--json").text


class TestCommandsThatNeedNothingElse:
    @pytest.fixture
    def gateway(self, embedded: Broker) -> Iterator[ScriptedGateway]:
        made = ScriptedGateway(embedded.port)
        yield made
        made.close()

    def enroll(self, data: Path, port: int, secret: str = PASSWORD) -> None:
        credential = Credential(
            device="phone", secret=secret, host="127.0.0.1", port=port, feeds=("feed",)
        )
        enrolment.keep(data, credential)

    def test_sync(self, call: Call, data: Path, embedded: Broker, gateway: ScriptedGateway) -> None:
        del gateway
        self.enroll(data, embedded.port)
        done = call("sync", "--data", data)
        assert (done.code, done.err) == (0, "")
        (data / ENROLMENT_FILE).chmod(0o640)
        assert "WARNING others may read" in call("sync", "--data", data).err
        assert f"enrolled as phone at 127.0.0.1:{embedded.port}, for feed" in done.text

    def test_a_password_that_is_the_devices_no_more(
        self, call: Call, data: Path, embedded: Broker
    ) -> None:
        self.enroll(data, embedded.port, secret="an-old-secret")
        done = call("sync", "--data", data)
        assert done.code == 1
        assert "was the device removed or its password changed?" in done.err
        assert "'device-agent enroll' takes it here" in done.err
        assert "an-old-secret" not in done.err
        hindered = call("status", "--data", data)
        assert "\nHINDERED since " in hindered.text
        assert "refuses device phone: " in hindered.text
        kept = json.loads(call("status", "--data", data, "--json").text)["hindrance"]
        assert set(kept) == {"text", "since"}
        self.enroll(data, embedded.port)
        gateway = ScriptedGateway(embedded.port)
        try:
            synced = call("sync", "--data", data, "--broker", f"localhost:{embedded.port}")
        finally:
            gateway.close()
        assert synced.code == 0
        assert "HINDERED" not in synced.text
        assert f"enrolled as phone at localhost:{embedded.port}, for feed" in synced.text


def as_nobody(*words: str | Path) -> str:
    """What a command says that fails in one line, run by a user to whom not all is open."""
    program = (
        "import encodings.utf_8_sig, os\n"  # this all, while Python's own files can be read
        "from device_agent import configuring, enrolling, fetching, showing\n"
        "from device_agent.cli import main\n"
        "if os.getuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_what_is_closed_to_this_user() -> None:
    with open_folder() as folder:
        credential = folder / "pad.credential"
        credential.write_text(CREDENTIAL.line())
        closed = folder / "closed"
        closed.mkdir(mode=0o000)
        data = closed / "data"
        assert as_nobody("items", "--data", data) == (
            f"error: {data}/{STORE_FILE} cannot be opened (Permission denied): --data names another"
        )
        said = as_nobody("enroll", "--file", credential, "--data", data)
        assert said.startswith(f"error: the enrolment cannot be kept in {data} (Permission denied)")
        credential.chmod(0o000)
        said = as_nobody("enroll", "--file", credential, "--data", folder)
        assert said == f"error: {credential} cannot be read: Permission denied"
        closed.chmod(0o555)
        config = folder / "agent.toml"
        config.write_text('id = "phone"\nfeeds = ["mail"]\ndata_dir = "closed/data"\n')
        said = as_nobody("config", "check", "--config", config)
        assert said.endswith(f"{data} cannot be made: {closed} cannot be written to by this user")
        closed.chmod(0o700)
