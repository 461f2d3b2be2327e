"""A device's credential, shown once: as text, as a QR code, or written into a file."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import common
from gateway.cli.common import CommandError

if TYPE_CHECKING:
    from gateway.api_models import Enrolled
    from gateway.client import Announcement

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write the credential into a new file that only you can read, instead of showing it.",
    ),
]
Qr = Annotated[
    bool | None,
    typer.Option(
        "--qr/--no-qr",
        help="Draw a QR code of it, or none. By default one is drawn on a terminal that has room.",
        show_default=False,
    ),
]


def enrolled(ask: Callable[[], "Enrolled"], *, out: Path | None) -> "Enrolled":
    """What the gateway answers; the credential is in the file `out` then, if one is named.

    The file is made first: a credential that cannot be kept must not be made.
    """
    if out is None:
        return ask()
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(
            f"--out {out} cannot be written, so nothing was done: {error.strerror}"
        ) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            found = ask()
            try:
                file.write(f"{found.line}\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise CommandError(
                    f"the credential could not be written into {out} ({error.strerror}) and is"
                    f" lost: 'gateway device rotate {found.id}' makes another"
                ) from error
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return found


def show(
    found: "Enrolled", announced: "Announcement", *, out: Path | None, qr: bool | None
) -> None:
    """Say what to do with a credential, and show it unless it is in the file `out`."""
    if out is not None:
        common.show_text(
            f"Its credential is in {out}, which only you can read. Take that to the device by a way"
            " that nobody else can read, and run there:"
        )
        typer.echo()
        typer.echo(f"  device-agent enroll --file {out.name}\n  device-agent run\n")
    else:
        typer.echo("Its credential, shown this once:\n")
        typer.echo(f"{found.line}\n")
        _show_qr(found.line, qr)
        typer.echo("Run on the device, and paste the credential when it is asked for:\n")
        typer.echo("  device-agent enroll\n  device-agent run\n")
    if announced.needs_operator:
        common.show_text(
            f"The broker has accounts of its own: give it the user {found.id} with the password"
            f" {'of the credential' if out is not None else found.credential} (docs/mosquitto.md)."
        )
    elif announced.embedded:
        typer.echo("This broker serves agents on this machine only.")


def _show_qr(line: str, qr: bool | None) -> None:  # noqa: FBT001 - of the option
    is_terminal = sys.stdout.isatty()
    if qr is False or (qr is None and not is_terminal):
        return
    from gateway.cli.qr_code import QrCodeError, drawn  # noqa: PLC0415 - `--help` must not wait

    columns = shutil.get_terminal_size().columns
    try:
        typer.echo(drawn(line, columns=columns, packed_after="&ca="))
    except QrCodeError as error:
        common.show_text(f"No QR code is shown: {error} ('--no-qr' leaves this out).")
    typer.echo()
