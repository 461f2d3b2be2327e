"""``gateway device resync``: a device compares all that it holds, and no content travels."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.agent import DeviceAgent
from device_agent.schedule import Waits
from gateway.client import GatewayClient
from gateway.rows import Put
from gateway.run import Running, running
from gateway.settings import load
from tests.eventually import eventually
from tests.integration.edits import FEED, held_by_device, held_by_feed
from tests.integration.test_losses import Scales

WAITS = Waits(debounce_s=0.02, request_timeout_s=1.0, backoff_s=0.05, backoff_s_max=0.2)
SYNC_S_MAX = 20.0
ITEMS = 100


class Phone:
    """A device that holds the whole feed, and what came to it since it did."""

    def __init__(self, gateway: Running, data_dir: Path) -> None:
        self.scales = Scales()
        self._gateway = gateway
        self._data_dir = data_dir
        self._password = gateway.service.devices.add("phone", [FEED])
        with self.agent() as agent:
            agent.sync(SYNC_S_MAX)
        assert self.is_equal()
        self.scales = Scales()

    def agent(self) -> DeviceAgent:
        return DeviceAgent(
            "phone",
            feeds=[FEED],
            host=self._gateway.broker_host,
            port=self._gateway.broker_port,
            password=self._password,
            data_dir=self._data_dir,
            waits=WAITS,
            observer=self.scales,
        )

    def is_equal(self) -> bool:
        return held_by_device(self._data_dir) == held_by_feed(self._gateway.service)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    with running(load(data_dir=tmp_path / "gateway", broker_port=0, api_port=0)) as gateway:
        gateway.service.add_feed(FEED)
        gateway.service.apply_many(
            FEED,
            [
                Put(f"item-{number}", b"%d" % number * 300, "contact", "text/vcard")
                for number in range(ITEMS)
            ],
        )
        yield gateway


@pytest.fixture
def phone(gateway: Running, tmp_path: Path) -> Phone:
    return Phone(gateway, tmp_path / "phone")


def resync(gateway: Running) -> None:
    with GatewayClient(gateway.service.settings.data_dir) as client:
        client.resync_device("phone")


def test_online_it_compares_at_once(gateway: Running, phone: Phone) -> None:
    service = gateway.service
    with phone.agent() as agent:
        agent.sync(SYNC_S_MAX)
        assert phone.scales.inventories == 0
        for number in range(1, 3):
            resync(gateway)
            assert eventually(lambda: phone.scales.inventories == number)  # noqa: B023 - used here
            agent.sync(SYNC_S_MAX)
            assert phone.is_equal()
        assert phone.scales.content_bytes == 0
        # What is changed now is pushed as before.
        service.apply(FEED, Put("new", b"bytes", "contact", "text/vcard"))
        assert eventually(phone.is_equal)
        assert phone.scales.content_bytes == len(b"bytes")
        agent.sync(SYNC_S_MAX)
    assert phone.scales.inventories == 2
    assert service.devices.one("phone").replicas[0].behind == 0


def test_offline_it_compares_when_it_is_back(gateway: Running, phone: Phone) -> None:
    assert eventually(lambda: not gateway.service.devices.one("phone").online)
    resync(gateway)
    with phone.agent() as agent:
        agent.sync(SYNC_S_MAX)
        assert phone.is_equal()
    assert phone.scales.inventories == 1
    assert phone.scales.content_bytes == 0
