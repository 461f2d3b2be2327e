"""``python -m tests.simulation --seeds N``: N fresh seeds; a failing one says how to replay it."""

import argparse
import os
import random
import sys
import time
import traceback
from collections import Counter

from tests.simulation.world import MOST_ROUNDS, run


def main() -> int:
    """Run the seeds, print what happened, and how to replay what failed."""
    parser = argparse.ArgumentParser(description="the lossy simulator")
    parser.add_argument("--seeds", type=int, default=200, help="how many, one after the other")
    parser.add_argument("--first", type=int, help="the first of them, instead of a fresh one")
    parser.add_argument("--seed", type=int, help="this one seed")
    parser.add_argument("--events", type=int, default=600, help="random events in a run")
    options = parser.parse_args()
    if options.seed is not None:
        options.first, options.seeds = options.seed, 1
    if options.first is None:
        options.first = random.SystemRandom().getrandbits(48)
    total: Counter[str] = Counter()
    started = time.monotonic()
    failed = 0
    for seed in range(options.first, options.first + options.seeds):
        try:
            counts = run(seed, events=options.events)
        except Exception:  # whatever went wrong is what this looks for
            traceback.print_exc()
            print(f"FAILED: python -m tests.simulation --seed {seed} --events {options.events}")  # noqa: T201
            failed += 1
            continue
        most = max(total[MOST_ROUNDS], counts.pop(MOST_ROUNDS))
        total += counts
        total[MOST_ROUNDS] = most
    seconds = time.monotonic() - started
    print(f"{options.seeds} runs, {failed} failed, {seconds:.1f} s; the same again:")  # noqa: T201
    print(  # noqa: T201
        f"python -m tests.simulation --first {options.first} --seeds {options.seeds}"
        f" --events {options.events}"
    )
    for name, count in sorted(total.items()):
        print(f"  {count:10}  {name}")  # noqa: T201
    return 1 if failed else 0


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
