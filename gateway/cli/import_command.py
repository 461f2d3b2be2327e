"""``gateway import``: items from files and folders."""

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli import common
from gateway.cli.common import EXIT_FAILED, AsJson, DataDir, FeedArgument

if TYPE_CHECKING:
    from gateway.cli.importer import FileReport

_DELETES_SHARE_DEFAULT: Final = 0.2


@dataclass(slots=True)
class Summary:
    """What became of all files together, as it is printed with --json."""

    feed: str
    files: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    left: int = 0
    deleted: int | None = None
    mirror_held: str | None = None
    deletes_held: int = 0
    missing: list[str] = field(default_factory=list)
    without_items: list[str] = field(default_factory=list)
    reports: list[dict[str, object]] = field(default_factory=list)

    def add(self, report: "FileReport") -> None:
        """Count one file."""
        self.files += 1
        self.new += report.new
        self.changed += report.changed
        self.unchanged += report.unchanged
        self.left += report.left_count
        if report.taken and report.where in self.without_items:
            self.without_items.remove(report.where)

    def text(self) -> str:
        """In one line."""
        deleted = "" if self.deleted is None else f", {self.deleted:,} deleted"
        return (
            f"{common.count_text(self.files, 'file')}: {common.count_text(self.new, 'item')} new,"
            f" {self.changed:,} changed, {self.unchanged:,} unchanged{deleted};"
            f" {self.left:,} skipped"
        )


def import_files(
    feed: FeedArgument,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Files .vcf, .ics and .eml, and folders of them.",
            readable=False,  # what cannot be read is told in our own words
        ),
    ],
    *,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Delete what the feed holds and PATH... does not.")
    ] = False,
    deletes_share_max: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            show_default=str(_DELETES_SHARE_DEFAULT),
            help="Share of the feed that --mirror deletes unasked; 10 items it always may.",
        ),
    ] = None,
    confirm_deletes: Annotated[
        bool,
        typer.Option(
            "--confirm-deletes", help="Let --mirror delete more, or beside damaged files."
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Tell of all files, not only of what is skipped."),
    ] = False,
    data: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Take contacts, calendars and mails from files, byte for byte.

    The same again changes nothing. What cannot be read is told of, and skipped; a file named as
    PATH that gives no item is an error.

    An item's folder is the path of its file below PATH: import from the same root each time, or
    items move. With --mirror, nothing is deleted if a file is damaged or cannot be read, if there
    is no item at all, or if much would go: the command that deletes all the same is told.
    """
    from gateway.cli.importer import Importer, MirrorHeldError  # noqa: PLC0415 - heavy
    from gateway.importing.sources import shown_path  # noqa: PLC0415 - heavy

    if not mirror and (confirm_deletes or deletes_share_max is not None):
        raise typer.BadParameter("nothing is deleted without --mirror: name it, too")
    share_max = _DELETES_SHARE_DEFAULT if deletes_share_max is None else deletes_share_max
    summary = Summary(
        feed,
        missing=[str(path) for path in paths if not _is_there(path)],
        without_items=[
            shown_path(path)
            for path in dict.fromkeys(paths)
            if _is_there(path) and not _is_folder(path)
        ],
    )
    shows_progress = sys.stdout.isatty() and not as_json
    with common.client(data) as client:
        next(client.items(feed, page_items=1), None)  # an unknown feed is told before all else
        with _progress(paths, shown=shows_progress) as (advance, say):
            importer = Importer(client, feed, progress=advance)
            try:
                for report in importer.run(paths):
                    summary.add(report)
                    if not (report.left_count or verbose):
                        continue
                    if as_json:
                        summary.reports.append(_as_json(report))
                    else:
                        say(_as_text(report))
            finally:
                interrupted = sys.exc_info()[0] is not None
                if interrupted and not as_json:
                    say(f"Not finished; {summary.text()}. The same import again goes on.")
        if mirror:
            try:
                summary.deleted = importer.mirror(
                    deletes_share_max=share_max, confirmed=confirm_deletes
                )
            except MirrorHeldError as error:
                summary.deletes_held = error.deletes
                summary.mirror_held = str(error)
                if error.can_be_confirmed:
                    summary.mirror_held += f". To delete them: {_confirming(feed, paths, data)}"
    _show(summary, as_json=as_json)
    failed = summary.missing or summary.without_items or summary.mirror_held
    return EXIT_FAILED if failed else 0


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # and told of as what cannot be read
    return True


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _confirming(feed: str, paths: Sequence[Path], data: Path | None) -> str:
    """The same command again, which deletes what was held back."""
    named = " ".join(shlex.quote(str(path)) for path in paths)
    option = common.data_option(data)
    return f"gateway import {feed} {named} --mirror --confirm-deletes{option}"


def _show(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        shown = {name: getattr(summary, name) for name in Summary.__slots__}
        common.show_json(shown)
    else:
        typer.echo(f"{summary.text()}.")
    for path in summary.missing:
        typer.echo(f"error: there is no {path}", err=True)
    for where in summary.without_items:
        typer.echo(f"error: no item was taken from {where}", err=True)
    if summary.mirror_held:
        typer.echo(f"error: nothing was deleted: {summary.mirror_held}", err=True)


def _as_text(report: "FileReport") -> str:
    lines = []
    if report.taken or not report.left_count:
        counts = {"new": report.new, "changed": report.changed, "unchanged": report.unchanged}
        taken = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        lines.append(f"took     {report.where}: {taken}")
    lines += [f"skipped  {left.where}: {left.reason}" for left in report.left]
    more = report.left_count - len(report.left)
    if more:
        lines.append(f"skipped  {report.where}: {more:,} more")
    return "\n".join(lines)


def _as_json(report: "FileReport") -> dict[str, object]:
    return {
        "file": report.where,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "left": report.left_count,
        "reasons": [{"where": left.where, "reason": left.reason} for left in report.left],
    }


@contextlib.contextmanager
def _progress(
    paths: Sequence[Path], *, shown: bool
) -> Iterator[tuple[Callable[[int], object], Callable[[str], object]]]:
    """How to tell that bytes were read, and how to print beside the bar that shows it."""
    if not shown:
        yield (lambda _: None), typer.echo
        return

    from rich import progress as rich_progress  # noqa: PLC0415 - only on a terminal

    from gateway.importing.found import Left  # noqa: PLC0415 - heavy
    from gateway.importing.sources import source_files  # noqa: PLC0415

    total = sum(found.size_bytes for found in source_files(paths) if not isinstance(found, Left))
    columns = (
        rich_progress.TextColumn("importing"),
        rich_progress.BarColumn(bar_width=None),
        rich_progress.DownloadColumn(),
        rich_progress.TimeRemainingColumn(compact=True),
    )
    with rich_progress.Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield (
            lambda read_bytes: bar.advance(task, read_bytes),
            lambda text: bar.console.print(text, markup=False, highlight=False, soft_wrap=True),
        )
