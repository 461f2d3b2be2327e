"""The MQTT broker inside the gateway, for one machine: its thread, its port and its self-test."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from gateway.access import Access
from gateway.broker_gate import ACCEPTED, LOGINS_AT_ONCE, NOT_AUTHORIZED, Gate
from gateway.broker_packets import END_SECONDS
from gateway.token_bucket import TokenBucket
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Topics

CONNECTIONS_MAX_DEFAULT: Final = 256
START_SECONDS_MAX: Final = 10.0
SELF_TEST_SECONDS_MAX: Final = 10.0
STOP_SECONDS_MAX: Final = 5.0
# Whoever is refused must not fill the log: beyond this it is only counted.
LOG_LINES_BURST: Final = 100
LOG_LINES_PER_S_MAX: Final = 1.0

# Below warnings amqtt logs the contents of messages, and its handler does in one warning.
_LOG_LEVELS: Final = {
    "amqtt": logging.WARNING,
    "amqtt.mqtt.protocol.handler": logging.ERROR,
    "transitions": logging.WARNING,
}

_log = logging.getLogger(__name__)


class BrokerError(ValueError):
    """The embedded broker cannot run so; the message says why and what to do."""


class EmbeddedBroker:
    """A broker for this machine, in a thread and an event loop of its own.

    Its users are ``gateway`` and the devices, each under its own name as the client id. It is for
    demos, tests and devices on the same machine; Mosquitto is for everything else.

    `authenticate` gets a user name and a password, in one of a few threads, and may block. What
    it raises refuses the login. `count` gets the name of what was refused or dropped, in the
    broker's thread: ``logins_refused``, ``publishes_refused``, ``subscriptions_refused``,
    ``deliveries_refused``, ``connects_malformed``, ``packets_too_big``, ``connections_refused``,
    ``connections_dropped``, ``pushes_dropped``, ``readings_slowed``.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        topics: Topics,
        authenticate: Callable[[str, str], bool],
        connections_max: int = CONNECTIONS_MAX_DEFAULT,
        count: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Make a broker that does not run yet; port 0 is any that is free.

        Raises:
            BrokerError: `host` can be reached from other machines.
        """
        self._host = _loopback(host)
        self._port = port
        self._access = Access(topics)
        self._authenticate = authenticate
        self._connections_max = connections_max
        self._count = count
        self._lines = TokenBucket(LOG_LINES_BURST, refill_per_s=LOG_LINES_PER_S_MAX, now=0)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate: Gate | None = None
        self._stopping: Future[None] = Future()
        self._proven = False

    @property
    def port(self) -> int:
        """Where it listens, once it has been started."""
        return self._port

    def start(self) -> None:
        """Listen, and prove that wrong logins are refused; then return.

        Raises:
            BrokerError: the port is taken, or a wrong login was let in; it does not run then.
        """
        assert self._thread is None  # noqa: S101 - our own caller starts it once
        for name, level in _LOG_LEVELS.items():
            logging.getLogger(name).setLevel(level)
        self._stopping = Future()
        self._proven = False
        listening: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(listening,), name="mqtt-broker", daemon=True
        )
        self._thread.start()
        try:
            self._port = listening.result(START_SECONDS_MAX)
            _self_test(self._host, self._port)
        except BaseException:
            self.stop()
            raise
        self._proven = True
        _log.info("the embedded broker listens on %s, port %d", self._host, self._port)

    def disconnect(self, user: str) -> None:
        """End the connection of a user whose account is gone; from any thread."""
        if self._loop is not None and self._gate is not None:
            self._loop.call_soon_threadsafe(self._gate.disconnect, user)

    def stop(self) -> None:
        """End all connections and the thread; nothing happens if it does not run."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set_result(None)
            thread.join(STOP_SECONDS_MAX)
            if thread.is_alive():
                _log.error("the embedded broker did not stop in %d s", STOP_SECONDS_MAX)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _note(self, event: str, detail: str = "", *, level: int = logging.DEBUG) -> None:
        if not self._proven:  # it is the wrong logins of the self-test
            return
        self._count(event)
        if level > logging.DEBUG and not self._lines.take(1, time.monotonic()):
            level = logging.DEBUG
        _log.log(level, "%s: %s", event, detail)

    def _run(self, listening: Future[int]) -> None:
        logins = ThreadPoolExecutor(LOGINS_AT_ONCE, thread_name_prefix="mqtt-login")
        try:
            # Never in asyncio's debug mode: it makes amqtt six times slower.
            asyncio.run(self._serve(listening, logins), debug=False)
        except BaseException as error:  # start() raises it
            if listening.done():
                _log.exception("the embedded broker failed")
            else:
                listening.set_exception(error)
        finally:
            logins.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, listening: Future[int], logins: ThreadPoolExecutor) -> None:
        gate = Gate(
            self._access,
            self._authenticate,
            connections_max=self._connections_max,
            note=self._note,
            logins=logins,
        )
        try:
            server = await asyncio.start_server(gate.connected, self._host, self._port)
        except OSError as error:
            raise BrokerError(
                f"the embedded broker cannot listen on {self._host}, port {self._port}:"
                f" {os.strerror(error.errno or 0)}. Stop the program that has the port, or choose"
                " another one"
            ) from error
        await gate.broker.start()
        self._loop, self._gate = asyncio.get_running_loop(), gate
        listening.set_result(server.sockets[0].getsockname()[1])
        await asyncio.wrap_future(self._stopping)
        self._loop = self._gate = None
        await gate.close()
        await gate.broker.shutdown()
        # Not before: asyncio leaks a connection that it is accepting when its server closes.
        server.close()
        await asyncio.sleep(END_SECONDS)  # transports close their sockets in a later turn


