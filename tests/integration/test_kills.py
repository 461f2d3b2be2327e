"""Gateway, broker and agents killed in the middle of their work: at the end all are equal."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import pytest

from gateway.api_errors import ApiError
from tests.eventually import eventually
from tests.integration.brokers import Mosquitto, free_port
from tests.integration.edits import FEED, Held, difference, random_edit
from tests.integration.programs import AgentProgram, GatewayProgram, apply

NAMES = ("phone", "tablet", "watch")


class Neighbourhood:
    """The programs, and who edits."""

    def __init__(self, gateway: GatewayProgram, agents: list[AgentProgram], seed: int) -> None:
        self.gateway = gateway
        self.agents = agents
        self.random = Random(seed)

    def edit(self, count: int) -> None:
        with self.gateway.client() as client:
            for _ in range(count):
                try:
                    apply(client, random_edit(self.random))
                except ApiError as error:
                    assert error.reason == "no-such-item"  # noqa: PT017 - the only one there may be

    def wait_until_all_are_equal(self) -> None:
        feed = self.gateway.feed()
        for agent in self.agents:
            assert eventually(partial(_is_equal, agent, feed)), (
                agent.name,
                difference(agent.held(), feed),
                agent.program.log()[-2_000:],
                self.gateway.program.log()[-2_000:],
            )


def _is_equal(agent: AgentProgram, feed: Held) -> bool:
    return agent.has_file() and agent.held() == feed


class KillSuite:
    """What must hold with every broker."""

    @pytest.fixture
    def broker(self) -> Mosquitto | Iterator[Mosquitto] | None:
        raise NotImplementedError

    @pytest.fixture
    def all_of_it(self, broker: Mosquitto | None, tmp_path: Path) -> Iterator[Neighbourhood]:
        seed = random.SystemRandom().getrandbits(32)
        print(f"seed {seed}")  # noqa: T201 - pytest shows it if the test fails
        port = free_port() if broker is None else broker.port
        with ExitStack() as stack:
            gateway = stack.enter_context(GatewayProgram(tmp_path, broker_port=port, broker=broker))
            with gateway.client() as client:
                client.add_feed(FEED)
                agents = [
                    AgentProgram(
                        name,
                        client.add_device(name, [FEED]).credential,
                        tmp_path,
                        broker_port=port,
                        broker=broker,
                    )
                    for name in NAMES
                ]
            for agent in agents:
                stack.callback(agent.program.end_at_last)
                agent.program.start()
            yield Neighbourhood(gateway, agents, seed)

    def test_killed_in_the_middle(self, all_of_it: Neighbourhood, broker: Mosquitto | None) -> None:
        phone, tablet, _ = all_of_it.agents
        all_of_it.edit(30)
        # Agents, while they begin and while they are pushed to.
        assert eventually(phone.has_file)
        phone.program.kill()
        all_of_it.edit(10)
        tablet.program.kill()
        phone.program.start()
        all_of_it.edit(10)
        tablet.program.start()
        # The gateway, while it pushes and answers.
        all_of_it.edit(10)
        all_of_it.gateway.program.kill()
        all_of_it.gateway.start()
        all_of_it.edit(10)
        if broker is not None:
            broker.kill()
            all_of_it.edit(10)
            broker.start()
            all_of_it.edit(10)
        all_of_it.wait_until_all_are_equal()
        # All of them go as they should when they are asked to, and nothing was wrong.
        programs = [agent.program for agent in all_of_it.agents]
        assert [it.stop() for it in [*programs, all_of_it.gateway.program]] == [0, 0, 0, 0]
        for program in [*programs, all_of_it.gateway.program]:
            assert "Traceback" not in program.log()


@pytest.mark.slow
class TestEmbeddedBroker(KillSuite):
    """Whose broker dies with the gateway."""

    @pytest.fixture
    def broker(self) -> Mosquitto | None:
        return None


@pytest.mark.mosquitto
class TestMosquitto(KillSuite):
    @pytest.fixture
    def broker(self, tmp_path: Path) -> Iterator[Mosquitto]:
        broker = Mosquitto(tmp_path)
        broker.start()
        yield broker
        broker.stop()
