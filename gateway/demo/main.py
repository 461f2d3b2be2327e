"""``gateway demo``: import, change, lose, sync, and compare what every store really holds."""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console

from device_agent.agent import DeviceAgent
from device_agent.schedule import Waits
from device_agent.views import WantedView
from gateway.demo.dated import DAY_S, DatedWorkload
from gateway.demo.holdings import device_holds, feed_holds
from gateway.demo.record import DeviceRecord, LossyOutbound
from gateway.demo.table import LiveTable, summary_table
from gateway.demo.views import DAYS, VIEWERS, Shown, Viewer, view_json
from gateway.demo.workload import Workload
from gateway.importing.found import Found, Left
from gateway.importing.identity import IdRegistry
from gateway.importing.sources import read_source, source_files
from gateway.representations.sandbox import Sandbox
from gateway.rows import Mutation, Put, Row
from gateway.run import Running, running
from gateway.service import STORE_FILE, Service
from gateway.settings import Settings, load
from sync_protocol.views import NATIVE

FEED: Final = "demo"
SAMPLE_DIR: Final = Path(__file__).parent / "sample"
IMPORT_BATCH_ITEMS: Final = 200
# Pushes under way to all devices together before the next change waits: the embedded broker
# queues without a bound, and the demo is not about its queues.
FLYING_PUSHES_MAX: Final = 200
FLYING_WAIT_S_MAX: Final = 5.0
SYNC_WAIT_S_MAX: Final = 60.0
RENDERING_WAIT_S_MAX: Final = 120.0
_WAITS: Final = Waits(debounce_s=0.2, period_s=3600.0, request_timeout_s=10.0)


@dataclass(frozen=True, slots=True)
class Options:
    """What the demo is asked for.

    Attributes:
        loss: the share of notifications that get lost.
        away: the share of the changes during which each device is away.
        views: the devices are those of `views.VIEWERS` instead, and each wants something else.
    """

    devices: int
    loss: float
    away: float
    changes: int
    seed: int
    views: bool = False


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class _DemoDevice:
    """One device: its agent while it is there, and its record throughout."""

    def __init__(
        self, viewer: Viewer, record: DeviceRecord, folder: Path, secret: str, *, now: float
    ) -> None:
        self.viewer = viewer
        self.name = viewer.name
        self.record = record
        self.folder = folder
        self._secret = secret
        self._now = now
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
            views={FEED: self.viewer.wanted},
            observer=self.record,
            waits=_WAITS,
            unix_time=lambda: self._now,
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
        words = {it.name: it.words for it in VIEWERS} if options.views else None
        console.print(summary_table(summary, words))
    return 0 if summary["converged"] and summary["exact"] else 1


class _Demo:
    def __init__(self, folder: Path, console: Console, options: Options) -> None:
        self._folder = folder
        self._console = console
        self._options = options
        self._viewers: Sequence[Viewer] = VIEWERS
        if not options.views:
            names = (f"device-{number}" for number in range(1, options.devices + 1))
            self._viewers = [Viewer(name, WantedView(), "") for name in names]
        # Each its own stream of chance, so that the order of threads changes none of them.
        self._records = {
            viewer.name: DeviceRecord(Random(f"{options.seed} {viewer.name}"), loss=options.loss)
            for viewer in self._viewers
        }
        self._random = Random(options.seed)
        # Time windows stay where they are, also if the demo runs at midnight.
        self._now = time.time()

    def run(self, sources: Path) -> Mapping[str, object]:
        """All of it, to the summary."""
        settings = load(data_dir=self._folder / "gateway", broker_port=0, api_port=0)
        if settings.broker_host is not None:
            variable = Settings.variable("broker_host")
            raise DemoError(
                f"the demo is for a broker of its own, not for others': unset {variable}"
            )
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
        devices = [self._enrolled(service, viewer) for viewer in self._viewers]
        try:
            with LiveTable(self._console, self._records) as table:
                self._render(service, table)
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

    def _enrolled(self, service: Service, viewer: Viewer) -> _DemoDevice:
        secret = service.devices.add(viewer.name, [FEED])
        record = self._records[viewer.name]
        return _DemoDevice(viewer, record, self._folder / viewer.name, secret, now=self._now)

    def _render(self, service: Service, table: LiveTable) -> None:
        """Have the feed rendered as devices want it; else they would be told to come again."""
        shown = (it for viewer in self._viewers for it in viewer.wanted.view.shown_as)
        for name in {it.representation for it in shown} - {NATIVE}:
            table.says(f"all items are rendered as {name}")
            if not service.render(FEED, name, timeout_s=RENDERING_WAIT_S_MAX):
                raise DemoError(
                    f"the items were not rendered as {name} in {RENDERING_WAIT_S_MAX:g} s"
                )

    def _change(self, gateway: Running, devices: list[_DemoDevice], table: LiveTable) -> None:
        service = gateway.service
        workload = self._workload({row.id: row for row in _all_rows(service)})
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

    def _workload(self, live: dict[str, Row]) -> Workload:
        chance = Random(f"{self._options.seed} changes")
        if not self._options.views:
            return Workload(chance, live)
        today = int(self._now) // DAY_S * DAY_S
        return DatedWorkload(chance, live, since=today - DAYS * DAY_S)

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
        views = {it.name: it.viewer.wanted.view_at(self._now) for it in devices}
        with contextlib.closing(Sandbox()) as sandbox:
            feed, expected = feed_holds(
                settings.data_dir / STORE_FILE,
                FEED,
                {
                    it.name: Shown(it.viewer.wanted, views[it.name], sandbox)
                    for it in devices
                    if self._options.views
                },
            )
        rows: list[dict[str, object]] = []
        converged = True
        for device in devices:
            holding = device_holds(device.folder, FEED)
            wanted = expected.get(device.name, feed).digest
            converged &= holding.digest == wanted
            row: dict[str, object] = {
                "id": device.name,
                "items": holding.items,
                "digest": holding.digest,
            }
            if self._options.views:
                row["expected_digest"] = wanted
                row["view"] = view_json(views[device.name])
            rows.append(row | asdict(device.record.figures))
        return {
            "seed": self._options.seed,
            "loss": self._options.loss,
            "away": self._options.away,
            "changes": self._options.changes,
            "feed": {"items": feed.items, "digest": feed.digest},
            "devices": rows,
            "converged": converged,
            "exact": all(
                it.record.figures.changes_resent == it.record.figures.changes_missing
                for it in devices
            ),
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
    while service.devices.online_count() < count:
        if time.monotonic() > deadline:
            raise DemoError("the devices did not come online")
        time.sleep(0.01)
