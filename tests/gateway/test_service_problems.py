"""What a service says keeps it from its work, and what it refuses to begin with."""

import sqlite3
from pathlib import Path
from typing import NoReturn

import pytest

from device_agent.agent import DeviceAgent
from gateway.feed import FeedError
from gateway.rivals import WARNING
from gateway.run import running
from gateway.service import LEDGER_DIR, STORE_FILE
from gateway.settings import load
from gateway.snapshot_sqlite import SqliteSnapshot
from tests.eventually import PATIENCE_S, eventually
from tests.gateway.damage import break_page
from tests.gateway.sample_feeds import put
from tests.gateway.test_service import (
    DEVICE,
    FEED,
    a_device,
    ledger_file,
    made,
    opened,
    served,
    synced_device,
)


class TestProblems:
    def test_what_cannot_be_read_is_a_problem_before_it_is_held_back(self, tmp_path: Path) -> None:
        content = b"A" * 60_000
        (tmp_path / "data").mkdir()
        with opened(tmp_path / "data") as service:
            service.add_feed(FEED)
            service.apply(FEED, put("large", content))
        break_page(tmp_path / "data" / STORE_FILE, content)
        settings = load(data_dir=tmp_path / "data", broker_port=0, api_port=0)
        with running(settings) as gateway, a_device(gateway, tmp_path / DEVICE, [FEED]):
            service = gateway.service
            assert eventually(service.problems)
            (problem,) = service.problems()
            assert "feed contacts: item 'large' has a content that cannot be read" in problem
            assert "restore a backup" in problem
            assert service.quarantined(FEED) == []

    def test_a_damaged_file_is_a_problem_once_a_request_meets_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def malformed(*_: object, **__: object) -> NoReturn:
            raise sqlite3.DatabaseError("database disk image is malformed")

        with served(tmp_path / "data") as gateway:
            monkeypatch.setattr(SqliteSnapshot, "newest_epoch", malformed)
            with a_device(gateway, tmp_path / DEVICE, [FEED]):
                assert eventually(gateway.service.problems)
                (problem,) = gateway.service.problems()
                assert "malformed" in problem
                counters = gateway.service.counters.read()
                assert counters["errors in a handler"] > 0

    def test_two_agents_of_one_id_are_a_problem(self, tmp_path: Path) -> None:
        with served(tmp_path / "data") as gateway:
            password = gateway.service.devices.add(DEVICE, [FEED])
            for folder in ("one", "two", "one"):
                agent = DeviceAgent(
                    DEVICE,
                    feeds=[FEED],
                    host=gateway.broker_host,
                    port=gateway.broker_port,
                    password=password,
                    data_dir=tmp_path / folder,
                )
                with agent:
                    agent.sync(PATIENCE_S)
            assert gateway.service.problems() == [f"device {DEVICE}: {WARNING}"]


class TestRefusesToForget:
    """An empty state beside a ledger: devices would be told that nothing is there any more."""

    @pytest.fixture
    def forgotten(self, tmp_path: Path) -> Path:
        """A data directory whose state file is gone."""
        data_dir = tmp_path / "data"
        with served(data_dir) as gateway, synced_device(gateway, tmp_path / DEVICE):
            pass
        for file in data_dir.glob(f"{STORE_FILE}*"):
            file.unlink()
        assert ledger_file(data_dir).exists()
        return data_dir

    def test_it_says_what_to_do(self, forgotten: Path) -> None:
        with pytest.raises(FeedError, match="'gateway restore DIR'") as caught:
            made(forgotten)
        assert str(forgotten / STORE_FILE) in str(caught.value)
        assert not (forgotten / STORE_FILE).exists()

    def test_without_the_ledger_it_begins_anew(self, forgotten: Path) -> None:
        (forgotten / LEDGER_DIR).rename(forgotten / "away")
        with opened(forgotten) as service:
            assert service.feeds() == []

    def test_a_ledger_of_nobody_is_none(self, tmp_path: Path) -> None:
        with opened(tmp_path):
            pass
        (tmp_path / STORE_FILE).unlink()
        with opened(tmp_path) as service:
            assert service.feeds() == []