def _loopback(host: str) -> str:
    # Not resolved: where "localhost" is two addresses, a free port would be two ports.
    address = "127.0.0.1" if host == "localhost" else host
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(address).is_loopback:
            return address
    raise BrokerError(
        f"the embedded broker serves this machine only, so it does not listen on {host!a}: it"
        " has no TLS, and amqtt is no security boundary. Give it 127.0.0.1, or run Mosquitto for"
        " devices on a network"
    )


def _self_test(host: str, port: int) -> None:
    wrong = secrets.token_hex(8)  # short, so that the CONNECT needs one byte of length
    for user, password, what in (
        (GATEWAY, wrong, "the user 'gateway' with a wrong password"),
        (f"selftest-{wrong}", wrong, "a user that does not exist"),
        (GATEWAY, None, "the user 'gateway' without a password"),
        (None, None, "a client without user name and password"),
    ):
        try:
            code = _try_login(host, port, user, password)
        except OSError as error:
            raise BrokerError(
                f"the embedded broker does not answer its self-test: {error}"
            ) from error
        if code == ACCEPTED:
            raise BrokerError(
                f"the embedded broker lets in {what}, so it was stopped: the check of passwords"
                " that it was given accepts too much"
            )
        if code != NOT_AUTHORIZED:
            raise BrokerError(
                f"the embedded broker cannot prove that it refuses {what}, so it was stopped:"
                f" it answered {code}; see the log for the reason"
            )


def _try_login(host: str, port: int, user: str | None, password: str | None) -> int | None:
    # CONNECT, MQTT 3.1.1, 3.1: name and level of the protocol, flags, no keep-alive, the fields.
    flags = 0b10 | (user is not None) << 7 | (password is not None) << 6
    fields = [text.encode() for text in (user or GATEWAY, user, password) if text is not None]
    body = b"\0\4MQTT\4" + bytes((flags, 0, 0))
    body += b"".join(len(field).to_bytes(2, "big") + field for field in fields)
    with (
        socket.create_connection((host, port), SELF_TEST_SECONDS_MAX) as connection,
        connection.makefile("rb") as replies,
    ):
        connection.sendall(bytes((0x10, len(body))) + body)
        match tuple(replies.read(4)):
            case (0x20, 2, _, code):
                return code
            case _:
                return None
