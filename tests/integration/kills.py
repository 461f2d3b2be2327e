"""``python -m tests.integration.kills --count N --broker embedded|mosquitto``: kill -9 at random.

Gateway, broker and agents are killed at random moments, one at a time, while changes are made. What
was acknowledged must be in the feed afterwards, and each agent must become equal to it; whatever
was killed is only started again.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from device_agent.rival import explanation
from gateway.rivals import WARNING
from tests.eventually import eventually
from tests.integration.brokers import Mosquitto, free_port
from tests.integration.editor import Editor
from tests.integration.edits import FEED, Held, difference
from tests.integration.programs import AgentProgram, GatewayProgram, Program

Broker = Literal["embedded", "mosquitto"]

AGENTS = ("phone", "tablet", "watch")
EDITORS = 2
ITEMS_AN_EDITOR = 15
# From a start to the next kill: from before a program can serve to well after.
MOMENT_S_MAX = 1.2
DOWN_S_MAX = 1.2
KILLS_A_CHECK = 20
# An agent that found no broker a few times in a row waits up to 30 s before it tries again.
EQUAL_S_MAX = 90.0
LOG_CHARS_SHOWN = 3_000


@dataclass
class Figures:
    """What a run did."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unanswered: int = 0
    checks: int = 0
    # An agent cannot always tell a broker that is killed again and again from another agent.
    suspicions: int = 0


class Neighbourhood:
    """The programs, and who edits."""

    def __init__(self, folder: Path, *, broker: Broker, seed: int) -> None:
        self.figures = Figures()
        self._random = Random(seed)
        self._stack = ExitStack()
        self._waiting = threading.Event()  # never set: a wait that the system keeps
        self._mosquitto = Mosquitto(folder) if broker == "mosquitto" else None
        if self._mosquitto is not None:
            self._mosquitto.start()
            self._stack.callback(self._mosquitto.stop)
        port = free_port() if self._mosquitto is None else self._mosquitto.port
        self._gateway = GatewayProgram(folder, broker_port=port, broker=self._mosquitto)
        self._stack.enter_context(self._gateway)
        with self._gateway.client() as client:
            client.add_feed(FEED)
            self._agents = [
                AgentProgram(
                    name,
                    client.add_device(name, [FEED]).credential,
                    folder,
                    broker_port=port,
                    broker=self._mosquitto,
                )
                for name in AGENTS
            ]
        for agent in self._agents:
            self._stack.callback(agent.program.end_at_last)
            agent.program.start()
        self._editors = [
            Editor(
                self._gateway,
                [f"item-{number}-{item}" for item in range(ITEMS_AN_EDITOR)],
                Random(f"{seed} {number}"),
            )
            for number in range(EDITORS)
        ]
        for editor in self._editors:
            self._stack.callback(editor.end)
            editor.start()

    def close(self) -> None:
        self._stack.close()

    def kill(self, count: int) -> None:
        """Kill so often, and look every now and then whether all is there."""
        for number in range(1, count + 1):
            self._wait(MOMENT_S_MAX)
            self._kill_one()
            if number % KILLS_A_CHECK == 0 or number == count:
                self.check()

    def _wait(self, s_max: float) -> None:
        self._waiting.wait(self._random.uniform(0, s_max))

    def _kill_one(self) -> None:
        victims = ["gateway", "agent"] + ["broker"] * (self._mosquitto is not None)
        victim = self._random.choice(victims)
        self.figures.kills[victim] += 1
        # Half of them are started again at once, as a service manager would.
        down_s = self._random.choice((0.0, DOWN_S_MAX))
        if victim == "broker" and self._mosquitto is not None:
            self._mosquitto.kill()
            self._wait(down_s)
            self._mosquitto.start()
            return
        program = self._gateway.program
        if victim == "agent":
            program = self._random.choice(self._agents).program
        assert program.runs, program.log()[-LOG_CHARS_SHOWN:]
        program.kill()
        self._wait(down_s)
        program.start()

    def check(self) -> None:
        """Nothing acknowledged was lost, and all agents become equal to the feed."""
        for editor in self._editors:
            editor.pause()
            if editor.failure is not None:
                raise editor.failure
        log = self._gateway.program.log
        assert eventually(self._gateway.serves), log()[-LOG_CHARS_SHOWN:]
        feed = self._gateway.feed()
        lost = [each for editor in self._editors for each in editor.lost(feed)]
        assert not lost, "\n".join(lost)
        for agent in self._agents:
            assert eventually(lambda: _is_equal(agent, feed), within_s=EQUAL_S_MAX), (  # noqa: B023 - used here
                f"{agent.name} differs in {difference(agent.held(), feed)}\n"
                f"{agent.program.log()[-LOG_CHARS_SHOWN:]}\n{log()[-LOG_CHARS_SHOWN:]}"
            )
        for program in self._programs:
            assert program.runs, program.log()[-LOG_CHARS_SHOWN:]
            assert "Traceback" not in program.log(), program.log()
        assert WARNING not in log()
        self.figures.checks += 1
        self.figures.acknowledged = sum(editor.acknowledged for editor in self._editors)
        self.figures.unanswered = sum(editor.unanswered for editor in self._editors)
        self.figures.suspicions = sum(
            agent.program.log().count(explanation(agent.name)) for agent in self._agents
        )
        for editor in self._editors:
            editor.go_on()

    @property
    def _programs(self) -> list[Program]:
        return [*(agent.program for agent in self._agents), self._gateway.program]

    def stop(self) -> None:
        """All of them go as they should when they are asked to."""
        for editor in self._editors:
            editor.end()
        ended = [program.stop() for program in self._programs]
        # One that was started again a moment ago may not have come to its signal handlers yet.
        logs = [program.log()[-LOG_CHARS_SHOWN:] for program in self._programs]
        assert set(ended) <= {0, -signal.SIGTERM}, (ended, logs)


def _is_equal(agent: AgentProgram, feed: Held) -> bool:
    return agent.has_file() and agent.held() == feed


def run(folder: Path, *, count: int, broker: Broker, seed: int) -> Figures:
    """Kill so often; AssertionError if anything was lost."""
    neighbourhood = Neighbourhood(folder, broker=broker, seed=seed)
    try:
        neighbourhood.kill(count)
        neighbourhood.stop()
    finally:
        neighbourhood.close()
    return neighbourhood.figures


def main() -> int:
    """Run it, and print the figures, or how to do the same again."""
    parser = argparse.ArgumentParser(description="kill -9 at random moments")
    parser.add_argument("--count", type=int, default=20, help="how many kills")
    parser.add_argument("--broker", choices=("embedded", "mosquitto"), default="embedded")
    parser.add_argument("--seed", type=int, help="of an earlier run")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    again = (
        f"python -m tests.integration.kills --count {options.count} --broker {options.broker}"
        f" --seed {seed}"
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = run(Path(folder), count=options.count, broker=options.broker, seed=seed)
        except BaseException:
            print(f"FAILED; the same kills again: {again}", file=sys.stderr)  # noqa: T201
            raise
    print(f"{options.count} kills, {time.monotonic() - started:.1f} s; the same again:\n{again}")  # noqa: T201
    for victim, kills in sorted(figures.kills.items()):
        print(f"  {kills:8}  kills of the {victim}")  # noqa: T201
    print(f"  {figures.acknowledged:8}  changes acknowledged")  # noqa: T201
    print(f"  {figures.unanswered:8}  changes without an answer")  # noqa: T201
    print(f"  {figures.checks:8}  checks that all is there and equal")  # noqa: T201
    print(f"  {figures.suspicions:8}  wrong suspicions of another agent")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
