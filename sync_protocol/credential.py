"""A device's credential: one line with all that it needs to reach its gateway."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from sync_protocol import limits
from sync_protocol.addresses import address_text, broker_address
from sync_protocol.errors import ProtocolError
from sync_protocol.names import device_id, feed_name
from sync_protocol.topics import PREFIX_DEFAULT, Topics

SCHEME: Final = "tallysync://"
CREDENTIAL_CHARS_MAX: Final = 8 * limits.KIB

_FORM: Final = f"{SCHEME}ID:SECRET@HOST:PORT?feed=FEED"
_MODES: Final = {"on": True, "off": False}
_PARAMETERS: Final = ("feed", "prefix", "tls", "ca")
_BASE32_GROUP_CHARS: Final = 8
# X.690, section 8.1.3: a length of more bytes than that would be of no certificate.
_DER_SEQUENCE: Final = 0x30
_DER_LENGTH_BYTES_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Credential:
    """Who a device is, how it proves that, and where.

    Attributes:
        device: its id, which is its user name at the broker.
        secret: its password there.
        host, port: of the broker.
        feeds: that it keeps.
        topic_prefix: of all topics.
        tls: whether the connection is encrypted; None where the host says it: not on loopback.
        ca: the certificate of the CA that signed the broker's, in DER, if it is not one that the
            system trusts anyway.
    """

    device: str
    secret: str = field(repr=False)
    host: str
    port: int
    feeds: tuple[str, ...]
    topic_prefix: str = PREFIX_DEFAULT
    tls: bool | None = None
    ca: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check all of it.

        Raises:
            ValueError: something in it cannot be; the message never quotes the secret.
        """
        device_id(self.device)
        # MQTT 3.1.1, section 1.5.3: neither NUL nor half a character; and a password is one line.
        if not (self.secret and self.secret.isprintable()):
            raise ValueError("a device's secret is printable text")
        if broker_address(address_text(self.host, self.port)) != (self.host, self.port):
            raise ValueError(f"a broker's host is a name or an address, not {self.host!a}")
        if not self.feeds or len(set(self.feeds)) != len(self.feeds):
            raise ValueError("a credential names at least one feed, and each once")
        for feed in self.feeds:
            feed_name(feed)
        Topics(self.topic_prefix)
        if self.ca is not None and not _is_der(self.ca):
            raise ValueError("the CA's certificate is not whole, or not in DER")
        if len(self.line()) > CREDENTIAL_CHARS_MAX:
            raise ValueError(
                f"a credential has at most {CREDENTIAL_CHARS_MAX} characters: give the device fewer"
                " feeds, or use a CA with a shorter certificate"
            )

    def line(self) -> str:
        """It as text without blanks: ``tallysync://ID:SECRET@HOST:PORT?feed=...``.

        More may follow: ``&feed=...``, ``&prefix=...``, ``&tls=on|off`` and ``&ca=...``, which is
        in base32 (RFC 4648, section 6) without padding, as a QR code has room for capitals.
        """
        parameters = [("feed", feed) for feed in self.feeds]
        if self.topic_prefix != PREFIX_DEFAULT:
            parameters.append(("prefix", self.topic_prefix))
        if self.tls is not None:
            parameters.append(("tls", "on" if self.tls else "off"))
        if self.ca is not None:
            parameters.append(("ca", base64.b32encode(self.ca).decode().rstrip("=")))
        # In a host, : and [] are of an IPv6 address; a % before its zone is escaped (RFC 6874).
        address = quote(address_text(self.host, self.port), safe=":[]")
        return (
            f"{SCHEME}{quote(self.device, safe='')}:{quote(self.secret, safe='')}@{address}"
            f"?{urlencode(parameters, quote_via=quote)}"
        )

    @property
    def summary(self) -> str:
        """Who and where, for people."""
        feeds = ", ".join(self.feeds)
        return f"{self.device} at {address_text(self.host, self.port)}, for {feeds}"

    @classmethod
    def parse(cls, text: str) -> "Credential":
        """The credential of a line.

        Line breaks and blanks anywhere are those of a terminal or a mail, and left out. What this
        version does not know is refused: a credential that is used in part might be used without
        what makes it safe.

        Raises:
            ProtocolError: it is none; the message never quotes the secret.
        """
        if len(text) > 2 * CREDENTIAL_CHARS_MAX:
            raise _refused(f"it is longer than {CREDENTIAL_CHARS_MAX} characters")
        line = "".join(text.split())
        if len(line) > CREDENTIAL_CHARS_MAX:
            raise _refused(f"it is longer than {CREDENTIAL_CHARS_MAX} characters")
        if not line.startswith(SCHEME):
            raise _refused(f"it begins with {SCHEME}")
        place, question_mark, query = line.removeprefix(SCHEME).partition("?")
        account, at, address = place.rpartition("@")
        device, colon, secret = account.partition(":")
        if not (at and colon and question_mark):
            raise _refused("a part of it lacks; was it copied in full?")
        try:
            host, port = broker_address(unquote(address, errors="strict"))
            given = _parameters(query)
            prefix = _one(given, "prefix")
            return cls(
                device=unquote(device, errors="strict"),
                secret=unquote(secret, errors="strict"),
                host=host,
                port=port,
                feeds=tuple(given["feed"]),
                topic_prefix=PREFIX_DEFAULT if prefix is None else prefix,
                tls=_mode(_one(given, "tls")),
                ca=_from_base32(_one(given, "ca")),
            )
        except UnicodeDecodeError:  # it would quote what it could not read
            raise _refused("it is not UTF-8 text; was it copied in full?") from None
        except ValueError as error:
            raise _refused(str(error)) from None


def _refused(why: str) -> ProtocolError:
    return ProtocolError(
        "credential", f"this is no credential like {_FORM}, which 'gateway device add' shows: {why}"
    )


def _parameters(query: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in _PARAMETERS}
    if not all("=" in part for part in query.split("&")):
        raise ValueError("a part of it lacks; was it copied in full?")
    for name, value in parse_qsl(query, keep_blank_values=True, errors="strict"):
        if name not in found:
            raise ValueError(
                f"it has a part {name[:20]!a} that this version does not know; is the gateway of a"
                " newer version?"
            )
        found[name].append(value)
    return found


def _one(given: dict[str, list[str]], name: str) -> str | None:
    values = given[name]
    if len(values) > 1:
        raise ValueError(f"{name} is there twice")
    return values[0] if values else None


def _mode(text: str | None) -> bool | None:
    if text is not None and text not in _MODES:
        raise ValueError(f"tls is on or off, not {text[:20]!a}")
    return None if text is None else _MODES[text]


def _from_base32(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b32decode(text + "=" * (-len(text) % _BASE32_GROUP_CHARS), casefold=True)
    except binascii.Error:
        raise ValueError("ca is not in base32; was it copied in full?") from None


def _is_der(data: bytes) -> bool:
    """Whether it is one SEQUENCE of the length that it says (X.690, section 8.1.3).

    A certificate is one. What is in it is looked at where it is used.
    """
    if len(data) < 2 or data[0] != _DER_SEQUENCE:  # noqa: PLR2004 - a tag and a length
        return False
    first = data[1]
    if first < 0x80:  # noqa: PLR2004 - the length itself
        return len(data) == 2 + first
    size_bytes = first - 0x80
    if not 1 <= size_bytes <= _DER_LENGTH_BYTES_MAX:
        return False
    return len(data) == 2 + size_bytes + int.from_bytes(data[2 : 2 + size_bytes])
