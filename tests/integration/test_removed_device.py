"""A device that was removed has lost its access, even with its connection open."""

from pathlib import Path

import pytest

from device_agent import DeviceAgent, SyncFailedError
from gateway.rows import Put
from gateway.run import running
from gateway.settings import load
from tests.eventually import eventually


def test_an_id_used_again_gives_the_old_device_nothing(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path / "gateway", broker_port=0, api_port=0)
    with running(settings) as gateway:
        service = gateway.service
        for feed in ("open", "secret"):
            service.add_feed(feed)
        service.apply("secret", Put("a", b"private", "contact", "text/vcard"))
        old = DeviceAgent(
            "phone",
            feeds=["open"],
            host=gateway.broker_host,
            port=gateway.broker_port,
            password=service.devices.add("phone", ["open"]),
            data_dir=tmp_path / "old",
            refusals_max=2,
        )
        with old:
            old.sync(20)
            assert eventually(lambda: service.devices.one("phone").online)
            service.devices.remove("phone")
            service.devices.add("phone", ["secret"])
            assert eventually(lambda: old.counts.get("logins refused", 0) > 0)
            assert not service.devices.one("phone").online
            with pytest.raises(SyncFailedError):
                old.sync(30)
