"""Certificates, looked at by Python's own TLS as strictly as it can."""

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.broker_config import certificates
from gateway.broker_config.certificates import Authority, CertificateError, GivenPair

NOW = datetime.now(UTC)
HOSTS = ("mqtt.example.org", "192.0.2.7", "2001:db8::7")
# Its line of text is in a QR code, with the rest of a credential.
CA_DER_BYTES_MAX = 350


@pytest.fixture(scope="module")
def authority() -> Authority:
    return certificates.new_authority(certificates.new_key(), now=NOW)


def write_pair(folder: Path, pem: bytes, key: object) -> tuple[Path, Path]:
    cert_file, key_file = folder / "pair.crt", folder / "pair.key"
    cert_file.write_bytes(pem)
    key_file.write_bytes(certificates.key_pem(key))  # type: ignore[arg-type]  # of this module
    return cert_file, key_file


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    """Both sides in memory. ssl.SSLError says which of them does not like the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client.wrap_bio(to_client, to_server, server_hostname=host)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client_side, server_side]
    for _ in range(10):
        for side in list(waiting):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
                waiting.remove(side)
    assert not waiting


def strict(authority: Authority) -> ssl.SSLContext:
    """As Python 3.13 does it by default."""
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    key = certificates.new_key()
    pem = authority.sign_server(key, hosts=HOSTS, now=NOW)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*write_pair(tmp_path, pem, key))
    return context


@pytest.mark.parametrize("host", HOSTS)
def test_a_broker_is_known_by_each_of_its_hosts(
    server: ssl.SSLContext, authority: Authority, host: str
) -> None:
    handshake(server, strict(authority), host)


def test_not_by_another_host(server: ssl.SSLContext, authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, strict(authority), "example.org")


def test_not_by_another_ca_of_the_same_name(server: ssl.SSLContext) -> None:
    other = certificates.new_authority(certificates.new_key(), now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        handshake(server, strict(other), HOSTS[0])


def test_a_client_is_known_by_its_certificate_and_is_no_server(
    server: ssl.SSLContext, authority: Authority, tmp_path: Path
) -> None:
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    server.load_verify_locations(cadata=authority.certificate_pem.decode())
    client = strict(authority)
    with pytest.raises(ssl.SSLError, match=r"PEER_DID_NOT_RETURN_A_CERTIFICATE|did not return"):
        handshake(server, client, HOSTS[0])
    key = certificates.new_key()
    pair = write_pair(tmp_path, authority.sign_client(key, user="phone", now=NOW), key)
    client.load_cert_chain(*pair)
    handshake(server, client, HOSTS[0])
    as_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    as_server.load_cert_chain(*pair)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(as_server, strict(authority), "phone")


def test_the_ca_is_small_and_conforms(authority: Authority) -> None:
    found = authority.certificate
    assert len(found.public_bytes(serialization.Encoding.DER)) <= CA_DER_BYTES_MAX
    assert 0 < found.serial_number < 2**63
    constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
        True,
        True,
        0,
    )
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.key_cert_sign) == (True, True)
    key_id = found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert len(key_id) == 8
    assert authority.ends - NOW <= timedelta(days=certificates.CA_DAYS)


def test_how_long_certificates_last(authority: Authority) -> None:
    key = certificates.new_key()
    pem = authority.sign_server(key, hosts=HOSTS, now=NOW)
    (found,) = x509.load_pem_x509_certificates(pem)
    assert found.not_valid_after_utc - found.not_valid_before_utc == timedelta(
        days=certificates.CERTIFICATE_DAYS
    )
    assert found.not_valid_before_utc < NOW - timedelta(hours=23)
    assert certificates.ends(pem) == found.not_valid_after_utc
    # None outlives the CA, and in the end there is none.
    late = authority.ends - timedelta(days=30)
    assert certificates.ends(authority.sign_server(key, hosts=HOSTS, now=late)) == authority.ends
    with pytest.raises(CertificateError, match="the CA ended on"):
        authority.sign_server(key, hosts=HOSTS, now=authority.ends)


def test_a_ca_is_read_again(authority: Authority) -> None:
    key = certificates.load_key(certificates.key_pem(authority.key), name="ca.key")
    again = certificates.load_authority(authority.certificate_pem, key, name="ca.crt")
    assert again.certificate == authority.certificate


def test_what_is_no_ca(authority: Authority) -> None:
    with pytest.raises(CertificateError, match=r"ca.crt and its key do not belong together"):
        certificates.load_authority(
            authority.certificate_pem, certificates.new_key(), name="ca.crt"
        )
    with pytest.raises(CertificateError, match=r"ca.crt holds no certificate in PEM"):
        certificates.load_authority(b"nothing", authority.key, name="ca.crt")
    with pytest.raises(CertificateError, match=r"ca.key holds no private key in PEM"):
        certificates.load_key(b"nothing", name="ca.key")
    with pytest.raises(CertificateError, match=r"ca.key was not made by this command"):
        certificates.load_key(rsa_pem(), name="ca.key")
    assert certificates.kept_key(rsa_pem()) is None
    assert certificates.kept_key(b"nothing") is None


def rsa_pem(password: bytes | None = None) -> bytes:
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        protection = serialization.BestAvailableEncryption(password)
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )


# Certificates of others


@pytest.fixture(scope="module")
def others() -> trustme.CA:
    return trustme.CA()


def pair(leaf: trustme.LeafCert) -> GivenPair:
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    return GivenPair(chain, leaf.private_key_pem.bytes())


def check(given: GivenPair, *hosts: str, now: datetime = NOW) -> None:
    certificates.check_given(given, hosts=hosts, now=now, names=("my.crt", "my.key"))


def test_a_given_certificate(others: trustme.CA) -> None:
    given = pair(others.issue_cert("mqtt.example.org", "*.lan", "192.0.2.7"))
    check(given, "mqtt.example.org", "broker.lan", "192.0.2.7")
    certificates.check_certificate(others.cert_pem.bytes(), name="ca.pem")


@pytest.mark.parametrize("host", ["example.org", "lan", "a.b.lan", "192.0.2.8"])
def test_a_given_certificate_for_another_host(others: trustme.CA, host: str) -> None:
    given = pair(others.issue_cert("mqtt.example.org", "*.lan", "192.0.2.7"))
    with pytest.raises(CertificateError, match=rf"is for .*, not for {host}"):
        check(given, "mqtt.example.org", host)


def test_a_given_certificate_that_cannot_be_used(others: trustme.CA) -> None:
    one, other = (pair(others.issue_cert("a.lan")) for _ in range(2))
    with pytest.raises(CertificateError, match=r"my.crt and my.key do not belong together"):
        check(GivenPair(one.certificate, other.key), "a.lan")
    with pytest.raises(CertificateError, match=r"my.crt holds no certificate in PEM"):
        check(GivenPair(one.key, one.key), "a.lan")
    with pytest.raises(CertificateError, match=r"my.key holds no private key in PEM"):
        check(GivenPair(one.certificate, one.certificate), "a.lan")
    with pytest.raises(CertificateError, match=r"my.key has a password"):
        check(GivenPair(one.certificate, rsa_pem(b"secret")), "a.lan")
    ended = pair(others.issue_cert("a.lan", not_after=NOW - timedelta(days=1)))
    with pytest.raises(CertificateError, match=r"my.crt ended on"):
        check(ended, "a.lan")
    nameless = pair(others.issue_cert(common_name="a.lan"))
    with pytest.raises(CertificateError, match=r"is for no host, not for a.lan"):
        check(nameless, "a.lan")
