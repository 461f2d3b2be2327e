"""A private CA for one broker, and the certificates that it signs (RFC 5280)."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS: Final = 3_650
# What some systems allow at most, even for certificates of private CAs.
CERTIFICATE_DAYS: Final = 825
# Clocks of handhelds may be behind.
_EARLIER: Final = timedelta(days=1)
# As short as RFC 5280 (section 4.2.1.2, second method) and CAs' own rules allow, because the CA's
# certificate travels in a QR code.
_CA_NAME: Final = "tallysync"
_SERIAL_BITS: Final = 63
_NAME_CHARS_MAX: Final = 64  # RFC 5280, appendix A.1: ub-common-name
_KEY_ID_BYTES: Final = 8

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class CertificateError(ValueError):
    """A certificate or key cannot be used; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """Its certificate, for everybody."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def ends(self) -> datetime:
        """When its certificate ends."""
        return self.certificate.not_valid_after_utc

    def sign_server(
        self, key: ec.EllipticCurvePrivateKey, *, hosts: tuple[str, ...], now: datetime
    ) -> bytes:
        """A certificate for a broker that is reached by `hosts`, names or addresses."""
        names = [_general_name(host) for host in hosts]
        return self._sign(
            key,
            name=hosts[0][:_NAME_CHARS_MAX],
            purpose=ExtendedKeyUsageOID.SERVER_AUTH,
            names=names,
            now=now,
        )

    def sign_client(self, key: ec.EllipticCurvePrivateKey, *, user: str, now: datetime) -> bytes:
        """A certificate for a device, or for the gateway."""
        return self._sign(
            key, name=user, purpose=ExtendedKeyUsageOID.CLIENT_AUTH, names=[], now=now
        )

    def _sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        *,
        name: str,
        purpose: x509.ObjectIdentifier,
        names: list[x509.GeneralName],
        now: datetime,
    ) -> bytes:
        """A certificate in PEM. CertificateError if the CA's own has ended."""
        if now >= self.ends:
            raise CertificateError(
                f"the certificate of the CA ended on {self.ends:%Y-%m-%d}: name a new folder with"
                " --out DIR, which gets another CA, and rotate all devices"
            )
        builder = (
            _builder(name, key.public_key(), now=now)
            .issuer_name(self.certificate.subject)
            .not_valid_after(min(now + timedelta(days=CERTIFICATE_DAYS) - _EARLIER, self.ends))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier(_key_id(self.key.public_key()), None, None),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A private key on the curve P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as it is kept: without a password, in a file that only its owner reads."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_authority(key: ec.EllipticCurvePrivateKey, *, now: datetime) -> Authority:
    """A CA that signs certificates of one broker and of nothing else."""
    certificate = (
        _builder(_CA_NAME, key.public_key(), now=now)
        .issuer_name(_named(_CA_NAME))
        .not_valid_after(now + timedelta(days=CA_DAYS) - _EARLIER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def load_key(pem: bytes, *, name: str) -> ec.EllipticCurvePrivateKey:
    """A key that `key_pem` wrote. CertificateError if it is none; `name` is its file's."""
    key = _private_key(pem, name=name)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{name} was not made by this command")
    return key


def kept_key(pem: bytes) -> ec.EllipticCurvePrivateKey | None:
    """A key that `key_pem` wrote, or None if it is another one or none."""
    try:
        return load_key(pem, name="")
    except CertificateError:
        return None


def ends(pem: bytes) -> datetime:
    """When the first certificate of a file ends."""
    return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc


def own_hosts(pem: bytes) -> tuple[str, ...] | None:
    """For which hosts a CA of this command signed a broker's certificate; None if none did."""
    try:
        certificate = x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        return None
    if certificate.issuer != _named(_CA_NAME):
        return None
    return tuple(_names(certificate))


def load_authority(
    certificate_pem: bytes, key: ec.EllipticCurvePrivateKey, *, name: str
) -> Authority:
    """A CA from its file `name`. CertificateError if it is none, or of another key."""
    (certificate, *_) = _certificates(certificate_pem, name=name)
    if _public(certificate.public_key()) != _public(key.public_key()):
        raise CertificateError(f"{name} and its key do not belong together")
    return Authority(certificate, key)


@dataclass(frozen=True, slots=True)
class GivenPair:
    """Certificate and key from elsewhere, as they are in their files."""

    certificate: bytes
    key: bytes


def check_given(
    pair: GivenPair, *, hosts: tuple[str, ...], now: datetime, names: tuple[str, str]
) -> None:
    """That a broker with this certificate can be reached by `hosts`.

    Raises:
        CertificateError: it cannot; `names` are those of the files of certificate and key.
    """
    certificate_name, key_name = names
    (certificate, *_) = _certificates(pair.certificate, name=certificate_name)
    key = _private_key(pair.key, name=key_name)
    if _public(certificate.public_key()) != _public(key.public_key()):
        raise CertificateError(f"{certificate_name} and {key_name} do not belong together")
    ends = certificate.not_valid_after_utc
    if now >= ends:
        raise CertificateError(f"the certificate {certificate_name} ended on {ends:%Y-%m-%d}")
    covered = _names(certificate)
    for host in hosts:
        if not any(_is_named(host, name) for name in covered):
            raise CertificateError(
                f"the certificate {certificate_name} is for {', '.join(covered) or 'no host'}, not"
                f" for {host}: name with --host by which of them devices reach the broker"
            )


def check_certificate(pem: bytes, *, name: str) -> None:
    """That the file `name` holds certificates. CertificateError if it does not."""
    _certificates(pem, name=name)


def _certificates(pem: bytes, *, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise CertificateError(f"{name} holds no certificate in PEM") from None


def _private_key(pem: bytes, *, name: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, None)
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"{name} holds no private key in PEM") from None
    except TypeError:
        raise CertificateError(
            f"the private key in {name} has a password, which a broker could not ask for: take it"
            f" off with 'openssl pkey -in {name}'"
        ) from None


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [
        *found.get_values_for_type(x509.DNSName),
        *(str(address) for address in found.get_values_for_type(x509.IPAddress)),
    ]


def _is_named(host: str, name: str) -> bool:
    """Whether `name` of a certificate is `host` (RFC 9525, section 6.3)."""
    if name.startswith("*."):
        _, dot, domain = host.partition(".")
        return dot == "." and domain.lower() == name[2:].lower()
    return host.lower() == name.lower()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    name: str, public_key: ec.EllipticCurvePublicKey, *, now: datetime
) -> x509.CertificateBuilder:
    serial = x509.random_serial_number() % 2**_SERIAL_BITS or 1
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before((now - _EARLIER).astimezone(UTC))
        .add_extension(x509.SubjectKeyIdentifier(_key_id(public_key)), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    whole = x509.SubjectKeyIdentifier.from_public_key(key).digest
    last = bytearray(whole[-_KEY_ID_BYTES:])
    last[0] = 0x40 | (last[0] & 0x0F)  # RFC 5280, section 4.2.1.2: 0100 and 60 bits of the hash
    return bytes(last)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
