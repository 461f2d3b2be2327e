"""``gateway broker-config``: a complete configuration of a broker."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from gateway.cli import common
from gateway.cli.common import CommandError, Config, DataDir
from programs.printable import safe_line

if TYPE_CHECKING:
    from gateway.broker_config.folder import Account, Folder
    from gateway.broker_config.writing import Given, Plan, Written
    from gateway.device import Device
    from gateway.settings import Settings

app: Final = typer.Typer(help="Configure a broker that other machines reach.")

PORT_DEFAULT: Final = 8883  # registered for MQTT with TLS
_MOSQUITTO_USER: Final = "mosquitto"
_RELOAD: Final = "pkill -HUP -x mosquitto"
_INSTALL: Final = "'apt install mosquitto' brings it on Debian and Ubuntu"

_T = TypeVar("_T")


class Accounts(StrEnum):
    """Where a broker keeps accounts."""

    DYNAMIC_SECURITY = "dynamic-security"
    FILES = "files"


Out = Annotated[
    Path,
    typer.Option(
        "--out", metavar="DIR", help="Folder of the configuration. The one above must be there."
    ),
]


@app.command("mosquitto")
def mosquitto(
    *,
    out: Out,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME",
            help="Name or address by which devices reach it; can be repeated. The first is put into"
            " their credentials. Without any, this machine alone reaches it.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65_535, metavar="PORT", help="Its port.")
    ] = PORT_DEFAULT,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="ADDRESS",
            help="Listen on this address only.",
            show_default="all, or the loopback if --host is only that",
        ),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(
            "--cert",
            metavar="FILE",
            help="Its certificate, with those of CAs between, in PEM.",
            show_default="one of a private CA",
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The key of --cert, in PEM.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            help="The CA of --cert, in PEM, if not every system trusts it.",
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            metavar="NAME",
            help="The account that is to run Mosquitto; for root only.",
            show_default="yours; mosquitto for root",
        ),
    ] = None,
    accounts: Annotated[
        Accounts,
        typer.Option(
            "--accounts",
            help="Accounts in Mosquitto's dynamic security plugin, or in files that this command"
            " writes anew.",
        ),
    ] = Accounts.DYNAMIC_SECURITY,
    plugin: Annotated[
        Path | None,
        typer.Option(
            "--plugin",
            metavar="FILE",
            help="The dynamic security plugin.",
            show_default="looked for in the usual folders",
        ),
    ] = None,
    require_certificates: Annotated[
        bool,
        typer.Option(
            "--require-certificates", help="Clients need a certificate, besides their password."
        ),
    ] = False,
    data: DataDir = None,
    config: Config = None,
) -> None:
    """Write all that Mosquitto needs, and how the gateway reaches it: gateway.toml.

    No gateway need run. Devices that are enrolled get their accounts.

    The same command again, with the same DIR, renews the certificate and the configuration, and
    keeps CA, accounts and passwords.
    """
    from gateway.broker_config import hosts as host_names  # noqa: PLC0415 - heavy
    from gateway.broker_config import writing  # noqa: PLC0415 - heavy
    from gateway.broker_config.folder import Folder  # noqa: PLC0415 - heavy
    from gateway.broker_config.writing import data_dir_before  # noqa: PLC0415 - heavy
    from sync_protocol.topics import Topics  # noqa: PLC0415 - with the rest

    if (cert is None) != (key is None) or (ca is not None and cert is None):
        raise typer.BadParameter("--cert and --key belong together, and --ca to them")
    if cert is not None and not host:
        raise typer.BadParameter("--cert needs --host NAME, a name that is in the certificate")
    if plugin is not None and accounts is Accounts.FILES:
        raise typer.BadParameter("--plugin is not used with --accounts files")
    folder = Folder(_folder_path(out), _explained(lambda: _owner(user)))
    hosts = _checked(host) if host else _explained(lambda: _no_host(folder))
    if not host_names.ANYWHERE.isdisjoint(hosts):
        raise typer.BadParameter("--host is where devices reach it; --listen is where it listens")
    address = host_names.only_here(hosts) if listen is None else _checked([listen])[0]
    # Another account, or another HOME, is to mean the same gateway.
    named = data if config is not None else data or _explained(lambda: data_dir_before(folder))
    settings, devices = _gateway(named, config)
    again = _command(
        folder.path, hosts=host or [], port=port, listen=listen, cert=cert, key=key, ca=ca,
        user=user, accounts=accounts, plugin=plugin, require_certificates=require_certificates,
        data=data, config=config,
    )  # fmt: skip
    # A line break would begin a line of the configuration.
    if not again.isprintable():
        raise typer.BadParameter("names of files have no control characters here")
    plan = writing.Plan(
        hosts=hosts,
        port=port,
        address=address,
        plugin=None if accounts is Accounts.FILES else _plugin(plugin),
        given=_explained(lambda: _given(cert, key, ca)),
        require_certificates=require_certificates,
        topics=Topics(settings.topic_prefix),
        devices=devices,
        data_dir=settings.data_dir.absolute(),
        command=again,
    )
    written = _explained(lambda: writing.write(folder, plan, now=datetime.now(UTC)))
    _tell(folder.path, plan, written)


@app.command("client-certificate")
def client_certificate(
    *,
    out: Out,
    name: Annotated[
        str, typer.Option("--name", metavar="ID", help="The device, or gateway for the gateway.")
    ],
) -> None:
    """Sign a certificate for a device, where the broker asks for one.

    It is of no use without the device's password. A key that is there gets a new certificate.
    """
    from gateway.broker_config import writing  # noqa: PLC0415 - heavy
    from gateway.broker_config.folder import Account, Folder  # noqa: PLC0415 - heavy
    from sync_protocol.names import GATEWAY, device_id  # noqa: PLC0415 - with it

    try:
        user = name if name == GATEWAY else device_id(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    folder = Folder(_folder_path(out), _explained(Account.current))
    certificate, key = _explained(lambda: writing.issue_client(folder, user, now=datetime.now(UTC)))
    typer.echo(f"The certificate of {user}, and its key, which only {user} is to have:\n")
    typer.echo(f"  {certificate}\n  {key}\n")
    if not _explained(lambda: writing.asks_for_certificates(folder)):
        typer.echo("Note: the broker of this folder asks nobody for a certificate. It does where")
        typer.echo("its configuration is made with --require-certificates.")
    if user == GATEWAY:
        typer.echo("The gateway finds them by broker_cert_file and broker_key_file.")
    else:
        typer.echo("The agent finds them by cert_file and key_file.")


def _explained(action: Callable[[], _T]) -> _T:
    """What `action` returns; what is wrong with a configuration is a command's error."""
    from gateway.broker_config.writing import ConfigErrors  # noqa: PLC0415 - heavy

    try:
        return action()
    except ConfigErrors as error:
        raise CommandError(str(error)) from error


