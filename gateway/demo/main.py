"""``gateway demo``: import, change, lose, sync, and compare what every store really holds."""

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console

from device_agent.agent import STORE_FILE as AGENT_FILE
from device_agent.agent import DeviceAgent
from device_agent.agent_file import AgentFile
from device_agent.schedule import Waits
from gateway.demo.record import DeviceRecord, LossyOutbound
from gateway.demo.table import LiveTable, summary_table
from gateway.demo.workload import Workload
from gateway.feed import Mutation, Put, Row, feed_items
from gateway.importing.found import Found, Left
from gateway.importing.identity import IdRegistry
from gateway.importing.sources import read_source, source_files
from gateway.run import Running, running
from gateway.service import STORE_FILE, Service
from gateway.settings import Settings, load
from gateway.state_file import SqliteStore
from sync_protocol.digests import replica_digest

FEED: Final = "demo"
SAMPLE_DIR: Final = Path(__file__).parent / "sample"
IMPORT_BATCH_ITEMS: Final = 200
# Pushes under way to all devices together before the next change waits: the embedded broker
# queues without a bound, and the demo is not about its queues.
FLYING_PUSHES_MAX: Final = 200
FLYING_WAIT_S_MAX: Final = 5.0
SYNC_WAIT_S_MAX: Final = 60.0
_WAITS: Final = Waits(debounce_s=0.2, period_s=3600.0, request_timeout_s=10.0)


@dataclass(frozen=True, slots=True)
class Options:
    """What the demo is asked for.

    Attributes:
        loss: the share of notifications that get lost.
        away: the share of the changes during which each device is away.
    """

    devices: int
    loss: float
    away: float
    changes: int
    seed: int


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class _DemoDevice:
    """One device: its agent while it is there, and its record throughout."""

    def __init__(self, name: str, record: DeviceRecord, folder: Path, secret: str) -> None:
        self.name = name
        self.record = record
        self.folder = folder
        self._secret = secret
        self._agent: DeviceAgent | None = None

    def come(self, gateway: Running) -> None:
        """Connect."""
        self.record.away = False
        self._agent = DeviceAgent(
            self.name,
            feeds=[FEED],
            host=gateway.broker_host,
            port=gateway.broker_port,
            password=self._secret,
            data_dir=self.folder,
            observer=self.record,
            waits=_WAITS,
        )
        self._agent.start()

    def go(self) -> None:
        """Disconnect."""
        if self._agent is not None:
            self.record.away = True
            self._agent.stop()
            self._agent = None
            self.record.gone()

    def sync(self) -> None:
        """Sync, and wait until all is here."""
        assert self._agent is not None  # noqa: S101 - our own caller
        self._agent.sync(SYNC_WAIT_S_MAX)

    def holds(self) -> tuple[int, str]:
        """How many items the device's file really holds, and their digest."""
        file = AgentFile(self.folder / AGENT_FILE, readonly=True)
        try:
            replica = file.replica(FEED)
            items = [
                (item.id, _sha256(replica.content(item.id)), item.folder, item.flags)
                for item in replica.items()
            ]
        finally:
            file.close()
        return len(items), replica_digest(items)


def run_demo(options: Options, sources: Path | None, *, as_json: bool) -> int:
    """Run the demo; the exit status: 0 only if all converged and nothing held was sent again."""
    console = Console(stderr=as_json)
    sources = sources or SAMPLE_DIR
    if not sources.exists():
        raise DemoError(
            f"there is no {sources}: --data takes a folder with .vcf, .ics or .eml files"
        )
    with tempfile.TemporaryDirectory(prefix="tallysync-demo-") as folder:
        summary = _Demo(Path(folder), console, options).run(sources)
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        console.print(summary_table(summary))
    return 0 if summary["converged"] and summary["exact"] else 1


