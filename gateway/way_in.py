"""How devices reach the broker, for the credentials that they are given."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.device import DeviceError
from gateway.settings import BROKER_PORT_DEFAULT, Settings
from sync_protocol import limits
from sync_protocol.addresses import broker_address
from sync_protocol.credential import Credential

# A file of one certificate; what is larger is a bundle of many.
CA_FILE_BYTES_MAX: Final = 16 * limits.KIB
# Where the embedded broker is.
LOOPBACK: Final = "127.0.0.1"
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class WayIn:
    """Where the broker is, and what is needed to talk to it; see `Credential`."""

    host: str
    port: int
    topic_prefix: str
    tls: bool | None
    ca: bytes | None

    def credential(self, device: str, secret: str, feeds: tuple[str, ...]) -> Credential:
        """All that a device needs. DeviceError if that is more than a credential can say."""
        try:
            return Credential(
                device=device,
                secret=secret,
                host=self.host,
                port=self.port,
                feeds=feeds,
                topic_prefix=self.topic_prefix,
                tls=self.tls,
                ca=self.ca,
            )
        except ValueError as error:
            raise DeviceError(
                f"no credential can be made for device {device!r}: {error}"
            ) from error


def way_in(settings: Settings, host: str, port: int) -> WayIn:
    """How devices reach the broker that the gateway reaches at `host` and `port`."""
    tls = {"on": True, "off": False, "auto": None}[settings.broker_tls]
    port = port or BROKER_PORT_DEFAULT  # any that is free will be another, once it is known
    if settings.devices_broker is not None:
        host, port = broker_address(settings.devices_broker)
        # That the gateway has no need of TLS, beside the broker, says nothing of others.
        tls = tls or None
    path = settings.broker_ca_file
    return WayIn(
        host, port, settings.topic_prefix, tls, None if path is None else only_certificate(path)
    )


def only_certificate(path: Path) -> bytes | None:
    """The certificate in a file of PEM, in DER, if it holds just one.

    One is that of a private CA, which devices have to be given. Many are those of public CAs,
    which they have. None, too, if it cannot be read: that is told where the gateway needs it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(CA_FILE_BYTES_MAX + 1).decode("ascii", errors="replace")
    except OSError:
        return None
    if len(text) > CA_FILE_BYTES_MAX or text.count(_BEGIN) != 1:
        return None
    # People write beside a certificate whose it is.
    block = text[text.index(_BEGIN) :].partition(_END)
    try:
        return ssl.PEM_cert_to_DER_cert(block[0] + block[1])
    except ValueError:
        return None
