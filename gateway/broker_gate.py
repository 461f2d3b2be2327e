"""The gate before amqtt: who connects, with what packets, and what amqtt may see of it.

amqtt 0.12 looks at a password after it has taken over the session, sends retained messages to
whoever connects, lets wills pass unchecked and hangs on an MQTT 5 CONNECT. So it never meets a
client that has not passed `Gate`, which reads the CONNECT packet, checks it, and hands the
connection over by amqtt's interface for external listeners.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from amqtt.adapters import BufferReader
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError
from amqtt.mqtt.connect import ConnectPacket
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from gateway.access import Access
from gateway.broker_packets import (
    PACKETS_BURST,
    PACKETS_PER_SECOND_MAX,
    Note,
    Reader,
    Writer,
)
from gateway.login_backoff import LoginBackoff, Source
from gateway.recent import Recent
from gateway.token_bucket import TokenBucket
from sync_protocol import limits
from sync_protocol.names import GATEWAY

TOPIC_BYTES_MAX: Final = 1 * limits.KIB
FILTERS_PER_CONNECTION_MAX: Final = 256
LOGINS_AT_ONCE: Final = 2
# Each connect of a user ends its last connection, and is told to all who hear its status.
CONNECTS_PER_MINUTE_MAX: Final = 60
USERS_MAX: Final = 10_000
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
_LISTENER: Final = "default"
_KEY_BYTES: Final = 32

_log = logging.getLogger(__name__)


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


class _Pace:
    """How fast one user may connect and send, over all its connections."""

    def __init__(self, now: float) -> None:
        self.connects = TokenBucket(
            CONNECTS_PER_MINUTE_MAX, refill_per_s=CONNECTS_PER_MINUTE_MAX / 60, now=now
        )
        self.packets = TokenBucket(PACKETS_BURST, refill_per_s=PACKETS_PER_SECOND_MAX, now=now)


class _RefusedError(Exception):
    """This client may not connect; the code is CONNACK's, the level the log's."""

    def __init__(self, code: int, reason: str, *, level: int = logging.WARNING) -> None:
        super().__init__(reason)
        self.code = code
        self.level = level


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
        self._login_places = asyncio.Semaphore(LOGINS_AT_ONCE)
        self._backoff = LoginBackoff(os.urandom(_KEY_BYTES))
        self._paces: Recent[str, _Pace] = Recent(USERS_MAX)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._names: dict[asyncio.Task[None], str] = {}  # from before the password is looked at
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
        """End each connection of `user`: its account is gone, or another.

        Also one that is not let in yet: its password may have been looked at before.
        """
        for task, name in self._names.items():
            if name == user:
                self._connections[task].transport.abort()

    def _disconnected(self, task: asyncio.Task[None]) -> None:
        writer = self._connections.pop(task)  # kept until it is closed, or it complains (3.13)
        self._names.pop(task, None)
        writer.transport.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection to the embedded broker broke", exc_info=error)

    async def _serve(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader = Reader(stream, writer.transport, self._note)
        connect = await _connect_of(await reader.packet())
        if connect is None:
            self._note("connects_malformed")
            return
        try:
            user = await self._user_of(connect, _address(writer))
            await self._take_place_of(user)
        except _RefusedError as refused:
            detail = f"{connect.username!a:.80}: {refused}"
            self._note("logins_refused", detail, level=refused.level)
            writer.write(bytes((0x20, 2, 0, refused.code)))
        else:
            await self._hand_over(user, connect, reader, writer)
        writer.close()
        with contextlib.suppress(OSError):  # TimeoutError is one, too
            await asyncio.wait_for(writer.wait_closed(), CLOSE_SECONDS_MAX)

    async def _hand_over(
        self, user: str, connect: ConnectPacket, reader: Reader, writer: asyncio.StreamWriter
    ) -> None:
        payload_bytes = limits.ANSWER_BYTES_MAX if user == GATEWAY else limits.REQUEST_BYTES_MAX
        try:
            reader.admit(
                connect,
                packet_bytes_max=payload_bytes + TOPIC_BYTES_MAX,
                pace=None if user == GATEWAY else self._pace_of(user).packets,
                waiting_messages=lambda: self.broker.waiting_messages(user),
            )
            await self.broker.external_connected(
                reader, Writer(user, writer, self._note), _LISTENER
            )
        finally:
            try:
                await self.broker.forget(user)
            finally:  # or the user could never connect again
                del self._online[user]

    def _pace_of(self, user: str) -> _Pace:
        now = asyncio.get_running_loop().time()
        return self._paces.get_or_make(user, lambda: _Pace(now))

    async def _user_of(self, connect: ConnectPacket, address: str) -> str:
        user, password = connect.username, connect.password
        if (connect.proto_name, connect.proto_level) != _MQTT_311:
            raise _RefusedError(_WRONG_PROTOCOL, "this broker speaks MQTT 3.1.1 only")
        if user is None or password is None:
            raise _RefusedError(NOT_AUTHORIZED, "user name or password missing")
        if not self.access.may_connect(user, client_id=connect.client_id or ""):
            raise _RefusedError(_WRONG_CLIENT_ID, "the client id must be the user name")
        if connect.will_flag and not self.access.may_publish(user, connect.will_topic or ""):
            raise _RefusedError(NOT_AUTHORIZED, "its will is for a topic that is not its own")
        now = asyncio.get_running_loop().time()
        pace = self._paces.get(user)
        if pace is not None and pace.connects.wait_s(1, now):
            raise _RefusedError(_UNAVAILABLE, "it connects too often", level=logging.DEBUG)
        this = asyncio.current_task()
        assert this is not None  # noqa: S101 - called in a task
        self._names[this] = user
        # Not many at once, and each looks at what the ones before came to.
        async with self._login_places:
            await self._check((address, user), password)
        if user != GATEWAY:
            self._pace_of(user).connects.spend(1, now)
        return user

    async def _check(self, source: Source, password: str) -> None:
        loop = asyncio.get_running_loop()
        _, user = source
        wait_s = self._backoff.wait_s(source, password, now=loop.time())
        # Nobody guesses the gateway's password, which is made anew at each start; and whoever
        # tries must not keep the gateway from its own broker until it has logged in once.
        if wait_s > 0 and user != GATEWAY:
            why = f"too many wrong passwords; the next is looked at in {wait_s:.0f} s"
            raise _RefusedError(NOT_AUTHORIZED, why, level=logging.DEBUG)
        try:
            # May take long, so not on the loop.
            right = await loop.run_in_executor(self._logins, self._authenticate, user, password)
        except Exception as error:
            _log.exception("the check of passwords failed")
            raise _RefusedError(_UNAVAILABLE, "the check of passwords failed") from error
        if not right:
            self._backoff.wrong(source, password, now=loop.time())
            raise _RefusedError(NOT_AUTHORIZED, "unknown user or wrong password")
        self._backoff.right(source, password)

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
        if self._connections[this].transport.is_closing():
            raise _RefusedError(NOT_AUTHORIZED, "it went, or was ended, while it was let in")
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


def _address(writer: asyncio.StreamWriter) -> str:
    """Of the peer, without its port."""
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if peer else ""
