"""A device's credential, shown once: as text, as a QR code, or written into a file."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

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

# What the shell writes below the QR code.
_PROMPT_LINES: Final = 2


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
            " that nobody else can read, run there, and delete both files:"
        )
        typer.echo()
        typer.echo(f"  device-agent enroll --file {out.name}\n  device-agent run\n")
    else:
        typer.echo("Its credential, shown this once:\n")
        typer.echo(f"{found.line}\n")
        typer.echo("Run on the device, and paste the credential when it is asked for:\n")
        typer.echo("  device-agent enroll\n  device-agent run\n")
    if announced.needs_operator:
        common.show_text(
            f"The broker has accounts of its own, and is to be told of {found.id} now. Where"
            " 'gateway broker-config' wrote them into files, run the same command again, which is"
            " in the first lines of mosquitto.conf, and have Mosquitto read them (docs/mosquitto.md"
            f"). Another broker gets the user {found.id} with the password"
            f" {'of the credential' if out is not None else found.credential}."
        )
    elif announced.embedded:
        typer.echo("This broker serves agents on this machine only.")
    if out is None:  # last, so that nothing scrolls it away
        _show_qr(found.line, qr)


def _show_qr(line: str, qr: bool | None) -> None:  # noqa: FBT001 - of the option
    is_terminal = sys.stdout.isatty()
    if qr is False or (qr is None and not is_terminal):
        return
    from gateway.cli import qr_code  # noqa: PLC0415 - `--help` must not wait

    size = shutil.get_terminal_size()
    lines = None if qr else size.lines - _PROMPT_LINES
    try:
        code = qr_code.drawn(line, columns=size.columns, lines=lines, packed_after="&ca=")
    except qr_code.QrCodeTooLargeError as error:
        forced = "" if error.columns > size.columns else "; --qr draws it all the same"
        common.show_text(
            f"A QR code of it needs a terminal of {error.columns} x {error.lines + _PROMPT_LINES}"
            f" (columns x lines), and this one has {size.columns} x {size.lines}{forced}."
        )
    except qr_code.QrCodeError as error:
        common.show_text(f"No QR code is shown: {error}.")
    else:
        typer.echo(f"\n{code}")
