"""A broker that serves one client and notes what it says, down to QoS and retain flag."""

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

PATIENCE_S: Final = 10.0


@dataclass(frozen=True)
class Published:
    topic: str
    payload: bytes
    qos: int
    retained: bool


@dataclass(frozen=True)
class Connected:
    client_id: str
    clean_session: bool
    will: Published | None


@dataclass(frozen=True)
class Subscribed:
    topics: tuple[tuple[str, int], ...]


Said = Connected | Subscribed | Published


class Recorder:
    """Acknowledges all that is said, but subscriptions not before it is told to."""

    def __init__(self, server: socket.socket, *, connack: int) -> None:
        self._server = server
        self._connack = connack
        self.port: int = server.getsockname()[1]
        self._said: queue.Queue[Said] = queue.Queue()
        self._may_subscribe = threading.Event()
        self._client: socket.socket | None = None

    def next(self) -> Said:
        """What was said next."""
        return self._said.get(timeout=PATIENCE_S)

    def acknowledge_subscriptions(self) -> None:
        """From now on a client hears that it has subscribed."""
        self._may_subscribe.set()

    def send(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Say something of less than 128 bytes to the client, with QoS 0."""
        assert self._client is not None
        body = len(topic).to_bytes(2, "big") + topic.encode() + payload
        self._client.sendall(bytes([0x30 | retained, len(body)]) + body)

    def drop(self) -> None:
        """End the connection without a word."""
        assert self._client is not None
        self._client.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Serve one client until it goes."""
        client, _ = self._server.accept()
        self._client = client
        with client, client.makefile("rb") as packets:
            while first := packets.read(1):
                body = packets.read(_length(packets))
                client.sendall(self._answer(first[0] >> 4, first[0] & 0x0F, body))

    def _answer(self, kind: int, flags: int, body: bytes) -> bytes:
        match kind:  # MQTT 3.1.1, section 2.2.1
            case 1:
                self._said.put(_connected(body))
                return bytes([0x20, 2, 0, self._connack])
            case 3:
                published, packet_id = _published(flags, body)
                self._said.put(published)
                return b"\x40\x02" + packet_id if published.qos else b""
            case 8:
                subscribed = _subscribed(body)
                self._said.put(subscribed)
                self._may_subscribe.wait(PATIENCE_S)
                granted = bytes(qos for _, qos in subscribed.topics)
                return bytes([0x90, 2 + len(granted)]) + body[:2] + granted
            case _:
                return b""


@contextlib.contextmanager
def recorder(*, connack: int = 0) -> Iterator[Recorder]:
    """A recorder, until its one client has gone. `connack` is the return code of its CONNACK."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = Recorder(server, connack=connack)
        thread = threading.Thread(target=made.serve, daemon=True)
        thread.start()
        yield made
        thread.join(PATIENCE_S)


def _length(packets: BinaryIO) -> int:
    length = shift = 0
    while True:
        (byte,) = packets.read(1)
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return length
        shift += 7


def _text(data: bytes) -> tuple[bytes, bytes]:
    """A string with its length before it, and what stands behind it."""
    end = 2 + int.from_bytes(data[:2], "big")
    return data[2:end], data[end:]


def _connected(body: bytes) -> Connected:
    flags = body[7]
    client_id, rest = _text(body[10:])
    if not flags & 0x04:
        return Connected(client_id.decode(), bool(flags & 0x02), None)
    topic, rest = _text(rest)
    payload, _ = _text(rest)
    will = Published(topic.decode(), payload, flags >> 3 & 3, bool(flags & 0x20))
    return Connected(client_id.decode(), bool(flags & 0x02), will)


def _published(flags: int, body: bytes) -> tuple[Published, bytes]:
    topic, rest = _text(body)
    qos = flags >> 1 & 3
    packet_id, payload = (rest[:2], rest[2:]) if qos else (b"", rest)
    return Published(topic.decode(), payload, qos, bool(flags & 1)), packet_id


def _subscribed(body: bytes) -> Subscribed:
    rest, topics = body[2:], []
    while rest:
        topic, rest = _text(rest)
        topics.append((topic.decode(), rest[0]))
        rest = rest[1:]
    return Subscribed(tuple(topics))
