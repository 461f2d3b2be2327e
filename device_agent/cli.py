"""The command ``device-agent``: run, sync, items, show and status."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from device_agent.errors import AgentError

if TYPE_CHECKING:  # at run time each command loads what it needs: --help needs none of it
    from device_agent.settings import Settings

EXIT_CODES: Final = "Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage."

app: Final = typer.Typer(
    help="Keeps contacts, calendars, tasks and mail of a tallysync gateway on this device.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Settings, a TOML file (see config/device_agent.toml).",
        envvar="TALLYSYNC_AGENT_CONFIG",
        show_envvar=False,
    ),
]
Data = Annotated[Path | None, typer.Option("--data", help="Where the items are kept.")]
Device = Annotated[str | None, typer.Option("--id", help="Who this device is.")]
Feeds = Annotated[
    list[str] | None, typer.Option("--feed", help="A feed to keep; may be given again.")
]
OnlyFeeds = Annotated[
    list[str] | None, typer.Option("--feed", help="Only this feed; may be given again.")
]
Broker = Annotated[str | None, typer.Option("--broker", help="The MQTT broker, HOST:PORT.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help="Holds the password; - is standard input. Without it the terminal asks.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """The program: an error that a user can mend is one line, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a stream that a test put there
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    except AgentError as error:
        from device_agent.printing import safe_line  # noqa: PLC0415 - only an error needs it

        typer.echo(f"error: {safe_line(str(error))}", err=True)
        sys.exit(1)


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
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds.")] = 60.0,
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
def items(
    *, data: Data = None, config: Config = None, feed: OnlyFeeds = None, as_json: AsJson = False
) -> None:
    """List the items held here."""
    from device_agent import showing  # noqa: PLC0415 - pydantic takes 50 ms

    showing.items(_settings(config, data_dir=data), feed or (), as_json=as_json)


@app.command(epilog=EXIT_CODES)
def show(
    item: Annotated[str, typer.Argument(help="Its id, or as much of it as only it begins with.")],
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
