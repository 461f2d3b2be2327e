"""What all commands share: where the gateway is, how errors end, and how things are shown."""

import json
import shlex
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.data_dir import default_data_dir

# Imported where they are used: `--help` must not wait for them.
if TYPE_CHECKING:
    from gateway.api_models import Replica
    from gateway.client import GatewayClient

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_GATEWAY: Final = 3
EXIT_CODES: Final = (
    f"Exit status: 0 done, {EXIT_FAILED} failed, {EXIT_USAGE} wrong usage,"
    f" {EXIT_NO_GATEWAY} no gateway runs."
)

DATA_DIR_VARIABLE: Final = "TALLYSYNC_GATEWAY_DATA_DIR"
# Where the output is no terminal, a table is as wide as what it holds.
_PIPE_COLUMNS: Final = 10_000
_INDENT: Final = "    "
_KIB: Final = 1024

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar=DATA_DIR_VARIABLE,
        help="Data directory of the gateway.",
        readable=False,
        show_default=str(default_data_dir()),
    ),
]
# Not that of `gateway.settings`, which is heavy.
CONFIG_VARIABLE: Final = "TALLYSYNC_GATEWAY_CONFIG"

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar=CONFIG_VARIABLE,
        help="Settings, as in config/gateway.toml.",
        readable=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FeedArgument = Annotated[str, typer.Argument(metavar="FEED", help="Name of the feed.")]


class CommandError(Exception):
    """A command failed in a way that can be expected; each line says how to mend it."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines: Final = lines


def chosen(data_dir: Path | None) -> Path:
    """The data directory that was named, or that of everybody who names none."""
    return default_data_dir() if data_dir is None else data_dir


def data_option(data_dir: Path | None) -> str:
    """What a command that follows needs to find the same gateway, with a blank before it."""
    if chosen(data_dir) == default_data_dir():
        return ""
    return f" --data {shlex.quote(str(data_dir))}"


def client(data_dir: Path | None) -> "GatewayClient":
    """A client of the gateway that runs with that directory. NoGatewayError if none does."""
    from gateway.client import GatewayClient  # noqa: PLC0415 - see TYPE_CHECKING above

    return GatewayClient(chosen(data_dir))


def show_json(value: object) -> None:
    """Print JSON for programs and people."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_json_list(values: Iterable[object]) -> None:
    """Print a JSON array while its values come in, however many they are."""
    separator = "[\n"
    for value in values:
        typer.echo(separator + json.dumps(value, ensure_ascii=False), nl=False)
        separator = ",\n"
    typer.echo("[]" if separator.startswith("[") else "\n]")


def show_table(
    rows: Sequence[Mapping[str, object]], *, right: Collection[str] = (), cut: Collection[str] = ()
) -> None:
    """Print rows, all with the same columns, beneath each other; those in `right` end together.

    Columns in which no row has anything are left out. Long values in columns of `cut` end in an
    ellipsis where the terminal ends, so that nobody takes a part for the whole; others are folded.
    So 60 characters a line will do.
    """
    from rich.console import Console  # noqa: PLC0415 - see TYPE_CHECKING above
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    columns = [name for name in rows[0] if any(row[name] not in ("", None) for row in rows)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name in right,
            overflow="fold",
            header_style="bold",
        )
    for row in rows:
        # Text, because what others wrote must not be taken for markup.
        table.add_row(
            *(
                Text(
                    "" if row[name] is None else str(row[name]),
                    no_wrap=name in cut or name in right,
                    overflow="ellipsis" if name in cut else "fold",
                )
                for name in columns
            )
        )
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    Console(width=width).print(table)


def show_text(text: str, *, hanging: bool = False) -> None:
    """Print a line, which a terminal breaks between words.

    Args:
        text: the line.
        hanging: the further lines are indented, as those of what begins with a label.
    """
    if not sys.stdout.isatty():
        typer.echo(text)
        return
    from rich.console import Console  # noqa: PLC0415 - see TYPE_CHECKING above
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    indent = _INDENT if hanging else ""
    lines = Text(text).wrap(console, max(console.width - len(indent), 1))
    typer.echo(f"\n{indent}".join(line.plain.rstrip() for line in lines))


def behind_text(replica: "Replica") -> str:
    """How many changes a replica's last sync did not cover, for people."""
    if replica.synced_at is None:
        return "all"
    return "unknown" if replica.behind is None else str(replica.behind)


def size_text(size_bytes: int) -> str:
    """A size for people."""
    size = float(size_bytes)
    for unit in ("B", "KiB"):
        if size < _KIB:
            return f"{size:.0f} {unit}"
        size /= _KIB
    return f"{size:.1f} MiB"


def time_text(unix_seconds: int | None) -> str:
    """A time for people, in their time zone; "never" for None."""
    if unix_seconds is None:
        return "never"
    return day_text(unix_seconds, "%Y-%m-%d %H:%M:%S")


def day_text(unix_seconds: int | None, form: str = "%Y-%m-%d") -> str:
    """A day for people, in their time zone; nothing for None."""
    if unix_seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(unix_seconds, UTC).astimezone().strftime(form)
    except (OverflowError, ValueError, OSError):
        return str(unix_seconds)  # of another age than calendars'


def count_text(count: int, noun: str) -> str:
    """A number with its noun, as in `2,000 items`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
