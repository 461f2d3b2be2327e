"""The commands as a user types them."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import device_agent
from device_agent.agent_file import AgentFile
from device_agent.store import mark_fetched
from sync_protocol.views import ShownAs, View
from tests.device_agent import peers
from tests.device_agent.builders import change, delta, push, put, served
from tests.device_agent.commands import Call, fill, text_item
from tests.device_agent.peers import PATIENCE_S, Broker, ScriptedGateway

pytestmark = pytest.mark.usefixtures("clean_environment")

EVIL = b"line 1\r\n\x1b[2J\x9b\xc2\x9bline 2"


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
        said = "INCOMPLETE: 4 of 10 bytes are here; the next sync brings the rest\n"
        assert f"\n         {said}\n0123\n" in call("show", "half", "--data", data).text
        raw = call("show", "half", "--raw", "--data", data)
        assert (raw.code, raw.out) == (1, b"0123")
        assert raw.err == f"error: half: {said}"

    def test_says_how_the_rest_is_had(
        self, call: Call, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def rest() -> str:
            shown = call("show", "half", "--data", data).text
            return shown.partition("bytes are here; ")[2].partition("\n")[0]

        monkeypatch.setenv("TALLYSYNC_AGENT_REMAINDER_BYTES_MAX", "9")
        assert rest() == "'device-agent fetch half' brings the rest"
        monkeypatch.setenv("TALLYSYNC_AGENT_REMAINDER_BYTES_MAX", "10")
        assert rest() == "the next sync brings the rest"
        monkeypatch.setenv("TALLYSYNC_AGENT_REMAINDER_BYTES_MAX", "9")
        with contextlib.closing(AgentFile(data / "agent.sqlite3")) as file:
            store = file.replica("contacts")
            item = mark_fetched(store, "half")
            assert rest() == "the next sync brings the rest"
            assert item is not None
            store.set_item(replace(item, is_withheld=True))
        assert rest() == "the gateway cannot give the rest now"
        shown = json.loads(call("show", "half", "--json", "--data", data).out)
        assert (shown["fetched"], shown["withheld"]) == (False, True)

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
        assert lines[5] == "mail", "no view is said where all is wanted"
        assert lines[8] == "  missing    nothing that is known of"
        assert lines[-1].startswith(f"{data / 'agent.sqlite3'}: ")

    def test_as_json(self, call: Call, data: Path) -> None:
        found = json.loads(call("status", "--data", data, "--json").out)
        assert found["file_bytes"] > 10_000
        contacts, mail = found["feeds"]
        assert (contacts["items"], contacts["incomplete"], contacts["missing"]) == (3, 1, True)
        assert (mail["missing"], mail["stale"], mail["tokens"]) == (False, False, [[-99, 2]])

    def test_says_the_view(self, call: Call, tmp_path: Path) -> None:
        view = View(
            kinds=("contact", "mail"),
            folders=("", "Friends"),
            since=86_400,
            shown_as=(ShownAs(kind="mail", representation="compact"),),
            portion_bytes=4096,
            item_bytes_max=5,
        )
        with contextlib.closing(AgentFile(tmp_path / "agent.sqlite3")) as file:
            replica = fill(file, "mail", [], view)
            assert (
                "\n  view       kinds contact, mail; folders (none), Friends; since 1970-01-02;"
                " mail as compact; portions of 4.0 KiB; items up to 5 B\n"
            ) in call("status", "--data", tmp_path).text
            answer = delta(replica.request(bytes(8), answer_bytes_max=10_000).id, head=0)
            assert answer.delta is not None
            narrowed = answer.delta.model_copy(update={"since": 2 * 86_400})
            replica.on_answer(answer.model_copy(update={"delta": narrowed}))
        assert "; since 1970-01-03; " in call("status", "--data", tmp_path).text
        (feed,) = json.loads(call("status", "--json", "--data", tmp_path).out)["feeds"]
        assert feed["view"] == {
            "kinds": ["contact", "mail"],
            "folders": ["", "Friends"],
            "since": 2 * 86_400,
            "shown_as": [{"kind": "mail", "representation": "compact"}],
            "portion_bytes": 4096,
            "item_bytes_max": 5,
        }

    def test_what_waits_for_somebody_is_not_missing(
        self, call: Call, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TALLYSYNC_AGENT_REMAINDER_BYTES_MAX", "9")
        assert ("3 items, 1 incomplete\n") in call("status", "--data", data).text
        assert (
            "missing    nothing that is known of; 'device-agent fetch ITEM' completes an item\n"
        ) in call("status", "--data", data).text
        (contacts, _) = json.loads(call("status", "--json", "--data", data).out)["feeds"]
        assert (contacts["incomplete"], contacts["missing"]) == (1, False)
        with contextlib.closing(AgentFile(data / "agent.sqlite3")) as file:
            mark_fetched(file.replica("contacts"), "half")
        assert "something; the next sync brings it" in call("status", "--data", data).text

    @pytest.mark.parametrize(("portion_bytes", "missing"), [(0, False), (None, True), (1, True)])
    def test_without_portions_nothing_of_a_content_is_missing(
        self,
        call: Call,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        portion_bytes: int | None,
        *,
        missing: bool,
    ) -> None:
        monkeypatch.setenv("TALLYSYNC_AGENT_REMAINDER_BYTES_MAX", "0")
        view = View(portion_bytes=portion_bytes)
        with contextlib.closing(AgentFile(tmp_path / "agent.sqlite3")) as file:
            fill(file, "mail", [text_item("head", b"0123456789", held=0)], view)
        (feed,) = json.loads(call("status", "--json", "--data", tmp_path).out)["feeds"]
        assert (feed["incomplete"], feed["missing"]) == (1, missing)

    @pytest.mark.parametrize(("portion_bytes", "missing"), [(9, False), (10, True)])
    def test_the_rest_of_what_is_no_larger_than_a_portion_is_missing(
        self,
        call: Call,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        portion_bytes: int,
        *,
        missing: bool,
    ) -> None:
        monkeypatch.setenv("TALLYSYNC_AGENT_REMAINDER_BYTES_MAX", "0")
        monkeypatch.setenv("TALLYSYNC_AGENT_PORTION_BYTES", str(portion_bytes))
        view = View(portion_bytes=portion_bytes)
        with contextlib.closing(AgentFile(tmp_path / "agent.sqlite3")) as file:
            fill(file, "mail", [text_item("half", b"0123456789", held=4)], view)
        (feed,) = json.loads(call("status", "--json", "--data", tmp_path).out)["feeds"]
        assert feed["missing"] == missing
        shown = call("show", "half", "--data", tmp_path).text
        assert ("the next sync brings the rest" in shown) == missing

    def test_reads_and_writes_nothing(self, call: Call, data: Path) -> None:
        with contextlib.closing(AgentFile(data / "agent.sqlite3")) as file:
            file.replica("new")
            call("status", "--data", data)
            assert file.replica("new").state() is None

    def test_warns_when_the_last_sync_is_long_ago(self, call: Call, tmp_path: Path) -> None:
        with contextlib.closing(AgentFile(tmp_path / "agent.sqlite3")) as file:
            replica = fill(file, "mail", [])
            replica.on_push(push(5, put("a", b"A")))
            file.replica("mail").set_synced_at(int(time.time()) - 86_400 * 3)
            file.replica("new")
        done = call("status", "--data", tmp_path).text
        assert "3 days ago  (stale: is an agent running, and a gateway?)" in done
        assert "missing    something; the next sync brings it\n  tokens     -99..0, 5..5" in done
        assert "last sync  never  (stale" in done
        assert "tokens     none" in done


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [["frob"], ["show"], ["run", "--frob"], ["sync", "--timeout", "soon"], ["fetch"]],
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
        for command in ("run", "sync", "fetch", "items", "show", "status"):
            assert b"Exit status" in call(command, "--help").out
            assert f"\n  {command} " in call("--help").text

    def test_no_option_takes_a_password(self, call: Call) -> None:
        for command in ("run", "sync", "fetch"):
            assert "--password " not in call(command, "--help").text

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "no device id: give --id ID"),
            (["--id", "a"], "no feed: give --feed FEED"),
            (["--id", "a/b"], "the command line: id: a device id is"),
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

    def test_a_table_of_a_feed_that_is_not_kept_is_told(
        self,
        broker: Broker,
        gateway: ScriptedGateway,
        command: Callable[..., list[str]],
        tmp_path: Path,
    ) -> None:
        config = tmp_path / "agent.toml"
        config.write_text("[feed.mial]\ndays = 3\n[feed.feed]\nkinds = ['contact']\n")
        done = subprocess.run(
            command("sync", broker.port, "--config", str(config)),
            capture_output=True, timeout=30, check=True, text=True,
        )  # fmt: skip
        assert "WARNING the settings have a table feed.mial, but this feed is not" in done.stderr
        assert done.stderr.count("WARNING") == 1
        assert gateway.asked().view == View(kinds=("contact",))

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
