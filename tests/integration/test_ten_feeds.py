"""Ten feeds of one device over one lossy connection: each replica has its own feed's items only."""

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from device_agent import DeviceAgent, SyncFailedError
from device_agent.schedule import Waits
from gateway.feed import NoSuchItemError
from gateway.run import Running, running
from gateway.settings import load
from tests.eventually import eventually
from tests.integration.edits import difference, held_by_device, held_by_feed, random_edit
from tests.integration.lossy import LossyLink

FEEDS = tuple(f"feed-{number}" for number in range(10))
EDITS_A_ROUND = 15
ROUNDS = 4
WAITS = Waits(debounce_s=0.02, request_timeout_s=0.3, backoff_s=0.05, backoff_s_max=0.3)
SYNC_S_MAX = 30.0


def edit_all(gateway: Running, seed: int) -> None:
    """Changes of all feeds, at once."""

    def edit(feed: str) -> None:
        chance = Random(f"{seed} {feed}")
        ids = [f"{feed}-item-{number}" for number in range(12)]
        for _ in range(EDITS_A_ROUND):
            with contextlib.suppress(NoSuchItemError):
                gateway.service.apply(feed, random_edit(chance, ids))

    with ThreadPoolExecutor(len(FEEDS)) as pool:
        list(pool.map(edit, FEEDS))


def assert_equal(gateway: Running, data_dir: Path) -> None:
    for feed in FEEDS:
        expected = held_by_feed(gateway.service, feed)
        assert eventually(lambda: held_by_device(data_dir, feed) == expected), (  # noqa: B023 - used here
            feed,
            difference(held_by_device(data_dir, feed), expected),
        )
        assert expected
        assert all(item_id.startswith(f"{feed}-item-") for item_id in expected)


@pytest.mark.slow
def test_ten_feeds(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it if the test fails
    link = LossyLink(seed)
    # The broker has room for the gateway and one connection more.
    settings = load(
        data_dir=tmp_path / "gateway", broker_port=0, api_port=0, embedded_connections_max=2
    )
    with running(settings, wrap_outbound=link.wrap) as gateway:
        service = gateway.service
        for feed in FEEDS:
            service.add_feed(feed)
        phone = DeviceAgent(
            "phone",
            feeds=FEEDS,
            host=gateway.broker_host,
            port=gateway.broker_port,
            password=service.devices.add("phone", FEEDS),
            data_dir=tmp_path / "phone",
            waits=WAITS,
        )
        edit_all(gateway, seed)
        with phone:
            for number in range(1, ROUNDS):
                with contextlib.suppress(TimeoutError, SyncFailedError):
                    phone.sync(0.5)
                edit_all(gateway, seed + number)
            link.calm = True
            phone.sync(SYNC_S_MAX)
            assert_equal(gateway, tmp_path / "phone")
            # What is changed now comes by itself.
            edit_all(gateway, seed + ROUNDS)
            assert_equal(gateway, tmp_path / "phone")
        assert min(link.counts["pushes lost"], link.counts["answers lost"]) > 0
        assert phone.counts["connects"] == 1
        assert phone.counts["pushes stored"] > 0
        assert service.counters.read().get("connections refused", 0) == 0
