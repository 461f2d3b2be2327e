"""What the tests of all feed stores share: a store with one feed, in memory and in SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.feed import FeedStore
from gateway.feed_memory import MemoryFeedStore
from gateway.state_file import SqliteStore
from tests.gateway.sample_feeds import EPOCH, FEED, NOW


class FeedContract:
    """What every store of feeds must do; one that tests inherit has the store itself."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FeedStore | Iterator[FeedStore]:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _feed(self, store: FeedStore) -> None:
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)


class InMemory(FeedContract):
    """The store in memory."""

    @pytest.fixture
    def store(self) -> FeedStore:
        return MemoryFeedStore()


class InSqlite(FeedContract):
    """The store in a state file."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[FeedStore]:
        store = SqliteStore(tmp_path / "gateway.sqlite3")
        yield store
        store.close()
