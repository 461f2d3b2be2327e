"""What a person sees of the demo: a live table, and a summary."""

import time
from collections.abc import Mapping
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.demo.record import DeviceRecord

_REFRESH_S: Final = 0.25
_SHOWN_EXACTLY: Final = 10_000


class LiveTable:
    """A table of all devices that follows their records; nothing where no terminal is."""

    def __init__(self, console: Console, records: Mapping[str, DeviceRecord]) -> None:
        self._records = records
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._enabled = console.is_terminal
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        if self._enabled:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._enabled:
            self._live.stop()

    def says(self, what: str) -> None:
        """Show what goes on, and the figures as they are now, at most every so often."""
        now = time.monotonic()
        if self._enabled and now - self._drawn_at >= _REFRESH_S:
            self._drawn_at = now
            self._live.update(self._drawn(what), refresh=True)

    def _drawn(self, what: str) -> RenderableType:
        table = Table("device", box=None, pad_edge=False)
        for heading in ("pushed", "lost", "resent", "bytes"):
            table.add_column(heading, justify="right")
        for name, record in self._records.items():
            figures = record.figures
            table.add_row(
                f"{name} away" if record.away else name,
                str(figures.pushes_received),
                str(figures.pushes_sent - figures.pushes_received - record.flying()),
                str(figures.changes_resent),
                _size(figures.bytes_pushed + figures.bytes_requests + figures.bytes_responses),
            )
        return Group(table, Text(what))


def summary_table(
    summary: Mapping[str, Any], words: Mapping[str, str] | None = None
) -> RenderableType:
    """The summary for a person.

    Args:
        summary: as it is printed as JSON.
        words: what each device wants, by its id, if they do not all want the same.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("device", no_wrap=True)
    for heading in ("items", "pushed", "came", "resent", "lacked", "rests", "syncs", "bytes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in summary["devices"]:
        table.add_row(
            row["id"],
            str(row["items"]),
            str(row["pushes_sent"]),
            str(row["pushes_received"]),
            str(row["changes_resent"]),
            str(row["changes_missing"]),
            str(row["remainders"]),
            str(row["sync_requests"]),
            _size(row["bytes_pushed"] + row["bytes_requests"] + row["bytes_responses"]),
        )
    feed = summary["feed"]
    verdict = [
        f"the feed holds {feed['items']} items, digest {feed['digest'][:16]}",
        _of_views(summary) if words else _of_all(summary),
        (
            "exact: every change that was resent had been missing"
            if summary["exact"]
            else "NOT exact: a device was sent what it held"
        ),
    ]
    if not words:
        return Group(table, Text("\n".join(verdict)))
    views = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    views.add_column(no_wrap=True)
    for name, told in words.items():
        views.add_row(name, told)
    return Group(table, Text("what each shows:"), views, Text("\n".join(verdict)))


def _of_all(summary: Mapping[str, Any]) -> str:
    if summary["converged"]:
        return "converged: every device holds exactly the same"
    return "NOT converged: a device differs from the feed"


def _of_views(summary: Mapping[str, Any]) -> str:
    if summary["converged"]:
        return "converged: every device holds exactly what its view shows"
    rows = summary["devices"]
    wrong = [row["id"] for row in rows if row["digest"] != row["expected_digest"]]
    return f"NOT converged, other than its view shows: {', '.join(wrong)}"


def _size(size_bytes: int) -> str:
    """At most five characters up to 10 GiB: a row has to fit into 60."""
    size, *units = float(size_bytes), "", "K", "M"
    for unit in units[:-1]:
        if size < _SHOWN_EXACTLY:
            return f"{size:.0f}{unit}"
        size /= 1024
    return f"{size:.0f}{units[-1]}"