def _checked(hosts: Sequence[str]) -> tuple[str, ...]:
    from gateway.broker_config import hosts as host_names  # noqa: PLC0415 - with the rest

    try:
        return tuple(dict.fromkeys(host_names.host(each) for each in hosts))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _no_host(folder: "Folder") -> tuple[str, ...]:
    """The hosts where none are named: none but this machine, if it was none before."""
    from gateway.broker_config import writing  # noqa: PLC0415 - with the rest
    from gateway.broker_config.hosts import LOCALHOST, only_here  # noqa: PLC0415 - with the rest
    from gateway.broker_config.mosquitto import CONF_FILE  # noqa: PLC0415 - with the rest

    before = writing.host_before(folder)
    if before is not None and only_here((before,)) is None:
        raise CommandError(
            f"{folder.path} was made for --host {before}: say so again, with all options that"
            f" {CONF_FILE} has in its second line, or --host {LOCALHOST} for this machine only"
        )
    return (LOCALHOST,)


def _folder_path(out: Path) -> Path:
    path = out.expanduser().absolute()
    # A line of the configuration could not hold it.
    if not str(path).isprintable() or str(out) in ("", "."):
        raise typer.BadParameter(f"--out names a folder of its own, not {str(out)!a}")
    try:
        is_other = path.exists() and not path.is_dir()
    except OSError:  # which is told of when it is used
        is_other = False
    if is_other:
        raise typer.BadParameter(f"--out names a folder, and {path} is a file")
    return path


