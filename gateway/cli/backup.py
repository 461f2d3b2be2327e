"""``gateway backup`` and ``restore``: the whole state in a directory, and back."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.api_errors import NoGatewayError
from gateway.cli import common
from gateway.cli.common import EXIT_FAILED, AsJson, CommandError, DataDir

if TYPE_CHECKING:
    from gateway.backup import Restored
    from gateway.backup_sqlite import Contents


def _named(text: str) -> Path:
    # A variable that is not set would name the working directory.
    if not text:
        raise typer.BadParameter("DIR is empty: name a directory")
    return Path(text)


def backup(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            parser=_named,
            help="A new directory, or an empty one. Those above it must be there.",
        ),
    ],
    *,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Save all feeds, items and devices in a directory.

    The gateway may run, or not. What is saved is as of one moment, on the disk and checked. The
    ledger is not part of it: what a device holds it says itself.

    Contents that are lost or damaged in the state are so in the backup, too. You are told of them.
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
    _warn_of_damaged(contents, data)


def _back_up_at_rest(data_dir: Path, directory: Path) -> "Contents":
    from gateway.backup import back_up  # noqa: PLC0415 - heavy
    from gateway.backup_sqlite import BackupError  # noqa: PLC0415 - heavy
    from gateway.data_dir import DataDirError, locked  # noqa: PLC0415 - heavy
    from gateway.service import STORE_FILE  # noqa: PLC0415 - heavy

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
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", parser=_named, help="Directory of the backup.")
    ],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, even if a state is there.")
    ] = False,
    data: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Put a backup in the place of the gateway's state.

    No gateway may run meanwhile. The state that is there is kept in a directory beside it, which
    can be restored, too, unless it is damaged.
    """
    from gateway import backup as backups  # noqa: PLC0415 - heavy
    from gateway.backup_sqlite import BackupError  # noqa: PLC0415 - heavy
    from gateway.data_dir import DataDirError, DataDirInUseError, locked  # noqa: PLC0415 - heavy
    from gateway.service import LEDGER_DIR, STORE_FILE  # noqa: PLC0415 - heavy

    data_dir = common.chosen(data)
    state_file = data_dir / STORE_FILE

    try:
        contents = backups.examine(directory, state_file)
        with locked(data_dir):
            if not (yes or _agrees(directory, contents, state_file)):
                typer.echo("Nothing was changed.", err=True)
                return EXIT_FAILED
            restored = backups.restore(
                directory, state_file, data_dir / LEDGER_DIR, unix_time=time.time()
            )
    except DataDirInUseError as error:
        raise CommandError(
            f"the gateway runs with {data_dir}: stop it first, and start it again afterwards"
        ) from error
    except (BackupError, DataDirError) as error:
        raise CommandError(str(error)) from error
    if as_json:
        kept = str(restored.kept) if restored.kept else None
        common.show_json(
            {**asdict(restored.contents), "kept": kept, "kept_is_backup": restored.kept_is_backup}
        )
    else:
        typer.echo(f"Restored from {directory}: {_text(restored.contents)}.")
        _tell_what_became_of_the_old(restored)
    _warn_of_damaged(restored.contents, data)
    return 0


def _agrees(directory: Path, contents: "Contents", state_file: Path) -> bool:
    """Whether the state, if there is one, may be replaced."""
    from gateway.backup import holds_state  # noqa: PLC0415 - heavy

    if not holds_state(state_file):
        return True
    data_dir = state_file.parent
    if not sys.stdin.isatty():
        raise CommandError(f"{data_dir} holds a state: --yes replaces it all the same")
    return typer.confirm(
        f"Replace the state in {data_dir} with {directory}, {_text(contents)}?", err=True
    )


def _tell_what_became_of_the_old(restored: "Restored") -> None:
    if restored.kept is None:
        return
    if restored.kept_is_backup:
        typer.echo(f"What was there is kept in {restored.kept}, which can be restored, too.")
    else:
        typer.echo(
            f"What was there is kept in {restored.kept}. It is damaged or of another version, and"
            " cannot be restored."
        )
    common.show_text(
        "Changes since the backup are gone, also of feeds and devices. Once the gateway runs, each"
        " device syncs: it gets what it lacks, and nothing that it holds is sent again."
    )


def _warn_of_damaged(contents: "Contents", data: Path | None) -> None:
    if not contents.damaged_items:
        return
    items = common.count_text(contents.damaged_items, "item")
    named = ", ".join(contents.damaged_named)
    more = contents.damaged_items - len(contents.damaged_named)
    typer.echo(
        f"warning: the contents of {items} are lost or damaged: {named}"
        f"{f' and {more:,} more' if more else ''}. Put them again; those that the gateway came"
        f" across are in 'gateway quarantine list{common.data_option(data)}'.",
        err=True,
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
