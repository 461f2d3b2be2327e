"""Writes all that Mosquitto and the gateway need to find each other, into one folder."""

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from gateway.broker_config import accounts, certificates, mosquitto
from gateway.broker_config.certificates import Authority, CertificateError, GivenPair
from gateway.broker_config.folder import Account, Folder, FolderError
from gateway.broker_config.settings_text import is_ours, said, settings_text
from gateway.device import SALT_BYTES, Device, DeviceError, hash_secret
from sync_protocol.addresses import address_text
from sync_protocol.names import GATEWAY
from sync_protocol.topics import PREFIX_DEFAULT, Topics

CA_CERTIFICATE: Final = "ca.crt"
CA_KEY: Final = "ca.key"
SERVER_CERTIFICATE: Final = "server.crt"
SERVER_KEY: Final = "server.key"
SERVER_CA: Final = "server-ca.crt"
PASSWORD_FILE: Final = "gateway.password"  # noqa: S105 - the name of a file
SETTINGS_FILE: Final = "gateway.toml"
BEFORE: Final = ".before"
CLIENTS_DIR: Final = "clients"
PASSWORD_BYTES: Final = 24
_CA_SETTING: Final = "broker_ca_file"
# The gateway beside the broker reaches it by these, whatever its certificate is for otherwise.
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")

_ANEW: Final = (
    f"To make all accounts anew from what the gateway holds, stop Mosquitto, move"
    f" {mosquitto.ACCOUNTS_FILE} away, and do the same again."
)

Accounts = Literal["made", "kept", "mended"]
ConfigErrors: Final = (FolderError, CertificateError, DeviceError)


@dataclass(frozen=True, slots=True)
class Given:
    """Certificates of another CA.

    Attributes:
        pair: of the broker; its certificate may be followed by those of the CAs between.
        ca: of the CA, if it is not one that every system trusts.
        names: of the files of certificate and key.
    """

    pair: GivenPair
    ca: bytes | None
    names: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted of a broker.

    Attributes:
        hosts: names and addresses by which it is reached; the first is that of the gateway and the
            devices.
        address: where it listens; None is everywhere.
        plugin: the dynamic security plugin; None is accounts in files.
        given: certificates of another CA; None is a private CA.
        data_dir: of the gateway, absolute: whoever starts it with these settings means this one.
        command: that makes this configuration again.
    """

    hosts: tuple[str, ...]
    port: int
    address: str | None
    plugin: Path | None
    given: Given | None
    require_certificates: bool
    topics: Topics
    devices: Sequence[Device]
    data_dir: Path
    command: str


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it.

    Attributes:
        accounts: whether they were made, those that were there are kept, or were damaged and made
            anew.
        renewed: whether there was a configuration before.
        certificate_ends: when the broker's certificate does; None if it is another CA's.
        command_before: that made the configuration before, if it was another.
        changed: the files that people may have changed and that said something else before, which
            is kept beside them.
        needs_restart: whether a broker that runs reads all of it only when it starts anew.
        is_other_ca: whether devices and gateway trusted another CA before.
        addresses_gone: by which devices reached the broker before, and do so no longer.
    """

    accounts: Accounts
    renewed: bool
    certificate_ends: datetime | None
    command_before: str | None
    changed: Sequence[str]
    needs_restart: bool
    is_other_ca: bool
    addresses_gone: Sequence[str]


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be written.

    Attributes:
        for_broker: whether it is the broker's, or of who runs this program.
        is_for_people: whether what was there before is kept beside it.
    """

    name: str
    content: bytes
    for_broker: bool = True
    is_for_people: bool = False


def write(folder: Folder, plan: Plan, *, now: datetime) -> Written:
    """Write the configuration, or write it anew with the secrets that are there.

    All is made and checked before anything is written, and each file is written whole. So after a
    crash the same again finishes it.

    Raises:
        FolderError, CertificateError, DeviceError: see their messages.
    """
    conf_before = folder.read(mosquitto.CONF_FILE, for_owner=True)
    _check_ours(folder, conf_before)
    command_before = mosquitto.command_of(conf_before or b"")
    found_accounts = _found_accounts(folder, plan)
    keeps_accounts = found_accounts == "kept"
    password = _password(folder, needed=keeps_accounts)
    needs_ca = plan.given is None or plan.require_certificates
    authority = _authority(folder, now=now) if needs_ca else None
    server = _server_files(folder, plan, authority, now=now)
    conf = _conf(folder, plan).encode()
    # All that the broker reads again while it runs are certificates, and accounts in files.
    needs_restart = not mosquitto.says_the_same(conf_before or b"", conf) or (
        plan.plugin is not None and not keeps_accounts
    )
    is_other_ca = _is_other_ca(folder, plan)
    addresses_gone = _addresses_gone(folder, plan)
    files = [
        # First a file by which the folder is known as one of this command.
        _File(mosquitto.CONF_FILE, conf, is_for_people=True),
        *(() if authority is None else _authority_files(authority)),
        *server,
        _File(PASSWORD_FILE, f"{password}\n".encode(), for_broker=False),
        *(() if keeps_accounts else _account_files(plan, password)),
        *_settings_files(folder, plan),
    ]
    folder.check_reachable()
    folder.make()
    changed = [file.name for file in files if _write(folder, file)]
    if plan.require_certificates and authority is not None:
        write_client(folder, GATEWAY, authority=authority, now=now)
    return Written(
        accounts=found_accounts,
        renewed=conf_before is not None,
        certificate_ends=None if plan.given is not None else certificates.ends(server[-1].content),
        command_before=None if command_before == plan.command else command_before,
        changed=changed,
        needs_restart=needs_restart,
        is_other_ca=is_other_ca,
        addresses_gone=addresses_gone,
    )


def _write(folder: Folder, file: _File) -> bool:
    """Write one file; whether it said something else before that people may miss."""
    before = None
    if file.is_for_people:
        before = folder.read(file.name, for_owner=file.for_broker)
    is_changed = before is not None and before != file.content
    if is_changed and before is not None:
        folder.write(f"{file.name}{BEFORE}", before, for_owner=file.for_broker)
    folder.write(file.name, file.content, for_owner=file.for_broker)
    return is_changed


def host_before(folder: Folder) -> str | None:
    """By which host a broker was reached so far, if there is a configuration."""
    host = _settings_before(folder).get("broker_host")
    return host if isinstance(host, str) else None


def data_dir_before(folder: Folder) -> Path | None:
    """The gateway's data directory in the settings that are there, if they name one."""
    named = _settings_before(folder).get("data_dir")
    # As the settings mean it, which are in this folder.
    return folder.path / Path(named).expanduser() if isinstance(named, str) else None


