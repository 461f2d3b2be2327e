"""Clients for tests of a broker: a real one, and one that says whatever bytes it is told to."""

import queue
import socket
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    retained: bool = False


@dataclass(frozen=True)
class Will:
    topic: str
    payload: bytes = b"offline"
    retain: bool = False


class Probe:
    """A paho client that connects once and waits for each answer."""

    def __init__(
        self,
        port: int,
        user: str | None,
        password: str | None = None,
        *,
        client_id: str | None = None,
        will: Will | None = None,
        clean_session: bool = True,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.user = user or "nobody"
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.user if client_id is None else client_id,
            clean_session=clean_session if protocol == MQTTProtocolVersion.MQTTv311 else None,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        if tls is not None:
            self._client.tls_set_context(tls)
        if user is not None:
            self._client.username_pw_set(user, password)
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        self._address = (host, port)
        self._connacks: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        self._subacks: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect
        self._client.on_socket_open = _no_delay

    def connect(self) -> str:
        """The broker's answer: "Success", or why not."""
        self._client.connect(*self._address, keepalive=30)
        self._client.loop_start()
        reason, self.session_present = self._connacks.get(timeout=PATIENCE_SECONDS)
        return reason

    def __enter__(self) -> Self:
        assert self.connect() == "Success"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # What is no cycle is freed at once: paho closes some of its sockets only then.
        self._client.on_connect = None
        self._client.on_subscribe = None
        self._client.on_message = None
        self._client.on_disconnect = None

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        """What the broker granted for each filter: a QoS, or 128."""
        self._client.subscribe([(topic_filter, qos) for topic_filter in filters])
        return self._subacks.get(timeout=PATIENCE_SECONDS)

    def unsubscribe(self, topic_filter: str) -> None:
        self._client.unsubscribe(topic_filter)

    def publish(
        self, topic: str, payload: bytes = b"", *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish, and with QoS 1 wait for the broker to have it."""
        sent = self._client.publish(topic, payload, qos=qos, retain=retain)
        if qos:
            sent.wait_for_publish(PATIENCE_SECONDS)
            assert sent.is_published()

    def publish_many(self, messages: Iterable[tuple[str, bytes]]) -> None:
        for topic, payload in messages:
            self._client.publish(topic, payload, qos=0)

    def hear(self) -> Heard:
        return self._heard.get(timeout=PATIENCE_SECONDS)

    def hear_until(self, payload: bytes) -> list[Heard]:
        """What arrives before `payload` does."""
        return list(iter_until(self, payload))

    def wait_until_ended(self) -> None:
        assert self._ended.wait(PATIENCE_SECONDS)

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def vanish(self) -> None:
        """Lose the connection without a DISCONNECT."""
        connection = self._client.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        self.wait_until_ended()

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._connacks.put((str(reason), flags.session_present))

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._subacks.put([reason.value for reason in reasons])

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._heard.put(Heard(message.topic, bytes(message.payload), message.retain))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._ended.set()


def _no_delay(_client: Client, _userdata: object, opened: object) -> None:
    assert isinstance(opened, socket.socket)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def iter_until(probe: Probe, payload: bytes) -> Iterable[Heard]:
    while (heard := probe.hear()).payload != payload:
        yield heard


class Raw:
    """A socket to a broker, for what no client library would send."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        host = "127.0.0.1"
        self._socket = socket.create_connection((host, port), PATIENCE_SECONDS)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, size: int) -> bytes:
        """The next `size` bytes; fewer if the broker ended the connection."""
        data = b""
        while len(data) < size:
            try:
                more = self._socket.recv(size - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                break
            data += more
        return data

    def end_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def login(self, user: str, password: str, *, keepalive: int = 0, will: str = "") -> None:
        self.send(connect(user, password, keepalive=keepalive, will=will))
        assert self.receive(4) == b"\x20\x02\0\0"

    def subscribe(self, topic_filter: str, qos: int = 0) -> None:
        self.send(packet(0x82, b"\0\1" + text(topic_filter) + bytes([qos])))
        assert self.receive(5) == b"\x90\x03\0\1" + bytes([qos])


def connect(
    user: str,
    password: str,
    *,
    keepalive: int = 0,
    will: str = "",
    client_id: str | None = None,
    clean_session: bool = True,
) -> bytes:
    """A CONNECT, with a last will without payload on the topic `will`, if any.

    The client id is the user's name unless told otherwise.
    """
    flags = 0b1100_0000 | (0b10 if clean_session else 0) | (0b100 if will else 0)
    client_id = user if client_id is None else client_id
    fields = [client_id, *([will, ""] if will else []), user, password]
    body = b"\0\4MQTT\4" + bytes([flags]) + keepalive.to_bytes(2, "big")
    return packet(0x10, body + b"".join(text(field) for field in fields))


def text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def packet(first_byte: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([first_byte]) + length + body
