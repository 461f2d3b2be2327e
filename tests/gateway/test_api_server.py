"""The HTTP server: its port, its thread, and how it stops."""

import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from gateway.api_server import CONNECTIONS_MAX, ApiServer, ApiServerError

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


def make_app(_port: int, *, entered: threading.Event | None = None) -> App:
    """Answers with an empty body; `/slow` once the request's body is complete."""

    async def app(
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        if entered is not None:
            entered.set()
        if scope["path"] == "/error":
            raise ValueError("a bug")
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


@contextlib.contextmanager
def asked(server: ApiServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=10) as http:
        yield http


def test_answers_on_a_free_port_and_stops() -> None:
    with ApiServer(make_app, port=0) as server, asked(server) as http:
        assert server.port > 1024
        assert http.get("/").status_code == 204
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 10)
    # At once again, with connections of the last time still in TIME_WAIT.
    with ApiServer(make_app, port=server.port) as again, asked(again) as http:
        assert http.get("/").status_code == 204


def test_a_taken_port_is_named() -> None:
    with ApiServer(make_app, port=0) as server:
        with pytest.raises(ApiServerError, match=rf"127\.0\.0\.1, port {server.port}: .*in use"):
            ApiServer(make_app, port=server.port)
        with pytest.raises(ApiServerError, match="--api-port"):
            ApiServer(make_app, port=server.port)


def test_the_port_is_taken_before_it_is_served() -> None:
    server = ApiServer(make_app, port=0)
    try:
        with pytest.raises(ApiServerError):
            ApiServer(make_app, port=server.port)
    finally:
        server.stop()


def test_a_request_under_way_is_answered_before_the_stop() -> None:
    entered = threading.Event()
    server = ApiServer(lambda port: make_app(port, entered=entered), port=0)
    server.start()
    go_on = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"begin"
        assert go_on.wait(10)
        yield b"end"

    with ThreadPoolExecutor(2) as threads, asked(server) as http:
        answer = threads.submit(http.put, "/slow", content=body())
        assert entered.wait(10)
        stopped = threads.submit(server.stop)
        go_on.set()
        assert answer.result(10).status_code == 204
        stopped.result(10)


def test_an_error_of_ours_ends_one_request_only(caplog: pytest.LogCaptureFixture) -> None:
    with ApiServer(make_app, port=0) as server, asked(server) as http:
        assert http.get("/error").status_code == 500
        assert http.get("/").status_code == 204
    assert "a bug" in caplog.text


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02", b"\0" * 100_000, b"GET / HTTP/1.1\r\n"])
def test_noise_harms_nobody(sent: bytes) -> None:
    with ApiServer(make_app, port=0) as server, asked(server) as http:
        with socket.create_connection(("127.0.0.1", server.port), 10) as noise:
            with contextlib.suppress(OSError):  # it may be cut off while it still sends
                noise.sendall(sent)
            assert http.get("/").status_code == 204
        assert http.get("/").status_code == 204


def test_connections_are_bounded() -> None:
    with ApiServer(make_app, port=0) as server, contextlib.ExitStack() as idle:
        for count in range(1, CONNECTIONS_MAX + 1):
            idle.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            if count == CONNECTIONS_MAX - 1:
                with asked(server) as http:
                    assert http.get("/").status_code == 204
        with asked(server) as http:
            assert http.get("/").status_code == 503
        idle.close()
        # The server hears of it in its own time.
        with asked(server) as http:
            assert any(http.get("/").status_code == 204 for _ in range(1_000))
