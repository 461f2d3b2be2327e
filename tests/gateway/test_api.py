"""The HTTP API, asked by clients that mean well and others that do not."""

import errno
from collections.abc import Iterator

import httpx
import pytest

from gateway import api_models as models
from gateway.feed import StorageError
from gateway.service import Service
from gateway.state_file import SqliteStore
from gateway.writer import WriterClosedError
from sync_protocol.credential import Credential
from sync_protocol.views import ShownAs, View
from tests.gateway.kept import begin_compact, synced
from tests.gateway.recorded_accounts import Recorded
from tests.gateway.serving import TOKEN, Served, refusal, serve

EVERYTHING = {"kinds": None, "folders": None, "days_max": None, "item_bytes_max": None}
LIMITS = {"kinds": ["contact"], "folders": ["", "Work"], "days_max": 30, "item_bytes_max": 1024}
DAY_S = 86_400


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture
def feed(served: Served) -> str:
    return served.feed()


class TestGuard:
    def test_health_needs_no_token_and_says_little(self, served: Served) -> None:
        response = httpx.get(f"http://127.0.0.1:{served.port}/v1/health", trust_env=False)
        # This service has no broker.
        assert (response.status_code, response.json()) == (200, {"health": "degraded"})

    @pytest.mark.parametrize(
        "authorization",
        ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"],
    )
    @pytest.mark.parametrize("path", ["/v1/status", "/v1/feeds", "/v1/nothing", "/"])
    def test_all_else_needs_the_token(self, served: Served, path: str, authorization: str) -> None:
        response = served.ask("GET", path, headers={"authorization": authorization})
        assert refusal(response) == (401, "token")
        assert response.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("path", ["/v1/health", "/v1/feeds"])
    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "evil:{port}"])
    def test_foreign_host(self, served: Served, host: str, path: str) -> None:
        response = served.ask("GET", path, headers={"host": host.format(port=served.port)})
        assert refusal(response) == (403, "host")

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "[::1]"])
    def test_names_of_this_machine(self, served: Served, host: str) -> None:
        headers = {"host": f"{host}:{served.port}"}
        assert served.ask("GET", "/v1/feeds", headers=headers).is_success

    @pytest.mark.parametrize("origin", ["null", "http://127.0.0.1", "https://evil.example"])
    def test_web_pages_are_refused(self, served: Served, origin: str) -> None:
        response = served.ask("GET", "/v1/health", headers={"origin": origin})
        assert refusal(response) == (403, "origin")

    def test_refusals_are_counted(self, served: Served) -> None:
        name = "api refusals: origin"
        before = served.service.counters.read().get(name, 0)
        served.ask("GET", "/v1/health", headers={"origin": "null"})
        assert served.service.counters.read()[name] == before + 1

    def test_unknown_paths_and_methods(self, served: Served) -> None:
        assert refusal(served.ask("GET", "/v1/nothing")) == (404, "no-such-path")
        assert refusal(served.ask("PUT", "/v1/feeds")) == (405, "method")


class TestFeeds:
    def test_made_listed_removed(self, served: Served) -> None:
        made = served.ask("POST", "/v1/feeds", json={"name": "made"})
        assert (made.status_code, made.json()) == (201, {"name": "made", "items": 0, "head": 0})
        served.put("made", "one")
        listed = served.ask("GET", "/v1/feeds").json()["feeds"]
        assert {"name": "made", "items": 1, "head": 1} in listed
        assert served.ask("DELETE", "/v1/feeds/made").status_code == 204
        assert refusal(served.ask("DELETE", "/v1/feeds/made")) == (404, "no-such-feed")

    def test_twice(self, served: Served, feed: str) -> None:
        assert refusal(served.ask("POST", "/v1/feeds", json={"name": feed})) == (409, "exists")

    @pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "..", "a\0", "gateway", "ü", "x" * 65])
    def test_bad_names(self, served: Served, name: str) -> None:
        response = served.ask("POST", "/v1/feeds", json={"name": name})
        assert refusal(response) == (400, "invalid")
        assert "'name'" in response.json()["error"]["message"]

    @pytest.mark.parametrize("name", ["a%00b", "%2e%2e", "%ff", "a%23", "a+b", "x" * 300])
    def test_bad_names_in_a_path(self, served: Served, name: str) -> None:
        assert refusal(served.ask("GET", f"/v1/feeds/{name}/items")) == (400, "invalid")

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b'{"name": 1}', b"{}", b'{"name": "a", "b": 1}', b"\xff", b"null"],
    )
    def test_bad_bodies(self, served: Served, body: bytes) -> None:
        response = served.ask(
            "POST", "/v1/feeds", content=body, headers={"content-type": "application/json"}
        )
        assert refusal(response) == (400, "invalid")

    def test_bodies_are_json_and_small(self, served: Served) -> None:
        assert refusal(served.ask("POST", "/v1/feeds", content=b"{}")) == (415, "media-type")
        response = served.ask("POST", "/v1/feeds", json={"name": "x" * models.JSON_BYTES_MAX})
        assert refusal(response) == (413, "too-large")


