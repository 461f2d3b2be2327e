"""The gate before amqtt: who connects, with what packets, and what amqtt may see of it.

amqtt 0.12 looks at a password after it has taken over the session, sends retained messages to
whoever connects, lets wills pass unchecked and hangs on an MQTT 5 CONNECT. So it never meets a
client that has not passed `Gate`, which reads the CONNECT packet, checks it, and hands the
connection over by amqtt's interface for external listeners.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from amqtt.adapters import BufferReader, ReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError
from amqtt.mqtt.connect import ConnectPacket
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from gateway.access import Access
from sync_protocol import limits
from sync_protocol.names import GATEWAY

CONNECT_BYTES_MAX: Final = 4 * limits.KIB
CONNECT_SECONDS_MAX: Final = 10.0
TOPIC_BYTES_MAX: Final = 1 * limits.KIB
FILTERS_PER_CONNECTION_MAX: Final = 256
# What waits for a slow subscriber: beyond it pushes are dropped, beyond twice it the connection.
UNSENT_BYTES_MAX: Final = 4 * limits.MIB
# What waits of one publisher; beyond it no more is read, and it is looked at again after a while.
UNSENT_MESSAGES_MAX: Final = 1_000
UNSENT_MESSAGES_SECONDS: Final = 0.01
END_SECONDS: Final = 0.01
LOGINS_AT_ONCE: Final = 2
TAKEOVER_SECONDS_MAX: Final = 2.0
CLOSE_SECONDS_MAX: Final = 1.0

# CONNACK return codes, MQTT 3.1.1 table 3.1, and that of a refused SUBSCRIBE (3.9.3).
ACCEPTED: Final = 0
_WRONG_PROTOCOL: Final = 1
_WRONG_CLIENT_ID: Final = 2
_UNAVAILABLE: Final = 3
NOT_AUTHORIZED: Final = 5
_FILTER_REFUSED: Final = 0x80
_MQTT_311: Final = ("MQTT", 4)
_QOS_MAX: Final = 2
# The fixed header of a packet, 2.2 and 3.3.1: its longest, and a PUBLISH with QoS 0 in its byte 1.
_HEADER_BYTES_MAX: Final = 5
_TYPE_AND_QOS: Final = 0b1111_0110
_PUBLISH_QOS_0: Final = 0b0011_0000
_DISCONNECT: Final = 14
_LISTENER: Final = "default"

_log = logging.getLogger(__name__)


class Note(Protocol):
    """How the gate tells what happened."""

    def __call__(self, event: str, detail: str = "", *, level: int = logging.DEBUG) -> None:
        """Count that `event` happened, and log `detail`."""


class _Reader(ReaderAdapter):
    """The packets of one connection: whole ones, of bounded size, none too late; then the end."""

    def __init__(self, stream: asyncio.StreamReader, note: Note) -> None:
        self._stream = stream
        self._note = note
        self._unread = memoryview(b"")
        self._packet_bytes_max = CONNECT_BYTES_MAX
        self._seconds_max: float | None = CONNECT_SECONDS_MAX
        self._waiting_messages: Callable[[], int] = lambda: 0
        self._user = ""

    def admit(
        self,
        connect: ConnectPacket,
        *,
        packet_bytes_max: int,
        waiting_messages: Callable[[], int],
    ) -> None:
        """From now on show amqtt the packets of this client, beginning with its CONNECT."""
        self._packet_bytes_max = packet_bytes_max
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
        try:
            async with asyncio.timeout(self._seconds_max):
                head = await self._stream.readexactly(2)
                while head[-1] & 0x80:  # the length goes on, MQTT 3.1.1, 2.2.3
                    if len(head) == _HEADER_BYTES_MAX:
                        return b""
                    head += await self._stream.readexactly(1)
                size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
                if size > self._packet_bytes_max:
                    detail = f"{self._user}, {size} bytes"
                    self._note("packets_too_big", detail, level=logging.WARNING)
                    return b""
                return head + await self._stream.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):  # TimeoutError is an OSError
            return b""

    async def read(self, n: int = -1) -> bytes:
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
        self._stream.feed_eof()


class _Writer(WriterAdapter):
    """The way to one client, which never makes the others wait."""

    def __init__(self, user: str, writer: asyncio.StreamWriter, note: Note) -> None:
        self._user = user
        self._writer = writer
        self._note = note

    def write(self, data: bytes) -> None:
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
        peer = self._writer.get_extra_info("peername")
        return (peer[0], peer[1]) if peer else None

    def get_ssl_info(self) -> None:
        return None

    async def close(self) -> None:
        self._writer.close()


class _Rules(BaseAuthPlugin, BaseTopicPlugin):
    """Where amqtt asks what is allowed."""

    @dataclass
    class Config:
        gate: "Gate"

    async def authenticate(self, *, session: Session) -> bool:  # noqa: ARG002 - amqtt's interface
        return True  # only the gate hands over connections, and it has asked

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        gate: Gate = self.config.gate
        if session is None or topic is None or action is None:
            return False
        return gate.allows(session, topic, action)


class _Broker(Broker):
    """amqtt, without what it does to its clients when many of them come and go.

    The methods with an underscore are amqtt's own, overridden because it iterates over its
    subscriptions while it awaits them: a SUBSCRIBE in between raises in the middle, and messages
    and connections are lost. `_Rules` guards the topics even where these are not called.
    """

    def __init__(self, gate: "Gate") -> None:
        super().__init__(
            BrokerConfig(
                listeners={_LISTENER: ListenerConfig(type=ListenerType.EXTERNAL, bind="gate")},
                plugins={f"{__name__}.{_Rules.__name__}": {"gate": gate}},
            )
        )
        self._gate = gate

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        topic_filter, qos = subscription
        granted: set[str] = session.attributes.setdefault("tallysync.granted", set())
        is_one_too_many = len(granted | {topic_filter}) > FILTERS_PER_CONNECTION_MAX
        if qos > _QOS_MAX or is_one_too_many:
            return _FILTER_REFUSED
        answer = await super().add_subscription(subscription, session)
        if answer != _FILTER_REFUSED:
            granted.add(topic_filter)
        return answer

    async def retain_message(
        self,
        source_session: Session | None,
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        if topic_name is not None and self._gate.access.may_retain(topic_name):
            await super().retain_message(source_session, topic_name, data, qos)

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        return self._gate.allows(session, topic, action)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        # amqtt calls this for every filter of everybody when a client connects (broker.py, "Publish
        # retained messages to a pre-existing session's subscriptions").
        if any(known is session for known, _ in self.subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    def waiting_messages(self, user: str) -> int:
        """How many messages that `user` published wait to be sent on."""
        session, _ = self.sessions.get(user, (None, None))
        return session.delivered_message_queue.qsize() if session else 0

    async def forget(self, user: str) -> None:
        """End the session of `user` with its connection.

        A session that outlives it would queue messages without bound, and amqtt, which looks for
        sessions to end once a second, can hit the next one of the same client.
        """
        await self._cleanup_session(user)


class _RefusedError(Exception):
    """This client may not connect; the code is CONNACK's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


