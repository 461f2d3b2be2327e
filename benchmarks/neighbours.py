"""What one device, or whoever guesses passwords, does to all others of a gateway that runs."""

import contextlib
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from benchmarks import clients
from benchmarks.cases import Measured
from benchmarks.clients import FEED
from gateway.device_limits import WORK_BURST_S
from gateway.rows import Put
from gateway.run import Running, running
from gateway.settings import Settings

ITEMS: Final = 1_000
HONEST: Final = 8
CROWD: Final = 100
CHANGES_PER_S: Final = 10
WINDOW_S: Final = 10.0
SETTLE_S: Final = 2.0
# What is promised is a share of a thread's time; others work on the machine, too.
SLACK: Final = 0.15
# A stall is what a person would notice. Of one interpreter all threads share the processor.
STALL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took while something else was going on, in seconds."""

    seconds: Sequence[float]

    @property
    def middle(self) -> float:
        """Of two, one took longer."""
        return median(self.seconds)

    @property
    def p99(self) -> float:
        """Of a hundred, one took longer."""
        return quantiles(self.seconds, n=100)[-1]

    def share_above(self, seconds: float) -> float:
        """How many took longer than that."""
        return sum(it > seconds for it in self.seconds) / len(self.seconds)

    def __str__(self) -> str:
        return f"{self.middle * 1e3:.1f} ms, p99 {self.p99 * 1e3:.0f} ms"


class _Child:
    """Clients in a process of their own."""

    def __init__(self, kind: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.clients", kind, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._timed: list[tuple[float, float]] = []

    def wait_ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def end(self) -> None:
        """Stop, and have its times."""
        if self._process.poll() is None or not self._timed:
            output, _ = self._process.communicate()
            assert self._process.returncode == 0
            self._timed = list(clients.lines(output))

    def between(self, window: tuple[float, float]) -> Times:
        """What began in a window."""
        first, last = window
        return Times([seconds for when, seconds in self._timed if first <= when < last])


@contextlib.contextmanager
def _gateway() -> Iterator[Running]:
    logging.getLogger("gateway").setLevel(logging.ERROR)  # what is refused is what is wanted
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "gateway", broker_port=0, api_port=0)
        with running(settings) as gateway:
            gateway.service.add_feed(FEED)
            puts = [Put(f"item-{it}", b"x" * 400, "contact", "text/vcard") for it in range(ITEMS)]
            gateway.service.apply_many(FEED, puts)
            yield gateway


def _accounts(gateway: Running, count: int, name: str = "device") -> list[str]:
    names = [f"{name}-{number}" for number in range(count)]
    return [f"{it}:{gateway.service.devices.add(it, [FEED])}" for it in names]


@contextlib.contextmanager
def _watched(gateway: Running) -> Iterator[tuple[_Child, _Child]]:
    """Devices that sync, and somebody who uses the API."""
    watching = (
        _Child("syncs", gateway.broker_port, *_accounts(gateway, HONEST)),
        _Child("polls", gateway.api_url.rpartition(":")[2], gateway.token),
    )
    time.sleep(SETTLE_S)
    try:
        yield watching
    finally:
        for child in watching:
            child.end()


def _window(seconds: float = WINDOW_S) -> tuple[float, float]:
    began = time.monotonic()
    time.sleep(seconds)
    return began, began + seconds


def hostile_device() -> Iterator[Measured]:
    """Syncs of others, while one device sends what costs most as fast as it can."""
    with _gateway() as gateway:
        share = gateway.service.settings.device_work_share_max
        with _watched(gateway) as (syncs, polls):
            quiet = _window()
            flood = _Child("flood", gateway.broker_port, *_accounts(gateway, 1, "eve"))
            burst = _window()
            time.sleep(WORK_BURST_S / 2)  # by then it has used up what it may use at once
            steady = _window(2 * WINDOW_S)
            flood.end()
        counts = gateway.service.counters.read()
    before = syncs.between(quiet)
    for name, window in (("at first", burst), ("then", steady)):
        times = syncs.between(window)
        yield Measured(times.middle / before.middle, "quiet", f"a sync {name}: {times}")
    times = syncs.between(steady)
    slowed = times.share_above(max(before.p99, 0.02))
    what = f"of the others' syncs wait for it; {share:.0%} are promised"
    yield Measured(slowed, "syncs", what)
    done = len(times.seconds) / 2 / len(before.seconds)
    yield Measured(done, "quiet", f"as many syncs as before: {before}")
    api = polls.between(steady)
    yield Measured(api.middle / polls.between(quiet).middle, "quiet", f"the API: {api}")
    assert slowed <= share + SLACK, f"{slowed:.0%} of the syncs waited for one device"
    assert done >= 1 - share - SLACK, f"{done:.0%} of the syncs are left beside one device"
    assert times.p99 < STALL_S, times
    assert counts.get("requests refused: too much for one device", 0) > 0, counts


def logins_and_fan_out() -> Iterator[Measured]:
    """Syncs and the API, while many guess passwords, and while many devices hear pushes."""
    with _gateway() as gateway:
        crowd = _Child("crowd", gateway.broker_port, *_accounts(gateway, CROWD, "crowd"))
        crowd.wait_ready()
        with _watched(gateway) as (syncs, polls):
            quiet = _window()
            guesses = _Child("guesses", gateway.broker_port)
            guessing = _window()
            guesses.end()
            pushing = _pushing(gateway)
        crowd.end()
    guessed = len(guesses.between(guessing).seconds)
    pushed = len(crowd.between(pushing).seconds)
    for what, window in (
        (f"{guessed / WINDOW_S:.0f} bad logins/s, {clients.GUESSES_AT_ONCE} at once", guessing),
        (f"{pushed / WINDOW_S:.0f} pushes/s to {CROWD} devices", pushing),
    ):
        for name, child in (("a sync", syncs), ("the API", polls)):
            before, times = child.between(quiet), child.between(window)
            yield Measured(times.middle / before.middle, "quiet", f"{name}, {what}: {times}")
            assert times.p99 < STALL_S, (name, what, times)
    assert guessed
    assert pushed >= CROWD * CHANGES_PER_S * WINDOW_S / 2


def _pushing(gateway: Running) -> tuple[float, float]:
    began = time.monotonic()
    for number in range(round(CHANGES_PER_S * WINDOW_S)):
        put = Put("news", b"%d" % number, "contact", "text/vcard")
        gateway.service.apply(FEED, put)
        time.sleep(max(0.0, began + (number + 1) / CHANGES_PER_S - time.monotonic()))
    return began, began + WINDOW_S
