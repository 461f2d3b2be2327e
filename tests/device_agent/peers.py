"""Who an agent talks to: real brokers, and a gateway that says what a test wants."""

import queue
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from device_agent import DeviceAgent, Happened, SyncDone, Waits
from gateway.embedded_broker import EmbeddedBroker
from sync_protocol import messages, wire
from sync_protocol.messages import Answer, Request
from sync_protocol.topics import ONLINE, Channel, ReplicaTopic, Topics
from tests.device_agent.builders import served

PATIENCE_S = 10.0
PASSWORD = "a secret"
TOPICS = Topics()

# Longer than any test: nothing but what a test does leads to a sync.
CALM = Waits(debounce_s=0.2, period_s=3600, request_timeout_s=60)

MakeAgent = Callable[..., DeviceAgent]


class Told:
    """What an agent's callbacks were told."""

    def __init__(self) -> None:
        self.changes: queue.Queue[tuple[str, Happened]] = queue.Queue()
        self.syncs: queue.Queue[SyncDone] = queue.Queue()

    def change(self) -> tuple[str, Happened]:
        return self.changes.get(timeout=PATIENCE_S)

    def sync(self) -> SyncDone:
        return self.syncs.get(timeout=PATIENCE_S)


class Broker(Protocol):
    """A broker on the loopback, with one port as long as the test lasts."""

    port: int

    def start(self) -> None:
        """Begin to serve."""

    def stop(self) -> None:
        """End all connections."""


class Embedded:
    """The gateway's own; it wants the right password."""

    def __init__(self) -> None:
        self.port = 0
        self._broker: EmbeddedBroker | None = None

    def start(self) -> None:
        self._broker = EmbeddedBroker(
            host="127.0.0.1",
            port=self.port,
            topics=TOPICS,
            authenticate=lambda _user, password: password == PASSWORD,
        )
        self._broker.start()
        self.port = self._broker.port

    def stop(self) -> None:
        if self._broker is not None:
            self._broker.stop()
            self._broker = None


class Mosquitto:
    """The real one; it lets everybody in."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("there is no mosquitto: apt install mosquitto")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            "user root\nlog_dest stderr\n"
        )
        self._command = [program, "-c", str(config)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "running" in line:
                threading.Thread(target=self._process.stderr.read, daemon=True).start()
                return
        raise AssertionError("mosquitto did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            if self._process.stderr is not None:
                self._process.stderr.close()
            self._process = None


def answer_empty(request: Request) -> Answer | None:
    """What a gateway says whose feed is at 5, and empty."""
    return served(request, head=5)


class ScriptedGateway:
    """Hears requests and answers with what `respond` makes of them; None is no answer."""

    def __init__(self, port: int) -> None:
        self.respond: Callable[[Request], Answer | None] = answer_empty
        self.statuses: queue.Queue[bytes] = queue.Queue()
        self._requests: queue.Queue[Request] = queue.Queue()
        self._ready = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, client_id="gateway")
        client.username_pw_set("gateway", PASSWORD)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda client, *_: client.subscribe(
            [(TOPICS.all_requests, 1), (TOPICS.all_statuses, 1)]
        )
        client.on_subscribe = lambda *_: self._subscribed()
        client.on_message = lambda _client, _data, message: self._heard(message)
        self.client = client
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        assert self._ready.wait(PATIENCE_S)

    def _subscribed(self) -> None:
        self.client.publish(TOPICS.status("gateway"), ONLINE, qos=1, retain=True)
        self._ready.set()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _heard(self, message: MQTTMessage) -> None:
        named = TOPICS.parse(message.topic)
        if not isinstance(named, ReplicaTopic):
            if named.who != "gateway":
                self.statuses.put(bytes(message.payload))
            return
        request = messages.decode_request(bytes(message.payload))
        answer = self.respond(request)
        if answer is not None:
            payload = wire.encode(answer, wire.form_of(bytes(message.payload)))
            self.say(payload, Channel.RESPONSE, device=named.device, feed=named.feed)
        self._requests.put(request)

    def say(
        self, payload: bytes, channel: Channel, *, device: str = "phone", feed: str = "feed"
    ) -> None:
        qos = 0 if channel is Channel.NOTIFY else 1
        self.client.publish(TOPICS.replica(device, feed, channel), payload, qos=qos)

    def push(self, notification: messages.Notification) -> None:
        self.say(wire.encode(notification, wire.Format.CBOR), Channel.NOTIFY)

    def asked(self) -> Request:
        """The next request."""
        return self._requests.get(timeout=PATIENCE_S)

    def asked_more(self) -> list[Request]:
        """All requests that have come and were not looked at."""
        return list(iter(self._next_now, None))

    def _next_now(self) -> Request | None:
        try:
            return self._requests.get_nowait()
        except queue.Empty:
            return None


def running(broker: Broker) -> Iterator[Broker]:
    """`broker`, as long as a fixture lasts."""
    broker.start()
    yield broker
    broker.stop()
