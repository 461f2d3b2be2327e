"""The command ``gateway``: which commands there are, and how their errors end."""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, cast

import typer

from gateway.api_errors import ApiError, NoAnswerError, NoGatewayError
from gateway.cli import (
    backup,
    broker_config,
    config,
    demo,
    devices,
    export,
    feeds,
    import_command,
    items,
    quarantine,
    run,
    status,
)
from gateway.cli.common import EXIT_CODES, EXIT_FAILED, EXIT_NO_GATEWAY, EXIT_USAGE, CommandError

# The class of all wrong usage is private in typer, and this one of its subclasses is not.
_UsageError: Final = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app: Final = typer.Typer(
    help="Keeps contacts, calendars, tasks and mail for devices, and syncs them over MQTT.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.add_typer(config.app, name="config")
app.add_typer(feeds.app, name="feed")
app.command("import")(import_command.import_files)
app.command("export")(export.export)
app.command("put")(items.put)
app.command("delete")(items.delete)
app.command("items")(items.items)
app.add_typer(devices.app, name="device")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(broker_config.app, name="broker-config")
app.command("status")(status.status)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("demo")(demo.demo)


@app.callback(invoke_without_command=True)
def _version(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        import importlib.metadata  # noqa: PLC0415 - 20 ms that only this option needs

        typer.echo(f"gateway {importlib.metadata.version('tallysync')}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; what can be expected to fail ends in one line and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        # An id in a script that this terminal cannot show is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text streams
    code = _run((sys.argv[1:] if arguments is None else arguments) or ["--help"])
    sys.exit(_flushed(code))


def _run(arguments: Sequence[str]) -> int:
    try:
        result = app(arguments, prog_name="gateway", standalone_mode=False)
    except _UsageError as error:
        path = getattr(getattr(error, "ctx", None), "command_path", "gateway")
        message = error.format_message().rstrip(".")
        return _failed(f"{message}. '{path} --help' says more.", code=EXIT_USAGE)
    except typer.Abort:
        return _failed("stopped", code=EXIT_FAILED)
    except NoGatewayError as error:
        return _failed(str(error), code=EXIT_NO_GATEWAY)
    except (ApiError, NoAnswerError, CommandError) as error:
        lines = error.lines if isinstance(error, CommandError) else (str(error),)
        return _failed(*lines, code=EXIT_FAILED)
    except OSError as error:
        return _failed(_explained(error), code=EXIT_FAILED)
    return result if isinstance(result, int) else 0


def _flushed(code: int) -> int:
    """The exit status, once all output is written or cannot be."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is still held back would fail once more when the interpreter ends.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if code or error.errno == errno.EPIPE:
            return code or EXIT_FAILED  # told already, or a reader that has seen enough
        return _failed(_explained(error), code=EXIT_FAILED)
    return code


def _explained(error: OSError) -> str:
    # Commands explain what is wrong with files, so a file without a name is the output.
    why = error.strerror or str(error)
    return f"{error.filename}: {why}" if error.filename else f"the output cannot be written: {why}"


def _failed(*messages: str, code: int) -> int:
    for message in messages:
        typer.echo(f"error: {message}", err=True)
    return code