def _owner(user: str | None) -> "Account":
    from gateway.broker_config.folder import Account  # noqa: PLC0415 - heavy

    current = Account.current()
    if current.uid != 0:
        if user not in (None, current.name):
            raise CommandError(
                f"only root can give files to another account than {current.name}: leave out"
                f" --user, or do it as {user}"
            )
        return current
    if user is None:
        return Account.named(_MOSQUITTO_USER) or current
    named = Account.named(user)
    if named is None:
        raise CommandError(f"there is no account {user} here: --user NAME names another")
    return named


def _gateway(data: Path | None, config: Path | None) -> "tuple[Settings, Sequence[Device]]":
    """The settings of the gateway, and its devices; none if it never ran."""
    from gateway import settings as gateway_settings  # noqa: PLC0415 - heavy
    from gateway.feed import StorageError  # noqa: PLC0415 - heavy
    from gateway.service import STORE_FILE  # noqa: PLC0415 - heavy
    from gateway.state_file import enrolled  # noqa: PLC0415 - heavy

    try:
        settings = gateway_settings.load(config, data_dir=data)
    except gateway_settings.SettingsError as error:
        raise CommandError(*error.lines) from error
    state_file = settings.data_dir / STORE_FILE
    try:
        return settings, enrolled(state_file) if state_file.exists() else ()
    except StorageError as error:
        raise CommandError(str(error)) from error


def _plugin(named: Path | None) -> Path:
    from gateway.broker_config.plugin import PLUGIN_NAME, find_plugin  # noqa: PLC0415 - heavy

    if named is not None:
        path = named.expanduser().absolute()
        if not path.is_file():
            raise CommandError(
                f"there is no file {path}, which --plugin names: without it this command looks for"
                f" {PLUGIN_NAME} in the usual folders"
            )
        return path
    found = find_plugin()
    if found is None:
        raise CommandError(
            f"there is no {PLUGIN_NAME} in the usual folders: install Mosquitto 2.0 or later"
            f" ({_INSTALL}), name it with --plugin FILE, or do without it: --accounts files"
        )
    return found


def _given(cert: Path | None, key: Path | None, ca: Path | None) -> "Given | None":
    from gateway.broker_config import certificates, writing  # noqa: PLC0415 - heavy
    from gateway.broker_config.folder import FolderError, read_file  # noqa: PLC0415 - heavy

    if cert is None or key is None:
        return None
    try:
        pair = certificates.GivenPair(read_file(cert), read_file(key))
        authority = None if ca is None else read_file(ca)
    except FileNotFoundError as error:
        raise FolderError(f"there is no file {error.filename}") from error
    if authority is not None:
        certificates.check_certificate(authority, name=str(ca))
    return writing.Given(pair, authority, (str(cert), str(key)))


def _command(out: Path, *, hosts: Sequence[str], **options: object) -> str:
    """The command that makes the same configuration again, from any directory."""
    words = ["gateway", "broker-config", "mosquitto", "--out", str(out)]
    for each in hosts:
        words += ["--host", each]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, Path):
            words += [option, str(value.expanduser().absolute())]
        elif value not in (None, False, PORT_DEFAULT, Accounts.DYNAMIC_SECURITY):
            words += [option, str(value)]
    return shlex.join(words)


