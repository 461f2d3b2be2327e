"""``python -m benchmarks``: run all, or those whose names are given, and print a table."""

import argparse
import sys

from benchmarks import cases


def main() -> int:
    """Print a row for each benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("name", nargs="*", help=f"some of: {', '.join(cases.ALL)}")
    names = parser.parse_args().name or list(cases.ALL)
    unknown = sorted(set(names) - set(cases.ALL))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(cases.ALL)}")
    print(f"{'benchmark':16} {'figure':>9} {'of':<10} what")
    for name in names:
        for row in cases.ALL[name]():
            print(f"{name:16} {row.ratio:9.2f} {row.unit:<10} {row.what}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
