"""What ``enroll`` does: takes a credential from where it is, and keeps it."""

import logging
import sys
import termios
from pathlib import Path
from typing import Final, TextIO

import typer

from device_agent import data_dir, enrolment
from device_agent.enrolment import EnrolmentError
from device_agent.printing import safe_line
from device_agent.running import log_to_stderr
from device_agent.settings import Settings
from programs.settings_types import STANDARD_INPUT
from programs.tls import Security
from programs.tls_settings import Tls, TlsError
from sync_protocol.addresses import broker_address
from sync_protocol.credential import CREDENTIAL_CHARS_MAX, Credential
from sync_protocol.errors import ProtocolError

_LOG: Final = logging.getLogger(__name__)

# With the line breaks of a narrow terminal or a mail.
_TEXT_CHARS_MAX: Final = 2 * CREDENTIAL_CHARS_MAX
# Linux drops what is behind so much of one line that is typed (N_TTY_BUF_SIZE), without a word.
_TYPED_LINE_BYTES_MAX: Final = 4_095


def enroll(settings: Settings, *, line: str | None, file: Path | None, again: str) -> None:
    """Keep the credential that `line` is, or that is in `file`, or typed.

    Args:
        settings: the directory, and what goes before what the credential says.
        line: from the command line.
        file: holds it; ``-`` is standard input.
        again: the options with which the next command finds the same settings.

    Raises:
        EnrolmentError: there is none, or it cannot be kept.
    """
    log_to_stderr(logging.WARNING)
    try:
        credential = Credential.parse(line if line is not None else _text(file))
    except ProtocolError as error:
        raise EnrolmentError(str(error)) from error
    _check_ca(credential)
    before = _before(settings.data_dir)
    enrolment.keep(settings.data_dir, credential)
    typer.echo(safe_line(f"Enrolled as {credential.summary}."))
    if before is not None:
        typer.echo(
            safe_line(f"This took the place of the enrolment as {before.device} that was there.")
        )
    if file is not None and file != STANDARD_INPUT:
        typer.echo(safe_line(f"Delete {file}: whoever has it is this device."))
    if line is not None:
        _LOG.warning(
            "a credential on a command line stays in the shell's history, and others on this"
            " machine may see it: --file FILE, or the terminal, keep it to yourself"
        )
    used = enrolment.completed(settings, credential)
    if used.id != credential.device:
        _LOG.warning("the settings say id = %s, so that this enrolment will not be used", used.id)
        return
    try:
        Security(enrolment.tls_of(used, credential), *broker_address(used.broker))
    except TlsError as error:
        _LOG.warning("the broker will not be connected to: %s", error)
    if data_dir.is_locked(settings.data_dir):
        typer.echo("The agent that runs goes on as before: start it again.")
        return
    typer.echo("\nKeep this device in step, or sync it once:\n")
    typer.echo(safe_line(f"  device-agent run{again}"))
    typer.echo(safe_line(f"  device-agent sync{again}"))


def _check_ca(credential: Credential) -> None:
    tls = Tls(mode="on", ca=credential.ca)
    try:
        Security(tls, credential.host, credential.port)
    except TlsError as error:
        raise EnrolmentError(
            f"{error}; 'gateway device rotate {credential.device}' shows another credential"
        ) from error


def _before(folder: Path) -> Credential | None:
    try:
        return enrolment.kept(folder)
    except EnrolmentError as error:
        _LOG.warning("%s", error)  # and is replaced
        return None


def _text(file: Path | None) -> str:
    if file is not None and file != STANDARD_INPUT:
        try:
            with file.open(encoding="utf-8", errors="replace") as opened:
                return opened.read(_TEXT_CHARS_MAX + 1)
        except OSError as error:
            raise EnrolmentError(f"{file} cannot be read: {error.strerror or error}") from error
    if file is None and sys.stdin.isatty():
        return _typed(sys.stdin)
    return sys.stdin.read(_TEXT_CHARS_MAX + 1)


def _typed(terminal: TextIO) -> str:
    """What is pasted on the terminal, which does not show it, up to an empty line.

    A terminal breaks what is longer than its width, and some copy the breaks, too: so the first
    line need not be all.
    """
    was = termios.tcgetattr(terminal)
    quiet = list(was)
    quiet[3] = int(quiet[3]) & ~termios.ECHO
    text = ""
    try:
        termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
        question = "Paste the credential (it is not shown), and press Enter twice: "
        typer.echo(question, nl=False, err=True)
        while len(text) <= _TEXT_CHARS_MAX:
            line = terminal.readline(_TEXT_CHARS_MAX + 1)
            if not line or (text and not line.strip()):
                break
            if len(line.encode(errors="replace")) > _TYPED_LINE_BYTES_MAX:  # with its line break
                raise EnrolmentError(
                    "the credential is longer than a line that a terminal takes: put it into a"
                    " file, and name that with --file FILE"
                )
            text += line.lstrip()
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, was)
        typer.echo(err=True)
    return text
