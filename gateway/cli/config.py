"""``gateway config``: the settings, before a gateway runs with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli import common
from gateway.cli.common import AsJson, CommandError, Config

if TYPE_CHECKING:
    from gateway.settings import Settings
    from programs.settings_file import Loaded

# Without the variable of `common.DataDir`, which is to be told as what it is.
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data directory of the gateway.", readable=False),
]

app: Final = typer.Typer(help="Check and show the settings of 'gateway run'.")


@app.command("check")
def check(*, data: Data = None, config: Config = None) -> None:
    """Check the settings, and whether the files that they name can be used.

    No gateway has to run, and nothing is connected to.
    """
    from programs import settings_check  # noqa: PLC0415 - heavy

    loaded = _loaded(config, data)
    found = settings_check.look(loaded)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    problems = found.problems or _tls_problems(loaded.settings)
    if problems:
        raise CommandError(*problems)
    typer.echo(settings_check.verdict(config))


@app.command("show")
def show(*, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show all settings as they apply, and where each comes from.

    That is the command line, a variable of the environment, the settings file, or the default. No
    secret is shown: settings only name the files that hold them.
    """
    from programs import settings_shown  # noqa: PLC0415 - heavy

    loaded = _loaded(config, data)
    if as_json:
        common.show_json(settings_shown.as_json(loaded))
    else:
        for line in settings_shown.as_toml(loaded):
            typer.echo(line)


def _tls_problems(settings: "Settings") -> Sequence[str]:
    """Why the broker would not be spoken to so, as far as it can be told without it."""
    from programs import tls  # noqa: PLC0415 - heavy
    from programs.tls_settings import TlsError  # noqa: PLC0415 - heavy

    if settings.broker_host is None:
        return ()
    try:
        tls.check(settings.tls, settings.broker_host, settings.broker_port)
    except TlsError as error:
        return (str(error),)
    return ()


def _loaded(config: Path | None, data: Path | None) -> "Loaded[Settings]":
    from gateway.settings import Settings, SettingsError  # noqa: PLC0415 - heavy
    from programs.settings_file import read  # noqa: PLC0415 - heavy

    try:
        return read(Settings, config, {"data_dir": data})
    except SettingsError as error:
        raise CommandError(*error.lines) from error
