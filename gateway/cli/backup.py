"""``gateway backup`` and ``restore``: the whole state in a directory, and back."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.api_errors import NoGatewayError
from gateway.cli import common
from gateway.cli.common import AsJson, CommandError, DataDir

if TYPE_CHECKING:
    from gateway.backup_sqlite import Contents


def backup(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new directory, made if need be.")
    ],
    *,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Save all feeds, items and devices in a directory.

    The gateway may run, or not. What is saved is as of one moment, on the disk and checked. The
    ledger is not part of it: what a device holds it says itself.
    """
    from gateway.backup_sqlite import Contents  # noqa: PLC0415 - heavy

    directory = directory.absolute()
    try:
        with common.client(data) as client:
            made = client.back_up(directory)
        contents = Contents(**made.model_dump(exclude={"directory"}))
    except NoGatewayError:
        contents = _back_up_at_rest(common.chosen(data), directory)
    if as_json:
        common.show_json({"directory": str(directory), **asdict(contents)})
    else:
        typer.echo(f"Saved in {directory}: {_text(contents)}.")


def _back_up_at_rest(data_dir: Path, directory: Path) -> "Contents":
    from gateway.backup import back_up  # noqa: PLC0415 - heavy
    from gateway.backup_sqlite import BackupError  # noqa: PLC0415
    from gateway.data_dir import DataDirError, locked  # noqa: PLC0415
    from gateway.service import STORE_FILE  # noqa: PLC0415

    state_file = data_dir / STORE_FILE
    if not state_file.is_file():
        raise CommandError(
            f"there is nothing to save, no {state_file}: --data DIR names another data directory"
        )
    try:
        with locked(data_dir):
            return back_up(state_file, directory)
    except (BackupError, DataDirError) as error:
        raise CommandError(str(error)) from error


def restore(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the backup.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, even if a state is there.")
    ] = False,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the gateway's state.

    No gateway may run meanwhile. The state that is there is kept in a directory beside it, which
    can be restored, too.
    """
    from gateway import backup as backups  # noqa: PLC0415 - heavy
    from gateway.backup_sqlite import BackupError  # noqa: PLC0415
    from gateway.data_dir import DataDirError, locked  # noqa: PLC0415
    from gateway.service import LEDGER_DIR, STORE_FILE  # noqa: PLC0415

    data_dir = common.chosen(data)
    state_file = data_dir / STORE_FILE

    def confirm(contents: "Contents") -> None:
        if yes or not state_file.exists():
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{data_dir} holds a state: --yes replaces it all the same")
        typer.confirm(
            f"Replace the state in {data_dir} with {directory}, {_text(contents)}?",
            abort=True,
            err=True,
        )

    try:
        with locked(data_dir):
            restored = backups.restore(
                directory, state_file, data_dir / LEDGER_DIR, unix_time=time.time(), confirm=confirm
            )
    except (BackupError, DataDirError) as error:
        raise CommandError(str(error)) from error
    if as_json:
        kept = str(restored.kept) if restored.kept else None
        common.show_json({**asdict(restored.contents), "kept": kept})
        return
    typer.echo(f"Restored from {directory}: {_text(restored.contents)}.")
    if restored.kept:
        typer.echo(f"What was there is kept in {restored.kept}, which can be restored, too.")
    typer.echo(
        "Changes since the backup are gone, also of feeds and devices. Once the gateway runs, each"
        " device\nsyncs: it gets what it lacks, and nothing that it holds is sent again."
    )


def _text(contents: "Contents") -> str:
    return ", ".join(
        (
            common.count_text(contents.feeds, "feed"),
            common.count_text(contents.items, "item"),
            common.count_text(contents.devices, "device"),
            common.size_text(contents.size_bytes),
        )
    )
