"""Items over the HTTP API: ids of all kinds, sizes, pages, bulk requests, writers at once."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cbor2
import httpx
import pytest

from gateway import api_models as models
from gateway.rows import Put
from sync_protocol import limits
from tests.gateway.serving import TOKEN, Served, refusal, serve

ODD_IDS = [
    "a/b",
    "..",
    "../../etc/passwd",
    "a?b=c&id=d",
    "a#b",
    "a+b c",
    "100%",
    "%2e%2e",
    "ü€😀",
    "'\"<>",
    "x" * limits.ITEM_ID_BYTES_MAX,
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture
def feed(served: Served) -> str:
    return served.feed()


class TestItem:
    @pytest.mark.parametrize("item_id", ODD_IDS)
    def test_every_id_comes_back(self, served: Served, feed: str, item_id: str) -> None:
        path = f"/v1/feeds/{feed}/item"
        content = bytes(range(256))
        put = served.put(feed, item_id, content)
        assert (put.status_code, put.json()["status"]) == (201, "created")
        read = served.ask("GET", path, params={"id": item_id})
        assert read.content == content
        assert read.headers["content-type"] == "text/vcard"
        assert read.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        attributes = served.ask("GET", f"{path}/attributes", params={"id": item_id}).json()
        assert attributes["id"] == item_id
        assert attributes["kind"] == "contact"
        (listed,) = served.ask("GET", f"/v1/feeds/{feed}/items").json()["items"]
        assert listed == attributes
        assert served.ask("DELETE", path, params={"id": item_id}).json()["status"] == "changed"
        assert refusal(served.ask("GET", path, params={"id": item_id})) == (404, "no-such-item")

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "id=",
            "id=%00",
            "id=a%0Ab",
            "id=%FF",
            "id=%ED%A0%80",
            "id=a&id=b",
            "id=a&ids=b",
            f"id={'x' * 256}",
            f"id={'%F0%9F%98%80' * 64}",
            "id=a&" + "flag=a&" * 50,
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    def test_bad_ids(self, served: Served, feed: str, method: str, query: str) -> None:
        response = served.ask(
            method,
            f"/v1/feeds/{feed}/item?{query}",
            content=b"{}",
            headers={"content-type": "application/json"},
        )
        assert refusal(response) == (400, "invalid")

    def test_put_sets_all(self, served: Served, feed: str) -> None:
        put = served.put(feed, "a", kind="note", folder="x/../y", flag=["b", "a"], date=-5)
        assert put.json() == {"id": "a", "status": "created", "seq": 1, "error": None}
        row = served.service.row(feed, "a")
        assert (row.kind, row.folder, row.flags, row.date) == ("note", "x/../y", ("a", "b"), -5)

    def test_the_same_again_changes_nothing(self, served: Served, feed: str) -> None:
        served.put(feed, "a")
        again = served.put(feed, "a")
        assert (again.status_code, again.json()["status"]) == (200, "unchanged")
        other = served.put(feed, "a", b"other")
        assert (other.status_code, other.json()["status"]) == (200, "changed")

    @pytest.mark.parametrize(
        ("media_type", "kind"),
        [
            ("text/vcard; charset=utf-8", "contact"),
            ("Text/Calendar", "event"),
            ("message/rfc822", "mail"),
        ],
    )
    def test_kind_from_the_media_type(
        self, served: Served, feed: str, media_type: str, kind: str
    ) -> None:
        response = served.ask(
            "PUT",
            f"/v1/feeds/{feed}/item?id=a",
            content=b"",
            headers={"content-type": media_type},
        )
        assert response.status_code == 201
        row = served.service.row(feed, "a")
        assert (row.kind, row.media_type) == (kind, media_type.partition(";")[0].lower())

    @pytest.mark.parametrize(
        ("media_type", "expected"),
        [
            (None, (415, "media-type")),
            ("", (415, "media-type")),
            ("application/x-www-form-urlencoded", (415, "media-type")),
            ("text/plain", (400, "invalid")),  # of which kind?
        ],
    )
    def test_no_media_type(
        self, served: Served, feed: str, media_type: str | None, expected: tuple[int, str]
    ) -> None:
        headers = {} if media_type is None else {"content-type": media_type}
        response = served.ask("PUT", f"/v1/feeds/{feed}/item?id=a", content=b"x", headers=headers)
        assert refusal(response) == expected

    @pytest.mark.parametrize("media_type", ["text", "a b/c", "text/" + "x" * 100, "*/*/*", "/"])
    def test_wrong_media_type(self, served: Served, feed: str, media_type: str) -> None:
        response = served.ask(
            "PUT",
            f"/v1/feeds/{feed}/item?id=a&kind=note",
            content=b"x",
            headers={"content-type": media_type},
        )
        assert refusal(response) == (415, "media-type")

    @pytest.mark.parametrize(
        "query",
        [
            "kind=A",
            "kind=",
            "folder=%00",
            f"folder={'x' * 256}",
            "flag=a%20b",
            "flag=",
            "&".join(f"flag=f{n}" for n in range(33)),
            "date=x",
            "date=NaN",
            "date=9007199254740992",
        ],
    )
    def test_wrong_attributes(self, served: Served, feed: str, query: str) -> None:
        response = served.ask(
            "PUT",
            f"/v1/feeds/{feed}/item?id=a&{query}",
            content=b"x",
            headers={"content-type": "text/vcard"},
        )
        assert refusal(response) == (400, "invalid")
        assert not served.service.items(feed, after=None, limit=1)

    def test_altered(self, served: Served, feed: str) -> None:
        served.put(feed, "a", folder="in", flag=["seen"])
        path = f"/v1/feeds/{feed}/item?id=a"
        assert served.ask("PATCH", path, json={"folder": "out"}).json()["status"] == "changed"
        assert served.ask("PATCH", path, json={"flags": []}).json()["status"] == "changed"
        assert served.ask("PATCH", path, json={}).json()["status"] == "unchanged"
        row = served.service.row(feed, "a")
        assert (row.folder, row.flags) == ("out", ())
        for wrong in ({"folder": "\0"}, {"flags": ["a b"]}, {"flags": "a"}, {"kind": "note"}):
            assert refusal(served.ask("PATCH", path, json=wrong)) == (400, "invalid")

    def test_nothing_there(self, served: Served, feed: str) -> None:
        for method in ("GET", "DELETE"):
            response = served.ask(method, f"/v1/feeds/{feed}/item?id=none")
            assert refusal(response) == (404, "no-such-item")
        response = served.ask("PATCH", f"/v1/feeds/{feed}/item?id=none", json={"folder": "x"})
        assert refusal(response) == (404, "no-such-item")
        assert refusal(served.put("nofeed", "a")) == (404, "no-such-feed")
        assert refusal(served.ask("GET", "/v1/feeds/nofeed/items")) == (404, "no-such-feed")


def test_answers_do_not_wait_for_acknowledgements(served: Served, feed: str) -> None:
    served.put(feed, "a")
    began = time.monotonic()
    for _ in range(100):
        served.ask("GET", f"/v1/feeds/{feed}/item?id=a")
    # Without TCP_NODELAY each would take 40 ms at least, whatever the machine.
    assert time.monotonic() - began < 3.0


class TestSize:
    def test_the_largest_item(self, served: Served, feed: str) -> None:
        content = b"x" * limits.CONTENT_BYTES_MAX
        assert served.put(feed, "large", content).status_code == 201
        read = served.ask("GET", f"/v1/feeds/{feed}/item?id=large")
        assert read.content == content

    def test_one_byte_more_in_pieces(self, served: Served, feed: str) -> None:
        piece = bytes(limits.MIB)
        pieces = [piece] * (limits.CONTENT_BYTES_MAX // len(piece)) + [b"x"]
        response = served.ask(
            "PUT",
            f"/v1/feeds/{feed}/item?id=a",
            content=iter(pieces),
            headers={"content-type": "text/vcard"},
        )
        assert refusal(response) == (413, "too-large")
        assert not served.service.items(feed, after=None, limit=1)

    @pytest.mark.parametrize(
        ("method", "path", "media_type", "bytes_max"),
        [
            ("PUT", "/v1/feeds/{}/item?id=a", "text/vcard", limits.CONTENT_BYTES_MAX),
            ("POST", "/v1/feeds/{}/items", "application/cbor", models.BULK_BYTES_MAX),
            ("POST", "/v1/feeds", "application/json", models.JSON_BYTES_MAX),
        ],
    )
    def test_refused_by_its_length_before_it_is_read(
        self, served: Served, feed: str, *, method: str, path: str, media_type: str, bytes_max: int
    ) -> None:
        head = (
            f"{method} {path.format(feed)} HTTP/1.1\r\nHost: localhost:{served.port}\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Type: {media_type}\r\n"
            f"Content-Length: {bytes_max + 1}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", served.port), 10) as connection:
            connection.sendall(head.encode())
            with connection.makefile("rb") as answer:
                # Read to the end: the connection is closed, so that the body is not taken for
                # another request.
                assert answer.read().startswith(b"HTTP/1.1 413 ")

    def test_a_client_that_goes_away_harms_nobody(self, served: Served, feed: str) -> None:
        head = (
            f"PUT /v1/feeds/{feed}/item?id=a HTTP/1.1\r\nHost: localhost:{served.port}\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Type: text/vcard\r\n"
            "Content-Length: 100\r\n\r\nhalf"
        )
        with socket.create_connection(("127.0.0.1", served.port), 10) as connection:
            connection.sendall(head.encode())
        assert served.put(feed, "b").status_code == 201
        assert [row.id for row in served.service.items(feed, after=None, limit=9)] == ["b"]


class TestList:
    def test_pages(self, served: Served, feed: str) -> None:
        ids = sorted(["..", "/", "é", "日本", *(f"{n:03}" for n in range(21))])
        puts = [Put(item_id, item_id.encode(), "note", "text/plain") for item_id in ids]
        served.service.apply_many(feed, puts)
        found: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = served.ask("GET", f"/v1/feeds/{feed}/items", params={"limit": 5, **after}).json()
            assert len(page["items"]) <= 5
            found += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert found == ids

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=1001", "limit=x", "after=%00", "page=2", "limit=1&limit=2"]
    )
    def test_bad_pages(self, served: Served, feed: str, query: str) -> None:
        response = served.ask("GET", f"/v1/feeds/{feed}/items?{query}")
        assert refusal(response) == (400, "invalid")


class TestBulk:
    @staticmethod
    def bulk(served: Served, feed: str, body: object) -> httpx.Response:
        content = body if isinstance(body, bytes) else cbor2.dumps(body)
        return served.ask(
            "POST",
            f"/v1/feeds/{feed}/items",
            content=content,
            headers={"content-type": models.CBOR},
        )

    def test_errors_in_the_middle_leave_the_others_alone(self, served: Served, feed: str) -> None:
        card = {"op": "put", "content": b"card", "media_type": "text/vcard"}
        mutations: list[Any] = [
            {**card, "id": "a"},
            {**card, "id": "bad\0"},
            {**card, "id": "b", "media_type": "text/plain"},
            {**card, "id": "c", "flags": ["x y"]},
            {"op": "delete", "id": "none"},
            {"op": "alter", "id": "a", "folder": "f"},
            {"op": "explode", "id": "a"},
            {"id": "a"},
            {**card, "id": "x", "content": 5},
            {**card, "id": 7},
            17,
            None,
            {**card, "id": "a", "folder": "f"},
            {"op": "delete", "id": "a"},
            {**card, "id": "z/../#+"},
        ]
        response = self.bulk(served, feed, mutations)
        assert response.status_code == 200
        results = response.json()["results"]
        assert [(result["id"], result["status"]) for result in results] == [
            ("a", "created"),
            (None, "failed"),
            ("b", "failed"),
            ("c", "failed"),
            ("none", "failed"),
            ("a", "changed"),
            ("a", "failed"),
            ("a", "failed"),
            ("x", "failed"),
            (None, "failed"),
            (None, "failed"),
            (None, "failed"),
            ("a", "unchanged"),
            ("a", "changed"),
            ("z/../#+", "created"),
        ]
        assert results[4]["error"]["reason"] == "no-such-item"
        assert all(
            (result["error"] is None) == (result["status"] != "failed") for result in results
        )
        assert [row.id for row in served.service.items(feed, after=None, limit=9)] == ["z/../#+"]

    @pytest.mark.parametrize(
        "body", [b"", b"\xff", b"\x9f\x01", b"\x81" * 100, b"\x9b" + b"\xff" * 8, b"{}"]
    )
    def test_broken_cbor(self, served: Served, feed: str, body: bytes) -> None:
        assert refusal(self.bulk(served, feed, body)) == (400, "unreadable")

    @pytest.mark.parametrize("body", [{}, 5, "text", None, [None] * 1001])
    def test_no_list(self, served: Served, feed: str, body: object) -> None:
        assert refusal(self.bulk(served, feed, body)) == (400, "invalid")

    def test_empty_and_of_no_feed(self, served: Served, feed: str) -> None:
        assert self.bulk(served, feed, []).json() == {"results": []}
        assert refusal(self.bulk(served, "nofeed", [])) == (404, "no-such-feed")

    def test_cbor_only(self, served: Served, feed: str) -> None:
        response = served.ask("POST", f"/v1/feeds/{feed}/items", json=[])
        assert refusal(response) == (415, "media-type")

    def test_writers_at_once_lose_nothing(self, served: Served, feed: str) -> None:
        start = threading.Barrier(8)

        def write(writer: int) -> list[int]:
            start.wait()
            seqs = []
            for number in range(5):
                own = [
                    {"op": "put", "id": f"{writer}-{number}-{n}", "content": b"x"}
                    | {"media_type": "text/vcard"}
                    for n in range(10)
                ]
                shared = {**own[0], "id": "shared", "content": f"{writer} {number}".encode()}
                results = self.bulk(served, feed, [*own, shared]).json()["results"]
                seqs += [result["seq"] for result in results]
            return seqs

        with ThreadPoolExecutor(8) as threads:
            seqs = [seq for found in threads.map(write, range(8)) for seq in found]
        # One seq each, and no gap: every change was a change of its own.
        assert sorted(seqs) == list(range(1, 8 * 5 * 11 + 1))
        (info,) = [info for info in served.service.feeds() if info.name == feed]
        assert (info.items, info.head) == (8 * 5 * 10 + 1, 8 * 5 * 11)
