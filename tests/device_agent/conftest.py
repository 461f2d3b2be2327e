"""A replica on each kind of store, an agent, and commands."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agent import DeviceAgent, cli
from device_agent.agent_file import AgentFile
from device_agent.store import ReplicaStore
from device_agent.store_memory import MemoryReplicaStore
from tests.device_agent import peers
from tests.device_agent.commands import Call, Done
from tests.device_agent.one_device import Device
from tests.device_agent.peers import CALM, PASSWORD, Broker, MakeAgent, ScriptedGateway, Told


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReplicaStore]:
    if request.param == "memory":
        yield MemoryReplicaStore()
        return
    file = AgentFile(tmp_path / "agent.sqlite3")
    yield file.replica("feed")
    file.close()


@pytest.fixture
def device(store: ReplicaStore) -> Device:
    return Device(store)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith("TALLYSYNC_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


@pytest.fixture
def call(
    clean_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Call:
    """Run a command in this process."""
    del clean_environment

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr("sys.argv", ["device-agent", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsysbinary.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err.decode())

    return run


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


@pytest.fixture
def embedded() -> Iterator[Broker]:
    yield from peers.running(peers.Embedded())


@pytest.fixture
def gateway(embedded: Broker) -> Iterator[ScriptedGateway]:
    gateway = ScriptedGateway(embedded.port)
    yield gateway
    gateway.close()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def make_agent(tmp_path: Path, told: Told) -> MakeAgent:
    def make(port: int, **others: Any) -> DeviceAgent:  # noqa: ANN401 - any of its options
        options: dict[str, Any] = {
            "feeds": ["feed"],
            "host": "127.0.0.1",
            "port": port,
            "password": PASSWORD,
            "data_dir": tmp_path / "data",
            "waits": CALM,
            "on_change": lambda feed, happened: told.changes.put((feed, happened)),
            "on_sync": told.syncs.put,
        }
        return DeviceAgent("phone", **(options | others))

    return make
