"""What protects the connections to a broker, and in plain words why there is none."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from programs.tls_context import HandshakeError, TlsSocket, make_context
from programs.tls_settings import Tls, TlsError

# For looking whose certificate it is that was refused.
LOOK_S_MAX: Final = 2.0

_LOCALHOST: Final = "localhost"
_NAMES_SHOWN_MAX: Final = 4
_NAME_CHARS_SHOWN_MAX: Final = 80

# OpenSSL's codes, openssl/x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_UNTRUSTED: Final = frozenset({2, 7, 18, 19, 20, 21})
_OTHER_HOST: Final = frozenset({62, 64})

# OpenSSL's names of what ended a connection: found in the bytes that came, ...
_NO_TLS: Final = frozenset(
    {
        "HTTP_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNEXPECTED_MESSAGE",
        "UNKNOWN_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)
_OLD_TLS: Final = frozenset(
    {
        "NO_PROTOCOLS_AVAILABLE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_SSL_VERSION",
    }
)
# ... and told by the other side (RFC 8446, section 6.2).
_NO_CERTIFICATE: Final = frozenset(
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV13_ALERT_CERTIFICATE_REQUIRED"}
)
_BAD_CERTIFICATE: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no connection.

    Attributes:
        text: for people; "it" is the broker.
        lasting: nothing mends it but other settings, certificates, or another broker.
    """

    text: str
    lasting: bool = False


