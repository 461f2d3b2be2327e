"""The agent's connection to its broker, over paho."""

import logging
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_agent.events import Connected, ConnectionEvent, Lost, Refused, Unreachable
from device_agent.rival import RECONNECT_WAIT_S, Rival
from programs.tls import Security, Trouble
from sync_protocol import limits, topics
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Channel, Topics

_LOG: Final = logging.getLogger(__name__)

# A request for each feed at once, the status, and what was given up and asked again meanwhile.
UNSENT_MESSAGES_MAX: Final = 2 * limits.DEVICE_FEEDS_MAX
RECONNECT_WAIT_S_MAX: Final = 30
GOODBYE_S_MAX: Final = 2.0
# For TCP, and once more for the handshake of TLS: a broker that hangs is tried again.
CONNECT_S_MAX: Final = 5.0
# paho's word for CONNACK's return code 3, which says nothing of the password (MQTT 3.1.1, 3.2.2.3).
_UNAVAILABLE: Final = "Server unavailable"
# paho's word, without MQTT 5, for a connection that the other side closed.
_CLOSED: Final = "Unspecified error"

_random: Final = random.SystemRandom()


class DeviceLink:
    """Publishes for a device and hands on what it hears. A pump: it decides nothing.

    The callbacks run in paho's thread and must neither raise nor wait.
    """

    def __init__(
        self,
        *,
        device: str,
        feeds: Sequence[str],
        password: str,
        security: Security,
        keepalive_s: int,
        topic_names: Topics,
        on_event: Callable[[ConnectionEvent], None],
        on_message: Callable[[str, bytes, bool], None],
    ) -> None:
        self._device = device
        self._topics = topic_names
        self._security = security
        self._keepalive_s = keepalive_s
        self._on_event = on_event
        self._on_message = on_message
        self._ready = threading.Event()
        # A connection on which the broker has not answered the login yet.
        self._logging_in: object = None
        self._rival = Rival()  # of paho's thread
        replicas = [
            (topic_names.replica(device, feed, channel), qos)
            for feed in feeds
            # A broker may deliver at the subscriber's QoS, so pushes are subscribed with 0.
            for channel, qos in ((Channel.NOTIFY, 0), (Channel.RESPONSE, 1))
        ]
        self._subscriptions = [*replicas, (topic_names.status(GATEWAY), 1)]
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=device,
            clean_session=True,  # nothing is to be queued for a device that is away
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        client.username_pw_set(device, password)
        client.connect_timeout = CONNECT_S_MAX
        if security.context is not None:
            client.tls_set_context(security.context)
        client.will_set(topic_names.status(device), topics.OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(RECONNECT_WAIT_S, RECONNECT_WAIT_S_MAX)
        client.max_queued_messages_set(UNSENT_MESSAGES_MAX)
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_socket_open = self._opened
        self._client = client

    def start(self, host: str, port: int) -> None:
        """Connect, and connect again whenever the connection is lost."""
        self._client.connect_async(host, port, keepalive=self._keepalive_s)
        self._client.loop_start()

    def close(self) -> None:
        """Say goodbye and disconnect, within twice `GOODBYE_S_MAX`."""
        if self._ready.is_set():
            goodbye = self._client.publish(
                self._topics.status(self._device), topics.OFFLINE, qos=1, retain=True
            )
            try:
                goodbye.wait_for_publish(GOODBYE_S_MAX)
            except (RuntimeError, ValueError):
                _LOG.info("the broker was gone before the agent could say goodbye")
        self._client.disconnect()
        # While a host does not answer, paho's thread ends only with its own timeouts.
        stopping = threading.Thread(target=self._client.loop_stop, name="stop paho", daemon=True)
        stopping.start()
        stopping.join(GOODBYE_S_MAX)

    def request(self, feed: str, payload: bytes) -> bool:
        """Publish a sync request with QoS 1; whether it could be handed to the connection."""
        if not self._ready.is_set():
            return False
        topic = self._topics.replica(self._device, feed, Channel.REQUEST)
        return self._client.publish(topic, payload, qos=1).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    # What paho calls, in its own thread.

    def _opened(self, _client: Client, _userdata: object, sock: Any) -> None:  # noqa: ANN401 - any of paho's sockets
        # Without it each round trip waits 40 ms for Nagle's algorithm and a delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._logging_in = sock
        if self._security.warning is not None:
            _LOG.warning("%s", self._security.warning)

    def _connected(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._logging_in = None
        if reason == _UNAVAILABLE:
            self._on_event(Unreachable("the broker cannot take it now"))
            return
        if reason.is_failure:
            self._on_event(Refused(str(reason), lasting=False))
            return
        client.subscribe(self._subscriptions)

    def _not_connected(self, _client: Client, _userdata: object) -> None:
        self._rival = self._rival.excused()
        # paho calls this while it handles the error, and tells no other way which one it was.
        trouble = self._security.explained(sys.exc_info()[1])
        self._on_event(Unreachable(trouble.text, trouble.lasting))

    def _subscribed(
        self,
        client: Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [
            topic
            for (topic, _), reason in zip(self._subscriptions, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._on_event(Refused(f"it may not subscribe to {refused[0]}", lasting=True))
            return
        client.publish(self._topics.status(self._device), topics.ONLINE, qos=1, retain=True)
        self._rival = self._rival.connected(time.monotonic())
        self._ready.set()
        self._on_event(Connected())

    def _disconnected(
        self,
        client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        closed = str(reason) == _CLOSED
        logging_in, self._logging_in = self._logging_in, None
        if logging_in is not None and reason.is_failure:
            trouble = self._security.closed(logging_in) if closed else Trouble(str(reason))
            self._on_event(Unreachable(trouble.text, trouble.lasting))
        if not self._ready.is_set():
            return
        self._ready.clear()
        rival = self._rival
        self._rival = rival.closed(time.monotonic()) if closed else rival.excused()
        # paho waits by itself, after this callback.
        wait_s = self._rival.wait_s(_random.random())
        client.reconnect_delay_set(wait_s, max(wait_s, RECONNECT_WAIT_S_MAX))
        why = "the broker closed it" if closed else str(reason)
        self._on_event(Lost(why, rival=self._rival.suspected))

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            if message.topic == self._topics.status(GATEWAY) and not message.retain:
                self._rival = self._rival.excused()
            self._on_message(message.topic, bytes(message.payload), message.retain)
        except Exception:
            _LOG.exception("a message could not be handed on")