async def _connect_of(packet: bytes) -> ConnectPacket | None:
    try:
        connect = await ConnectPacket.from_stream(BufferReader(packet))
    except (AMQTTError, CodecError, MQTTError, NoDataError):
        return None
    will_is_whole = connect.will_topic is not None and connect.will_qos <= _QOS_MAX
    if connect.reserved_flag or (connect.will_flag and not will_is_whole):
        return None
    return connect


class Gate:
    """Reads each CONNECT, and lets in who may come in: one connection for each user."""

    def __init__(
        self,
        access: Access,
        authenticate: Callable[[str, str], bool],
        *,
        connections_max: int,
        note: Note,
        logins: ThreadPoolExecutor,
    ) -> None:
        self.access = access
        self._rules = {
            Action.PUBLISH: (access.may_publish, "publishes_refused", logging.INFO),
            Action.SUBSCRIBE: (access.may_subscribe, "subscriptions_refused", logging.INFO),
            # The gateway's own status is one, each time: `Topics.all_statuses` matches it.
            Action.RECEIVE: (access.may_receive, "deliveries_refused", logging.DEBUG),
        }
        self.broker = _Broker(self)
        self._authenticate = authenticate
        self._connections_max = connections_max
        self._note = note
        self._logins = logins
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._online: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    def connected(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a new connection."""
        if self._closing or len(self._connections) >= self._connections_max:
            self._note("connections_refused", "too many", level=logging.WARNING)
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(stream, writer), name="mqtt-connection")
        self._connections[task] = writer
        task.add_done_callback(self._disconnected)

    def disconnect(self, user: str) -> None:
        """End the connection of `user`, if there is one: its account is gone."""
        if (task := self._online.get(user)) is not None:
            self._connections[task].transport.abort()

    def _disconnected(self, task: asyncio.Task[None]) -> None:
        writer = self._connections.pop(task)  # kept until it is closed, or it complains (3.13)
        writer.transport.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection to the embedded broker broke", exc_info=error)

    async def _serve(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader = _Reader(stream, self._note)
        connect = await _connect_of(await reader.packet())
        if connect is None:
            self._note("connects_malformed")
            return
        try:
            user = await self._user_of(connect)
            await self._take_place_of(user)
        except _RefusedError as refused:
            detail = f"{connect.username!a:.80}: {refused}"
            self._note("logins_refused", detail, level=logging.WARNING)
            writer.write(bytes((0x20, 2, 0, refused.code)))
        else:
            await self._hand_over(user, connect, reader, writer)
        writer.close()
        with contextlib.suppress(OSError):  # TimeoutError is one, too
            await asyncio.wait_for(writer.wait_closed(), CLOSE_SECONDS_MAX)

    async def _hand_over(
        self, user: str, connect: ConnectPacket, reader: _Reader, writer: asyncio.StreamWriter
    ) -> None:
        payload_bytes = limits.ANSWER_BYTES_MAX if user == GATEWAY else limits.REQUEST_BYTES_MAX
        try:
            reader.admit(
                connect,
                packet_bytes_max=payload_bytes + TOPIC_BYTES_MAX,
                waiting_messages=lambda: self.broker.waiting_messages(user),
            )
            await self.broker.external_connected(
                reader, _Writer(user, writer, self._note), _LISTENER
            )
        finally:
            await self.broker.forget(user)
            del self._online[user]

    async def _user_of(self, connect: ConnectPacket) -> str:
        user, password = connect.username, connect.password
        if (connect.proto_name, connect.proto_level) != _MQTT_311:
            raise _RefusedError(_WRONG_PROTOCOL, "this broker speaks MQTT 3.1.1 only")
        if user is None or password is None:
            raise _RefusedError(NOT_AUTHORIZED, "user name or password missing")
        if not self.access.may_connect(user, client_id=connect.client_id or ""):
            raise _RefusedError(_WRONG_CLIENT_ID, "the client id must be the user name")
        if connect.will_flag and not self.access.may_publish(user, connect.will_topic or ""):
            raise _RefusedError(NOT_AUTHORIZED, "its will is for a topic that is not its own")
        loop = asyncio.get_running_loop()
        try:
            # Slow on purpose, so neither on the loop nor many at once.
            right = await loop.run_in_executor(self._logins, self._authenticate, user, password)
        except Exception as error:
            _log.exception("the check of passwords failed")
            raise _RefusedError(_UNAVAILABLE, "the check of passwords failed") from error
        if not right:
            raise _RefusedError(NOT_AUTHORIZED, "unknown user or wrong password")
        return user

    async def _take_place_of(self, user: str) -> None:
        """End the connection that `user` has, if any (MQTT-3.1.4-2), and be the one it has."""
        this = asyncio.current_task()
        assert this is not None  # noqa: S101 - called in a task
        try:
            async with asyncio.timeout(TAKEOVER_SECONDS_MAX):
                while (other := self._online.get(user)) is not None:
                    self._connections[other].transport.abort()
                    await asyncio.wait({other})
        except TimeoutError:
            if (stuck := self._online.get(user)) is not None:
                stuck.cancel()
            raise _RefusedError(_UNAVAILABLE, "its last connection does not end") from None
        self._online[user] = this

    def allows(self, session: Session, topic: str, action: Action) -> bool:
        """Whether the user of `session` may do that with `topic`."""
        user = session.username or ""
        may, refusal, level = self._rules[action]
        allowed = may(user, topic)
        if not allowed:
            self._note(refusal, f"{user}, {topic!a:.200}", level=level)
        return allowed

    async def close(self) -> None:
        """End all connections, and return when they have."""
        self._closing = True
        for writer in self._connections.values():
            writer.close()
        if self._connections:
            _, pending = await asyncio.wait(self._connections, timeout=CLOSE_SECONDS_MAX)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
