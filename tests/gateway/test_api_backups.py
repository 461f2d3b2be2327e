"""Backups that a running gateway makes of itself, over the HTTP API and its client."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.api_errors import ApiError
from gateway.backup_sqlite import BackupError, Contents
from gateway.client import GatewayClient
from gateway.service import STORE_FILE, Service
from gateway.settings import load
from sync_protocol import limits
from tests.eventually import PATIENCE_S, eventually
from tests.gateway.damage import lose_content
from tests.gateway.sample_feeds import FEED, put
from tests.gateway.serving import Served, refusal, serve
from tests.gateway.test_client import announce

AT_ONCE = 4


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


def test_made_once(served: Served, tmp_path: Path) -> None:
    served.put(served.feed(), "ada")
    directory = str(tmp_path / "saved")
    made = served.ask("POST", "/v1/backups", json={"directory": directory})
    assert made.status_code == 201
    assert made.json() == {
        "directory": directory,
        "feeds": len(served.service.feeds()),
        "items": sum(feed.items for feed in served.service.feeds()),
        "devices": 0,
        "size_bytes": (tmp_path / "saved" / STORE_FILE).stat().st_size,
        "damaged_items": 0,
        "damaged_named": [],
    }
    again = served.ask("POST", "/v1/backups", json={"directory": directory})
    assert refusal(again) == (409, "backup")


@pytest.mark.parametrize("directory", ["", "saved", "~/saved", "/a\0b", "/" + "x" * 4_096, None])
def test_a_path_is_absolute_and_bounded(served: Served, directory: str | None) -> None:
    response = served.ask("POST", "/v1/backups", json={"directory": directory})
    assert refusal(response) == (400, "invalid")
    assert "'directory'" in response.json()["error"]["message"]


def test_damaged_contents_are_told_of(
    served: Served, client: GatewayClient, tmp_path: Path
) -> None:
    feed = served.feed()
    served.put(feed, "lost")
    lose_content(served.service.settings.data_dir / STORE_FILE, "lost")
    made = client.back_up(tmp_path / "saved")
    assert (made.damaged_items, made.damaged_named) == (1, (f"{feed}/lost",))


def test_the_client(client: GatewayClient, tmp_path: Path) -> None:
    made = client.back_up(tmp_path / "saved")
    assert made.directory == str(tmp_path / "saved")
    with pytest.raises(ApiError, match="name a new directory"):
        client.back_up(tmp_path / "saved")
    for path in (Path("saved"), tmp_path / "\udcff"):
        with pytest.raises(ApiError, match="absolute path of at most 4096 bytes of UTF-8"):
            client.back_up(path)


def test_one_at_a_time(served: Served, tmp_path: Path) -> None:
    together = threading.Barrier(AT_ONCE)

    def back_up(number: int) -> Contents | None:
        together.wait(PATIENCE_S)
        with suppress(BackupError):
            return served.service.back_up(tmp_path / str(number))
        return None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        made = list(threads.map(back_up, range(AT_ONCE)))
    assert any(made)
    for number, contents in enumerate(made):
        assert (tmp_path / str(number)).exists() == (contents is not None)


def test_a_gateway_that_stops_finishes_its_backup(tmp_path: Path) -> None:
    directory = tmp_path / "saved"
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    service = Service(load(data_dir=data_dir), unix_time=time.time)
    try:
        service.add_feed(FEED)
        service.apply_many(FEED, [put(str(number), bytes(8 * limits.MIB)) for number in range(4)])
        with ThreadPoolExecutor(1) as threads:
            backup = threads.submit(service.back_up, directory)
            assert eventually(directory.exists)
            service.close()
            # Nobody may use the file of a gateway that is gone.
            assert (directory / STORE_FILE).exists()
            assert backup.result(PATIENCE_S).items == 4
    finally:
        service.close()
