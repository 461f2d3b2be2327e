"""What ``device-agent config`` says of the settings, before an agent runs with them."""

from pathlib import Path

import typer

from device_agent import enrolment, printing, running, settings
from programs import settings_check, settings_shown, tls
from programs.settings_file import Loaded
from programs.settings_model import Source
from programs.tls_settings import TlsError
from sync_protocol.addresses import broker_address


def check(path: Path | None, *, data_dir: Path | None = None) -> None:
    """Say that the settings can be used, and warn of what is risky.

    Raises:
        AgentError: they cannot; it has a line for each thing to mend.
    """
    loaded = settings.loaded(path, data_dir=data_dir)
    found = settings_check.look(loaded)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    problems = list(found.problems)
    try:
        used = _enrolled(loaded).settings
        credential = enrolment.kept(used.data_dir)
    except enrolment.EnrolmentError as error:
        raise settings.SettingsError(problems or [str(error)]) from error
    secret = enrolment.secret_of(used, credential)
    if secret is not None and secret.warning is not None:
        typer.echo(f"warning: {printing.safe_line(secret.warning)}", err=True)
    if not problems:
        try:
            tls.check(enrolment.tls_of(used, credential), *broker_address(used.broker))
        except TlsError as error:
            problems.append(str(error))
    problems += running.lacking(used.id, used.feeds)
    if problems:
        raise settings.SettingsError(problems)
    typer.echo(settings_check.verdict(path))


def show(path: Path | None, *, data_dir: Path | None = None, as_json: bool) -> None:
    """Print all settings as they apply, and where each comes from.

    Raises:
        AgentError: they cannot be used.
    """
    loaded = _enrolled(settings.loaded(path, data_dir=data_dir))
    if as_json:
        typer.echo(printing.json_text(settings_shown.as_json(loaded)))
        return
    for line in settings_shown.as_toml(loaded):
        typer.echo(line)


def _enrolled(loaded: Loaded[settings.Settings]) -> Loaded[settings.Settings]:
    """The settings with what the enrolment says, where nothing else says it."""
    said = loaded.settings
    used = enrolment.completed(said, enrolment.kept(said.data_dir))
    keys = used.model_fields_set - said.model_fields_set
    sources = {**loaded.sources, **dict.fromkeys(keys, Source("enrolment"))}
    return Loaded(used, loaded.path, sources)
