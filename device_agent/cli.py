"""The command ``device-agent``: run, sync, fetch, items, show and status."""

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from device_agent.errors import AgentError

if TYPE_CHECKING:  # at run time each command loads what it needs: --help needs none of it
    from device_agent.settings import Settings

EXIT_CODES: Final = "Exit status: 0 done, 1 failed, 2 wrong usage."
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

# The class of all wrong usage is private in typer, and this one of its subclasses is not.
_UsageError: Final = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app: Final = typer.Typer(
    help="Keeps contacts, calendars, tasks and mail of a tallysync gateway on this device.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings, as in config/device_agent.toml.",
        envvar="TALLYSYNC_AGENT_CONFIG",
    ),
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Where the items are kept.")
]
Device = Annotated[str | None, typer.Option("--id", metavar="ID", help="Who this device is.")]
Feeds = Annotated[
    list[str] | None,
    typer.Option("--feed", metavar="FEED", help="A feed to keep; can be repeated."),
]
OnlyFeeds = Annotated[
    list[str] | None, typer.Option("--feed", metavar="FEED", help="Only this; can be repeated.")
]
Broker = Annotated[
    str | None, typer.Option("--broker", metavar="HOST:PORT", help="The MQTT broker.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Holds the password; - is standard input. Without it the terminal asks.",
    ),
]
Item = Annotated[
    str, typer.Argument(metavar="ITEM", help="Its id, or a beginning that no other has.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="S", min=0.1, help="Seconds to wait at most.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run a command; what can be expected to fail ends in one line and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a stream that a test put there
            # An id that this terminal cannot show is no reason to fail.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(_run(sys.argv[1:] or ["--help"]))


def _run(arguments: list[str]) -> int:
    try:
        result = app(arguments, prog_name="device-agent", standalone_mode=False)
    except _UsageError as error:
        path = getattr(getattr(error, "ctx", None), "command_path", "device-agent")
        message = error.format_message().rstrip(".")
        return _failed(f"{message}. '{path} --help' says more.", EXIT_USAGE)
    except typer.Abort:
        return _failed("stopped", EXIT_FAILED)
    except AgentError as error:
        return _failed(str(error), EXIT_FAILED)
    except BrokenPipeError:
        # Who reads has seen enough. Python flushes once more at its end, to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return result if isinstance(result, int) else 0


def _failed(message: str, code: int) -> int:
    from device_agent.printing import safe_line  # noqa: PLC0415 - only an error needs it

    typer.echo(f"error: {safe_line(message)}", err=True)
    return code


@app.callback(invoke_without_command=True)
def _version(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        import importlib.metadata  # noqa: PLC0415 - 20 ms that only this option needs

        typer.echo(f"device-agent {importlib.metadata.version('tallysync')}")
        raise typer.Exit


@app.command(epilog=EXIT_CODES)
def run(
    *,
    device: Device = None,
    feed: Feeds = None,
    broker: Broker = None,
    data: Data = None,
    config: Config = None,
    password_file: PasswordFile = None,
) -> None:
    """Keep this device in step until SIGTERM or Ctrl-C."""
    from device_agent import running  # noqa: PLC0415 - paho and pydantic take 200 ms

    settings = _settings(
        config, id=device, feeds=feed, broker=broker, data_dir=data, password_file=password_file
    )
    running.run(settings)


@app.command(epilog=EXIT_CODES)
def sync(
    *,
    device: Device = None,
    feed: Feeds = None,
    broker: Broker = None,
    data: Data = None,
    config: Config = None,
    password_file: PasswordFile = None,
    timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Sync once, until all is here, and exit."""
    from device_agent import running, showing  # noqa: PLC0415 - paho and pydantic take 200 ms

    settings = _settings(
        config, id=device, feeds=feed, broker=broker, data_dir=data, password_file=password_file
    )
    running.sync(settings, timeout_s=timeout)
    showing.status(settings, settings.feeds, as_json=as_json)


@app.command(epilog=EXIT_CODES)
def fetch(
    item: Item,
    *,
    device: Device = None,
    feed: Annotated[
        str | None, typer.Option("--feed", metavar="FEED", help="The feed that the item is of.")
    ] = None,
    broker: Broker = None,
    data: Data = None,
    config: Config = None,
    password_file: PasswordFile = None,
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Fetch the rest of one item that is here in part.

    The agent that runs with this data directory does it. If none runs, this command connects by
    itself, and needs an id and a password then.
    """
    from device_agent import fetching  # noqa: PLC0415 - paho and pydantic take 200 ms

    settings = _settings(
        config, id=device, broker=broker, data_dir=data, password_file=password_file
    )
    fetching.fetch(settings, feed, item, timeout_s=timeout, as_json=as_json)


@app.command(epilog=EXIT_CODES)
def items(
    *, data: Data = None, config: Config = None, feed: OnlyFeeds = None, as_json: AsJson = False
) -> None:
    """List the items held here."""
    from device_agent import showing  # noqa: PLC0415 - pydantic takes 50 ms

    showing.items(_settings(config, data_dir=data), feed or (), as_json=as_json)


@app.command(epilog=EXIT_CODES)
def show(
    item: Item,
    *,
    data: Data = None,
    config: Config = None,
    feed: OnlyFeeds = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Write just the exact bytes; exit code 1 if some are missing."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one item with its content."""
    from device_agent import showing  # noqa: PLC0415 - pydantic takes 50 ms

    if raw and as_json:
        raise typer.BadParameter("--raw and --json exclude each other")
    settings = _settings(config, data_dir=data)
    if raw:
        showing.raw(settings, feed or (), item)
    else:
        showing.item(settings, feed or (), item, as_json=as_json)


@app.command(epilog=EXIT_CODES)
def status(*, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Tell what is held here, and how fresh it is."""
    from device_agent import showing  # noqa: PLC0415 - pydantic takes 50 ms

    showing.status(_settings(config, data_dir=data), (), as_json=as_json)


def _settings(config: Path | None, **overrides: object) -> "Settings":
    from device_agent import settings  # noqa: PLC0415 - pydantic-settings takes 150 ms

    return settings.load(config, **overrides)
