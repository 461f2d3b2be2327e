"""The summary as a person sees it."""

import io

from rich.console import Console

from gateway.demo.table import summary_table


def _row(name: str, count: int, size_bytes: int) -> dict[str, object]:
    return {
        "id": name,
        "items": count,
        "pushes_sent": count,
        "pushes_received": count,
        "changes_resent": count,
        "changes_missing": count,
        "remainders": count,
        "sync_requests": count,
        "bytes_pushed": size_bytes,
        "bytes_requests": 0,
        "bytes_responses": 0,
    }


def test_a_summary_fits_into_60_columns() -> None:
    sizes = {0: "0", 9_999: "9999", 861_184: "841K", 10_000 * 1024: "10M", 2**33: "8192M"}
    rows = [
        _row(f"device-{n}", 99_999, size) for n, size in zip(range(10, 50), sizes, strict=False)
    ]
    out = io.StringIO()
    Console(file=out, width=60).print(
        summary_table(
            {
                "devices": rows,
                "feed": {"items": 99_999, "digest": "0" * 64},
                "converged": True,
                "exact": True,
            }
        )
    )
    heading, *lines = out.getvalue().splitlines()
    assert heading.split() == [
        "device", "items", "pushed", "came", "resent", "lacked", "rests", "syncs", "bytes",
    ]  # fmt: skip
    for row, shown, line in zip(rows, sizes.values(), lines, strict=False):
        assert line.split() == [row["id"], *["99999"] * 7, shown]
