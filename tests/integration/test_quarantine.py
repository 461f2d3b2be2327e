"""Items that a bad disk spoiled: they are held back, all others go on, and put again they come."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.agent import DeviceAgent
from device_agent.schedule import Waits
from gateway.api_models import QuarantinedItem
from gateway.client import GatewayClient
from gateway.feed import FeedError
from gateway.rows import Put
from gateway.run import Running, running
from gateway.service import STORE_FILE
from gateway.settings import Settings, load
from tests.eventually import eventually
from tests.gateway.damage import flip_byte, lose_content
from tests.integration.brokers import free_port
from tests.integration.edits import FEED, difference, held_by_device, held_by_feed
from tests.integration.test_losses import Scales

WAITS = Waits(debounce_s=0.02, request_timeout_s=1.0, backoff_s=0.05, backoff_s_max=0.2)
SYNC_S_MAX = 30.0
ITEMS = 12
LOST, FLIPPED = "item-3", "item-7"


def item(number: int) -> Put:
    return Put(f"item-{number}", b"%d" % number * 900, "contact", "text/vcard")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(data_dir=tmp_path / "gateway", broker_port=free_port(), api_port=0)


@pytest.fixture
def passwords(settings: Settings) -> dict[str, str]:
    """Of two devices of a gateway that has stopped; `full` held all that it had."""
    with running(settings) as gateway:
        service = gateway.service
        service.add_feed(FEED)
        service.apply_many(FEED, [item(number) for number in range(ITEMS)])
        passwords = {name: service.devices.add(name, [FEED]) for name in ("full", "new")}
        with agent("full", settings, passwords) as full:
            full.sync(SYNC_S_MAX)
    return passwords


@pytest.fixture
def spoiled(settings: Settings, passwords: dict[str, str]) -> Iterator[Running]:
    """The gateway, back with a state file of which two contents were spoiled."""
    assert passwords
    path = settings.data_dir / STORE_FILE
    lose_content(path, LOST)
    flip_byte(path, FLIPPED)
    with running(settings) as gateway:
        yield gateway


def agent(
    name: str, settings: Settings, passwords: dict[str, str], scales: Scales | None = None
) -> DeviceAgent:
    return DeviceAgent(
        name,
        feeds=[FEED],
        host="127.0.0.1",
        port=settings.broker_port,
        password=passwords[name],
        data_dir=settings.data_dir.with_name(name),
        waits=WAITS,
        observer=scales,
    )


def assert_equal_at_last(name: str, gateway: Running) -> None:
    feed = held_by_feed(gateway.service)
    data_dir = gateway.service.settings.data_dir.with_name(name)
    assert eventually(lambda: held_by_device(data_dir) == feed), difference(
        held_by_device(data_dir), feed
    )


def test_two_spoiled_items(settings: Settings, passwords: dict[str, str], spoiled: Running) -> None:
    service = spoiled.service
    everything = {item(number).id for number in range(ITEMS)}
    scales = Scales()
    with (
        agent("new", settings, passwords) as new,
        agent("full", settings, passwords, scales) as full,
    ):
        new.sync(SYNC_S_MAX)
        full.sync(SYNC_S_MAX)
        assert held_by_device(settings.data_dir.with_name("new")).keys() == everything - {
            LOST,
            FLIPPED,
        }
        with GatewayClient(settings.data_dir) as client:
            lost, flipped = client.quarantine(FEED)
            (problem,) = client.status().problems
        assert lost == QuarantinedItem(
            id=LOST, seq=4, kind="contact", folder="", why="has lost its content: put it again"
        )
        assert (flipped.id, flipped.why) == (FLIPPED, "has a damaged content: put it again")
        assert "2" in problem
        assert "gateway quarantine list" in problem
        with pytest.raises(FeedError, match="it stays in quarantine"):
            service.retry(FEED, LOST)
        # Another change comes at once, all the same.
        service.apply(FEED, Put("one-more", b"bytes", "contact", "text/vcard"))
        assert eventually(lambda: "one-more" in held_by_device(settings.data_dir.with_name("new")))
        service.apply_many(FEED, [item(3), item(7)])
        assert service.quarantined(FEED) == []
        for name in ("new", "full"):
            assert_equal_at_last(name, spoiled)
        assert service.problems() == []
    # Who held them all the time was sent nothing but what is new.
    assert scales.content_bytes == len(b"bytes")
