"""The summary as a person sees it."""

import io

from rich.console import Console

from gateway.demo.table import summary_table
from gateway.demo.views import VIEWERS


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


def _shown(*, wrong: tuple[str, ...] = (), width: int = 60) -> list[str]:
    rows = [
        _row(viewer.name, 99_999, 2**33)
        | {"digest": "0", "expected_digest": "1" if viewer.name in wrong else "0"}
        for viewer in VIEWERS
    ]
    out = io.StringIO()
    Console(file=out, width=width).print(
        summary_table(
            {
                "devices": rows,
                "feed": {"items": 99_999, "digest": "0" * 64},
                "converged": not wrong,
                "exact": True,
            },
            {viewer.name: viewer.words for viewer in VIEWERS},
        )
    )
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_each_view_is_named_on_a_line_of_60_columns() -> None:
    assert _shown()[6:] == [
        "what each shows:",
        "pager contacts, compact, the first 256 bytes",
        "heads mail, the first 1024 bytes",
        "recent the last 30 days and what is to come",
        "inbox the folder Inbox",
        "pc everything",
        f"the feed holds 99999 items, digest {'0' * 16}",
        "converged: every device holds exactly what its view shows",
        "exact: every change that was resent had been missing",
    ]


def test_a_narrow_terminal_breaks_words_of_views_and_not_names() -> None:
    lines = _shown(width=30)
    for viewer in VIEWERS:
        assert any(line.startswith(f"{viewer.name} ") for line in lines)
    text = " ".join(lines)
    assert "pager contacts, compact, the first 256 bytes" in text


def test_devices_that_differ_from_their_views_are_named() -> None:
    lines = _shown(wrong=("heads", "inbox"))
    assert "NOT converged, other than its view shows: heads, inbox" in lines
