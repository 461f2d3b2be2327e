"""``python -m tests.simulation --seeds N``: N fresh seeds; a failing one says how to replay it."""

import argparse
import contextlib
import itertools
import multiprocessing
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.simulation.world import EVENTS, EVENTS_DEFAULT, MOST_ROUNDS, run

SEEDS_DEFAULT: Final = 200
# Seeds that one process is handed at once.
_BATCH: Final = 4


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: what happened in it, or why it failed, and how long it took one core."""

    seed: int
    counts: Counter[str]
    failure: str | None
    cpu_s: float


@dataclass(slots=True)
class Total:
    """All runs together."""

    runs: int = 0
    failed: int = 0
    cpu_s: float = 0.0
    rounds: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, ran: Ran) -> None:
        """Add one run."""
        self.runs += 1
        self.cpu_s += ran.cpu_s
        self.failed += ran.failure is not None
        self.rounds = max(self.rounds, ran.counts.pop(MOST_ROUNDS, 0))
        self.counts += ran.counts


def _one(seed: int, *, events: int) -> Ran:
    started = time.process_time()
    counts, failure = Counter[str](), None
    try:
        counts = run(seed, events=events)
    except Exception:  # whatever went wrong is what this looks for
        failure = traceback.format_exc()
    return Ran(seed, counts, failure, time.process_time() - started)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, help=f"how many, {SEEDS_DEFAULT} if nothing is said")
    parser.add_argument("--seconds", type=float, help="as many as begin within so long")
    parser.add_argument("--first", type=int, help="the first of them, instead of a fresh one")
    parser.add_argument("--seed", type=int, help="this one seed")
    parser.add_argument("--events", type=int, default=EVENTS_DEFAULT, help="random events of a run")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        options.first, options.seeds = options.seed, 1
    if options.first is None:
        options.first = random.SystemRandom().getrandbits(48)
    if options.seeds is None and options.seconds is None:
        options.seeds = SEEDS_DEFAULT
    return options


def _batches(options: argparse.Namespace) -> Iterator[list[int]]:
    """Seeds, until there were enough of them, or time is up."""
    end = None if options.seconds is None else time.monotonic() + options.seconds
    numbers = itertools.count() if options.seeds is None else range(options.seeds)
    seeds = (options.first + number for number in numbers)
    while batch := list(itertools.islice(seeds, _BATCH * options.jobs)):
        if end is not None and time.monotonic() >= end:
            return
        yield batch


@contextlib.contextmanager
def _runner(options: argparse.Namespace) -> Iterator[Callable[[list[int]], list[Ran]]]:
    one = partial(_one, events=options.events)
    if options.jobs == 1:
        yield lambda seeds: [one(seed) for seed in seeds]
        return
    with multiprocessing.Pool(options.jobs) as pool:
        yield lambda seeds: pool.map(one, seeds, chunksize=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds, print what happened, and how to replay what failed."""
    options = _options(arguments)
    command = "python -m tests.simulation"
    print(f"seeds from {options.first} on, {options.events} events each", flush=True)  # noqa: T201
    total = Total()
    with _runner(options) as run_all:
        for batch in _batches(options):
            for ran in run_all(batch):
                total.add(ran)
                if ran.failure is not None:
                    replay = f"{command} --seed {ran.seed} --events {options.events}"
                    print(f"{ran.failure}\nFAILED: {replay}", flush=True)  # noqa: T201
    _print(total)
    again = f"--first {options.first} --seeds {total.runs} --events {options.events}"
    print(f"the same again: {command} {again}")  # noqa: T201
    return 1 if total.failed else 0


def _print(total: Total) -> None:
    events = total.counts.pop(EVENTS, 0)
    for name, count in sorted(total.counts.items()):
        print(f"  {count:10}  {name}")  # noqa: T201
    speed = events / total.cpu_s if total.cpu_s else 0.0
    print(  # noqa: T201
        f"{total.runs} runs, {total.failed} failed; {events} events in {total.cpu_s:.1f} s of one"
        f" core, {speed:.0f} events/s; {total.rounds} rounds to settle at most"
    )


def _main() -> int:
    try:
        result = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has read enough. Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result


if __name__ == "__main__":
    sys.exit(_main())
