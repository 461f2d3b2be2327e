"""Serves the HTTP API on loopback, from a thread and an event loop of its own."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

import uvicorn

_LOG: Final = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
CONNECTIONS_MAX: Final = 64
BACKLOG_CONNECTIONS_MAX: Final = 64
KEEP_ALIVE_S_MAX: Final = 10
START_S_MAX: Final = 10.0
# What requests that are being answered get when the server is to stop; then they are cut off.
DRAIN_S_MAX: Final = 5
STOP_S_MAX: Final = DRAIN_S_MAX + 5.0


class ApiServerError(Exception):
    """The API cannot be served; the message says why and how to mend it."""


class _Server(uvicorn.Server):
    """uvicorn, telling when it listens and leaving signals to the program."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise them again after its own shutdown, and end the process with it.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class ApiServer:
    """The API's address and its thread."""

    def __init__(self, make_app: Callable[[int], Callable[..., Any]], *, port: int) -> None:
        """Take the port; nothing is answered before `start`.

        Args:
            make_app: makes the application, given the port that it is reached at.
            port: to listen on, 0 for any that is free.

        Raises:
            ApiServerError: the port cannot be had.
        """
        self._socket = _bound(port)
        self.port: Final[int] = self._socket.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                make_app(self.port),  # its lifespan ends its threads
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS_MAX + 1,  # it counts the one that asks, too
                backlog=BACKLOG_CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_S_MAX,
                timeout_graceful_shutdown=DRAIN_S_MAX,
            )
        )
        self._thread = threading.Thread(target=self._run, name="http-api", daemon=True)

    @property
    def url(self) -> str:
        """Where it is reached, without a path."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Begin to answer. ApiServerError if that takes too long."""
        self._thread.start()
        if not self._server.listening.wait(START_S_MAX):
            self.stop()
            raise ApiServerError("the HTTP API did not start; the log says why")

    def stop(self) -> None:
        """Answer what was asked, then stop."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(STOP_S_MAX)
            if self._thread.is_alive():
                _LOG.error("the HTTP API did not stop in %d s", STOP_S_MAX)
        self._socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve([self._socket]))
        except BaseException:
            _LOG.exception("the HTTP API failed")


def _bound(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Not to wait for connections of the last run to be forgotten; a port in use is refused.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        # At once: without it, two servers could bind the same port.
        listener.listen(BACKLOG_CONNECTIONS_MAX)
    except OSError as error:
        listener.close()
        raise ApiServerError(
            f"the HTTP API cannot listen on {HOST}, port {port}: {os.strerror(error.errno or 0)}."
            " Stop the program that has the port, or choose another one: --api-port PORT, 0 for any"
            " that is free"
        ) from error
    return listener