def asks_for_certificates(folder: Folder) -> bool:
    """Whether the broker of a folder asks its clients for certificates."""
    return mosquitto.asks_for_certificates(folder.read(mosquitto.CONF_FILE, for_owner=True) or b"")


def issue_client(folder: Folder, user: str, *, now: datetime) -> tuple[Path, Path]:
    """The files of a new certificate and its key, by the CA in `folder`, for a device.

    Raises:
        FolderError, CertificateError: there is no CA there, or it cannot be used.
    """
    key_pem = folder.read(CA_KEY, for_owner=False)
    if key_pem is None:
        raise FolderError(
            f"there is no {folder.path / CA_KEY}, which signs certificates: 'gateway broker-config"
            " mosquitto --out DIR --require-certificates' makes it"
        )
    return write_client(folder, user, authority=_authority(folder, now=now), now=now)


def write_client(
    folder: Folder, user: str, *, authority: Authority, now: datetime
) -> tuple[Path, Path]:
    """Write certificate and key of one client; a key that is there gets a new certificate."""
    # Not the broker's: whoever may read them is that client.
    clients = Folder(folder.path / CLIENTS_DIR, Account.current())
    clients.make()
    certificate_name, key_name = f"{user}.crt", f"{user}.key"
    key_pem = clients.read(key_name, for_owner=True)
    if key_pem is None:
        key = certificates.new_key()
        clients.write(key_name, certificates.key_pem(key), for_owner=True)
    else:
        key = certificates.load_key(key_pem, name=str(clients.path / key_name))
    pem = authority.sign_client(key, user=user, now=now)
    clients.write(certificate_name, pem, for_owner=True)
    return clients.path / certificate_name, clients.path / key_name


def _check_ours(folder: Folder, conf: bytes | None) -> None:
    """That the folder is empty, or one of this command.

    Either of two files says so, so that an editor's slip in one does not cost people their CA.
    """
    names = folder.names()
    if not names or mosquitto.is_ours(conf or b""):
        return
    if is_ours(folder.read(SETTINGS_FILE, for_owner=False) or b""):
        return
    if conf is None:
        found = f"it holds {min(names)!a}, and no {mosquitto.CONF_FILE}, with"
    else:
        found = f"its {mosquitto.CONF_FILE} lacks"
    raise FolderError(
        f"{folder.path} is not known as a folder of this command: {found} the line"
        f' "{mosquitto.FIRST_LINE}". If it is one, put that line at the beginning of'
        f" {mosquitto.CONF_FILE}: its CA and its accounts stay then. Else name a new folder with"
        " --out DIR"
    )


