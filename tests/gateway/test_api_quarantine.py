"""The quarantine and ``resync`` over the HTTP API and its client."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.api_errors import ApiError
from gateway.client import GatewayClient
from gateway.service import STORE_FILE
from tests.gateway.damage import WHY, flip_byte, hold_back_in, lose_content
from tests.gateway.kept import SLOW, begin_compact, fail_compact
from tests.gateway.serving import Served, refusal, serve
from tests.gateway.test_client import announce

CARD = b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ada\r\nEND:VCARD\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data_dir = tmp_path_factory.mktemp("gateway")
    with serve(data_dir) as served:
        announce(data_dir, served.port)
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[GatewayClient]:
    with GatewayClient(served.service.settings.data_dir) as client:
        yield client


@pytest.fixture
def feed(served: Served) -> Iterator[str]:
    feed = served.feed()
    for item_id in ("ada", "b/ob", "cyd"):
        served.put(feed, item_id, folder="Work")
    yield feed
    served.service.remove_feed(feed)


class TestQuarantine:
    def test_listed_with_the_reason(self, served: Served, client: GatewayClient, feed: str) -> None:
        assert served.ask("GET", f"/v1/feeds/{feed}/quarantine").json() == {"items": []}
        hold_back_in(served.service, feed, "cyd", why="breaks more")
        hold_back_in(served.service, feed, "b/ob")
        listed = served.ask("GET", f"/v1/feeds/{feed}/quarantine")
        assert listed.status_code == 200
        assert listed.json()["items"] == [
            {
                "id": "b/ob",
                "seq": 2,
                "kind": "contact",
                "folder": "Work",
                "why": WHY,
                "representation": None,
            },
            {
                "id": "cyd",
                "seq": 3,
                "kind": "contact",
                "folder": "Work",
                "why": "breaks more",
                "representation": None,
            },
        ]
        assert [it.model_dump() for it in client.quarantine(feed)] == listed.json()["items"]

    def test_let_out(self, served: Served, client: GatewayClient, feed: str) -> None:
        path = f"/v1/feeds/{feed}/quarantine/retry"
        hold_back_in(served.service, feed, "ada")
        hold_back_in(served.service, feed, "b/ob")
        response = served.ask("POST", path, params={"id": "b/ob"})
        assert response.status_code == 200
        assert response.json() == {"id": "b/ob", "status": "changed", "seq": 6, "error": None}
        assert client.retry(feed, "ada").seq == 7
        assert client.quarantine(feed) == ()
        again = served.ask("POST", path, params={"id": "b/ob"})
        assert refusal(again) == (400, "invalid")
        assert "gateway quarantine list" in again.json()["error"]["message"]

    def test_what_is_not_there(self, served: Served, client: GatewayClient, feed: str) -> None:
        assert refusal(served.ask("GET", "/v1/feeds/none/quarantine")) == (404, "no-such-feed")
        path = f"/v1/feeds/{feed}/quarantine"
        assert refusal(served.ask("GET", path, params={"id": "ada"})) == (400, "invalid")
        assert refusal(served.ask("POST", path)) == (405, "method")
        assert refusal(served.ask("POST", f"{path}/retry")) == (400, "invalid")
        assert refusal(served.ask("POST", f"{path}/retry?id=nobody")) == (400, "invalid")
        none = served.ask("POST", "/v1/feeds/none/quarantine/retry?id=ada")
        assert refusal(none) == (404, "no-such-feed")
        with pytest.raises(ApiError, match="feed name"):
            client.quarantine("a/b")
        with pytest.raises(ApiError, match="1 to 255"):
            client.retry(feed, "")

    def test_the_status_tells_how_many(self, served: Served, feed: str) -> None:
        def problems() -> list[str]:
            found = served.ask("GET", "/v1/status").json()["problems"]
            assert found[0] == "not started"  # this service has no broker
            return list(found[1:])

        assert problems() == []
        hold_back_in(served.service, feed, "ada")
        hold_back_in(served.service, feed, "cyd")
        (problem,) = problems()
        assert "2" in problem
        assert "'gateway quarantine list'" in problem
        served.service.retry(feed, "ada")
        served.put(feed, "cyd", b"new")
        assert problems() == []

    @pytest.mark.parametrize("break_item", [lose_content, flip_byte])
    def test_a_content_that_cannot_be_read(
        self, served: Served, feed: str, break_item: Callable[[Path, str], None]
    ) -> None:
        served.put(feed, f"only in {feed}", b"bytes")
        break_item(served.service.settings.data_dir / STORE_FILE, f"only in {feed}")
        response = served.ask("GET", f"/v1/feeds/{feed}/item", params={"id": f"only in {feed}"})
        assert refusal(response) == (500, "damaged")
        assert "put it again" in response.json()["error"]["message"]


class TestNotRendered:
    def test_listed_and_rendered_once_more(self, served: Served, client: GatewayClient) -> None:
        feed = served.feed()
        assert served.put(feed, "ada", CARD).status_code == 201
        begin_compact(served.service, feed)
        fail_compact(served.service, feed, "ada")
        (item,) = client.quarantine(feed)
        assert (item.id, item.why, item.representation) == ("ada", SLOW, "compact")
        assert client.retry(feed, "ada").seq == 2
        assert client.quarantine(feed) == ()
        with pytest.raises(ApiError) as caught:
            client.retry(feed, "ada")
        assert caught.value.reason == "invalid"

    def test_what_still_cannot_be(self, served: Served, client: GatewayClient) -> None:
        feed = served.feed()
        begin_compact(served.service, feed)
        assert served.put(feed, "bob", b"no card").status_code == 201
        (item,) = client.quarantine(feed)
        assert (item.seq, item.representation) == (1, "compact")
        with pytest.raises(ApiError) as caught:
            client.retry(feed, "bob")
        assert caught.value.reason == "invalid"
        assert str(caught.value) == (
            f"it stays in quarantine: item 'bob' cannot be rendered as compact ({item.why}): put it"
            " with another content"
        )
        # No device hears of that.
        assert client.attributes(feed, "bob").seq == 1
        assert served.put(feed, "bob", b"no card").json()["status"] == "unchanged"
        assert len(client.quarantine(feed)) == 1
        assert served.put(feed, "bob", CARD).status_code == 200
        assert client.quarantine(feed) == ()

    def test_one_that_is_held_back_from_all_as_well(
        self, served: Served, client: GatewayClient
    ) -> None:
        feed = served.feed()
        begin_compact(served.service, feed)
        served.put(feed, "bob", b"no card")
        hold_back_in(served.service, feed, "bob")
        held = client.quarantine(feed)
        assert [(it.id, it.representation) for it in held] == [("bob", None), ("bob", "compact")]
        # Those who want it as it is get it again.
        assert client.retry(feed, "bob").seq == 3
        assert [it.representation for it in client.quarantine(feed)] == ["compact"]


class TestResync:
    def test_a_device_that_is_not_there(self, served: Served, client: GatewayClient) -> None:
        assert refusal(served.ask("POST", "/v1/devices/nobody/resync")) == (404, "no-such-device")
        assert refusal(served.ask("GET", "/v1/devices/nobody/resync")) == (405, "method")
        with pytest.raises(ApiError, match="no device 'nobody'"):
            client.resync_device("nobody")

    def test_a_device_that_never_was_online(
        self, served: Served, client: GatewayClient, feed: str
    ) -> None:
        credential = served.service.devices.add("phone", [feed])
        assert served.ask("POST", "/v1/devices/phone/resync").status_code == 204
        client.resync_device("phone")
        assert served.service.devices.authenticate("phone", credential)
        assert served.service.devices.one("phone").replicas[0].synced_at is None
