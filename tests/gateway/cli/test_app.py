"""The command as a whole: help, exit statuses, and what it says where no gateway runs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import demo
from gateway.rows import Put
from gateway.run import Running
from tests.gateway.cli.conftest import Command

CLIENT_COMMANDS = [
    ["feed", "add", "f"],
    ["feed", "list"],
    ["feed", "remove", "f"],
    ["import", "f", "."],
    ["export", "f", "out"],
    ["put", "f", "file", "--id", "a", "--kind", "note", "--media-type", "text/plain"],
    ["delete", "f", "a"],
    ["items", "f"],
    ["device", "add", "d", "--feed", "f"],
    ["device", "list"],
    ["device", "show", "d"],
    ["device", "limit", "d", "--all"],
    ["device", "resync", "d"],
    ["device", "remove", "d"],
    ["quarantine", "list"],
    ["quarantine", "retry", "f", "a"],
    ["status"],
]


@pytest.mark.parametrize("arguments", CLIENT_COMMANDS, ids=" ".join)
def test_no_gateway_runs(
    command: Command, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    outcome = command(*arguments, "--data", tmp_path / "data")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith(f"error: no gateway runs with {tmp_path / 'data'} ")
    assert f"'gateway run --data {tmp_path / 'data'}' starts one" in outcome.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["feed"],
        ["feed", "add"],
        ["items", "f", "--limit", "-1"],
        ["items", "f", "--nothing"],
        ["device", "add", "d"],
        ["device", "add", "d", "--feed", "f", "--days", "-1"],
        ["device", "add", "d", "--feed", "f", "--days", "36501"],
        ["device", "add", "d", "--feed", "f", "--days", "x"],
        ["device", "add", "d", "--feed", "f", "--item-bytes-max", "-1"],
        ["device", "add", "d", "--feed", "f", "--item-bytes-max", "9007199254740992"],
        ["device", "limit"],
        ["device", "limit", "d"],
        ["device", "limit", "d", "--all", "--days", "0"],
        ["device", "limit", "d", "--feed", "f"],
        ["run", "--api-port", "65536"],
        ["run", "extra"],
        ["import", "f"],
        ["import", "f", ".", "--mirror", "--deletes-share-max", "1.1"],
        ["import", "f", ".", "--deletes-share-max", "0.2"],
        ["import", "f", ".", "--confirm-deletes"],
        ["backup"],
        ["backup", ""],
        ["restore"],
        ["restore", ""],
        ["demo", "--loss", "1.1"],
        ["demo", "--away", "-0.1"],
        ["demo", "--devices", "0"],
        ["demo", "--devices", "51"],
        ["demo", "--changes", "100001"],
        ["demo", "--seed", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage(command: Command, arguments: list[str]) -> None:
    outcome = command(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert "--help' says more" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        [],
        ["device", "--help"],
        ["quarantine", "--help"],
        ["backup", "--help"],
        ["restore", "--help"],
        *([*c[:2], "--help"] for c in CLIENT_COMMANDS),
    ],
)
def test_help(command: Command, arguments: list[str]) -> None:
    outcome = command(*arguments)
    assert outcome.code == 0
    assert outcome.out.startswith("Usage: gateway")


def test_version(command: Command) -> None:
    outcome = command("--version")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("gateway ")


def test_the_exit_statuses_are_told(command: Command) -> None:
    assert "Exit status: 0 done, 1 failed, 2 wrong usage, 3 no gateway runs." in command().out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from gateway.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = 'httpx starlette uvicorn amqtt pydantic rich paho asyncio vobject icalendar'\n"
        "sys.exit(', '.join(set(heavy.split()) & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "nothing"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: No such command 'nothing'. 'gateway --help' says more.\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("api_prot = 1", "api_prot"),
        ("api_port = 'x'", "api_port"),
        ("representations = ['compat']", "did you mean compact?"),
    ],
)
def test_wrong_settings(command: Command, tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    outcome = command("run", "--config", path, "--data", tmp_path / "data")
    assert (outcome.code, outcome.out) == (1, "")
    assert named in outcome.err


def test_signals_are_as_before_after_a_run_that_failed(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    outcome = command("run", "--data", tmp_path / "file", "--broker-port", 0, "--api-port", 0)
    assert outcome.code == 1
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_demo_hands_on_its_options(command: Command, tmp_path: Path) -> None:
    outcome = command("demo", "--data", tmp_path / "none")
    assert outcome.code == 1
    assert str(tmp_path / "none") in outcome.err
    assert demo.DEVICES_MAX == 50


@pytest.mark.parametrize("count", [1, 2_000])
def test_output_that_cannot_be_written(gateway: Running, feed: str, count: int) -> None:
    gateway.service.apply_many(
        feed, [Put(f"{n:04}", b"", "note", "text/plain") for n in range(count)]
    )
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "items", feed, "--limit", "0"],
            env={
                **os.environ,
                "TALLYSYNC_GATEWAY_DATA_DIR": str(gateway.service.settings.data_dir),
            },
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.stderr == "error: the output cannot be written: No space left on device\n"
    assert done.returncode == 1
