"""A replica on each kind of store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.agent_file import AgentFile
from device_agent.store import ReplicaStore
from device_agent.store_memory import MemoryReplicaStore
from tests.device_agent.one_device import Device


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReplicaStore]:
    if request.param == "memory":
        yield MemoryReplicaStore()
        return
    file = AgentFile(tmp_path / "agent.sqlite3")
    yield file.replica("feed")
    file.close()


@pytest.fixture
def device(store: ReplicaStore) -> Device:
    return Device(store)