def _conf(folder: Folder, plan: Plan) -> str:
    return mosquitto.Mosquitto(
        folder=str(folder.path),
        port=plan.port,
        address=plan.address,
        user=folder.owner.name,
        plugin=None if plan.plugin is None else str(plan.plugin),
        client_ca=CA_CERTIFICATE if plan.require_certificates else None,
        command=plan.command,
    ).conf()


def _found_accounts(folder: Folder, plan: Plan) -> Accounts:
    """Whether there are accounts, which the broker may have changed since, and that still serve."""
    if plan.plugin is None:
        return "made"
    content = folder.read(mosquitto.ACCOUNTS_FILE, for_owner=True)
    if content is None:
        return "made"
    try:
        accounts.check_kept(content, plan.topics)
    except accounts.DamagedAccountsError:
        return "mended"
    except accounts.AccountsError as error:
        raise FolderError(
            f"{folder.path / mosquitto.ACCOUNTS_FILE} cannot be kept: {error}. {_ANEW}"
        ) from error
    return "kept"


def _password(folder: Folder, *, needed: bool) -> str:
    """The gateway's, or a new one if there is none and no account that needs it."""
    path = folder.path / PASSWORD_FILE
    content = folder.read(PASSWORD_FILE, for_owner=False)
    if content is None:
        if needed:
            raise FolderError(f"{path} is gone, which fits the gateway's account. {_ANEW}")
        return secrets.token_urlsafe(PASSWORD_BYTES)
    try:
        password = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password:
        raise FolderError(f"{path} holds no password: put it back, or move it away. {_ANEW}")
    return password


def _account_files(plan: Plan, password: str) -> Sequence[_File]:
    gateway_hash = hash_secret(password, salt=os.urandom(SALT_BYTES))
    if plan.plugin is None:
        passwords = accounts.password_file(plan.devices, gateway_hash=gateway_hash)
        rules = accounts.rule_file(plan.topics, plan.devices)
        return (
            _File(mosquitto.PASSWORDS_FILE, passwords.encode()),
            _File(mosquitto.RULES_FILE, rules.encode()),
        )
    made = accounts.dynamic_security(plan.topics, plan.devices, gateway_hash=gateway_hash)
    return (_File(mosquitto.ACCOUNTS_FILE, accounts.json_text(made).encode()),)


def _authority(folder: Folder, *, now: datetime) -> Authority:
    """The CA of the folder, or a new one if it has none."""
    key_pem = folder.read(CA_KEY, for_owner=False)
    certificate_pem = folder.read(CA_CERTIFICATE, for_owner=True)
    if key_pem is None and certificate_pem is not None:
        raise FolderError(
            f"{folder.path / CA_KEY} is gone, and nothing can be signed without it: put it back, or"
            " name a new folder with --out DIR and rotate all devices"
        )
    if key_pem is None:
        _check_no_ca_is_lost(folder)
        return certificates.new_authority(certificates.new_key(), now=now)
    key = certificates.load_key(key_pem, name=str(folder.path / CA_KEY))
    if certificate_pem is None:  # a crash came between the two
        return certificates.new_authority(key, now=now)
    return certificates.load_authority(certificate_pem, key, name=str(folder.path / CA_CERTIFICATE))


def _check_no_ca_is_lost(folder: Folder) -> None:
    server_pem = folder.read(SERVER_CERTIFICATE, for_owner=True)
    if server_pem is not None and certificates.own_hosts(server_pem) is not None:
        raise FolderError(
            f"{folder.path / CA_CERTIFICATE} and {CA_KEY} are gone, which signed"
            f" {SERVER_CERTIFICATE}: put both back. A new CA would cut off all devices, because"
            " their credentials name the old one, until each is rotated ('gateway device rotate"
            f" ID'). If that is to be, move {SERVER_CERTIFICATE} and {SERVER_KEY} away as well"
        )


def _authority_files(authority: Authority) -> Sequence[_File]:
    return (
        _File(CA_KEY, certificates.key_pem(authority.key), for_broker=False),
        _File(CA_CERTIFICATE, authority.certificate_pem),
    )


