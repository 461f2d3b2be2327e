"""Random edits of one feed, and what is held of it, to compare."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE
from gateway.rows import Alter, Delete, Mutation, Put
from gateway.service import Service

FEED = "contacts"
IDS = tuple(f"item-{number}" for number in range(25))
SIZES = (0, 30, 500, 6_000, 90_000)
FLAGS = ("$seen", "$flagged", "\\Answered")
FOLDERS = ("", "Work", "Attic")

# Item id -> content, folder and flags.
Held = Mapping[str, tuple[bytes, str, tuple[str, ...]]]


def random_edit(random: Random, ids: Sequence[str] = IDS) -> Mutation:
    """A put, or a change or delete of an item that may not be there."""
    item_id = random.choice(ids)
    match random.choice(("put", "put", "put", "flags", "folder", "delete")):
        case "flags":
            return Alter(item_id, flags=tuple(random.sample(FLAGS, random.randrange(3))))
        case "folder":
            return Alter(item_id, folder=random.choice(FOLDERS))
        case "delete":
            return Delete(item_id)
        case _:
            content = random.randbytes(random.choice(SIZES))
            return Put(item_id, content, kind="contact", media_type="text/vcard")


def held_by_device(data_dir: Path, feed: str = FEED) -> Held:
    """What a device holds whole; an item of which bytes are missing counts with those it has."""
    file = AgentFile(data_dir / STORE_FILE, readonly=True)
    try:
        store = file.replica(feed)
        with file.snapshot():
            return {
                item.id: (b"".join(store.content(item.id)), item.folder, item.flags)
                for item in store.items()
            }
    finally:
        file.close()


def held_by_feed(service: Service, feed: str = FEED) -> Held:
    """What the gateway has of it."""
    rows = service.items(feed, after=None, limit=1_000)
    return {row.id: (service.content(feed, row.id)[1], row.folder, row.flags) for row in rows}


def difference(device: Held, feed: Held) -> list[str]:
    """The ids of the items that are not the same in both."""
    return sorted(
        item_id
        for item_id in device.keys() | feed.keys()
        if device.get(item_id) != feed.get(item_id)
    )
