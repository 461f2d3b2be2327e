"""State files of a gateway, and what they hold."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from gateway.device import Device
from gateway.rows import Mutation
from gateway.state_file import SqliteStore
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, contents

STATE = "gateway.sqlite3"


def make_state(data_dir: Path, *mutations: Mutation, devices: Sequence[str] = ()) -> Path:
    """A state file as a killed gateway leaves it: what was written last is in its journal."""
    working = data_dir.with_name(f"{data_dir.name}-working")
    working.mkdir()
    with closing(SqliteStore(working / STATE)) as store:
        with store.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=EPOCH, now=NOW)
            for name in devices:
                transaction.add_device(Device(name, "hash", b"generation", (FEED,)), now=NOW)
        change(store, *mutations)
        shutil.copytree(working, data_dir)
    assert (data_dir / f"{STATE}-wal").stat().st_size > 0
    shutil.rmtree(working)
    return data_dir / STATE


def held(state_file: Path) -> Mapping[str, bytes]:
    """What a gateway that began with this file would have."""
    with closing(SqliteStore(state_file)) as store, store.snapshot(FEED) as snapshot:
        return contents(snapshot)
