"""``python -m tests.rules [CLAUSE ...]``: break each rule once, and see which test notices."""

import argparse
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.rules import page
from tests.rules.table import BREAKS
from tests.rules.trial import TIMEOUT, Failure, TrialError, copied, first_failure, run


def main() -> int:
    """Try the breaks, and say what noticed them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.rules",
        description="break each rule of docs/protocol.md once, and see which test notices",
    )
    parser.add_argument("clauses", nargs="*", metavar="CLAUSE", help="D5, D5b, ...; without, all")
    parser.add_argument("--jobs", type=int, default=1, help="how many at the same time")
    parser.add_argument("--write", action="store_true", help="put the table into docs/testing.md")
    options = parser.parse_args()
    names = [
        name
        for name, each in BREAKS.items()
        if not options.clauses or {name, each.clause} & set(options.clauses)
    ]
    if not names:
        parser.error(f"no break is called {' or '.join(options.clauses)}")
    with ThreadPoolExecutor(options.jobs) as pool:
        failures = {
            name: failure
            for name, failure in zip(names, pool.map(_tried, names), strict=True)
            if failure is not None
        }
    noticed = _sound({name: it.test.partition("[")[0] for name, it in failures.items()})
    failed = [name for name in names if name not in noticed]
    print(f"{len(noticed)} breaks noticed, {len(failed)} not: {' '.join(failed) or 'none'}")  # noqa: T201
    if options.write:
        page.write(noticed)
    return 1 if failed else 0


def _tried(name: str) -> Failure | None:
    try:
        with copied(BREAKS[name].edits) as copy:
            failure = first_failure(copy, BREAKS[name].edits)
        result = "!!! NO TEST NOTICES THIS" if failure is None else failure.test
    except TrialError as error:
        failure, result = None, f"!!! NO BREAK: {error}"
    print(f"{name:5} {BREAKS[name].wrong}\n      {result}", flush=True)  # noqa: T201
    return failure


def _sound(noticed: Mapping[str, str]) -> Mapping[str, str]:
    """Those of `noticed`, name of a break -> test, whose test passes without any break."""
    tests = sorted(set(noticed.values()) - {TIMEOUT})
    with copied() as sound:
        while tests and (failure := run(sound, tests)) is not None:
            test = failure.test.partition("[")[0]
            tests.remove(test)
            print(f"!!! {test} fails without any break, and so notices nothing")  # noqa: T201
            noticed = {name: by for name, by in noticed.items() if by != test}
    return noticed


if __name__ == "__main__":
    sys.exit(main())