def _tell(out: Path, plan: "Plan", written: "Written") -> None:
    """What was done, and what comes next."""
    from gateway.broker_config import plugin as programs  # noqa: PLC0415 - heavy
    from gateway.broker_config.hosts import only_here  # noqa: PLC0415 - heavy
    from gateway.broker_config.mosquitto import CONF_FILE  # noqa: PLC0415 - heavy
    from gateway.broker_config.writing import BEFORE, SETTINGS_FILE  # noqa: PLC0415 - heavy

    typer.echo(f"Mosquitto's configuration is {'renewed' if written.renewed else 'made'}: {out}")
    if written.command_before is not None:
        typer.echo("Other options made it before:")
        typer.echo(f"  {safe_line(written.command_before)}")
    for name in written.changed:
        typer.echo(f"{name} said something else before: that is in {name}{BEFORE}.")
    typer.echo(_accounts_text(written, len(plan.devices)))
    if written.certificate_ends is not None:
        typer.echo(f"Its certificate ends on {written.certificate_ends:%Y-%m-%d}: renew it before.")
    here = only_here(plan.hosts)
    if here is not None and plan.address == here:
        typer.echo("It serves this machine only: --host NAME lets devices elsewhere reach it.")
    program = programs.find_program()
    if program is None:
        typer.echo(f"Mosquitto is not installed here: {_INSTALL}.")
    conf, settings = (shlex.quote(str(out / name)) for name in (CONF_FILE, SETTINGS_FILE))
    steps = (*_cut_off(plan, written), "", *_to_start(written))
    commands = (f"  {program or 'mosquitto'} -c {conf}", f"  gateway run --config {settings}")
    for line in (*steps, *commands, *_steps_for_devices(out, plan)):
        typer.echo(line)


def _to_start(written: "Written") -> Iterator[str]:
    """What comes before the commands that start broker and gateway."""
    from gateway.broker_config.writing import SETTINGS_FILE  # noqa: PLC0415 - heavy

    if not written.renewed:
        yield "Start Mosquitto, and in another terminal the gateway:"
        return
    if written.needs_restart:
        yield "If Mosquitto runs, restart it: some of this it reads only when it starts."
    else:
        yield f"If Mosquitto runs, have it read them: {_RELOAD}"
    if SETTINGS_FILE in written.changed or written.is_other_ca:
        yield "If the gateway runs, restart it, too: its settings are others now."
    yield "They are started by:"


def _accounts_text(written: "Written", device_count: int) -> str:
    of = f"for the gateway, and for {common.count_text(device_count, 'device')}"
    match written.accounts:
        case "made":
            return f"Its accounts are made: {of}."
        case "mended":
            return f"Its accounts were damaged, and are made anew: {of}."
        case "kept":
            return "Its accounts are those that it had."


def _steps_for_devices(out: Path, plan: "Plan") -> Iterator[str]:
    option = common.data_option(plan.data_dir)
    if not plan.devices:
        yield "Then add a feed, and a device that holds it:"
        yield f"  gateway feed add FEED{option}\n  gateway device add ID --feed FEED{option}"
    if plan.require_certificates:
        place = shlex.quote(str(out))
        yield "For the certificate of each device:"
        yield f"  gateway broker-config client-certificate --out {place} --name ID"
    if plan.plugin is None:
        yield "After each device that comes, goes, or gets another password:"
        yield f"  {plan.command} && {_RELOAD}"


def _cut_off(plan: "Plan", written: "Written") -> Iterator[str]:
    """What devices that were enrolled before need now."""
    if not plan.devices:
        return
    if written.is_other_ca:
        yield "It has another CA than before, which no credential of before names."
    if written.addresses_gone:
        gone = ", ".join(written.addresses_gone)
        yield f"It is not reached by {gone} any more, which credentials of before may name."
    if written.is_other_ca or written.addresses_gone:
        yield "Such a device needs another one, once the gateway runs: gateway device rotate ID"
