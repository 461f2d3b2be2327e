"""An agent that wants a part of a feed, with a real gateway: what comes, and that nothing twice."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from device_agent import DeviceAgent, WantedView
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE
from device_agent.results import AnswerResult, PushResult
from device_agent.store import HeldItem
from gateway.rows import Put
from gateway.run import Running, running
from gateway.settings import load
from sync_protocol.messages import Answer, Notification, Request
from sync_protocol.views import ShownAs, View
from tests.device_agent.commands import Call
from tests.device_agent.peers import CALM, PATIENCE_S
from tests.eventually import eventually

FEED: Final = "feed"
DAY_S: Final = 86_400
CARD: Final = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada\r\nN:;Ada;;;\r\nUID:ada\r\nEND:VCARD\r\n"
LARGE: Final = random.Random(1).randbytes(600_000)
OTHER: Final = random.Random(2).randbytes(500_000)
WANTED: Final = WantedView(
    View(
        kinds=("contact", "mail"),
        shown_as=(ShownAs(kind="contact", representation="compact"),),
        portion_bytes=1000,
    ),
    days=30,
    remainder_bytes_max=10_000,
)


class Bytes:
    """Counts the bytes of contents that came, by item."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def _came(self, item_id: str, content: bytes | None) -> None:
        self.of[item_id] = self.of.get(item_id, 0) + len(content or b"")

    def push_came(self, feed: str, push: Notification, payload: bytes, result: PushResult) -> None:
        del feed, payload, result
        if push.put is not None:
            self._came(push.put.id, push.put.content)

    def asked(self, feed: str, request: Request, payload: bytes) -> None:
        """Nothing came."""

    def answer_came(self, feed: str, answer: Answer, payload: bytes, result: AnswerResult) -> None:
        del feed, payload, result
        if answer.delta is not None:
            for change in answer.delta.changes:
                if change.put is not None:
                    self._came(change.put.id, change.put.content)
            for remainder in answer.delta.remainders:
                self._came(remainder.id, remainder.content)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    settings = load(data_dir=tmp_path / "gateway", broker_port=0, api_port=0)
    with running(settings) as gateway:
        gateway.service.add_feed(FEED)
        yield gateway


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def came() -> Bytes:
    return Bytes()


@pytest.fixture
def options(gateway: Running, data: Path) -> dict[str, Any]:
    return {
        "feeds": [FEED],
        "host": gateway.broker_host,
        "port": gateway.broker_port,
        "password": gateway.service.devices.add("phone", [FEED]),
        "data_dir": data,
        "views": {FEED: WANTED},
        "waits": CALM,
    }


def mail(item_id: str, content: bytes, *, age_days: int = 0) -> Put:
    date = int(time.time()) - age_days * DAY_S
    return Put(item_id, content, "mail", "application/octet-stream", "Inbox", (), date)


def held(data: Path) -> dict[str, HeldItem]:
    file = AgentFile(data / STORE_FILE, readonly=True)
    try:
        return {item.id: item for item in file.replica(FEED).items()}
    finally:
        file.close()


def test_only_what_is_wanted_comes_and_no_byte_twice(
    gateway: Running, data: Path, came: Bytes, options: dict[str, Any]
) -> None:
    for item in (
        mail("large", LARGE),
        mail("old", b"A", age_days=40),
        Put("ada", CARD, "contact", "text/vcard", "", (), None),
        Put("todo", b"A", "task", "text/calendar", "", (), None),
    ):
        gateway.service.apply(FEED, item)
    with DeviceAgent("phone", observer=came, **options) as agent:
        agent.sync(PATIENCE_S)
        items = held(data)
        assert sorted(items) == ["ada", "large"]
        assert items["ada"].media_type == "application/jscontact+json"
        assert items["ada"].whole
        assert 0 < items["large"].held_bytes == came.of["large"] <= 1000
        agent.fetch(FEED, "large")
        assert eventually(lambda: held(data)["large"].whole)
        assert eventually(lambda: came.of["large"] == len(LARGE))
        gateway.service.apply(FEED, mail("large", OTHER))
        assert eventually(lambda: held(data)["large"].size == len(OTHER))
        agent.sync(PATIENCE_S)
        assert not held(data)["large"].whole, "the new content was not asked for"
        agent.fetch(FEED, "large")
        assert eventually(lambda: held(data)["large"].whole)
        assert came.of["large"] == len(LARGE) + len(OTHER)
    options["views"] = {FEED: WantedView(View(kinds=("mail",)))}
    with DeviceAgent("phone", observer=came, **options) as agent:
        agent.sync(PATIENCE_S)
        assert sorted(held(data)) == ["large", "old"]
    assert came.of["large"] == len(LARGE) + len(OTHER)


def test_a_command_fetches(
    gateway: Running, data: Path, call: Call, options: dict[str, Any], tmp_path: Path
) -> None:
    gateway.service.apply(FEED, mail("large", LARGE))
    with DeviceAgent("phone", **options) as agent:
        agent.sync(PATIENCE_S)
        assert not held(data)["large"].whole
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(options["password"])
    done = call(
        *("fetch", "large", "--id", "phone", "--data", data, "--password-file", password),
        *("--broker", f"{options['host']}:{options['port']}"),
    )
    assert done.out == b"large: 600000 bytes\n"
    assert call("show", "large", "--raw", "--data", data).out == LARGE
