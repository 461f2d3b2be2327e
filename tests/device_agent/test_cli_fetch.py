"""``device-agent fetch``: by an agent of its own, and by the one that runs."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from device_agent import WantedView
from device_agent.agent_file import AgentFile
from device_agent.data_dir import POKE, STORE_FILE, is_locked
from device_agent.store import HeldItem, ReplicaState
from sync_protocol.messages import Answer, Request
from tests.device_agent.builders import refused
from tests.device_agent.commands import Call
from tests.device_agent.peers import PATIENCE_S, Broker, MakeAgent, ScriptedGateway
from tests.device_agent.shelf import Shelf
from tests.eventually import eventually

pytestmark = pytest.mark.usefixtures("clean_environment")

LARGE: Final = bytes(range(100))
OTHER: Final = LARGE[::-1] * 2
WHOLE_LINE: Final = b"large: 100 bytes\n"


@pytest.fixture
def shelf(gateway: ScriptedGateway) -> Shelf:
    shelf = Shelf()
    shelf.put("large", LARGE)
    shelf.put("small", b"0123")
    gateway.respond = shelf.respond
    return shelf


@pytest.fixture(autouse=True)
def _on_demand(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del clean_environment
    monkeypatch.setenv("TALLYSYNC_AGENT_REMAINDER_BYTES_MAX", "10")


@pytest.fixture
def options(embedded: Broker, command: Callable[..., list[str]]) -> Sequence[str]:
    """How a command connects, with a feed."""
    return command("sync", embedded.port)[4:]


@pytest.fixture
def run_words(embedded: Broker, command: Callable[..., list[str]]) -> list[str]:
    """The words of ``device-agent run``."""
    return command("run", embedded.port)


@pytest.fixture
def synced(call: Call, shelf: Shelf, options: Sequence[str]) -> Shelf:
    """A data directory holds a part of `large`."""
    assert call("sync", *options).code == 0
    shelf.wanted.clear()
    return shelf


@contextlib.contextmanager
def running(words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """``device-agent run``, once it has synced."""
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert any("synced feed" in line for line in process.stderr)
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def fetching(data: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """``device-agent fetch`` of its own process."""
    words = [sys.executable, "-m", "device_agent", "fetch", "large", "--data", str(data), *more]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def held(folder: Path, item_id: str) -> HeldItem | None:
    with contextlib.closing(AgentFile(folder / STORE_FILE, readonly=True)) as file:
        return file.replica("feed").item(item_id)


def state_in(folder: Path) -> ReplicaState:
    with contextlib.closing(AgentFile(folder / STORE_FILE, readonly=True)) as file:
        state = file.replica("feed").state()
    assert state is not None
    return state


def is_marked(folder: Path) -> bool:
    item = held(folder, "large")
    return item is not None and item.is_fetched


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def at_first_wanted(shelf: Shelf, then: Callable[[], None]) -> Callable[[Request], Answer]:
    """Something happens on the gateway just before it looks at what is wanted."""

    def respond(request: Request) -> Answer:
        if request.wanted and not shelf.wanted:
            then()
        return shelf.respond(request)

    return respond


class TestAlone:
    """No agent runs."""

    def test_it_connects_until_all_is_here(
        self, call: Call, synced: Shelf, options: Sequence[str], data: Path
    ) -> None:
        done = call("fetch", "large", *options)
        assert (done.code, done.out, done.err) == (0, WHOLE_LINE, "")
        assert synced.offsets("large") == [4]
        assert call("show", "large", "--raw", "--data", data).out == LARGE

    def test_of_what_is_here_already_it_says_so_and_asks_nobody(
        self, call: Call, synced: Shelf, data: Path
    ) -> None:
        done = call("fetch", "sma", "--data", data)
        assert (done.code, done.text) == (0, "small: 4 bytes, which were here already\n")
        done = call("fetch", "small", "--data", data, "--json")
        assert json.loads(done.out)["whole"] is True
        assert synced.wanted == []

    def test_as_json(self, call: Call, synced: Shelf, options: Sequence[str]) -> None:
        del synced
        found = json.loads(call("fetch", "large", "--json", *options).out)
        assert (found["id"], found["feed"], found["whole"]) == ("large", "feed", True)
        assert (found["held_bytes"], found["size"]) == (100, 100)

    def test_other_contents_are_left_and_the_view_stays(
        self,
        call: Call,
        shelf: Shelf,
        options: Sequence[str],
        monkeypatch: pytest.MonkeyPatch,
        data: Path,
    ) -> None:
        monkeypatch.setenv("TALLYSYNC_AGENT_KINDS", "contact")
        monkeypatch.setenv("TALLYSYNC_AGENT_DAYS", "3")
        call("sync", *options)
        shelf.put("another", OTHER)
        state = state_in(data)
        before = shelf.requests.pop()
        shelf.requests.clear()
        monkeypatch.delenv("TALLYSYNC_AGENT_KINDS")
        monkeypatch.delenv("TALLYSYNC_AGENT_DAYS")
        monkeypatch.setenv("TALLYSYNC_AGENT_REMAINDER_BYTES_MAX", "all")
        assert call("fetch", "large", *options).code == 0
        assert {(it.view, it.view_id) for it in shelf.requests} == {(before.view, before.view_id)}
        assert before.view.kinds == ("contact",)
        assert state.window == state_in(data).window == "3 days"
        assert shelf.offsets("another") == []
        another = held(data, "another")
        assert another is not None
        assert not another.whole

    def test_a_timeout_says_why_and_the_next_call_goes_on(
        self, call: Call, synced: Shelf, options: Sequence[str], data: Path
    ) -> None:
        synced.piece = 10
        synced.open.clear()
        done = call("fetch", "large", "--timeout", "0.3", *options)
        assert (done.code, done.out) == (1, b"")
        assert done.err.startswith("error: 4 of 100 bytes of large are here after 0.3 s (")
        assert done.err.endswith("; the rest stays wanted, and comes when an agent runs\n")
        assert is_marked(data)
        synced.wanted.clear()
        synced.open.set()
        # A sync brings what is marked.
        assert call("sync", *options).code == 0
        assert sorted(set(synced.offsets("large"))) == [*range(4, 100, 10)]
        assert call("fetch", "large", *options).text.endswith(", which were here already\n")

    def test_without_a_broker(
        self, call: Call, synced: Shelf, embedded: Broker, options: Sequence[str]
    ) -> None:
        del synced
        embedded.stop()
        done = call("fetch", "large", "--timeout", "0.3", *options)
        assert done.code == 1
        assert "(no connection to the broker at 127.0.0.1:" in done.err

    def test_what_was_removed_meanwhile(
        self, call: Call, gateway: ScriptedGateway, synced: Shelf, options: Sequence[str]
    ) -> None:
        gateway.respond = at_first_wanted(synced, lambda: synced.put("large", None))
        done = call("fetch", "large", *options)
        assert (done.code, done.out) == (1, b"")
        assert done.err.startswith("error: large was removed meanwhile: the gateway has it no more")

    def test_what_is_withheld(self, call: Call, synced: Shelf, options: Sequence[str]) -> None:
        synced.withheld.add("large")
        for _ in range(2):  # that it was withheld before says nothing of now
            done = call("fetch", "large", *options)
            assert (done.code, done.out) == (1, b"")
            assert done.err == (
                "error: the gateway cannot give the rest of large now (its operator finds the item"
                " with 'gateway quarantine list'): 4 of 100 bytes are here\n"
            )
        synced.withheld.clear()
        assert call("fetch", "large", *options).out == WHOLE_LINE
        assert synced.offsets("large") == [4, 4, 4]

    def test_a_content_that_takes_its_place_is_fetched_instead(
        self,
        call: Call,
        gateway: ScriptedGateway,
        synced: Shelf,
        options: Sequence[str],
        data: Path,
    ) -> None:
        gateway.respond = at_first_wanted(synced, lambda: synced.put("large", OTHER))
        synced.piece = 50
        done = call("fetch", "large", *options)
        assert (done.code, done.out) == (0, b"large: 200 bytes\n")
        assert synced.offsets("large") == [4, 4, 54, 104, 154]
        assert call("show", "large", "--raw", "--data", data).out == OTHER

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["never there"], "error: no item 'never there' is held in feed"),
            (["large", "--feed", "mail"], "error: no feed 'mail' is held here, only feed"),
            (["large"], "error: no device id: give --id ID"),
        ],
    )
    def test_what_lacks_is_said(
        self, call: Call, synced: Shelf, data: Path, arguments: list[str], said: str
    ) -> None:
        del synced
        done = call("fetch", *arguments, "--data", data)
        assert (done.code, done.out) == (1, b"")
        assert done.err.startswith(said)
        assert done.err.count("\n") == 1

    def test_without_a_file(self, call: Call, data: Path) -> None:
        done = call("fetch", "large", "--data", data)
        assert done.code == 1
        assert done.err.startswith("error: there is no ")
        assert not data.exists()

    def test_with_a_wrong_password(
        self, call: Call, synced: Shelf, options: Sequence[str], tmp_path: Path
    ) -> None:
        del synced
        (tmp_path / "password").write_text("not it")
        done = call("fetch", "large", *options)
        assert done.code == 1
        assert "check the device id, its password" in done.err

    def test_a_gateway_that_refuses_says_why_at_once(
        self, call: Call, gateway: ScriptedGateway, synced: Shelf, options: Sequence[str]
    ) -> None:
        del synced
        gateway.respond = lambda request: refused(request.id)
        done = call("fetch", "large", *options)
        assert done.code == 1
        assert done.err.endswith("error: sync of feed: busy: later\n")

    def test_a_bar_is_for_terminals(
        self, embedded: Broker, synced: Shelf, command: Callable[..., list[str]]
    ) -> None:
        synced.piece = 30
        terminal, side = pty.openpty()
        done = subprocess.run(
            command("fetch", embedded.port, "large"),
            stdout=subprocess.PIPE,
            stderr=side,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
            timeout=30,
            check=True,
        )
        os.close(side)
        shown = b""
        with contextlib.suppress(OSError):  # so Linux tells its end
            while piece := os.read(terminal, 65_536):
                shown += piece
        os.close(terminal)
        assert done.stdout == WHOLE_LINE
        assert b"large" in shown
        assert b"/100" in shown


class TestBesideAnAgent:
    """An agent runs with the data directory: it does the work."""

    def test_it_is_poked_and_lives_on(
        self,
        call: Call,
        synced: Shelf,
        run_words: list[str],
        data: Path,
    ) -> None:
        with running(run_words) as agent:
            done = call("fetch", "large", "--data", data)
            assert (done.code, done.out, done.err) == (0, WHOLE_LINE, "")
            assert synced.offsets("large") == [4]
            for _ in range(100):
                agent.send_signal(POKE)
            assert call("fetch", "large", "--data", data).code == 0
            agent.send_signal(signal.SIGTERM)
            while agent.poll() is None:
                agent.send_signal(POKE)
            assert agent.returncode == 0

    def test_another_content_is_marked_again(
        self,
        call: Call,
        gateway: ScriptedGateway,
        synced: Shelf,
        run_words: list[str],
        data: Path,
    ) -> None:
        gateway.respond = at_first_wanted(synced, lambda: synced.put("large", OTHER))
        with running(run_words):
            done = call("fetch", "large", "--data", data)
            assert (done.code, done.out) == (0, b"large: 200 bytes\n")
        assert synced.offsets("large") == [4, 4]

    def test_what_is_withheld(
        self,
        call: Call,
        synced: Shelf,
        run_words: list[str],
        data: Path,
    ) -> None:
        synced.withheld.add("large")
        with running(run_words):
            for _ in range(2):
                done = call("fetch", "large", "--data", data)
                assert done.code == 1
                assert "the gateway cannot give the rest of large now" in done.err
            synced.withheld.clear()
            assert call("fetch", "large", "--data", data).out == WHOLE_LINE

    def test_that_dies_and_starts_again(
        self, synced: Shelf, run_words: list[str], data: Path
    ) -> None:
        synced.piece = 10
        synced.open.clear()
        with running(run_words) as agent, fetching(data) as process:
            assert eventually(lambda: is_marked(data))
            agent.kill()
            agent.wait(PATIENCE_S)
            assert not is_locked(data)
            synced.open.set()
            with running(run_words):
                out, _ = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (0, WHOLE_LINE)

    def test_one_that_cannot_be_poked_does_it_with_its_next_sync(
        self, embedded: Broker, make_agent: MakeAgent, synced: Shelf, call: Call, data: Path
    ) -> None:
        """One within another program, which may use the signal for something else."""
        views = {"feed": WantedView(remainder_bytes_max=10)}
        with make_agent(embedded.port, views=views) as agent:
            agent.sync(PATIENCE_S)
            done = call("fetch", "large", "--timeout", "0.3", "--data", data)
            assert done.code == 1
            assert "4 of 100 bytes of large are here after 0.3 s (is the agent that" in done.err
            agent.sync(PATIENCE_S)
            assert call("fetch", "large", "--data", data).text.endswith("already\n")
        assert synced.offsets("large") == [4]

    def test_one_that_stops_is_told(self, synced: Shelf, run_words: list[str], data: Path) -> None:
        synced.open.clear()
        with running(run_words) as agent, fetching(data, "--timeout", "2") as process:
            assert eventually(lambda: is_marked(data))
            agent.terminate()
            _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert b"here after 2 s (no agent runs with " in err
