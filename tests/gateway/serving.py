"""A service and its HTTP API on a free port, for tests that need no broker."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.api import create_app
from gateway.api_server import ApiServer
from gateway.service import Service
from gateway.settings import load

TOKEN = "the token of this test"
SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Served:
    """What a test talks to. The service is not connected to any broker."""

    service: Service
    port: int
    http: httpx.Client

    def feed(self) -> str:
        """The name of a new feed."""
        name = f"feed{next(_NUMBERS)}"
        self.service.add_feed(name)
        return name

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - of httpx
        return self.http.request(method, path, **request)

    def put(
        self,
        feed: str,
        item_id: str,
        content: bytes = b"card",
        **query: str | int | list[str],
    ) -> httpx.Response:
        return self.ask(
            "PUT",
            f"/v1/feeds/{feed}/item",
            params={"id": item_id, **query},
            content=content,
            headers={"content-type": "text/vcard"},
        )


@contextlib.contextmanager
def serve(data_dir: Path) -> Iterator[Served]:
    settings = load(data_dir=data_dir)
    with contextlib.ExitStack() as stack:
        service = Service(settings, unix_time=time.time)
        stack.callback(service.close)
        server = stack.enter_context(
            ApiServer(lambda port: create_app(service, token=TOKEN, port=port), port=0)
        )
        http = stack.enter_context(
            httpx.Client(
                base_url=server.url,
                headers={"authorization": f"Bearer {TOKEN}"},
                trust_env=False,
                timeout=30,
            )
        )
        yield Served(service, server.port, http)


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and reason of an answer that must be an error in the documented form."""
    body: Mapping[str, Mapping[str, str]] = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"reason", "message"}
    assert body["error"]["message"]
    return response.status_code, body["error"]["reason"]
