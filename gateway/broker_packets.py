"""The packets of one connection, as amqtt may see them: whole, bounded, and not too many."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.mqtt.connect import ConnectPacket

from gateway.token_bucket import TokenBucket
from sync_protocol import limits

CONNECT_BYTES_MAX: Final = 4 * limits.KIB
CONNECT_SECONDS_MAX: Final = 10.0
# What waits for a slow subscriber: beyond it pushes are dropped, beyond twice it the connection.
UNSENT_BYTES_MAX: Final = 4 * limits.MIB
# What waits of one publisher; beyond it no more is read, and it is looked at again after a while.
UNSENT_MESSAGES_MAX: Final = 1_000
UNSENT_MESSAGES_SECONDS: Final = 0.01
END_SECONDS: Final = 0.01
# How fast a device is read, over all its connections: beyond it its own socket fills up. A message
# counts as one, and one more for each KiB; amqtt as a whole does some thousands a second.
PACKETS_PER_SECOND_MAX: Final = 200
PACKETS_BURST: Final = 1_000
PACE_SECONDS: Final = 0.05  # whoever waits looks so often whether the connection still is there
_MESSAGE_BYTES: Final = 1 * limits.KIB
# All other packets are short but those with filters, of which each is work.
CONTROL_BYTES_MAX: Final = 16 * limits.KIB
_FILTER_BYTES: Final = 32

# The fixed header of a packet, 2.2 and 3.3.1: its longest, and a PUBLISH with QoS 0 in its byte 1.
_HEADER_BYTES_MAX: Final = 5
_TYPE_AND_QOS: Final = 0b1111_0110
_PUBLISH_QOS_0: Final = 0b0011_0000
_PUBLISH: Final = 3
_DISCONNECT: Final = 14


class Note(Protocol):
    """How the broker tells what happened."""

    def __call__(self, event: str, detail: str = "", *, level: int = logging.DEBUG) -> None:
        """Count that `event` happened, and log `detail`."""


class Reader(ReaderAdapter):
    """The packets of one connection: whole ones, of bounded size, none too late; then the end."""

    def __init__(
        self, stream: asyncio.StreamReader, transport: asyncio.BaseTransport, note: Note
    ) -> None:
        self._stream = stream
        self._transport = transport
        self._note = note
        self._unread = memoryview(b"")
        self._packet_bytes_max = CONNECT_BYTES_MAX
        self._seconds_max: float | None = CONNECT_SECONDS_MAX
        self._waiting_messages: Callable[[], int] = lambda: 0
        self._pace: TokenBucket | None = None
        self._user = ""

    def admit(
        self,
        connect: ConnectPacket,
        *,
        packet_bytes_max: int,
        pace: TokenBucket | None,
        waiting_messages: Callable[[], int],
    ) -> None:
        """From now on show amqtt the packets of this client, beginning with its CONNECT.

        `pace` bounds how fast they are read, by the clock of the event loop.
        """
        self._packet_bytes_max = packet_bytes_max
        self._pace = pace
        self._waiting_messages = waiting_messages
        self._user = connect.username or ""
        # MQTT 3.1.1, 3.1.2.10: silent for one and a half times the keep-alive is gone. amqtt
        # does not enforce it, so the will of a dead client would never be sent.
        self._seconds_max = 1.5 * connect.keep_alive or None
        connect.keep_alive = 0
        connect.password_flag = False  # amqtt would keep the password with the session
        self._unread = memoryview(connect.to_bytes())

    async def packet(self) -> bytes:
        """The next packet; empty at the end, which a packet too big or too late is, too."""
        while self._waiting_messages() > UNSENT_MESSAGES_MAX:  # noqa: ASYNC110 - a queue of amqtt's
            await asyncio.sleep(UNSENT_MESSAGES_SECONDS)
        await self._keep_pace()
        try:
            async with asyncio.timeout(self._seconds_max):
                head = await self._stream.readexactly(2)
                while head[-1] & 0x80:  # the length goes on, MQTT 3.1.1, 2.2.3
                    if len(head) == _HEADER_BYTES_MAX:
                        return b""
                    head += await self._stream.readexactly(1)
                size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
                is_message = head[0] >> 4 == _PUBLISH
                bytes_max = self._packet_bytes_max
                if size > (bytes_max if is_message else min(bytes_max, CONTROL_BYTES_MAX)):
                    detail = f"{self._user}, {size} bytes"
                    self._note("packets_too_big", detail, level=logging.WARNING)
                    return b""
                packet = head + await self._stream.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):  # TimeoutError is an OSError
            return b""
        if self._pace is not None:
            count = 1 + size // (_MESSAGE_BYTES if is_message else _FILTER_BYTES)
            self._pace.spend(count, asyncio.get_running_loop().time())
        return packet

    async def _keep_pace(self) -> None:
        """Let the client wait that sent too much, and nobody else, as long as it is there."""
        now = asyncio.get_running_loop().time
        if self._pace is None or not self._pace.owes(now()):
            return
        self._note("readings_slowed", self._user)
        while (  # noqa: ASYNC110 - of no event
            wait_s := self._pace.wait_s(0, now())
        ) and not self._transport.is_closing():
            await asyncio.sleep(min(wait_s, PACE_SECONDS))

    async def read(self, n: int = -1) -> bytes:
        """What amqtt asks for: up to `n` bytes of the packet it is at, none at the end."""
        if n and not self._unread:
            packet = await self.packet()
            if not packet or packet[0] >> 4 == _DISCONNECT:
                # amqtt forgets at once what it has not done yet, and misses an end that comes
                # before it is ready for one: then there is a will too many, or none.
                await asyncio.sleep(END_SECONDS)
                while self._waiting_messages():  # noqa: ASYNC110 - a queue of amqtt's
                    await asyncio.sleep(END_SECONDS)
            self._unread = memoryview(packet)
        data = bytes(self._unread[:n])
        self._unread = self._unread[n:]
        return data

    def feed_eof(self) -> None:
        """End it."""
        self._stream.feed_eof()


class Writer(WriterAdapter):
    """The way to one client, which never makes the others wait."""

    def __init__(self, user: str, writer: asyncio.StreamWriter, note: Note) -> None:
        self._user = user
        self._writer = writer
        self._note = note

    def write(self, data: bytes) -> None:
        """Send a packet, if the client is not too slow for it."""
        unsent_bytes = self._writer.transport.get_write_buffer_size() + len(data)
        if unsent_bytes > UNSENT_BYTES_MAX and data[0] & _TYPE_AND_QOS == _PUBLISH_QOS_0:
            self._note("pushes_dropped")
        elif unsent_bytes > 2 * UNSENT_BYTES_MAX:
            self._note("connections_dropped", f"{self._user} is slow", level=logging.WARNING)
            self._writer.transport.abort()
        elif not self._writer.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        """Nothing: `write` bounds what waits, and amqtt would pile up tasks that wait here."""

    def get_peer_info(self) -> tuple[str, int] | None:
        """Address and port of the client."""
        peer = self._writer.get_extra_info("peername")
        return (peer[0], peer[1]) if peer else None

    def get_ssl_info(self) -> None:
        """None: there is no TLS."""
        return

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