class TestDevices:
    def test_enrolled_listed_shown_removed(self, served: Served, feed: str) -> None:
        made = served.ask("POST", "/v1/devices", json={"id": "phone", "feeds": [feed, feed]})
        assert made.status_code == 201
        assert made.headers["cache-control"] == "no-store"
        assert made.json()["feeds"] == [feed]
        assert served.service.devices.authenticate("phone", made.json()["credential"])
        shown = served.ask("GET", "/v1/devices/phone").json()
        assert shown == {
            "id": "phone",
            "online": False,
            "replicas": [{"feed": feed, "synced_at": None, "behind": None, "view": None}],
            "allowed": EVERYTHING,
            "warning": None,
        }
        assert shown in served.ask("GET", "/v1/devices").json()["devices"]
        again = served.ask("POST", "/v1/devices", json={"id": "phone", "feeds": [feed]})
        assert refusal(again) == (409, "exists")
        assert served.ask("DELETE", "/v1/devices/phone").status_code == 204
        assert not served.service.devices.authenticate("phone", made.json()["credential"])
        for method in ("GET", "DELETE"):
            response = served.ask(method, "/v1/devices/phone")
            assert refusal(response) == (404, "no-such-device")

    @pytest.mark.parametrize(
        "body",
        [
            {"id": "a/b", "feeds": ["f"]},
            {"id": "gateway", "feeds": ["f"]},
            {"id": "a\0", "feeds": ["f"]},
            {"id": "a", "feeds": []},
            {"id": "a", "feeds": ["#"]},
            {"id": "a", "feeds": ["f"] * 101},
            {"id": "a"},
        ],
    )
    def test_bad_devices(self, served: Served, body: object) -> None:
        assert refusal(served.ask("POST", "/v1/devices", json=body)) == (400, "invalid")

    def test_a_credential_and_the_next(self, served: Served, feed: str) -> None:
        made = served.ask("POST", "/v1/devices", json={"id": "turning", "feeds": [feed]}).json()
        turned = served.ask("POST", "/v1/devices/turning/rotate")
        assert turned.status_code == 200
        assert turned.headers["cache-control"] == "no-store"
        assert turned.json().keys() == made.keys()
        assert (turned.json()["id"], turned.json()["feeds"]) == ("turning", [feed])
        for answer in (made, turned.json()):
            assert Credential.parse(answer["line"]).secret == answer["credential"]
        authenticate = served.service.devices.authenticate
        assert not authenticate("turning", made["credential"])
        assert authenticate("turning", turned.json()["credential"])
        unknown = served.ask("POST", "/v1/devices/nobody/rotate")
        assert refusal(unknown) == (404, "no-such-device")
        served.ask("DELETE", "/v1/devices/turning")

    def test_where_the_broker_cannot_be_told(self, served: Served, feed: str) -> None:
        served.ask("POST", "/v1/devices", json={"id": "stays", "feeds": [feed]})
        devices = served.service.devices
        before, accounts = devices.accounts, Recorded(served.service)
        devices.accounts, accounts.refuses = accounts, True
        try:
            added = served.ask("POST", "/v1/devices", json={"id": "comes", "feeds": [feed]})
            assert refusal(added) == (503, "broker")
            assert refusal(served.ask("POST", "/v1/devices/stays/rotate")) == (503, "broker")
            assert served.ask("DELETE", "/v1/devices/stays").status_code == 202
        finally:
            devices.accounts = before

    def test_unknown_feed(self, served: Served) -> None:
        response = served.ask("POST", "/v1/devices", json={"id": "lost", "feeds": ["nofeed"]})
        assert refusal(response) == (404, "no-such-feed")
        assert refusal(served.ask("GET", "/v1/devices/lost")) == (404, "no-such-device")


