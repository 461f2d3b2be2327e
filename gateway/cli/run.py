"""``gateway run``: the gateway, until a signal ends it."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli import common
from gateway.cli.common import CommandError, Config, DataDir
from sync_protocol.addresses import address_text

if TYPE_CHECKING:
    from gateway.run import Running
    from gateway.settings import Settings

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(
    *,
    data: DataDir = None,
    config: Config = None,
    broker_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, metavar="PORT", help="Port of the MQTT broker, 0 for a free one."
        ),
    ] = None,
    api_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, metavar="PORT", help="Port of the HTTP API, 0 for a free one."
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log more than warnings.")
    ] = False,
) -> None:
    """Run the gateway until Ctrl-C or SIGTERM.

    Without settings it brings its own MQTT broker, which serves this machine only.

    Settings come from these options, else from variables TALLYSYNC_GATEWAY_<KEY>, else from the
    settings file. docs/settings.md and config/gateway.toml have all, 'gateway config check' checks
    them, and 'gateway config show' shows them.
    """
    from gateway import run as gateway_run  # noqa: PLC0415 - heavy
    from gateway import settings as gateway_settings  # noqa: PLC0415 - heavy

    _log_to_stderr(verbose=verbose)
    try:
        settings = gateway_settings.load(
            config, data_dir=data, broker_port=broker_port, api_port=api_port
        )
        with _signals_held(), gateway_run.running(settings) as running:
            typer.echo(_greeting(settings, running))
            signal.sigwait(_SIGNALS)
            typer.echo("Stopping: what was taken in is still sent.")
    except gateway_settings.SettingsError as error:
        raise CommandError(*error.lines) from error
    except gateway_run.RunError as error:
        raise CommandError(str(error)) from error
    typer.echo("Stopped.")


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Keep signals for `sigwait`; what comes while the gateway starts or stops waits for it.

    Entered before any thread begins, so that all of them leave the signals alone.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        while signal.sigtimedwait(_SIGNALS, 0) is not None:
            pass  # Ctrl-C again, by somebody who thought that stopping takes long
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _log_to_stderr(*, verbose: bool) -> None:
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    if verbose:
        logging.getLogger("gateway").setLevel(logging.INFO)


def _greeting(settings: "Settings", running: "Running") -> str:
    option = common.data_option(settings.data_dir)
    broker = address_text(running.broker_host, running.broker_port)
    if running.embedded:
        broker += " (embedded, for this machine only)"
    elif not running.connected:
        (problem, *_) = running.service.problems() or ("now it does",)
        broker += f"\n               does not answer yet: {problem}"
    lines = [
        f"The gateway runs with {settings.data_dir}",
        f"  MQTT broker  {broker}",
        f"  HTTP API     {running.api_url} (its token is in api.json there)",
        "",
        "In another terminal:",
    ]
    if running.service.feeds():
        lines.append(f"  gateway status{option}")
    else:
        lines += [
            f"  gateway feed add contacts{option}",
            f"  gateway import contacts PATH...{option}",
            f"  gateway device add phone --feed contacts{option}",
        ]
    return "\n".join([*lines, "", "Ctrl-C stops it."])
