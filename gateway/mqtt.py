"""The gateway's connection to its broker, over paho."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.broker_roles import CONTROL_ANSWER_TOPIC, CONTROL_TOPIC
from gateway.control import ControlTopic
from gateway.counters import Counters
from gateway.notifier import Push
from gateway.responder import Response
from programs.tls import Security, Trouble
from programs.tls_settings import Tls
from sync_protocol import topics
from sync_protocol.addresses import address_text
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Channel, Topics

_LOG: Final = logging.getLogger(__name__)

# Published and not yet written to the socket (QoS 0) or acknowledged by the broker (QoS 1).
UNSENT_MESSAGES_MAX: Final = 1_000
UNSENT_WAIT_S_MAX: Final = 5.0
INFLIGHT_MESSAGES_MAX: Final = 200
RECONNECT_WAIT_S_MAX: Final = 30
DRAIN_S_MAX: Final = 5.0
# For TCP, and once more for the handshake of TLS: a broker that hangs is tried again.
CONNECT_S_MAX: Final = 5.0
# paho's word, without MQTT 5, for a connection that the other side closed.
_CLOSED: Final = "Unspecified error"


class BrokerLink:
    """Publishes for the gateway, and hands on what devices publish. A pump: it decides nothing."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        password: str | None,
        tls: Tls,
        keepalive_s: int,
        topic_names: Topics,
        counters: Counters,
        on_message: Callable[[str, bytes, bool], None],
        control: ControlTopic | None = None,
    ) -> None:
        """Read the files of `tls`; TlsError if the broker is not to be reached so."""
        self._address = (host, port)
        self._security = Security(tls, host, port)
        # A connection on which the broker has not answered the login yet.
        self._logging_in: object = None
        self._keepalive_s = keepalive_s
        self._topics = topic_names
        self._counters = counters
        self._on_message = on_message
        self._control = control
        self._control_mid: int | None = None
        self._ready = threading.Event()
        self._room = threading.BoundedSemaphore(UNSENT_MESSAGES_MAX)
        self._refusal: str | None = None
        self._trouble: str | None = None
        self._was_told = False  # that there is no connection, in the log
        self._drained_by: float | None = None
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=user,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        client.username_pw_set(user, password)
        client.connect_timeout = CONNECT_S_MAX
        if self._security.context is not None:
            client.tls_set_context(self._security.context)
        client.will_set(topic_names.status(GATEWAY), topics.OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(1, RECONNECT_WAIT_S_MAX)
        client.max_inflight_messages_set(INFLIGHT_MESSAGES_MAX)
        client.max_queued_messages_set(UNSENT_MESSAGES_MAX)
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_publish = self._published
        client.on_socket_open = self._opened
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
        if self._ready.is_set():
            return "connected"
        why = f": {self._trouble}" if self._trouble else ""
        return (
            self._refusal or f"no connection to {address_text(*self._address)}{why}; trying again"
        )

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
            _release(room)  # an acknowledgement of the gateway's own status may have been one more

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

    def _command(self, payload: bytes) -> bool:
        # With QoS 0: a command that was given up must not be sent after all.
        told = self._client.publish(CONTROL_TOPIC, payload, qos=0)
        return told.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def clear_status(self, device: str) -> None:
        """Have the broker keep no status of a device that it threw out."""
        if self._client.is_connected():  # paho would send it late, when the device may be back
            self._client.publish(self._topics.status(device), b"", qos=1, retain=True)

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

    def _opened(self, _client: Client, _userdata: object, sock: Any) -> None:  # noqa: ANN401 - any of paho's sockets
        # Without it each round trip waits 40 ms for Nagle's algorithm and a delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._logging_in = sock
        if self._security.warning is not None:
            _LOG.warning("%s", self._security.warning)

    def _not_connected(self, _client: Client, _userdata: object) -> None:
        # paho calls this while it handles the error, and tells no other way which one it was.
        self._tell(self._security.explained(sys.exc_info()[1]))

    def _tell(self, trouble: Trouble) -> None:
        self._counters.count("broker connects failed")
        if trouble.text != self._trouble:  # paho tries on; the log says it once
            _LOG.warning(
                "no connection to the broker at %s: %s", address_text(*self._address), trouble.text
            )
        self._trouble = trouble.text
        self._was_told = True

    def _connected(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._logging_in = None
        self._trouble = None
        if reason.is_failure:
            broker = address_text(*self._address)
            self._refusal = f"the broker at {broker} refuses the gateway's account: {reason}"
            if self._control is not None:
                self._refusal += (
                    "; if its file of accounts was damaged, the 'gateway broker-config' that made"
                    " it mends it (docs/mosquitto.md)"
                )
            self._counters.count("broker refusals")
            _LOG.error("%s", self._refusal)
            self._was_told = True
            return
        self._refusal = None
        if self._control is not None:
            # First, so that whoever finds the gateway connected can change accounts, too.
            _, self._control_mid = client.subscribe(CONTROL_ANSWER_TOPIC, 1)
        # Announced on every connect: devices that hear it sync.
        client.subscribe([(self._topics.all_requests, 1), (self._topics.all_statuses, 1)])

    def _subscribed(
        self,
        client: Client,
        _userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        is_refused = any(reason.is_failure for reason in reasons)
        if self._control is not None and mid == self._control_mid:
            if is_refused:
                self._control.refused()
            else:
                self._control.opened(self._command)
            return
        if is_refused:
            self._refusal = "the broker does not let the gateway subscribe: check its access rules"
            _LOG.error("%s", self._refusal)
            return
        client.publish(self._topics.status(GATEWAY), topics.ONLINE, qos=1, retain=True)
        self._ready.set()
        # Whoever read that there is none is to read that it is there again, too.
        level = logging.WARNING if self._was_told else logging.INFO
        self._was_told = False
        _LOG.log(level, "now connected to the broker at %s", address_text(*self._address))

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        was_ready = self._ready.is_set()
        self._ready.clear()
        if self._control is not None:
            self._control.closed()
        # What was queued is gone, and paho tells of none of it.
        self._room = threading.BoundedSemaphore(UNSENT_MESSAGES_MAX)
        logging_in, self._logging_in = self._logging_in, None
        closed = str(reason) == _CLOSED
        if reason.is_failure and logging_in is not None:
            self._tell(self._security.closed(logging_in) if closed else Trouble(str(reason)))
        elif reason.is_failure and (was_ready or self._refusal is None):  # or it is in the log
            self._counters.count("broker connections lost")
            why = "the broker closed it" if closed else str(reason)
            _LOG.warning("the connection to the broker was lost: %s", why)
            self._was_told = True

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            if self._control is not None and message.topic == CONTROL_ANSWER_TOPIC:
                self._control.received(bytes(message.payload))
            else:
                self._on_message(message.topic, bytes(message.payload), message.retain)
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
