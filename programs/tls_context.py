"""The ssl module's context for connections to a broker, made of the files that settings name."""

import ssl
from pathlib import Path
from typing import Final

from programs.tls_settings import Tls, TlsError

CERTIFICATES_BYTES_MAX: Final = 1024 * 1024

_CERTIFICATE: Final = "CERTIFICATE"
_KEY: Final = "PRIVATE KEY"


class HandshakeError(OSError):
    """A TLS handshake failed. Its cause is the error that says why."""


class TlsSocket(ssl.SSLSocket):
    """Closes itself if its handshake fails, which paho forgets; and keeps what ended it later.

    In TLS 1.3 a broker refuses a certificate, or the lack of one, only after the handshake
    (RFC 8446, section 4.4.2.4).
    """

    alert: ssl.SSLError | None = None

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in ssl
        """See `ssl.SSLSocket`.

        Raises:
            HandshakeError: it failed.
        """
        try:
            super().do_handshake(block)
        except OSError as error:
            self.close()
            raise HandshakeError(str(error)) from error

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """See `ssl.SSLSocket`."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self.alert = error
            raise


def make_context(tls: Tls, *, check_host: bool = True) -> ssl.SSLContext:
    """For connections to a broker. `check_host` is False only for who just looks whose it is.

    Raises:
        TlsError: a file cannot be used.
    """
    ca: str | bytes | None = tls.ca
    if tls.ca_file is not None:
        ca = _pem(tls, "ca_file", tls.ca_file, holds=_CERTIFICATE).decode("ascii", "replace")
    try:
        context = ssl.create_default_context(cadata=ca)
    except ssl.SSLError as error:
        raise TlsError(
            f"the CA's certificate in {tls.trusted} cannot be used: {error.reason or error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    context.check_hostname = check_host and not tls.insecure
    if tls.insecure:
        context.verify_mode = ssl.CERT_NONE
    _identify(context, tls)
    return context


def _identify(context: ssl.SSLContext, tls: Tls) -> None:
    """Give it the program's own certificate, if there is one."""
    if tls.cert_file is None:
        if tls.key_file is not None:
            raise TlsError(
                f"{tls.named('key_file')} is of no use without {tls.named('cert_file')}, which"
                " names the certificate of that key"
            )
        return
    _pem(tls, "cert_file", tls.cert_file, holds=_CERTIFICATE)
    key, path = ("cert_file", tls.cert_file) if not tls.key_file else ("key_file", tls.key_file)
    _pem(tls, key, path, holds=_KEY)

    def no_password() -> str:  # or OpenSSL would ask on the terminal
        raise TlsError(
            f"the key in {tls.named(key, path)} is encrypted, and nobody is there to be asked for"
            f" its password: 'openssl pkey -in {path} -out NEW_FILE' decrypts it"
        )

    try:
        context.load_cert_chain(tls.cert_file, path, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(
                f"the key in {tls.named(key, path)} is of another certificate than that in"
                f" {tls.named('cert_file', tls.cert_file)}"
            ) from error
        raise TlsError(
            f"{tls.named('cert_file', tls.cert_file)} or its key cannot be used:"
            f" {error.reason or error}"
        ) from error


def _pem(tls: Tls, key: str, path: Path, *, holds: str) -> bytes:
    """What is in a file, which OpenSSL would refuse without a word on why."""
    named = tls.named(key, path)
    try:
        with path.open("rb") as file:
            data = file.read(CERTIFICATES_BYTES_MAX + 1)
    except OSError as error:
        raise TlsError(f"{named} cannot be read: {error.strerror or error}") from error
    if len(data) > CERTIFICATES_BYTES_MAX:
        raise TlsError(
            f"{named} is larger than {CERTIFICATES_BYTES_MAX} bytes: is it the right one?"
        )
    if f"{holds}-----".encode() not in data:
        raise TlsError(f"there is no '-----BEGIN {holds}-----' in {named}: it is a file in PEM")
    return data
