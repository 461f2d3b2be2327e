"""Servers in front of a broker: one that ends TLS, and some that do not."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Self

from tests.eventually import PATIENCE_S


class _Server:
    """A thread for each connection, as long as the `with` lasts."""

    def __init__(self, serve: Callable[[socket.socket], None], *, port: int = 0) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.drop()
        for thread in self._threads[1:]:
            thread.join(PATIENCE_S)
        for connection in self._open:
            connection.close()

    def drop(self) -> None:
        """End all connections that are there."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._guarded, args=(connection,)))
                self._threads[-1].start()

    def _guarded(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                self._serve(connection)
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class TlsFront:
    """Takes connections with TLS, and hands on what is in them to a port."""

    def __init__(self, context: ssl.SSLContext, upstream: int) -> None:
        self.context = context  # of those that come from now on
        self.versions: list[str | None] = []
        self.bytes_came = 0
        self._upstream = upstream
        self._server = _Server(self._serve)
        self.port = self._server.port

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    def drop(self) -> None:
        """End all connections that are there."""
        self._server.drop()

    def _serve(self, connection: socket.socket) -> None:
        # The connection stays this server's, to be ended from another thread.
        with (
            self.context.wrap_socket(connection.dup(), server_side=True) as tls,
            socket.create_connection(("127.0.0.1", self._upstream)) as plain,
        ):
            self.versions.append(tls.version())
            while True:
                came = [tls] if tls.pending() else select.select([tls, plain], [], [])[0]
                for one in came:
                    data = one.recv(65_536)
                    if not data:
                        return
                    if one is tls:
                        self.bytes_came += len(data)
                    (plain if one is tls else tls).sendall(data)


@contextlib.contextmanager
def answering(data: bytes | None) -> Iterator[int]:
    """The port of a server that answers `data` and closes; None says nothing, and waits."""

    def serve(connection: socket.socket) -> None:
        first = connection.recv(4096)
        if first and data is None:
            while connection.recv(4096):
                pass
        connection.sendall(data or b"")

    with _Server(serve) as server:
        yield server.port
