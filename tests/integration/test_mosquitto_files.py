"""The Mosquitto configuration that the project carries, with a real Mosquitto."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent import DeviceAgent, SyncFailedError
from gateway.rows import Put
from gateway.run import running
from gateway.settings import load
from tests.eventually import eventually
from tests.gateway.mqtt_probe import Probe
from tests.integration.brokers import free_port, listens

CONFIG = Path(__file__).parents[2] / "config"
FEED = "contacts"


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"there is no {name} here: 'apt install mosquitto' brings it")
    return found


class _Broker:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        text = (CONFIG / "mosquitto.conf").read_text()
        assert "listener 1884 127.0.0.1" in text
        text = text.replace("listener 1884", f"listener {self.port}")
        # Else a Mosquitto that root starts becomes another user, who may not read this folder.
        (folder / "mosquitto.conf").write_text(f"user root\n{text}")
        shutil.copy(CONFIG / "mosquitto.acl", folder)
        (folder / "mosquitto.passwd").touch(mode=0o600)
        self.account("gateway", "gateway-secret")

    def account(self, user: str, password: str) -> None:
        command = [_program("mosquitto_passwd"), "-b", "mosquitto.passwd", user, password]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[_Broker]:
    _program("mosquitto")
    folder = tmp_path / "broker"
    folder.mkdir()
    made = _Broker(folder)
    made.account("phone", "phone-secret")
    made.account("tab", "tab-secret")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [_program("mosquitto"), "-c", "mosquitto.conf"], cwd=folder, stdout=log, stderr=log
        )
    try:
        assert eventually(lambda: listens(made.port)), (folder / "log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait()


@pytest.mark.mosquitto
def test_a_device_syncs_and_reaches_its_own_topics_only(broker: _Broker, tmp_path: Path) -> None:
    password = tmp_path / "gateway.password"
    password.write_text("gateway-secret\n")
    settings = load(
        data_dir=tmp_path / "gateway",
        broker_host="127.0.0.1",
        broker_port=broker.port,
        broker_password_file=password,
        api_port=0,
    )
    with running(settings) as gateway:
        assert gateway.connected
        gateway.service.add_feed(FEED)
        gateway.service.devices.add("phone", [FEED])
        gateway.service.apply(FEED, Put("a", b"card", "contact", "text/vcard"))
        with _agent("phone", "phone-secret", broker, tmp_path) as agent:
            agent.sync(20)
            requests = gateway.service.counters.read()["requests"]
            with Probe(broker.port, "tab", "tab-secret") as tab:
                # Mosquitto takes any subscription, and asks its rules at each delivery.
                tab.subscribe(f"sync/v1/phone/{FEED}/notify", "sync/v1/#")
                assert tab.hear().topic == "sync/v1/gateway/status"
                tab.publish(f"sync/v1/phone/{FEED}/request", b"forged")
                gateway.service.apply(FEED, Put("b", b"card", "contact", "text/vcard"))
                assert eventually(lambda: agent.counts.get("pushes", 0) == 1)
                # Had it been sent the push, it would hear that before this.
                tab.subscribe("sync/v1/gateway/status")
                assert tab.hear().topic == "sync/v1/gateway/status"
            assert gateway.service.counters.read()["requests"] == requests
        with (
            _agent("tab", "wrong", broker, tmp_path) as stranger,
            pytest.raises(SyncFailedError, match="refuses device tab"),
        ):
            stranger.sync(30)


def _agent(device: str, password: str, broker: _Broker, folder: Path) -> DeviceAgent:
    return DeviceAgent(
        device,
        feeds=[FEED],
        host="127.0.0.1",
        port=broker.port,
        password=password,
        data_dir=folder / device,
    )
