"""``python -m tests.simulation --seeds N``: N fresh seeds; a failing one says how to replay it."""

import argparse
import random
import sys
import time
import traceback
from collections import Counter

from tests.simulation.world import run


def main() -> int:
    """Run the seeds, print what happened, and how to replay what failed."""
    parser = argparse.ArgumentParser(description="the lossy simulator")
    parser.add_argument("--seeds", type=int, default=200, help="how many fresh seeds")
    parser.add_argument("--seed", type=int, help="this one seed")
    parser.add_argument("--events", type=int, default=600, help="random events in a run")
    options = parser.parse_args()
    fresh = random.SystemRandom()
    seeds = (
        [options.seed]
        if options.seed is not None
        else [fresh.getrandbits(48) for _ in range(options.seeds)]
    )
    total: Counter[str] = Counter()
    started = time.monotonic()
    failed = 0
    for seed in seeds:
        try:
            counts = run(seed, events=options.events)
        except Exception:
            traceback.print_exc()
            print(f"FAILED: python -m tests.simulation --seed {seed} --events {options.events}")  # noqa: T201
            failed += 1
            continue
        most = max(total["rounds to settle, most"], counts.pop("rounds to settle, most"))
        total += counts
        total["rounds to settle, most"] = most
    seconds = time.monotonic() - started
    print(f"{len(seeds)} runs, seeds {seeds[0]} .. {seeds[-1]}, {failed} failed, {seconds:.1f} s")  # noqa: T201
    for name, count in sorted(total.items()):
        print(f"  {count:10}  {name}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
