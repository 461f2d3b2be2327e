"""``python -m benchmarks``: run all, or those whose names are given, and print a table."""

import argparse
import sys
from typing import Final

from benchmarks import cases, neighbours

ALL: Final = {
    **cases.ALL,
    "hostile-device": neighbours.hostile_device,
    "neighbours": neighbours.logins_and_fan_out,
}


def main() -> int:
    """Print a row for each benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("name", nargs="*", help=f"some of: {', '.join(ALL)}")
    names = parser.parse_args().name or list(ALL)
    unknown = sorted(set(names) - set(ALL))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}")
    print(f"{'benchmark':16} {'figure':>9} {'of':<10} what")
    for name in names:
        for row in ALL[name]():
            print(f"{name:16} {row.ratio:9.2f} {row.unit:<10} {row.what}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
