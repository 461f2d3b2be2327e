"""Clients that load a gateway, each kind in a process of its own: ``python -m benchmarks.clients``.

They work until their standard input ends, and then print a JSON array of [when, seconds]: the
monotonic time at which something began, which all processes of a machine share, and how long it
took.
"""

import http.client
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Final

from sync_protocol import messages, topics, wire
from sync_protocol.messages import Collection, Range, Request
from sync_protocol.token_set import TokenSet
from sync_protocol.topics import Channel, Topics
from sync_protocol.wire import Format

FEED: Final = "bench"
NEW_ITEMS: Final = 20  # that each sync asks for, as if their pushes had been lost
SYNCS_APART_S: Final = 0.2  # each device, so that all keep within their limits
GUESSES_AT_ONCE: Final = 60
TIMEOUT_S: Final = 60.0
_TOPICS: Final = Topics()

Timed = list[tuple[float, float]]


class Client:
    """A device on a plain socket, with QoS 0 throughout."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.user = user
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._packets = self._socket.makefile("rb")
        fields = b"".join(_text(it) for it in (user, user, password))
        self.send(0x10, b"\0\4MQTT\4\xc2\0\0" + fields)
        self.is_in = self.receive()[1][1:] == b"\0"

    def send(self, first_byte: int, body: bytes) -> None:
        """Send a packet (MQTT 3.1.1, section 2.2)."""
        self.send_bytes(_packet(first_byte, body))

    def send_bytes(self, packets: bytes) -> None:
        """Send packets that are made already."""
        self._socket.sendall(packets)

    def receive(self) -> tuple[int, bytes]:
        """The next packet: its first byte, and its body; EOFError at the end."""
        first = self._packets.read(1)
        if not first:
            raise EOFError
        size = shift = 0
        while True:
            (byte,) = self._packets.read(1)
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return first[0], self._packets.read(size)

    def listen(self) -> None:
        """Say that the device is there, and hear what is for it."""
        filters = [
            _TOPICS.replica(self.user, FEED, it) for it in (Channel.RESPONSE, Channel.NOTIFY)
        ]
        self.send(0x82, b"\0\1" + b"".join(_text(it) + b"\0" for it in filters))
        self.send(0x31, _text(_TOPICS.status(self.user)) + topics.ONLINE)

    def ask(self, request: Request) -> messages.Answer:
        """Send a request, and wait for its answer."""
        self.send(*self.packet_of(request))
        while True:
            kind, body = self.receive()
            topic, payload = _split(body) if kind >> 4 == 3 else ("", b"")
            if topic.endswith("/response"):
                return wire.decode(messages.Answer, payload, bytes_max=2**20)

    def packet_of(self, request: Request) -> tuple[int, bytes]:
        """What `send` sends for a request."""
        topic = _TOPICS.replica(self.user, FEED, Channel.REQUEST)
        return 0x30, _text(topic) + wire.encode(request, Format.CBOR)

    def collection(self) -> tuple[int, Collection]:
        """Base and collection of a device that holds all but the newest few changes."""
        begun = Request(v=1, id=os.urandom(8), view_id=1, inventory=(Range(entries=b""),))
        found = self.ask(begun).inventory
        assert found is not None
        held = TokenSet.span(1 - found.base, found.head - NEW_ITEMS)
        return found.base, Collection(
            lineage=found.lineage, epoch=found.epoch, asof=found.head, tokens=held.encode()
        )

    def sync(self, base: int, held: Collection) -> messages.Answer:
        """One sync, of what the collection lacks."""
        return self.ask(Request(v=1, id=os.urandom(8), view_id=1, base=base, collection=held))


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _split(body: bytes) -> tuple[str, bytes]:
    """Topic and payload of a PUBLISH with QoS 0."""
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end].decode(), body[end:]


def _packet(first_byte: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([first_byte, *length, size]) + body


def syncs(over: threading.Event, port: str, *accounts: str) -> Timed:
    """Each device syncs a few times a second."""
    timed: Timed = []

    def device(account: str) -> None:
        chance = Random(account)
        client = Client(int(port), *account.split(":"))
        client.listen()
        base, held = client.collection()
        while not over.wait(SYNCS_APART_S * (0.5 + chance.random())):
            began = time.monotonic()
            answer = client.sync(base, held)
            assert answer.delta is not None, answer.refused
            timed.append((began, time.monotonic() - began))

    _all([lambda account=account: device(account) for account in accounts])  # type: ignore[misc]
    return timed


def polls(over: threading.Event, port: str, token: str) -> Timed:
    """Somebody asks the API for the feeds."""
    timed: Timed = []
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_S)
    while not over.wait(0.02):
        began = time.monotonic()
        connection.request("GET", "/v1/feeds", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        timed.append((began, time.monotonic() - began))
    return timed


def flood(over: threading.Event, port: str, account: str) -> Timed:
    """A hostile device: requests that cost as much as can be, as fast as the broker takes them."""
    client = Client(int(port), *account.split(":"))
    client.listen()
    base, held = client.collection()
    worst = held.model_copy(update={"tokens": _dearest_set()})
    request = Request(v=1, id=bytes(8), view_id=1, base=base, collection=worst)
    packet = _packet(*client.packet_of(request))

    def drain() -> None:
        while not over.is_set():
            client.receive()

    threading.Thread(target=drain, daemon=True).start()
    timed: Timed = []
    while not over.is_set():
        began = time.monotonic()
        client.send_bytes(packet)
        timed.append((began, time.monotonic() - began))
    return timed


def _dearest_set() -> bytes:
    """As many ranges as a coded token set can have, far below all that is in the feed."""
    ranges = TokenSet.of(range(-300_000, -300_000 + 2 * 131_000, 2))
    coded = ranges.encode()
    assert 32_000 < len(coded) <= 32_768, len(coded)
    return coded


def guesses(over: threading.Event, port: str) -> Timed:
    """Wrong logins, many at once, each in another name; and again."""
    timed: Timed = []

    def guess(name: str) -> None:
        began = time.monotonic()
        assert not Client(int(port), name, "guess").is_in
        timed.append((began, time.monotonic() - began))

    while not over.is_set():
        names = [f"guess-{os.urandom(4).hex()}" for _ in range(GUESSES_AT_ONCE)]
        _all([lambda name=name: guess(name) for name in names])  # type: ignore[misc]
    return timed


def crowd(over: threading.Event, port: str, *accounts: str) -> Timed:
    """Devices that have synced and now hear pushes; each push counts."""
    timed: Timed = []
    for account in accounts:
        client = Client(int(port), *account.split(":"))
        client.listen()
        client.sync(*client.collection())
        threading.Thread(target=_hear, args=(client, timed), daemon=True).start()
    print("ready", flush=True)
    over.wait()
    return timed


def _hear(client: Client, timed: Timed) -> None:
    while True:
        client.receive()
        timed.append((time.monotonic(), 0.0))


def _all(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


KINDS: Final[Mapping[str, Callable[..., Timed]]] = {
    it.__name__: it for it in (syncs, polls, flood, guesses, crowd)
}


def main() -> None:
    """Work until standard input ends."""
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    print(json.dumps(KINDS[sys.argv[1]](over, *sys.argv[2:])))


def lines(text: str) -> Iterator[tuple[float, float]]:
    """What a client printed at its end."""
    yield from json.loads(text.splitlines()[-1])


if __name__ == "__main__":
    main()
