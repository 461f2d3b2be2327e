"""Throwaway CAs, certificates, and servers that have them."""

import functools
import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@functools.cache
def ca(name: str = "ours") -> trustme.CA:
    """A CA, the same for the same name."""
    return trustme.CA(organization_name=name)


def ca_file(folder: Path, name: str = "ours") -> Path:
    """The certificate of a CA, in a file."""
    path = folder / f"{name}-ca.pem"
    ca(name).cert_pem.write_to_path(path)
    return path


def ca_der(name: str = "ours") -> bytes:
    """The certificate of a CA, in DER."""
    return ssl.PEM_cert_to_DER_cert(ca(name).cert_pem.bytes().decode())


@functools.cache
def certificate(
    *hosts: str, signed_by: str = "ours", expires: datetime | None = None
) -> trustme.LeafCert:
    """A certificate for hosts, or for a client's name."""
    before = None if expires is None else expires.replace(year=expires.year - 1)
    return ca(signed_by).issue_cert(*hosts, not_before=before, not_after=expires)


def pair(folder: Path, made: trustme.LeafCert) -> tuple[Path, Path]:
    """A certificate and its key, in files."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    made.cert_chain_pems[0].write_to_path(cert)
    made.private_key_pem.write_to_path(key)
    return cert, key


def server_context(
    made: trustme.LeafCert | None = None, *, clients_of: str | None = None
) -> ssl.SSLContext:
    """What a server needs; `clients_of` is the CA whose certificate it wants of clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (made or certificate("localhost", "127.0.0.1")).configure_cert(context)
    if clients_of is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        ca(clients_of).configure_trust(context)
    return context
