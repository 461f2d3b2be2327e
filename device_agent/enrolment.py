"""A device's enrolment: the credential that is kept in its data directory, beside its items."""

import json
from pathlib import Path
from typing import Final

from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE
from device_agent.errors import AgentError
from device_agent.settings import Settings
from programs.secret_file import Secret, exposure, write_private
from programs.tls_settings import Tls, TlsMode
from sync_protocol.addresses import address_text
from sync_protocol.credential import CREDENTIAL_CHARS_MAX, Credential
from sync_protocol.errors import ProtocolError

ENROLMENT_FILE: Final = "enrolment.json"
ENROLMENT_BYTES_MAX: Final = 2 * CREDENTIAL_CHARS_MAX

_KEY: Final = "credential"
_MODES: Final[dict[bool | None, TlsMode]] = {None: "auto", True: "on", False: "off"}


class EnrolmentError(AgentError):
    """A device cannot be enrolled so, or its enrolment cannot be used. Quotes no secret."""


def kept(data_dir: Path) -> Credential | None:
    """The credential that is kept in a data directory, if there is one.

    Raises:
        EnrolmentError: it cannot be used.
    """
    path = data_dir / ENROLMENT_FILE
    try:
        with path.open("rb") as file:
            data = file.read(ENROLMENT_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EnrolmentError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        if len(data) > ENROLMENT_BYTES_MAX:
            raise ValueError  # noqa: TRY301 - as one that is not JSON
        return Credential.parse(str(json.loads(data)[_KEY]))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        why = f" ({error})" if isinstance(error, ProtocolError) else ""
        raise EnrolmentError(
            f"{path} is damaged{why}: enroll the device anew with 'device-agent enroll'; 'gateway"
            " device rotate' shows a new credential"
        ) from None


def keep(data_dir: Path, credential: Credential) -> None:
    """Keep a credential, in place of the one that is there.

    Raises:
        EnrolmentError: the directory holds what is another device's, or cannot be written.
    """
    try:
        _check_owner(data_dir / STORE_FILE, credential.device)
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(data_dir / ENROLMENT_FILE, json.dumps({_KEY: credential.line()}) + "\n")
    except OSError as error:
        raise EnrolmentError(
            f"the enrolment cannot be kept in {data_dir} ({error.strerror or error}): --data DIR"
            " names another directory"
        ) from error


def _check_owner(path: Path, device: str) -> None:
    if not path.exists():
        return
    file = AgentFile(path, readonly=True)
    try:
        owner = file.device
        items = sum(file.replica(feed).item_count() for feed in file.feeds())
    finally:
        file.close()
    if owner not in (None, device):
        raise EnrolmentError(
            f"{path} is of device {owner} and holds {items} items, which device {device} cannot"
            " take over: name another directory with --data DIR, or move that file away; the items"
            " can be fetched again only as long as the gateway has them"
        )


def completed(settings: Settings, credential: Credential | None) -> Settings:
    """Settings with what the enrolment says, where nothing else says it.

    An enrolment of another device than `settings.id` says nothing.
    """
    if credential is None or settings.id not in (None, credential.device):
        return settings
    said: dict[str, object] = {
        "id": credential.device,
        "feeds": credential.feeds,
        "broker": address_text(credential.host, credential.port),
        "topic_prefix": credential.topic_prefix,
        "tls": _MODES[credential.tls],
    }
    missing = said.keys() - settings.model_fields_set
    return settings.model_copy(update={key: said[key] for key in missing})


def secret_of(settings: Settings, credential: Credential | None) -> Secret | None:
    """The password of the enrolment, where it is this device's and no other is named."""
    if credential is None or settings.password_file is not None:
        return None
    if credential.device != settings.id:
        return None
    return Secret(credential.secret, exposure(settings.data_dir / ENROLMENT_FILE))


def tls_of(settings: Settings, credential: Credential | None) -> Tls:
    """How the broker is to be reached. The CA of the enrolment is as one that `ca_file` names."""
    ca = None
    if settings.ca_file is None and credential is not None and credential.device == settings.id:
        ca = credential.ca
    return Tls(
        mode=settings.tls,
        ca_file=settings.ca_file,
        ca=ca,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        insecure=settings.insecure,
    )
