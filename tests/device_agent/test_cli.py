"""The commands as a user types them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import device_agent
from device_agent import cli
from device_agent.agent_file import AgentFile
from device_agent.replica import Replica
from sync_protocol.messages import Put
from tests.device_agent import peers
from tests.device_agent.builders import change, push, put, served
from tests.device_agent.peers import PASSWORD, PATIENCE_S, Broker, ScriptedGateway

EVIL = b"line 1\r\n\x1b[2J\x9b\xc2\x9bline 2"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith("TALLYSYNC_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


Call = Callable[..., Done]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Run a command in this process."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr("sys.argv", ["device-agent", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsysbinary.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err.decode())

    return run


def text_item(item_id: str, content: bytes, *, held: int | None = None, folder: str = "") -> Put:
    made = put(item_id, content, held=held, folder=folder, flags=("$seen",))
    return made.model_copy(update={"media_type": "text/plain", "date": 86_400})


def fill(file: AgentFile, feed: str, items: Sequence[Put]) -> Replica:
    replica = Replica(file.replica(feed), make_view_id=lambda: 1)
    changes = [change(n, item) for n, item in enumerate(items, 1)]
    for _ in range(2):  # an inventory, then what it left
        request = replica.request(bytes(8), answer_bytes_max=10_000)
        replica.on_answer(served(request, head=len(items), changes=changes))
    file.replica(feed).set_synced_at(int(time.time()))
    return replica


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """What a running agent has open: two feeds, some items."""
    with contextlib.closing(AgentFile(tmp_path / "agent.sqlite3")) as file:
        contacts = [text_item("ada-1", b"Ada", folder="Friends"), text_item("ada-2", EVIL)]
        fill(file, "contacts", [*contacts, text_item("half", b"0123456789", held=4)])
        fill(file, "mail", [put("ada-1", b"\0\xff"), put("b\u202ec", b"{}")])
        yield tmp_path


class TestItems:
    def test_lists_all(self, call: Call, data: Path) -> None:
        done = call("items", "--data", data)
        assert (done.code, done.err) == (0, "")
        assert done.text.splitlines() == [
            "contacts: 3 items, 1 incomplete",
            "ID     KIND     FOLDER   FLAGS  DATE        SIZE",
            "ada-1  contact  Friends  $seen  1970-01-02  3 B",
            f"ada-2  contact           $seen  1970-01-02  {len(EVIL)} B",
            "half   contact           $seen  1970-01-02  4 B of 10 B",
            "",
            "mail: 2 items",
            "ID        KIND     SIZE",
            "ada-1     contact  2 B",
            "b\\u202ec  contact  2 B",
        ]

    def test_of_one_feed(self, call: Call, data: Path) -> None:
        assert call("items", "--data", data, "--feed", "mail").text.startswith("mail: 2 items\n")
        wrong = call("items", "--data", data, "--feed", "tasks")
        assert wrong.code == 1
        assert wrong.err == "error: no feed 'tasks' is held here, only contacts, mail\n"

    def test_as_json(self, call: Call, data: Path) -> None:
        found = json.loads(call("items", "--data", data, "--json").out)
        assert [(item["feed"], item["id"]) for item in found][2:] == [
            ("contacts", "half"),
            ("mail", "ada-1"),
            ("mail", "b\u202ec"),
        ]
        assert found[2]["held_bytes"] == 4
        assert found[2]["whole"] is False

    def test_of_nothing(self, call: Call, tmp_path: Path) -> None:
        AgentFile(tmp_path / "agent.sqlite3").close()
        assert call("items", "--data", tmp_path).out == b""
        assert json.loads(call("items", "--data", tmp_path, "--json").out) == []

    def test_without_a_file(self, call: Call, tmp_path: Path) -> None:
        done = call("items", "--data", tmp_path / "none")
        assert (done.code, done.out) == (1, b"")
        assert done.err.startswith("error: there is no ")
        assert done.err.count("\n") == 1

    def test_of_a_file_that_is_damaged(self, call: Call, tmp_path: Path) -> None:
        (tmp_path / "agent.sqlite3").write_bytes(b"no database" * 100)
        done = call("items", "--data", tmp_path)
        assert done.code == 1
        assert "not an agent's file, or it is damaged" in done.err


class TestShow:
    def test_shows_text_that_no_terminal_obeys(self, call: Call, data: Path) -> None:
        done = call("show", "ada-2", "--data", data)
        assert done.code == 0
        assert "flags    $seen\n" in done.text
        assert done.text.endswith("\n\nline 1\n\\x1b[2J�\\x9bline 2\n")

    def test_writes_the_exact_bytes(self, call: Call, data: Path) -> None:
        assert call("show", "ada-2", "--raw", "--data", data).out == EVIL

    def test_says_when_it_is_incomplete(self, call: Call, data: Path) -> None:
        assert "INCOMPLETE: 4 of 10 bytes are here" in call("show", "half", "--data", data).text
        raw = call("show", "half", "--raw", "--data", data)
        assert (raw.code, raw.out) == (1, b"0123")
        assert raw.err == "error: half: INCOMPLETE: 4 of 10 bytes are here\n"

    def test_leaves_out_what_is_no_text(self, call: Call, data: Path) -> None:
        done = call("show", "ada-1", "--feed", "mail", "--data", data)
        assert done.text.endswith("(not text; --raw writes it as it is)\n")

    def test_as_json(self, call: Call, data: Path) -> None:
        found = json.loads(call("show", "half", "--json", "--data", data).out)
        assert (found["content"], found["whole"], found["flags"]) == ("0123", False, ["$seen"])
        found = json.loads(call("show", "ada-1", "--feed", "mail", "--json", "--data", data).out)
        assert found["content_base64"] == "AP8="

    def test_a_beginning_will_do_if_it_is_the_only_one(self, call: Call, data: Path) -> None:
        assert "id       half" in call("show", "ha…", "--data", data).text
        several = call("show", "ada", "--data", data)
        assert several.code == 1
        assert "3 items are called 'ada': 'ada-1' in contacts" in several.err
        assert call("show", "ada-1", "--data", data).code == 1  # in two feeds

    def test_of_nothing(self, call: Call, data: Path) -> None:
        done = call("show", "\x1b[2J", "--data", data)
        assert done.code == 1
        assert done.err.startswith("error: no item '\\x1b[2J' is held in contacts, mail")

    def test_raw_and_json_exclude_each_other(self, call: Call, data: Path) -> None:
        assert call("show", "half", "--raw", "--json", "--data", data).code == 2


class TestStatus:
    def test_of_each_feed(self, call: Call, data: Path) -> None:
        lines = call("status", "--data", data).text.splitlines()
        assert lines[:2] == ["contacts", "  items      3 items, 1 incomplete"]
        assert lines[2].endswith("s ago")
        assert lines[3:5] == [
            "  missing    something; the next sync brings it",
            "  tokens     -99..3",
        ]
        assert lines[8] == "  missing    nothing that is known of"
        assert lines[-1].startswith(f"{data / 'agent.sqlite3'}: ")

    def test_as_json(self, call: Call, data: Path) -> None:
        found = json.loads(call("status", "--data", data, "--json").out)
        assert found["file_bytes"] > 10_000
        contacts, mail = found["feeds"]
        assert (contacts["items"], contacts["incomplete"], contacts["missing"]) == (3, 1, True)
        assert (mail["missing"], mail["stale"], mail["tokens"]) == (False, False, [[-99, 2]])

    def test_warns_when_the_last_sync_is_long_ago(self, call: Call, tmp_path: Path) -> None:
        with contextlib.closing(AgentFile(tmp_path / "agent.sqlite3")) as file:
            replica = fill(file, "mail", [])
            replica.on_push(push(5, put("a", b"A")))
            file.replica("mail").set_synced_at(int(time.time()) - 86_400 * 3)
            file.replica("new")
        done = call("status", "--data", tmp_path).text
        assert "3 days ago  (stale: is an agent running, and a gateway?)" in done
        assert "tokens     -99..0, 5..5" in done
        assert "last sync  never  (stale" in done
        assert "tokens     none" in done


class TestUsage:
    @pytest.mark.parametrize(
        "arguments", [["frob"], ["show"], ["run", "--frob"], ["sync", "--timeout", "soon"]]
    )
    def test_wrong_usage_is_one_line(self, call: Call, arguments: list[str]) -> None:
        done = call(*arguments)
        assert (done.code, done.out) == (2, b"")
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1

    def test_help_and_version(self, call: Call) -> None:
        assert b"Exit status: 0 done, 1 failed, 2 wrong usage." in call("--help").out
        assert call().out == call("-h").out
        assert call("--version").text.startswith("device-agent ")
        for command in ("run", "sync", "items", "show", "status"):
            assert b"Exit status" in call(command, "--help").out

    def test_no_option_takes_a_password(self, call: Call) -> None:
        for command in ("run", "sync"):
            assert "--password " not in call(command, "--help").text

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "no device id: give --id ID"),
            (["--id", "a"], "no feed: give --feed FEED"),
            (["--id", "a/b"], "id (the command line): a device id is"),
            (["--id", "a", "--feed", "f", "--broker", "x"], "a broker is HOST:PORT"),
            (["--id", "a", "--feed", "f", "--password-file", "/none"], "cannot be read"),
            (["--config", "/none"], "there is no settings file /none"),
        ],
    )
    def test_what_lacks_is_said(self, call: Call, arguments: list[str], said: str) -> None:
        done = call("sync", *arguments)
        assert done.code == 1
        assert said in done.err
        assert done.err.count("\n") == 1

    def test_help_loads_no_library_that_it_does_not_need(self) -> None:
        program = (
            "import sys, device_agent, device_agent.cli\n"
            "print({'paho', 'pydantic', 'cbor2', 'sqlite3'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
        assert done.stdout == b"set()\n"

    def test_the_api_is_there(self) -> None:
        for name in device_agent.__all__:
            assert getattr(device_agent, name).__name__ == name
        with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
            _ = device_agent.Nothing


@pytest.fixture
def broker() -> Iterator[Broker]:
    yield from peers.running(peers.Embedded())


@pytest.fixture
def gateway(broker: Broker) -> Iterator[ScriptedGateway]:
    gateway = ScriptedGateway(broker.port)
    gateway.respond = lambda request: served(request, head=5, changes=[change(4, put("a", b"A"))])
    yield gateway
    gateway.close()


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., list[str]]:
    """The words of a command of its own process."""
    password_file = tmp_path / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD)

    def words(name: str, port: int, *more: str) -> list[str]:
        return [
            *(sys.executable, "-m", "device_agent", name, "--id", "phone", "--feed", "feed"),
            *("--broker", f"127.0.0.1:{port}", "--data", str(tmp_path / "data")),
            *("--password-file", str(password_file)),
            *more,
        ]

    return words


class TestSync:
    def test_ends_when_all_is_here(
        self, broker: Broker, gateway: ScriptedGateway, command: Callable[..., list[str]]
    ) -> None:
        done = subprocess.run(
            command("sync", broker.port, "--json"), capture_output=True, timeout=30, check=True
        )
        (feed,) = json.loads(done.stdout)["feeds"]
        assert (feed["items"], feed["missing"]) == (1, False)
        assert done.stderr == b""
        # An inventory and a delta; three, where the connect had asked before the command did.
        assert len(gateway.asked_more()) in {2, 3}

    def test_without_a_gateway(self, broker: Broker, command: Callable[..., list[str]]) -> None:
        done = subprocess.run(
            command("sync", broker.port, "--timeout", "0.5"),
            capture_output=True, timeout=30, check=False, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: the sync was not done after 0.5 s (is a gateway")
        assert done.stderr.count("\n") == 1

    def test_with_a_wrong_password(self, broker: Broker, command: Callable[..., list[str]]) -> None:
        wrong = command("sync", broker.port)
        wrong[-1] = "-"
        done = subprocess.run(
            wrong, input="not it\n", capture_output=True, timeout=30, check=False, text=True
        )
        assert done.returncode == 1
        assert "error: the broker at 127.0.0.1:" in done.stderr
        assert "check the device id, its password" in done.stderr
        assert "Traceback" not in done.stderr
        assert "not it" not in done.stderr


class TestRun:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_until_a_signal(
        self,
        broker: Broker,
        gateway: ScriptedGateway,
        command: Callable[..., list[str]],
        call: Call,
        number: signal.Signals,
    ) -> None:
        words = command("run", broker.port)
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    if "synced feed: 1 items; since the last sync 1 changed, 0 gone" in line:
                        break
                    assert " INFO " in line
                # While it runs, others may look, and no second one may run.
                shown = call("show", "a", "--raw", "--data", words[words.index("--data") + 1])
                assert shown.out == b"A"
                second = subprocess.run(words, capture_output=True, timeout=30, check=False)
                assert second.returncode == 1
                assert b"error: another agent runs with" in second.stderr
                process.send_signal(number)
                assert process.wait(PATIENCE_S) == 0
                assert f"stopping: {number.name}" in process.stderr.read()
            finally:
                process.kill()
        assert gateway.asked().collection is None
