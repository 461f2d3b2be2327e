"""The command ``device-agent``: enroll, run, sync, fetch, items, show, status and config."""

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
_config: Final = typer.Typer(help="Check and show the settings.")
app.add_typer(_config, name="config")

# What cannot be read is said in our own words: click must not look first.
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings, as in config/device_agent.toml.",
        readable=False,
        envvar="TALLYSYNC_AGENT_CONFIG",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Where the items are kept.", readable=False),
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
        readable=False,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="CA certificates that the broker is verified by.",
        readable=False,
    ),
]
Insecure = Annotated[
    bool | None,
    typer.Option("--insecure", help="Do not verify the broker; a warning at each connect says so."),
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
        return _failed(f"{message}. '{path} --help' says more.", code=EXIT_USAGE)
    except typer.Abort:
        return _failed("stopped", code=EXIT_FAILED)
    except AgentError as error:
        return _failed(*error.lines, code=EXIT_FAILED)
    except BrokenPipeError:
        # Who reads has seen enough. Python flushes once more at its end, to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return result if isinstance(result, int) else 0


def _failed(*messages: str, code: int) -> int:
    from device_agent.printing import safe_line  # noqa: PLC0415 - only an error needs it

    for message in messages:
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


@_config.command(epilog=EXIT_CODES)
def check(*, data: Data = None, config: Config = None) -> None:
    """Check the settings, and whether the files that they name can be used.

    What 'run' would refuse is refused here, too. Nothing is connected to.
    """
    from device_agent import configuring  # noqa: PLC0415 - pydantic-settings takes 150 ms

    configuring.check(config, data_dir=data)


@_config.command("show", epilog=EXIT_CODES)
def show_settings(*, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show all settings as they apply, and where each comes from.

    That is the command line, a variable of the environment, the settings file, the enrolment, or
    the default. No secret is shown: settings only name the files that hold them.
    """
    from device_agent import configuring  # noqa: PLC0415 - pydantic-settings takes 150 ms

    configuring.show(config, data_dir=data, as_json=as_json)


@app.command(epilog=EXIT_CODES)
def enroll(
    line: Annotated[
        str | None,
        typer.Argument(
            metavar="LINE", help="The credential; others may see it here.", show_default=False
        ),
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Holds the credential; - is standard input.",
            readable=False,
        ),
    ] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Take the credential that 'gateway device add' shows, and keep it here.

    Without LINE and --file the terminal asks for it. It is kept in the data directory: 'run',
    'sync' and 'fetch' with that directory need nothing else. What the command line, the environment
    or a settings file says goes before it. Nothing is connected to.
    """
    import shlex  # noqa: PLC0415 - only this command needs it

    from device_agent import enrolling  # noqa: PLC0415 - pydantic takes 150 ms

    if line is not None and file is not None:
        raise typer.BadParameter("LINE and --file exclude each other")
    options = [("--data", data), ("--config", config)]
    again = "".join(f" {name} {shlex.quote(str(path))}" for name, path in options if path)
    enrolling.enroll(_settings(config, data_dir=data), line=line, file=file, again=again)


@app.command(epilog=EXIT_CODES)
def run(
    *,
    device: Device = None,
    feed: Feeds = None,
    broker: Broker = None,
    data: Data = None,
    config: Config = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    insecure: Insecure = None,
) -> None:
    """Keep this device in step until SIGTERM or Ctrl-C.

    Settings come from these options, else from variables TALLYSYNC_AGENT_<KEY>, else from the
    settings file, else from the enrolment. docs/settings.md and config/device_agent.toml have all,
    'device-agent config check' checks them, and 'device-agent config show' shows them.
    """
    from device_agent import running  # noqa: PLC0415 - paho and pydantic take 200 ms

    settings = _enrolled(
        config,
        id=device,
        feeds=feed,
        broker=broker,
        data_dir=data,
        password_file=password_file,
        ca_file=ca_file,
        insecure=insecure,
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
    ca_file: CaFile = None,
    insecure: Insecure = None,
    timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Sync once, until all is here, and exit."""
    from device_agent import running, showing  # noqa: PLC0415 - paho and pydantic take 200 ms

    settings = _enrolled(
        config,
        id=device,
        feeds=feed,
        broker=broker,
        data_dir=data,
        password_file=password_file,
        ca_file=ca_file,
        insecure=insecure,
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
    ca_file: CaFile = None,
    insecure: Insecure = None,
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Fetch the rest of one item that is here in part.

    The agent that runs with this data directory does it. If none runs, this command connects by
    itself, and needs an id and a password then.
    """
    from device_agent import fetching  # noqa: PLC0415 - paho and pydantic take 200 ms

    settings = _enrolled(
        config,
        id=device,
        broker=broker,
        data_dir=data,
        password_file=password_file,
        ca_file=ca_file,
        insecure=insecure,
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


def _enrolled(config: Path | None, **overrides: object) -> "Settings":
    """The settings, and below them what the enrolment in the data directory says."""
    from device_agent import enrolment  # noqa: PLC0415 - see `_settings`

    settings = _settings(config, **overrides)
    return enrolment.completed(settings, enrolment.kept(settings.data_dir))


def _settings(config: Path | None, **overrides: object) -> "Settings":
    from device_agent import settings  # noqa: PLC0415 - pydantic-settings takes 150 ms

    return settings.load(config, **overrides)
