"""How things look on a terminal: foreign text made harmless, tables that fit."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.cells import cell_len, set_cell_size

from sync_protocol.views import View

# Control characters command a terminal; the others end lines, or turn the order of what is read.
_COMMANDS: Final = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
)
_UNSAFE_IN_TEXT: Final = re.compile(f"[{_COMMANDS}]")
_UNSAFE_IN_LINE: Final = re.compile(rf"[\t\n{_COMMANDS}]")

_GAP: Final = "  "
_COLUMN_CHARS_MIN: Final = 8
_KIB: Final = 1024
_MINUTE_S: Final = 60


def safe_line(text: str) -> str:
    """`text` on one line, whatever it holds: what a terminal would obey is spelt out."""
    return _UNSAFE_IN_LINE.sub(_spelt, text)


def safe_text(text: str) -> str:
    """`text` with its lines and tabs kept, and all else that a terminal would obey spelt out."""
    return _UNSAFE_IN_TEXT.sub(_spelt, text.replace("\r\n", "\n"))


def _spelt(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def table(
    header: Sequence[str], rows: Callable[[], Iterable[Sequence[str]]], *, width: int | None
) -> Iterator[str]:
    """The lines of a table, its first column as wide as the others leave.

    Args:
        header: the columns' names. A column without any value is left out.
        rows: gives the rows, twice: first they are measured, so that none is kept in memory.
        width: of the terminal; None for as wide as it gets.
    """
    widths = [0] * len(header)
    for row in rows():
        widths = [max(most, cell_len(cell)) for most, cell in zip(widths, row, strict=True)]
    shown = [index for index, most in enumerate(widths) if most]
    if not shown:
        return
    widths = [max(most, len(name)) for most, name in zip(widths, header, strict=True)]
    while width is not None and sum(widths[at] + len(_GAP) for at in shown) - len(_GAP) > width:
        widest = max(shown, key=lambda at: widths[at])
        if widths[widest] <= _COLUMN_CHARS_MIN:
            break
        widths[widest] -= 1
    yield _line(header, shown, widths)
    for row in rows():
        yield _line(row, shown, widths)


def _line(row: Sequence[str], shown: Sequence[int], widths: Sequence[int]) -> str:
    return _GAP.join(_fitted(row[at], widths[at]) for at in shown).rstrip()


def _fitted(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


def size_text(size: int) -> str:
    """A number of bytes for people."""
    if size < _KIB:
        return f"{size} B"
    if size < _KIB * _KIB:
        return f"{size / _KIB:.1f} KiB"
    return f"{size / _KIB / _KIB:.1f} MiB"


def view_text(view: View, *, since: int | None) -> str:
    """What of a feed is wanted, on one line; empty if that is all of it.

    Args:
        view: what is wanted.
        since: the beginning of the time window, which the gateway may have moved.
    """
    parts: list[str] = []
    if view.kinds is not None:
        parts.append(f"kinds {', '.join(view.kinds)}")
    if view.folders is not None:
        # Items that are in no folder have none that could be written.
        parts.append(f"folders {', '.join(folder or '(none)' for folder in view.folders)}")
    if since is not None:
        parts.append(f"since {date_text(since)}")
    parts += [f"{shown.kind} as {shown.representation}" for shown in view.shown_as]
    if view.portion_bytes is not None:
        parts.append(f"portions of {size_text(view.portion_bytes)}")
    if view.item_bytes_max is not None:
        parts.append(f"items up to {size_text(view.item_bytes_max)}")
    return safe_line("; ".join(parts))


def json_text(value: object) -> str:
    """`value` as JSON on one line, which commands no terminal."""
    # Everything else that a terminal would obey is not ASCII, or is escaped in JSON anyway.
    return json.dumps(value).replace("\x7f", "\\u007f")


def date_text(unix_s: int | None) -> str:
    """An item's date. It is a coarse key to sort by, so no time of day is shown."""
    if unix_s is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return str(unix_s)  # beyond the years that Python knows


def moment_text(unix_s: int) -> str:
    """A moment, in the time of this place."""
    return f"{datetime.fromtimestamp(unix_s, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def age_text(seconds: float) -> str:
    """How long ago something was."""
    if seconds < 0:
        return "in the future: a clock was set back"
    minutes = int(seconds) // _MINUTE_S
    if minutes == 0:
        return f"{int(seconds)} s ago"
    if minutes < 2 * 60:
        return f"{minutes} min ago"
    hours = minutes // 60
    return f"{hours} h ago" if hours < 2 * 24 else f"{hours // 24} days ago"