class TestAllowed:
    def test_set_at_the_enrolment_and_later(self, served: Served, feed: str) -> None:
        def allowed() -> object:
            return served.ask("GET", "/v1/devices/limited").json()["allowed"]

        body = {"id": "limited", "feeds": [feed], "allowed": LIMITS}
        made = served.ask("POST", "/v1/devices", json=body)
        assert made.status_code == 201
        assert allowed() == LIMITS
        path = "/v1/devices/limited/allowed"
        # What is left out is no limit, whatever was one before.
        changed = served.ask("PUT", path, json={"days_max": 0})
        assert (changed.status_code, changed.content) == (204, b"")
        assert allowed() == {**EVERYTHING, "days_max": 0}
        assert served.ask("PUT", path, json={}).status_code == 204
        assert allowed() == EVERYTHING
        # The device is the same as before.
        assert served.service.devices.authenticate("limited", made.json()["credential"])

    @pytest.mark.parametrize(
        ("allowed", "named"),
        [
            ({"kinds": []}, "kinds"),
            ({"kinds": ["A b"]}, "kinds.0"),
            ({"kinds": ["a"] * 17}, "kinds"),
            ({"folders": []}, "folders"),
            ({"folders": ["a\n"]}, "folders.0"),
            ({"folders": ["a"] * 65}, "folders"),
            ({"days_max": -1}, "days_max"),
            ({"days_max": 36_501}, "days_max"),
            ({"item_bytes_max": -1}, "item_bytes_max"),
            ({"item_bytes_max": 2**53}, "item_bytes_max"),
            ({"since": 5}, "since"),
        ],
    )
    def test_bad_limits(
        self, served: Served, feed: str, allowed: dict[str, object], named: str
    ) -> None:
        body = {"id": "unlimited", "feeds": [feed], "allowed": allowed}
        response = served.ask("POST", "/v1/devices", json=body)
        assert refusal(response) == (400, "invalid")
        assert f"'allowed.{named}'" in response.json()["error"]["message"]
        response = served.ask("PUT", "/v1/devices/unlimited/allowed", json=allowed)
        assert refusal(response) == (400, "invalid")
        assert f"'{named}'" in response.json()["error"]["message"]
        assert refusal(served.ask("GET", "/v1/devices/unlimited")) == (404, "no-such-device")

    def test_what_cannot_be_limited(self, served: Served) -> None:
        response = served.ask("PUT", "/v1/devices/nobody/allowed", json={})
        assert refusal(response) == (404, "no-such-device")
        response = served.ask("PUT", "/v1/devices/a+/allowed", json={})
        assert refusal(response) == (400, "invalid")
        assert refusal(served.ask("GET", "/v1/devices/nobody/allowed")) == (405, "method")
        response = served.ask("PUT", "/v1/devices/nobody/allowed", content=b"{}")
        assert refusal(response) == (415, "media-type")


class TestView:
    def test_what_a_device_asked_for(self, served: Served, feed: str) -> None:
        served.service.devices.add("viewer", [feed])
        view = View(
            kinds=("mail", "contact"),
            folders=("Work",),
            since=30 * DAY_S,
            shown_as=(ShownAs(kind="contact", representation="compact"),),
            portion_bytes=1024,
            item_bytes_max=4096,
        )
        begin_compact(served.service, feed)
        synced(served.service, "viewer", feed, view, at=DAY_S)
        assert served.ask("GET", "/v1/devices/viewer").json()["replicas"] == [
            {
                "feed": feed,
                "synced_at": DAY_S,
                "behind": None,  # as long as the feed is being rendered as it wants it
                "view": {
                    "kinds": ["contact", "mail"],
                    "folders": ["Work"],
                    "since": 30 * DAY_S,
                    "shown_as": {"contact": "compact"},
                    "portion_bytes": 1024,
                    "item_bytes_max": 4096,
                },
            }
        ]

    def test_one_that_asked_for_everything(self, served: Served, feed: str) -> None:
        served.service.devices.add("glutton", [feed])
        synced(served.service, "glutton", feed)
        served.put(feed, "a")
        (replica,) = served.ask("GET", "/v1/devices/glutton").json()["replicas"]
        assert replica["behind"] == 1
        assert replica["view"] == {
            "kinds": None,
            "folders": None,
            "since": None,
            "shown_as": {},
            "portion_bytes": None,
            "item_bytes_max": None,
        }

    def test_changes_that_it_does_not_want_are_none_behind(self, served: Served, feed: str) -> None:
        served.service.devices.add("picky", [feed])
        synced(served.service, "picky", feed, View(folders=("Work",)))
        served.put(feed, "a", folder="Home")
        served.put(feed, "b", folder="Work")
        (replica,) = served.ask("GET", "/v1/devices/picky").json()["replicas"]
        assert replica["behind"] == 1


class TestStatus:
    def test_tells_what_is_wrong(self, served: Served) -> None:
        status = served.ask("GET", "/v1/status").json()
        assert status["health"] == "degraded"
        assert status["problems"] == ["not started"]
        assert status["feeds"] == len(served.service.feeds())

    def test_a_disk_that_is_full_and_has_room_again(self, served: Served, feed: str) -> None:
        def fails(_store: SqliteStore) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SqliteStore, "transaction", fails)
            refused = served.put(feed, "a")
        assert refusal(refused) == (503, "storage")
        assert "No space left" in refused.json()["error"]["message"]
        (_, problem) = served.ask("GET", "/v1/status").json()["problems"]
        assert "No space left" in problem
        assert served.put(feed, "a").status_code == 201
        assert len(served.ask("GET", "/v1/status").json()["problems"]) == 1

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (StorageError("the disk is full"), (503, "storage")),
            (WriterClosedError("the gateway is shutting down"), (503, "busy")),
        ],
    )
    def test_a_gateway_that_cannot_write(
        self,
        served: Served,
        feed: str,
        *,
        error: Exception,
        expected: tuple[int, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fails(*_: object) -> None:
            raise error

        monkeypatch.setattr(Service, "apply_many", fails)
        assert refusal(served.put(feed, "a")) == expected
