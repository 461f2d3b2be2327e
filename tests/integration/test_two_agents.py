"""Two agents with one device id: both sides notice, and what they hold stays right."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from device_agent.agent import DeviceAgent
from device_agent.rival import SHORT_CONNECTIONS_IN_A_ROW, explanation
from device_agent.schedule import Waits
from gateway.feed import NoSuchItemError
from gateway.rivals import WARNING
from gateway.run import Running, running
from gateway.service import Service
from gateway.settings import Settings, load
from tests.eventually import eventually
from tests.integration.brokers import Mosquitto, agent_tls, free_port
from tests.integration.edits import FEED, difference, held_by_device, held_by_feed, random_edit

pytestmark = pytest.mark.slow

WAITS = Waits(debounce_s=0.02, request_timeout_s=0.5, backoff_s=0.05, backoff_s_max=0.3)
# Five connections of each, of a second or so, and one wait; then a wait or two of one of them.
NOTICED_S_MAX = 60.0
RECOVERED_S_MAX = 60.0


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    data_dir = tmp_path / "gateway"
    if request.param == "embedded":
        yield load(data_dir=data_dir, broker_port=0, api_port=0)
        return
    with Mosquitto(tmp_path) as broker:
        yield load(broker.settings_file, data_dir=data_dir, api_port=0)


def agent(data_dir: Path, gateway: Running, password: str) -> DeviceAgent:
    settings = gateway.service.settings
    return DeviceAgent(
        "phone",
        feeds=[FEED],
        host=gateway.broker_host,
        port=gateway.broker_port,
        password=password,
        tls=agent_tls(settings),
        data_dir=data_dir,
        waits=WAITS,
    )


def edit(service: Service, random: Random) -> None:
    for _ in range(20):
        with contextlib.suppress(NoSuchItemError):
            service.apply(FEED, random_edit(random))


def noticed(phone: DeviceAgent) -> bool:
    return phone.counts.get("connections lost to another agent", 0) > 0


def test_two_agents(settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    random = Random(tmp_path.name)
    with running(settings) as gateway:
        service = gateway.service
        service.add_feed(FEED)
        password = service.devices.add("phone", [FEED])
        one = agent(tmp_path / "one", gateway, password)
        with one:
            one.sync(20)
            assert service.devices.one("phone").warning is None
            with agent(tmp_path / "two", gateway, password) as two:
                for phone in (one, two):
                    edit(service, random)
                    assert eventually(lambda: phone.counts["connects"] > 2)  # noqa: B023 - used here
                assert eventually(lambda: noticed(one) and noticed(two), within_s=NOTICED_S_MAX)
                assert service.devices.one("phone").warning == WARNING
                edit(service, random)
            # It is alone now, and comes back by itself.
            assert_equal_at_last(tmp_path / "one", service)
        assert service.counters.read()["device ids found with two agents"] == 1
        assert caplog.messages.count(f"device phone: {WARNING}") == 1
        told = [each for each in caplog.messages if each.endswith(explanation("phone"))]
        assert len(told) == 2
        # What the other one has was not harmed, either.
        edit(service, random)
        with agent(tmp_path / "two", gateway, password):
            assert_equal_at_last(tmp_path / "two", service)


def test_a_broker_that_goes_and_comes_is_no_agent(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path / "gateway", broker_port=free_port(), api_port=0)
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(running(settings))
        gateway.service.add_feed(FEED)
        phone = agent(tmp_path / "phone", gateway, gateway.service.devices.add("phone", [FEED]))
        with phone:
            phone.sync(20)
            for _ in range(SHORT_CONNECTIONS_IN_A_ROW + 1):
                connects = phone.counts["connects"]
                stack.close()
                stack.enter_context(running(settings))
                assert eventually(lambda: phone.counts["connects"] > connects)  # noqa: B023 - used here
            phone.sync(20)
            assert not noticed(phone)


def assert_equal_at_last(data_dir: Path, service: Service) -> None:
    feed = held_by_feed(service)
    assert eventually(lambda: held_by_device(data_dir) == feed, within_s=RECOVERED_S_MAX), (
        difference(held_by_device(data_dir), feed)
    )
