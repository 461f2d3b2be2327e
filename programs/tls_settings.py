"""Whether and how a connection is encrypted, as settings say it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# "auto": with TLS, but for a broker on this machine's loopback.
TlsMode = Literal["auto", "on", "off"]


class TlsError(Exception):
    """A broker is not to be reached so; the message says which setting, why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How a broker is to be reached.

    Attributes:
        mode: whether with TLS.
        ca_file: certificates of the CAs that are trusted, in PEM.
        ca: the certificate of the one that is trusted, in DER, from a device's enrolment. Without
            `ca_file` and `ca` those are trusted that the system trusts.
        cert_file: an own certificate, in PEM, for a broker that wants one.
        key_file: its key; None if that is in `cert_file`.
        insecure: whether the broker need not be verified, nor reached with TLS.
        key_prefix: of the names of these settings, for errors.
    """

    mode: TlsMode = "auto"
    ca_file: Path | None = None
    ca: bytes | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False
    key_prefix: str = ""

    def named(self, key: str, path: Path | None = None) -> str:
        """A setting as an error names it."""
        return f"{self.key_prefix}{key}" + ("" if path is None else f" {path}")

    @property
    def trusted(self) -> str | None:
        """Whose CA is trusted, as an error names it; None for those of the system."""
        if self.ca_file is not None:
            return self.named("ca_file", self.ca_file)
        return None if self.ca is None else "this device's enrolment"