def _server_files(
    folder: Folder, plan: Plan, authority: Authority | None, *, now: datetime
) -> Sequence[_File]:
    """The broker's certificate at the end."""
    given = plan.given
    if given is not None:
        certificates.check_given(given.pair, hosts=plan.hosts, now=now, names=given.names)
        return (
            *(() if given.ca is None else (_File(SERVER_CA, given.ca),)),
            _File(SERVER_KEY, given.pair.key),
            _File(SERVER_CERTIFICATE, given.pair.certificate),
        )
    assert authority is not None  # noqa: S101 - made where nothing is given
    # The key stays, so that no crash leaves a certificate of another one.
    key_pem = folder.read(SERVER_KEY, for_owner=True)
    key = None if key_pem is None else certificates.kept_key(key_pem)
    key = key or certificates.new_key()
    hosts = tuple(dict.fromkeys((*plan.hosts, *LOCAL_HOSTS)))
    return (
        _File(SERVER_KEY, certificates.key_pem(key)),
        _File(SERVER_CERTIFICATE, authority.sign_server(key, hosts=hosts, now=now)),
    )


def _settings_before(folder: Folder) -> Mapping[str, object]:
    return said(folder.read(SETTINGS_FILE, for_owner=False) or b"")


def _own_cas(folder: Folder) -> set[str]:
    return {str(folder.path / name) for name in (CA_CERTIFICATE, SERVER_CA)}


def _is_other_ca(folder: Folder, plan: Plan) -> bool:
    before = _settings_before(folder)
    if "broker_host" not in before:
        return False
    if plan.given is None and folder.read(CA_KEY, for_owner=False) is None:
        return True
    ca, ca_before = _settings(folder, plan).get(_CA_SETTING), before.get(_CA_SETTING)
    # One that was named by hand may be that of a certificate from elsewhere.
    return ca != ca_before and (ca is not None or ca_before in _own_cas(folder))


def _addresses_gone(folder: Folder, plan: Plan) -> Sequence[str]:
    """Where devices were told to look for the broker, and do not find it any more."""
    before = _settings_before(folder)
    host, port = before.get("broker_host"), before.get("broker_port")
    if not isinstance(host, str) or not isinstance(port, int):
        return ()
    server_pem = folder.read(SERVER_CERTIFICATE, for_owner=True) or b""
    # Any of them was the first at some time.
    hosts = dict.fromkeys((host, *(certificates.own_hosts(server_pem) or ())))
    return [
        address_text(each, port)
        for each in hosts
        if each not in LOCAL_HOSTS and (port != plan.port or each not in plan.hosts)
    ]


def _settings_files(folder: Folder, plan: Plan) -> Sequence[_File]:
    """gateway.toml, unless the one that is there says so already."""
    settings, before = _settings(folder, plan), _settings_before(folder)
    # A CA of this folder that is not the broker's any more would have the gateway refuse it.
    is_of_another_ca = _CA_SETTING not in settings and before.get(_CA_SETTING) in _own_cas(folder)
    if settings.items() <= before.items() and not is_of_another_ca:
        return ()
    text = settings_text(settings)
    return (_File(SETTINGS_FILE, text.encode(), for_broker=False, is_for_people=True),)


def _settings(folder: Folder, plan: Plan) -> dict[str, str | int]:
    settings: dict[str, str | int] = {"data_dir": str(plan.data_dir)}
    if plan.topics.prefix != PREFIX_DEFAULT:
        settings["topic_prefix"] = plan.topics.prefix
    settings |= {"broker_host": plan.hosts[0], "broker_port": plan.port, "broker_tls": "on"}
    if plan.given is None:
        settings[_CA_SETTING] = str(folder.path / CA_CERTIFICATE)
    elif plan.given.ca is not None:
        settings[_CA_SETTING] = str(folder.path / SERVER_CA)
    if plan.require_certificates:
        clients = folder.path / CLIENTS_DIR
        settings["broker_cert_file"] = str(clients / f"{GATEWAY}.crt")
        settings["broker_key_file"] = str(clients / f"{GATEWAY}.key")
    settings["broker_password_file"] = str(folder.path / PASSWORD_FILE)
    settings["broker_accounts"] = "by-hand" if plan.plugin is None else "dynamic-security"
    settings["devices_broker"] = address_text(plan.hosts[0], plan.port)
    return settings
