"""The gateway's connection to its broker, over paho."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.counters import Counters
from gateway.notifier import Push
from gateway.responder import Response
from sync_protocol import topics
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Channel, Topics

_LOG: Final = logging.getLogger(__name__)

# Published and not yet written to the socket (QoS 0) or acknowledged by the broker (QoS 1).
UNSENT_MESSAGES_MAX: Final = 1_000
UNSENT_WAIT_S_MAX: Final = 5.0
INFLIGHT_MESSAGES_MAX: Final = 200
RECONNECT_WAIT_S_MAX: Final = 30
DRAIN_S_MAX: Final = 5.0


class BrokerLink:
    """Publishes for the gateway, and hands on what devices publish. A pump: it decides nothing."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        password: str | None,
        keepalive_s: int,
        topic_names: Topics,
        counters: Counters,
        on_message: Callable[[str, bytes], None],
    ) -> None:
        self._address = (host, port)
        self._keepalive_s = keepalive_s
        self._topics = topic_names
        self._counters = counters
        self._on_message = on_message
        self._ready = threading.Event()
        self._room = threading.BoundedSemaphore(UNSENT_MESSAGES_MAX)
        self._refusal: str | None = None
        self._drained_by: float | None = None
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=user,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        client.username_pw_set(user, password)
        client.will_set(topic_names.status(GATEWAY), topics.OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(1, RECONNECT_WAIT_S_MAX)
        client.max_inflight_messages_set(INFLIGHT_MESSAGES_MAX)
        client.max_queued_messages_set(UNSENT_MESSAGES_MAX)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_publish = self._published
        client.on_socket_open = _no_delay
        self._client = client

    def start(self) -> None:
        """Connect, and connect again whenever the connection is lost."""
        self._client.connect_async(*self._address, keepalive=self._keepalive_s)
        self._client.loop_start()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the gateway is connected and hears requests; False if it took too long."""
        return self._ready.wait(timeout_s)

    @property
    def state(self) -> str:
        """One word or a sentence on the connection, for people."""
        host, port = self._address
        if self._ready.is_set():
            return "connected"
        return self._refusal or f"no connection to {host}:{port}; trying again"

    def begin_close(self) -> None:
        """From now on whoever publishes waits no longer than the drain may take."""
        self._drained_by = time.monotonic() + DRAIN_S_MAX

    def close(self) -> None:
        """Send what is queued, say goodbye, and disconnect."""
        deadline = time.monotonic() + DRAIN_S_MAX
        if self._ready.is_set():
            self._drain(deadline)
            goodbye = self._client.publish(
                self._topics.status(GATEWAY), topics.OFFLINE, qos=1, retain=True
            )
            try:
                goodbye.wait_for_publish(max(0.1, deadline - time.monotonic()))
            except (RuntimeError, ValueError):
                _LOG.warning("the broker was gone before the gateway could say goodbye")
        self._client.disconnect()
        self._client.loop_stop()

    def _drain(self, deadline: float) -> None:
        taken = 0
        room = self._room
        while taken < UNSENT_MESSAGES_MAX and room.acquire(
            timeout=max(0.0, deadline - time.monotonic())
        ):
            taken += 1
        for _ in range(taken):
            room.release()

    # Outbound

    def push(self, feed: str, push: Push) -> bool:
        """See `Outbound`."""
        topic = self._topics.replica(push.device, feed, Channel.NOTIFY)
        if not self._publish(topic, push.payload, qos=0):
            self._counters.count("pushes not sent")
            return False
        self._counters.count("pushes")
        self._counters.count("push bytes", len(push.payload))
        return True

    def answer(self, device: str, feed: str, payload: bytes, response: Response) -> None:
        """See `Outbound`."""
        del response
        topic = self._topics.replica(device, feed, Channel.RESPONSE)
        if self._publish(topic, payload, qos=1):
            self._counters.count("answers")
            self._counters.count("answer bytes", len(payload))
        else:
            self._counters.count("answers not sent")

    def _publish(self, topic: str, payload: bytes, *, qos: int) -> bool:
        room = self._room
        wait_s = UNSENT_WAIT_S_MAX
        if self._drained_by is not None:
            wait_s = max(0.0, self._drained_by - time.monotonic())
        if not self._ready.is_set() or not room.acquire(timeout=wait_s):
            return False
        if self._client.publish(topic, payload, qos=qos).rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            return True
        _release(room)
        return False

    # What paho calls, in its own thread. An exception there would end that thread.

    def _connected(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            host, port = self._address
            self._refusal = f"the broker at {host}:{port} refuses the gateway's account: {reason}"
            self._counters.count("broker refusals")
            _LOG.error("%s", self._refusal)
            return
        self._refusal = None
        # Announced on every connect: devices that hear it sync.
        client.subscribe([(self._topics.all_requests, 1), (self._topics.all_statuses, 1)])

    def _subscribed(
        self,
        client: Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal = "the broker does not let the gateway subscribe: check its access rules"
            _LOG.error("%s", self._refusal)
            return
        client.publish(self._topics.status(GATEWAY), topics.ONLINE, qos=1, retain=True)
        self._ready.set()
        _LOG.info("connected to the broker at %s:%s", *self._address)

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._ready.clear()
        # What was queued is gone, and paho tells of none of it.
        self._room = threading.BoundedSemaphore(UNSENT_MESSAGES_MAX)
        if reason.is_failure:
            self._counters.count("broker connections lost")
            _LOG.warning("the connection to the broker was lost: %s", reason)

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            self._on_message(message.topic, bytes(message.payload))
        except Exception:
            self._counters.count("errors in a handler")
            _LOG.exception("a message could not be handed on")

    def _published(self, *_args: Any) -> None:  # noqa: ANN401 - paho's five arguments
        _release(self._room)


def _release(room: threading.BoundedSemaphore) -> None:
    try:
        room.release()
    except ValueError:
        return  # a message from before a disconnect, or the gateway's own status


def _no_delay(_client: Client, _userdata: object, sock: Any) -> None:  # noqa: ANN401 - any of paho's sockets
    # Without it each round trip waits 40 ms for Nagle's algorithm and a delayed ACK.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
