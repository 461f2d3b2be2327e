"""The client of the HTTP API: how it finds the gateway, and what it makes of answers."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway import api_models as models
from gateway import client as client_module
from gateway.api_errors import ApiError, NoAnswerError, NoGatewayError
from gateway.client import GatewayClient
from gateway.data_dir import API_FILE
from gateway.device import Allowed
from tests.gateway.serving import TOKEN, Served, serve

ODD_ID = "a/../b?c#d%e+f g&h=\u20ac"


def announce(data_dir: Path, port: int, *, token: str = TOKEN) -> None:
    found = {
        "url": f"http://127.0.0.1:{port}",
        "token": token,
        "broker": {"host": "127.0.0.1", "port": 1},
        "pid": 1,
    }
    (data_dir / API_FILE).write_text(json.dumps(found))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def served(data_dir: Path) -> Iterator[Served]:
    with serve(data_dir) as served:
        announce(data_dir, served.port)
        yield served


@pytest.fixture
def client(served: Served, data_dir: Path) -> Iterator[GatewayClient]:
    assert served.port
    with GatewayClient(data_dir) as client:
        yield client


@pytest.fixture
def feed(served: Served) -> str:
    return served.feed()


class TestAsking:
    def test_feeds(self, client: GatewayClient) -> None:
        assert client.add_feed("asked").name == "asked"
        assert "asked" in [feed.name for feed in client.feeds()]
        with pytest.raises(ApiError, match="already") as caught:
            client.add_feed("asked")
        assert (caught.value.status, caught.value.reason) == (409, "exists")
        client.remove_feed("asked")
        with pytest.raises(ApiError, match="gateway feed add asked"):
            client.remove_feed("asked")

    def test_an_item(self, client: GatewayClient, feed: str) -> None:
        put = models.PutMutation(
            id=ODD_ID,
            content=b"\0\xff",
            media_type="text/plain",
            kind="note",
            folder="x/y",
            flags=("a", "b"),
            date=-1,
        )
        assert client.put(feed, put).status == "created"
        assert client.put(feed, put).status == "unchanged"
        content = client.content(feed, ODD_ID)
        assert (content.content, content.media_type) == (b"\0\xff", "text/plain")
        found = client.attributes(feed, ODD_ID)
        assert (found.id, found.kind, found.folder) == (ODD_ID, "note", "x/y")
        assert (found.flags, found.date, found.digest) == (("a", "b"), -1, content.digest)
        alteration = models.Alteration(flags=())
        assert client.alter(feed, ODD_ID, alteration).status == "changed"
        assert client.attributes(feed, ODD_ID).flags == ()
        assert client.delete(feed, ODD_ID).status == "changed"
        with pytest.raises(ApiError) as caught:
            client.delete(feed, ODD_ID)
        assert caught.value.reason == "no-such-item"

    def test_many_items_by_pages(self, client: GatewayClient, feed: str) -> None:
        puts = [
            models.PutMutation(id=f"{number:02}", content=b"", media_type="text/vcard")
            for number in range(10)
        ]
        results = client.bulk(feed, [*puts, models.DeleteMutation(id="00")])
        assert [result.status for result in results] == ["created"] * 10 + ["changed"]
        expected = [put.id for put in puts[1:]]
        assert [item.id for item in client.items(feed, page_items=3)] == expected
        assert [item.id for item in client.items(feed, after="07")] == ["08", "09"]

    def test_devices(self, client: GatewayClient, feed: str) -> None:
        enrolled = client.add_device("asking", [feed])
        assert enrolled.feeds == (feed,)
        assert [device.id for device in client.devices()] == ["asking"]
        assert client.device("asking").replicas[0].feed == feed
        assert client.device("asking").allowed == Allowed()
        client.limit_device("asking", Allowed(folders=("",), days_max=0))
        assert client.device("asking").allowed == Allowed(folders=("",), days_max=0)
        client.limit_device("asking", Allowed())
        assert client.device("asking").allowed == Allowed()
        rotated = client.rotate_device("asking")
        assert rotated.feeds == (feed,)
        assert rotated.credential != enrolled.credential
        assert client.remove_device("asking")
        with pytest.raises(ApiError, match="no device 'asking'"):
            client.limit_device("asking", Allowed())
        with pytest.raises(ApiError, match="no device 'asking'"):
            client.device("asking")

    def test_a_device_that_is_limited_from_the_start(
        self, client: GatewayClient, feed: str
    ) -> None:
        client.add_device("limited", [feed], allowed=Allowed(kinds=("mail",)))
        assert client.device("limited").allowed == Allowed(kinds=("mail",))
        client.remove_device("limited")

    def test_status(self, client: GatewayClient) -> None:
        assert client.status().health == "degraded"

    @pytest.mark.parametrize("name", ["", "..", "a/b", "a?b", "a#b", "\0", "gateway", "\udcff"])
    def test_names_that_cannot_be_are_not_asked_for(self, client: GatewayClient, name: str) -> None:
        for ask in (client.remove_feed, client.add_feed, client.device, client.remove_device):
            with pytest.raises(ApiError) as caught:
                ask(name)
            assert caught.value.reason == "invalid"

    @pytest.mark.parametrize("item_id", ["", "\0", "\udcff", "x" * 256])
    def test_ids_that_cannot_be(self, client: GatewayClient, feed: str, item_id: str) -> None:
        with pytest.raises(ApiError) as caught:
            client.delete(feed, item_id)
        assert caught.value.reason == "invalid"


class TestNoGateway:
    def test_nothing_announced(self, tmp_path: Path) -> None:
        with pytest.raises(NoGatewayError, match=f"gateway run --data {tmp_path}"):
            GatewayClient(tmp_path)

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"url": 5}', "\0"])
    def test_something_else_announced(self, tmp_path: Path, text: str) -> None:
        (tmp_path / API_FILE).write_text(text)
        with pytest.raises(NoGatewayError, match="not what a gateway writes"):
            GatewayClient(tmp_path)

    def test_announced_and_gone(self, tmp_path: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
        announce(tmp_path, port)
        with (
            GatewayClient(tmp_path) as client,
            pytest.raises(NoGatewayError, match=f"nothing answers at .*:{port}"),
        ):
            client.status()

    def test_a_token_of_another_start(self, served: Served, tmp_path: Path) -> None:
        announce(tmp_path, served.port, token="old")
        with GatewayClient(tmp_path) as client, pytest.raises(ApiError) as caught:
            client.feeds()
        assert caught.value.reason == "token"

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", NoGatewayError),
            (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", NoGatewayError),
            (b"HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\n\xff", NoGatewayError),
            (b"SSH-2.0-OpenSSH\r\n", NoAnswerError),
            (b"", NoAnswerError),
        ],
    )
    def test_something_else_answers(
        self, tmp_path: Path, answer: bytes, error: type[Exception]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            announce(tmp_path, listener.getsockname()[1])

            def serve_one() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

            thread = threading.Thread(target=serve_one)
            thread.start()
            with GatewayClient(tmp_path) as client, pytest.raises(error):
                client.feeds()
            thread.join(10)

    def test_no_answer_in_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_module, "ANSWER_S_MAX", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            announce(tmp_path, listener.getsockname()[1])
            with GatewayClient(tmp_path) as client, pytest.raises(NoAnswerError, match="within"):
                client.feeds()
