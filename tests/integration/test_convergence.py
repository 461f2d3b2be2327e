"""A gateway, a broker and three agents over a link that loses, doubles and reorders: at the end all
are equal, byte for byte, and nothing that was held was sent again.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from device_agent import DeviceAgent, SyncFailedError
from device_agent.schedule import Waits
from gateway.feed import NoSuchItemError
from gateway.run import Running, running
from gateway.settings import Settings, load
from programs.tls_settings import Tls
from sync_protocol.limits import ANSWER_BYTES_MIN
from sync_protocol.wire import Format
from tests.eventually import eventually
from tests.integration.brokers import Mosquitto, agent_tls, free_port
from tests.integration.edits import (
    FEED,
    Held,
    difference,
    held_by_device,
    held_by_feed,
    random_edit,
)
from tests.integration.lossy import LossyLink
from tests.integration.witness import Witness

# An answer that was lost is asked for again soon, so that a test with many of them is short.
WAITS = Waits(
    debounce_s=0.02, period_s=5.0, request_timeout_s=0.3, backoff_s=0.05, backoff_s_max=0.3
)
SYNC_S_MAX = 20.0
FORMS = {"phone": Format.CBOR, "tablet": Format.JSON, "watch": Format.CBOR}


class Device:
    """An agent that can be stopped and started again, with a witness of all its lives."""

    def __init__(self, name: str, *, password: str, port: int, tls: Tls, data_dir: Path) -> None:
        self.name = name
        self.witness = Witness()
        self.data_dir = data_dir
        self._password = password
        self._port = port
        self._tls = tls
        self.agent = self._made()

    def _made(self) -> DeviceAgent:
        return DeviceAgent(
            self.name,
            feeds=[FEED],
            host="127.0.0.1",
            port=self._port,
            password=self._password,
            tls=self._tls,
            data_dir=self.data_dir,
            observer=self.witness,
            waits=WAITS,
            form=FORMS[self.name],
            answer_bytes_max=ANSWER_BYTES_MIN if self.name == "watch" else 64 * 1024,
        )

    def restart(self) -> None:
        self.agent.stop()
        self.agent = self._made()
        self.agent.start()

    def held(self) -> Held:
        return held_by_device(self.data_dir)


class Neighbourhood:
    """A gateway and its devices, on a lossy link."""

    def __init__(self, settings: Settings, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.link = LossyLink(seed)
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self.gateway = self._start()
        self.gateway.service.add_feed(FEED)
        self.devices = [
            Device(
                name,
                password=self.gateway.service.devices.add(name, [FEED]),
                port=self.gateway.broker_port,
                tls=agent_tls(settings),
                data_dir=folder / name,
            )
            for name in FORMS
        ]

    def _start(self) -> Running:
        return self._stack.enter_context(running(self._settings, wrap_outbound=self.link.wrap))

    def restart_gateway(self) -> None:
        self._stack.close()
        self.gateway = self._start()

    def start_devices(self) -> None:
        for device in self.devices:
            device.agent.start()

    def close(self) -> None:
        for device in self.devices:
            device.agent.stop()
        self._stack.close()

    def edit(self, count: int) -> None:
        for _ in range(count):
            with contextlib.suppress(NoSuchItemError):
                self.gateway.service.apply(FEED, random_edit(self.random))

    def try_to_sync(self, device: Device) -> None:
        """A sync in the middle of it all, which may well fail."""
        with contextlib.suppress(TimeoutError, SyncFailedError):
            device.agent.sync(0.5)

    def feed(self) -> Held:
        return held_by_feed(self.gateway.service)

    def settle(self) -> None:
        """A calm link: every device syncs, is equal to the feed, and got nothing twice."""
        self.link.calm = True
        feed = self.feed()
        for device in self.devices:
            device.agent.sync(SYNC_S_MAX)
            assert difference(device.held(), feed) == [], device.name
            assert device.witness.resent == [], device.name
            assert device.witness.counts["answers void"] == 0
            assert device.agent.failure is None

    def push(self) -> None:
        """A calm link: what is edited now comes by itself."""
        self.edit(10)
        feed = self.feed()
        for device in self.devices:
            assert eventually(partial(_is_equal, device, feed)), difference(device.held(), feed)


def _is_equal(device: Device, feed: Held) -> bool:
    return device.held() == feed


class ConvergenceSuite:
    """What must hold with every broker."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings | Iterator[Settings]:
        raise NotImplementedError

    @pytest.fixture
    def seed(self, record_property: Callable[[str, object], None]) -> int:
        seed = random.SystemRandom().getrandbits(32)
        record_property("seed", seed)
        print(f"seed {seed}")  # noqa: T201 - pytest shows it if the test fails
        return seed

    @pytest.fixture
    def all_of_it(self, settings: Settings, tmp_path: Path, seed: int) -> Iterator[Neighbourhood]:
        neighbourhood = Neighbourhood(settings, tmp_path, seed)
        yield neighbourhood
        neighbourhood.close()

    def test_a_lossy_link(self, all_of_it: Neighbourhood) -> None:
        all_of_it.edit(30)
        all_of_it.start_devices()
        for _ in range(8):
            all_of_it.try_to_sync(all_of_it.random.choice(all_of_it.devices))
            all_of_it.edit(25)
        all_of_it.settle()
        counts = all_of_it.link.counts
        assert min(counts["pushes lost"], counts["pushes doubled"], counts["answers lost"]) > 0
        pushed = [device.witness.counts["pushes stored"] for device in all_of_it.devices]
        assert min(pushed) > 0
        all_of_it.push()
        all_of_it.settle()

    def test_restarts_of_agents_and_of_the_gateway(self, all_of_it: Neighbourhood) -> None:
        all_of_it.start_devices()
        all_of_it.edit(40)
        for device in all_of_it.devices:
            all_of_it.try_to_sync(device)
            all_of_it.edit(10)
            device.restart()
            all_of_it.edit(10)
        all_of_it.restart_gateway()
        all_of_it.edit(20)
        all_of_it.settle()


class TestEmbeddedBroker(ConvergenceSuite):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return load(data_dir=tmp_path / "gateway", broker_port=free_port(), api_port=0)


@pytest.mark.mosquitto
class TestMosquitto(ConvergenceSuite):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Iterator[Settings]:
        with Mosquitto(tmp_path) as broker:
            yield load(broker.settings_file, data_dir=tmp_path / "gateway", api_port=0)
