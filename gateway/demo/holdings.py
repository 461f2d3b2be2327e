"""What the files of the demo's gateway and devices really hold, read after the run."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE as AGENT_FILE
from gateway.demo.views import Shown
from gateway.feed import feed_items
from gateway.state_file import SqliteStore
from sync_protocol.digests import replica_digest

_Item = tuple[str, bytes, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Holding:
    """How many items there are, and a digest of ids, bytes, folders and flags."""

    items: int
    digest: str


def device_holds(folder: Path, feed: str) -> Holding:
    """What a device's file holds."""
    file = AgentFile(folder / AGENT_FILE, readonly=True)
    try:
        replica = file.replica(feed)
        items = [
            (item.id, _sha256(replica.content(item.id)), item.folder, item.flags)
            for item in replica.items()
        ]
    finally:
        file.close()
    return _holding(items)


def feed_holds(
    path: Path, feed: str, shown: Mapping[str, Shown]
) -> tuple[Holding, Mapping[str, Holding]]:
    """What the gateway's file holds, and what of it each device is to hold, by its name."""
    whole: list[_Item] = []
    parts: dict[str, list[_Item]] = {name: [] for name in shown}
    store = SqliteStore(path)
    try:
        with store.snapshot(feed) as snapshot:
            for row in feed_items(snapshot):
                content = snapshot.content(row.id, offset=0, bytes_max=row.size)
                whole.append((row.id, _sha256([content]), row.folder, row.flags))
                for name, each in shown.items():
                    part = each.of(row, content)
                    if part is not None:
                        parts[name].append((row.id, _sha256([part]), row.folder, row.flags))
    finally:
        store.close()
    return _holding(whole), {name: _holding(items) for name, items in parts.items()}


def _holding(items: list[_Item]) -> Holding:
    return Holding(len(items), replica_digest(items))


def _sha256(pieces: Iterator[bytes] | list[bytes]) -> bytes:
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(piece)
    return sha.digest()