class _Demo:
    def __init__(self, folder: Path, console: Console, options: Options) -> None:
        self._folder = folder
        self._console = console
        self._options = options
        # Each its own stream of chance, so that the order of threads changes none of them.
        self._records = {
            name: DeviceRecord(Random(f"{options.seed} {name}"), loss=options.loss)
            for name in (f"device-{number}" for number in range(1, options.devices + 1))
        }
        self._random = Random(options.seed)

    def run(self, sources: Path) -> Mapping[str, object]:
        """All of it, to the summary."""
        settings = load(data_dir=self._folder / "gateway", broker_port=0, api_port=0)
        with running(
            settings, wrap_outbound=lambda outbound: LossyOutbound(outbound, self._records)
        ) as gateway:
            devices = self._play(gateway, sources)
        return self._summary(settings, devices)

    def _play(self, gateway: Running, sources: Path) -> list[_DemoDevice]:
        service = gateway.service
        service.add_feed(FEED)
        taken, skipped = _import(service, sources)
        if not taken:
            raise DemoError(f"{sources} has no .vcf, .ics or .eml items to import")
        self._console.print(
            f"imported {taken} items from {sources}, {skipped} skipped", highlight=False
        )
        devices = [
            _DemoDevice(
                name, self._records[name], self._folder / name, service.add_device(name, [FEED])
            )
            for name in self._records
        ]
        try:
            with LiveTable(self._console, self._records) as table:
                table.says("all devices sync for the first time")
                for device in devices:
                    device.come(gateway)
                for device in devices:
                    device.sync()
                _wait_online(service, len(devices))
                self._change(gateway, devices, table)
                table.says("all devices sync")
                self._wait_flying(0)
                for device in devices:
                    device.sync()
        finally:
            for device in devices:
                device.go()
        return devices

    def _change(self, gateway: Running, devices: list[_DemoDevice], table: LiveTable) -> None:
        service = gateway.service
        workload = Workload(
            Random(f"{self._options.seed} changes"), {row.id: row for row in _all_rows(service)}
        )
        spans = {device.name: self._away_span() for device in devices}
        for number in range(self._options.changes):
            for device in devices:
                leaves, returns = spans[device.name]
                if number == leaves and leaves < returns:
                    device.go()
                if number == returns and leaves < returns:
                    device.come(gateway)
            kind, item_id = workload.draw()
            content = service.content(FEED, item_id)[1] if kind == "edit" else b""
            row = service.apply(FEED, workload.mutation(kind, item_id, content))
            workload.done(item_id, row)
            self._wait_flying(FLYING_PUSHES_MAX)
            table.says(f"change {number + 1} of {self._options.changes}")
        for device in devices:
            leaves, returns = spans[device.name]
            if leaves < returns == self._options.changes:
                device.come(gateway)

    def _away_span(self) -> tuple[int, int]:
        """From which change to which a device is away: its share of them, at a random place."""
        length = round(self._options.away * self._options.changes)
        first = self._random.randint(0, self._options.changes - length)
        return first, first + length

    def _wait_flying(self, most: int) -> None:
        """Wait until at most that many pushes are under way."""
        deadline = time.monotonic() + FLYING_WAIT_S_MAX
        while sum(record.flying() for record in self._records.values()) > most:
            if time.monotonic() > deadline:
                return  # some were lost on a real link: the syncs bring them
            time.sleep(0.002)

    def _summary(self, settings: Settings, devices: list[_DemoDevice]) -> Mapping[str, object]:
        feed_items_count, feed_digest = _feed_holds(settings.data_dir / STORE_FILE)
        rows: list[dict[str, object]] = []
        for device in devices:
            items, digest = device.holds()
            figures = asdict(device.record.figures)
            rows.append({"id": device.name, "items": items, "digest": digest, **figures})
        return {
            "seed": self._options.seed,
            "loss": self._options.loss,
            "away": self._options.away,
            "changes": self._options.changes,
            "feed": {"items": feed_items_count, "digest": feed_digest},
            "devices": rows,
            "converged": all(row["digest"] == feed_digest for row in rows),
            "exact": all(row["changes_resent"] == row["changes_missing"] for row in rows),
        }


def _import(service: Service, sources: Path) -> tuple[int, int]:
    """Import all of `sources` into the feed; how many items were taken, and what was skipped."""
    taken = skipped = 0
    batch: list[Mutation] = []
    for found in _found(sources, IdRegistry()):
        if isinstance(found, Left):
            skipped += 1
            continue
        batch.append(
            Put(
                found.id, found.content, found.kind, found.media_type,
                folder=found.folder, date=found.date,
            )
        )  # fmt: skip
        if len(batch) == IMPORT_BATCH_ITEMS:
            taken += len(service.apply_many(FEED, batch))
            batch = []
    return taken + len(service.apply_many(FEED, batch)), skipped


def _found(sources: Path, ids: IdRegistry) -> Iterator[Found]:
    for source in source_files([sources]):
        if isinstance(source, Left):
            yield source
        else:
            yield from read_source(source, ids)


def _all_rows(service: Service) -> Iterator[Row]:
    after: str | None = None
    while rows := service.items(FEED, after=after, limit=500):
        yield from rows
        after = rows[-1].id


def _wait_online(service: Service, count: int) -> None:
    """Wait until the gateway knows that all devices are there; else it would not push to them."""
    deadline = time.monotonic() + SYNC_WAIT_S_MAX
    while service.online_count() < count:
        if time.monotonic() > deadline:
            raise DemoError("the devices did not come online")
        time.sleep(0.01)


def _feed_holds(path: Path) -> tuple[int, str]:
    """How many items the feed's file really holds, and their digest."""
    store = SqliteStore(path)
    try:
        with store.snapshot(FEED) as snapshot:
            items = [
                (
                    row.id,
                    _sha256([snapshot.content(row.id, offset=0, bytes_max=row.size)]),
                    row.folder,
                    row.flags,
                )
                for row in feed_items(snapshot)
            ]
    finally:
        store.close()
    return len(items), replica_digest(items)


def _sha256(pieces: Iterator[bytes] | list[bytes]) -> bytes:
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(piece)
    return sha.digest()
