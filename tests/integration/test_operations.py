"""docs/operations.md, done as it stands there: a new operator has nothing else."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.broker_config.plugin import find_program
from tests.eventually import eventually
from tests.integration.brokers import free_port, listens

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
CARDS = ROOT / "gateway" / "demo" / "sample" / "contacts"
# A block of commands with what they print, or of what a program prints that runs in a terminal.
BLOCK = re.compile(r"^```(console|text device-agent)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAMS = ("mosquitto", "gateway run", "device-agent run")
MESSAGES = re.compile(r"^\| ([^|]*`[^|]*) \|", re.MULTILINE)
# Of the operating system.
NOT_OURS = {"Connection refused"}
# What changes nothing: somebody looks again if it is not there yet.
LOOKS = ("gateway status", "gateway device list", "device-agent status")
# Before this one, the page says that a program is to be stopped.
STOPS = {"gateway restore": "gateway run"}
ANYTHING = "…"
COMMAND_S_MAX = 60


def matches(expected: str, printed: str) -> bool:
    """Whether a line is as the page has it, but for blanks and for what stands for anything."""
    parts = (re.escape(part) for part in " ".join(expected.split()).split(ANYTHING))
    return re.fullmatch(".*".join(parts), " ".join(printed.split())) is not None


def differs(expected: list[str], printed: list[str]) -> str | None:
    """The first line of the page that is not there in its place; … stands for any lines."""
    if not expected:
        return None if not printed else f"nothing more, but there is {printed[0]!r}"
    line, rest = expected[0], expected[1:]
    if line == ANYTHING:
        starts = range(len(printed) + 1)
        found = [differs(rest, printed[start:]) for start in starts]
        return None if None in found else f"{rest[0] if rest else 'the end'!r} at last"
    if not printed or not matches(line, printed[0]):
        return f"{line!r}, but there is {printed[0] if printed else 'nothing'!r}"
    return differs(rest, printed[1:])


@dataclass
class Terminals:
    """Somebody who does what the page says, in a home of their own."""

    home: Path
    port: int = field(default_factory=free_port)
    _programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """The page's text, as it is on this machine."""
        text = text.replace("mqtt.example.org", "localhost").replace("8883", str(self.port))
        if os.geteuid() == 0:  # whose home no other account can enter
            text = text.replace("broker-config mosquitto", "broker-config mosquitto --user root")
        if "mosquitto" in self._programs:
            # That would reach any broker of this machine.
            text = text.replace(
                "pkill -HUP -x mosquitto", f"kill -HUP {self._programs['mosquitto'].pid}"
            )
        return text

    def do(self, command: str, expected: list[str]) -> None:
        """Run a command, and see that it prints what the page says; a program goes on."""
        for before, program in STOPS.items():
            if command.startswith(before):
                self.stop(program)
        for program in PROGRAMS:
            if command.startswith(program):
                self.start(program, command)
                self.says(program, expected)
                return
        wanted = [self.here(line) for line in expected]
        if command.startswith(LOOKS):
            eventually(lambda: differs(wanted, self._printed(command)) is None)
        printed = self._printed(command)
        difference = differs(wanted, printed)
        assert difference is None, f"{command!r} is to print {difference}, in {printed}"

    def _printed(self, command: str) -> list[str]:
        done = subprocess.run(
            ["/bin/bash", "-c", self.here(command)],
            env=self._environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        lines = done.stdout.splitlines()
        # Said only where devices are on the same machine.
        return [line for line in lines if not line.startswith("It serves this machine only")]

    def start(self, program: str, command: str) -> None:
        self.stop(program)
        with self._log(program).open("wb") as log:
            self._programs[program] = subprocess.Popen(
                shlex.split(self.here(command).replace("~", str(self.home))),
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if program == "mosquitto":
            assert eventually(lambda: listens(self.port)), self._log(program).read_text()

    def says(self, program: str, expected: list[str]) -> None:
        """See that a program that runs prints these lines sooner or later, from several threads."""
        wanted = [self.here(line) for line in expected if line != ANYTHING]

        def is_said() -> bool:
            lines = self._log(program).read_text().splitlines()
            return all(any(matches(each, line) for line in lines) for each in wanted)

        assert eventually(is_said), (wanted, self._log(program).read_text())

    def stop(self, program: str) -> None:
        process = self._programs.pop(program, None)
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(COMMAND_S_MAX)

    def close(self) -> None:
        for program in list(self._programs):
            self.stop(program)

    def _log(self, program: str) -> Path:
        return self.home / f"{program.replace(' ', '-')}.log"

    @property
    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TALLYSYNC_", "XDG_"))}
        path = [str(Path(sys.executable).parent), kept.get("PATH", ""), "/usr/sbin"]
        # Any free port: another gateway may run on this machine.
        return kept | {
            "HOME": str(self.home),
            "PATH": ":".join(path),
            "TALLYSYNC_GATEWAY_API_PORT": "0",
            "PYTHONPATH": str(ROOT),
        }


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    if find_program() is None:
        pytest.skip("there is no mosquitto here: 'apt install mosquitto' brings it")
    shutil.copytree(CARDS, tmp_path / "cards")
    made = Terminals(tmp_path)
    with contextlib.closing(made):
        yield made


@pytest.mark.mosquitto
def test_every_command_of_the_page_does_what_it_says(terminals: Terminals) -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 10
    for kind, text in blocks:
        if kind != "console":
            terminals.says("device-agent run", text.splitlines())
            continue
        for step in text.removeprefix("$ ").split("\n$ "):
            command, *expected = step.splitlines()
            terminals.do(command, expected)


def test_the_programs_say_what_the_page_explains() -> None:
    sources = [
        path.read_text()
        for package in ("gateway", "device_agent", "programs")
        for path in (ROOT / package).rglob("*.py")
    ]
    # Strings that stand behind each other are one.
    said = re.sub(r"""["']\s*\n\s*f?["']""", "", "\n".join(sources))
    table = PAGE.read_text().partition("## What a message means")[2]
    explained = {
        part.strip()
        for cell in MESSAGES.findall(table)
        for message in re.findall(r"`([^`]*)`", cell)
        for part in message.split(ANYTHING)
    }
    assert len(explained) > 20
    assert {each for each in explained if each not in said} == NOT_OURS