def is_loopback(host: str) -> bool:
    """Whether that is this machine itself: 127.0.0.0/8, ::1 or localhost.

    Other names are not looked up: what they mean is not for this machine to say.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == _LOCALHOST


class Security:
    """What protects the connections to one broker.

    Attributes:
        context: for TLS; None is without.
        warning: what is to be said at each connect, if something is.
    """

    def __init__(self, tls: Tls, host: str, port: int) -> None:
        """Read the files, and connect to nothing.

        Raises:
            TlsError: one cannot be used; or `host` would be reached without TLS, is not this
                machine, and nobody said that this is wanted.
        """
        self._tls = tls
        self._host = host
        self._port = port
        self.context: ssl.SSLContext | None = None
        self.warning: str | None = None
        insecure = f"{tls.named('insecure')} = true"
        risk = "whoever is on the way can read and change all, the password too"
        if tls.mode == "on" or (tls.mode == "auto" and not is_loopback(host)):
            self.context = make_context(tls)
            if tls.insecure:
                self.warning = f"connecting without verifying the broker ({insecure}): {risk}"
        elif not is_loopback(host):
            if not tls.insecure:
                raise TlsError(
                    f'{tls.named("tls")} = "off" would have the password and all contents in plain'
                    f' text on the way to {host}, which is not this machine: say "auto" or "on"; or'
                    f" {insecure}, if nobody can listen on that way"
                )
            self.warning = f"connecting without TLS ({insecure}): {risk}"

    def explained(self, error: BaseException | None) -> Trouble:
        """Why no connection could be made.

        It asks the broker whose certificate that is, if need be, for `LOOK_S_MAX`.
        """
        if isinstance(error, HandshakeError):
            return self._broken(error.__cause__)
        return Trouble(str(error))

    def closed(self, sock: object) -> Trouble:
        """Why the broker closed `sock` before it answered the login."""
        alert = sock.alert if isinstance(sock, TlsSocket) else None
        if alert is not None:
            return self._told(alert.reason) or Trouble(f"it ended the connection: {alert}")
        text = "it closed the connection before it answered the login"
        if self.context is None:
            return Trouble(f"{text}: is its port {self._port} one for TLS ({self._on})?")
        if self._tls.cert_file is None:
            return Trouble(f"{text}: does it want a certificate ({self._tls.named('cert_file')})?")
        return Trouble(text)

    @property
    def _on(self) -> str:
        return f'{self._tls.named("tls")} = "on"'

    def _broken(self, cause: BaseException | None) -> Trouble:
        """Why a handshake failed."""
        reason = cause.reason if isinstance(cause, ssl.SSLError) else None
        no_tls = f"it does not speak TLS on its port {self._port}"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Trouble(self._not_verified(cause), lasting=True)
        if told := self._told(reason):
            return told
        if reason in _OLD_TLS:
            return Trouble("it does not speak TLS 1.2 or newer", lasting=True)
        if reason in _NO_TLS:
            return Trouble(no_tls, lasting=True)
        if isinstance(cause, TimeoutError):
            return Trouble(f"it answered nothing to the TLS handshake; maybe {no_tls}")
        # It may just be restarted.
        return Trouble(f"it ended the TLS handshake; maybe {no_tls} ({cause})")

    def _told(self, reason: str | None) -> Trouble | None:
        """What the broker said of this side's certificate, if that is why it ended a connection."""
        if reason is None or reason not in _NO_CERTIFICATE | _BAD_CERTIFICATE:
            return None
        certificate = self._tls.named("cert_file", self._tls.cert_file)
        if self._tls.cert_file is None:
            keys = f"{certificate} and {self._tls.named('key_file')}"
            return Trouble(f"it wants a certificate of who connects, see {keys}", lasting=True)
        said = reason.partition("ALERT_")[2].replace("_", " ").lower()
        return Trouble(
            f"it does not accept {certificate} ({said}): that has to be signed by a CA that the"
            " broker trusts, and to be valid now",
            lasting=True,
        )

    def _not_verified(self, error: ssl.SSLCertVerificationError) -> str:
        clock = f"or this machine's clock is wrong: it says {time.strftime('%Y-%m-%d %H:%M')}"
        code = error.verify_code
        if code in _OTHER_HOST:
            return (
                f"its certificate is for {_listed(self._certified())}, not for {self._host}:"
                " reach it by a name that it is for, or give the broker another certificate"
            )
        if code in _UNTRUSTED:
            return f"its certificate is not signed by {self._wanted_ca}"
        if code == _EXPIRED:
            return f"{self._expired_ca() or 'its certificate'} has expired, {clock}"
        if code == _NOT_YET_VALID:
            return f"its certificate is not valid yet, {clock}"
        return f"its certificate cannot be verified: {error.verify_message}"

    @property
    def _wanted_ca(self) -> str:
        ca_file = self._tls.named("ca_file")
        if self._tls.ca_file is not None:
            return (
                f"a CA in {self._tls.trusted}: that has to hold the certificate of the one that did"
            )
        if self._tls.ca is not None:
            return (
                f"the CA in {self._tls.trusted}: enroll it anew if the broker's CA is another now,"
                f" or name that one's certificate with {ca_file}"
            )
        return (
            f"a CA that this system trusts: name the certificate of the one that did with {ca_file}"
        )

    def _expired_ca(self) -> str | None:
        if self.context is None or self._tls.trusted is None:
            return None
        ends = [ssl.cert_time_to_seconds(str(it["notAfter"])) for it in self.context.get_ca_certs()]
        if not ends or max(ends) >= time.time():
            return None
        return f"the certificate of the CA in {self._tls.trusted}"

    def _certified(self) -> Sequence[str]:
        """Whom the broker's certificate is for, which a refused handshake does not tell."""
        try:
            with (
                socket.create_connection((self._host, self._port), LOOK_S_MAX) as plain,
                make_context(self._tls, check_host=False).wrap_socket(
                    plain, server_hostname=self._host
                ) as sock,
            ):
                certificate = sock.getpeercert() or {}
        except (OSError, ValueError, TlsError):
            return ()
        names = certificate.get("subjectAltName", ())
        return [_short(str(name[1])) for name in names if isinstance(name, tuple)]


def check(tls: Tls, host: str, port: int) -> None:
    """Look whether a broker may be reached so, and at the files, also at those that it is not.

    Raises:
        TlsError: it may not, or one cannot be used.
    """
    named = (tls.ca_file, tls.ca, tls.cert_file, tls.key_file)
    if Security(tls, host, port).context is None and any(named):
        make_context(tls)


def _short(name: str) -> str:
    """A name as people write it: OpenSSL does not shorten IPv6 addresses."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "another host"
    # A certificate may name anything, control characters among it.
    shown = [ascii(name[:_NAME_CHARS_SHOWN_MAX])[1:-1] for name in names[:_NAMES_SHOWN_MAX]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
