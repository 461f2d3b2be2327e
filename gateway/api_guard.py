"""Who may ask the HTTP API: programs of this machine that have its token (docs/api.md)."""

import secrets
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api_values import RefusedError

HEALTH_PATH: Final = "/v1/health"
_HTTP_PORT: Final = 80


class Guard:
    """Refuses what does not come from a program of this machine that has the token."""

    def __init__(
        self, app: ASGIApp, *, token: str, port: int, refuse: Callable[[int, str, str], Response]
    ) -> None:
        """Stand before `app`.

        Args:
            app: what is guarded.
            token: what every request but that for the health must bring.
            port: that it is reached at, for the check of the Host header.
            refuse: makes the answer of status, reason and message.
        """
        self._app = app
        self._authorization = f"Bearer {token}".encode()
        loopback = ("127.0.0.1", "localhost", "[::1]")
        self._hosts = {f"{name}:{port}" for name in loopback}
        if port == _HTTP_PORT:
            self._hosts.update(loopback)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        if scope["type"] == "http":
            try:
                self._check(Headers(scope=scope), scope["path"])
            except RefusedError as refused:
                response = self._refuse(refused.status, refused.reason, str(refused))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, path: str) -> None:
        # A web page that had its name resolve to 127.0.0.1 would come with that name.
        if headers.get("host", "").lower() not in self._hosts:
            raise RefusedError(
                403, "host", f"the Host header must be one of {', '.join(sorted(self._hosts))}"
            )
        if "origin" in headers:
            raise RefusedError(403, "origin", "web pages have no access: send no Origin header")
        if path == HEALTH_PATH:
            return
        given = headers.get("authorization", "").encode("latin-1")
        if not secrets.compare_digest(given, self._authorization):
            raise RefusedError(
                401,
                "token",
                "send 'Authorization: Bearer TOKEN', with the token from api.json in the gateway's"
                " data directory; each start of the gateway makes a new one",
            )
