"""Programs that write until they are killed, and who kills them.

They are forked from a process that has imported all they need, so that dozens take a second.
"""

import contextlib
import multiprocessing
from collections.abc import Callable
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Final

from gateway.feed import NoSuchItemError
from gateway.ledger import Record
from gateway.ledger_tinydb import TinyDbLedger
from gateway.rows import Delete, Mutation, Put
from gateway.state_file import SqliteStore
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.gateway.sample_feeds import FEED

PATIENCE_S: Final = 20.0
DEVICE: Final = "phone"
GENERATION: Final = b"one-time"
_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload([__name__])

# Writes for ever, and says after each write which number of it is durable.
Program = Callable[[Path, int, Connection], None]


def write_items(path: Path, seed: int, done: Connection) -> None:
    """Change a few items in each transaction; says the head after each."""
    random = Random(seed)
    store = SqliteStore(path)
    while True:
        with store.transaction() as transaction:
            for _ in range(random.randint(0, 4)):
                with contextlib.suppress(NoSuchItemError):
                    transaction.apply(FEED, _mutation(random), now=1)
            row = transaction.apply(FEED, _put("newest", random), now=1)
        if row is not None:
            done.send(row.seq)


def _mutation(random: Random) -> Mutation:
    item_id = f"item-{random.randrange(20)}"
    return Delete(item_id) if random.random() < 0.2 else _put(item_id, random)


def _put(item_id: str, random: Random) -> Put:
    content = random.randbytes(random.choice((10, 3_000, 50_000)))
    return Put(item_id, content, "contact", "text/vcard")


def write_ledger(folder: Path, first: int, done: Connection) -> None:
    """Replace the records of a device; says which number of it they hold."""
    ledger = TinyDbLedger(folder)
    for number in count(first):
        ledger.save(DEVICE, GENERATION, records(number))
        done.send(number)


def records(number: int) -> dict[str, Record]:
    """Records of some feeds, some KiB, all of them telling `number`."""
    held = TokenSet.of(range(number, number + 3 * 2_000, 3))
    record = Record(GENERATION, number, number, Format.CBOR, bytes(8), held, number)
    return {f"feed-{index}": record for index in range(5)}


def kill_while_writing(program: Program, path: Path, seed: int) -> int:
    """Let `program` write for some milliseconds, kill it; the newest number it said was durable."""
    reader, writer = _START.Pipe(duplex=False)
    process = _START.Process(target=program, args=(path, seed, writer), daemon=True)
    process.start()
    writer.close()
    said = 0
    with reader:
        assert reader.poll(PATIENCE_S), "the program wrote nothing"
        process.join(Random(seed).uniform(0.0, 0.02))
        process.kill()
        process.join()
        process.close()
        with contextlib.suppress(EOFError):
            while True:
                said = reader.recv()
    return said
