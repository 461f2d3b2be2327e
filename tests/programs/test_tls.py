"""TLS: what is verified, what is refused, and that all that can go wrong is said in plain words."""

import re
import socket
import ssl
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from programs.tls import Security, Trouble, is_loopback
from programs.tls_context import CERTIFICATES_BYTES_MAX, HandshakeError, TlsSocket
from programs.tls_settings import Tls, TlsError
from tests.certificates import (
    LONG_AGO,
    ca_der,
    ca_file,
    certificate,
    pair,
    server_context,
)
from tests.eventually import PATIENCE_S
from tests.tls_front import TlsFront, answering

CLIENT = "phone.example.org"


class TestLoopback:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "127.255.255.254", "::1", "localhost", "LocalHost"]
    )
    def test_is_this_machine(self, host: str) -> None:
        assert is_loopback(host)

    @pytest.mark.parametrize(
        "host",
        [
            "126.0.0.1",
            "0.0.0.0",  # noqa: S104
            "::",
            "::2",
            "10.0.0.1",
            "127.1",
            "127.0.0.1.",
            "127.0.0.1.example.org",
            "localhost.",
            "localhost.example.org",
            "host",
        ],
    )
    def test_is_not_this_machine(self, host: str) -> None:
        assert not is_loopback(host)


class TestWhatIsAllowed:
    """Before anything is sent."""

    @pytest.mark.parametrize(
        ("tls", "host", "is_encrypted"),
        [
            (Tls(), "127.0.0.1", False),
            (Tls(), "mqtt.example.org", True),
            (Tls(mode="on"), "127.0.0.1", True),
            (Tls(mode="off"), "localhost", False),
            (Tls(mode="off", insecure=True), "::1", False),
            (Tls(insecure=True), "localhost", False),
        ],
    )
    def test_without_a_warning(self, tls: Tls, host: str, is_encrypted: bool) -> None:  # noqa: FBT001
        security = Security(tls, host, 1883)
        assert security.warning is None
        assert (security.context is not None) == is_encrypted
        if security.context is not None:
            assert security.context.verify_mode is ssl.CERT_REQUIRED
            assert security.context.check_hostname
            assert security.context.minimum_version is ssl.TLSVersion.TLSv1_2

    def test_plain_text_to_another_machine_is_refused(self) -> None:
        with pytest.raises(TlsError) as refused:
            Security(Tls(mode="off", key_prefix="broker_"), "mqtt.example.org", 1883)
        for word in (
            'broker_tls = "off"',
            "mqtt.example.org",
            "broker_insecure = true",
            "password",
        ):
            assert word in str(refused.value)

    def test_plain_text_that_somebody_wants_is_warned_of(self) -> None:
        security = Security(Tls(mode="off", insecure=True), "10.0.0.1", 1883)
        assert security.context is None
        assert security.warning is not None
        assert security.warning.startswith("connecting without TLS (insecure = true): whoever")

    @pytest.mark.parametrize(
        ("tls", "host"),
        [
            (Tls(insecure=True), "10.0.0.1"),
            (Tls(mode="on", insecure=True), "127.0.0.1"),
        ],
    )
    def test_without_verifying_is_warned_of(self, tls: Tls, host: str) -> None:
        security = Security(tls, host, 1883)
        assert security.context is not None
        assert security.context.verify_mode is ssl.CERT_NONE
        assert security.warning is not None
        assert "without verifying the broker (insecure = true): whoever is on the way can read" in (
            security.warning
        )


class TestFiles:
    def made(self, **tls: Path | None) -> Security:
        return Security(Tls(**tls, key_prefix="broker_"), "mqtt.example.org", 8883)  # type: ignore[arg-type]

    @pytest.mark.parametrize("key", ["ca_file", "cert_file"])
    def test_that_are_none(self, tmp_path: Path, key: str) -> None:
        none, empty = tmp_path / "none.pem", tmp_path / "empty.pem"
        empty.touch()
        large = tmp_path / "large.pem"
        large.write_bytes(b"-----BEGIN CERTIFICATE-----" + bytes(CERTIFICATES_BYTES_MAX))
        for path, why in (
            (none, "cannot be read: No such file"),
            (tmp_path, "cannot be read: Is a directory"),
            (empty, "BEGIN CERTIFICATE"),
            (large, "is larger than 1048576 bytes"),
        ):
            with pytest.raises(TlsError) as refused:
                self.made(**{key: path})
            assert f"broker_{key} {path}" in str(refused.value)
            assert why in str(refused.value)

    def test_a_ca_that_is_no_certificate(self, tmp_path: Path) -> None:
        path = tmp_path / "ca.pem"
        path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        with pytest.raises(TlsError, match=f"broker_ca_file {path} cannot be used"):
            self.made(ca_file=path)
        with pytest.raises(TlsError, match="in this device's enrolment cannot be used"):
            Security(Tls(ca=b"\x30\x00"), "mqtt.example.org", 8883)

    def test_a_certificate_and_its_key(self, tmp_path: Path) -> None:
        cert, key = pair(tmp_path, certificate(CLIENT))
        assert self.made(cert_file=cert, key_file=key).context is not None
        both = tmp_path / "both.pem"
        both.write_bytes(key.read_bytes() + cert.read_bytes())
        assert self.made(cert_file=both).context is not None

    def test_a_certificate_without_its_key(self, tmp_path: Path) -> None:
        cert, key = pair(tmp_path, certificate(CLIENT))
        (tmp_path / "other").mkdir()
        _, other = pair(tmp_path / "other", certificate("another.example.org"))
        with pytest.raises(TlsError, match=f"PRIVATE KEY.*broker_cert_file {cert}"):
            self.made(cert_file=cert)
        with pytest.raises(TlsError, match=f"PRIVATE KEY.*broker_key_file {cert}"):
            self.made(cert_file=cert, key_file=cert)
        with pytest.raises(TlsError, match=f"broker_key_file {other} is of another certificate"):
            self.made(cert_file=cert, key_file=other)
        with pytest.raises(TlsError, match="broker_key_file is of no use without broker_cert_file"):
            self.made(key_file=key)
        key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        with pytest.raises(TlsError, match=f"broker_cert_file {cert} or its key cannot be used"):
            self.made(cert_file=cert, key_file=key)

    def test_an_encrypted_key_asks_nobody(self, tmp_path: Path) -> None:
        cert, key = pair(tmp_path, certificate(CLIENT))
        encrypted = tmp_path / "encrypted.pem"
        private_key = serialization.load_pem_private_key(key.read_bytes(), None)
        encrypted.write_bytes(
            private_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"a secret"),
            )
        )
        with pytest.raises(TlsError, match=f"broker_key_file {encrypted} is encrypted.*openssl"):
            self.made(cert_file=cert, key_file=encrypted)


def tried(tls: Tls, port: int, host: str = "localhost") -> Trouble | None:
    """What is said of one connection, made as paho makes them; None if it was made."""
    security = Security(tls, host, port)
    assert security.context is not None
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
        sock = security.context.wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
        sock.settimeout(PATIENCE_S)
        try:
            sock.do_handshake()
        except OSError as error:
            assert sock.fileno() == -1  # paho forgets to close it
            return security.explained(error)
        with sock:
            sock.settimeout(0.2)
            try:
                sock.recv(1)
            except TimeoutError:
                return None
            except OSError:
                pass
            return security.closed(sock)


@pytest.fixture
def trusting(tmp_path: Path) -> Tls:
    return Tls(mode="on", ca_file=ca_file(tmp_path))


def against(tls: Tls, context: ssl.SSLContext, host: str = "localhost") -> Trouble | None:
    """What is said of a server with that context, which says nothing but TLS."""
    with answering(None) as upstream, TlsFront(context, upstream) as front:
        return tried(tls, front.port, host)


class TestHandshakes:
    def test_a_broker_that_is_the_right_one(self, tmp_path: Path, trusting: Tls) -> None:
        assert against(trusting, server_context()) is None
        assert against(trusting, server_context(), "127.0.0.1") is None
        assert against(Tls(mode="on", ca=ca_der()), server_context()) is None
        # The file goes before the enrolment.
        both = Tls(mode="on", ca=ca_der(), ca_file=ca_file(tmp_path, "another"))
        assert against(both, server_context()) is not None

    def test_a_wrong_ca(self, tmp_path: Path) -> None:
        context = server_context(certificate("localhost", signed_by="another"))
        ours = ca_file(tmp_path)
        for tls, why in (
            (Tls(mode="on", ca_file=ours), f"signed by a CA in ca_file {ours}"),
            (Tls(mode="on", ca=ca_der()), "signed by the CA in this device's enrolment: enroll"),
            (Tls(mode="on", key_prefix="broker_"), "this system trusts: .* broker_ca_file"),
        ):
            trouble = against(tls, context)
            assert trouble is not None
            assert trouble.lasting
            assert trouble.text.startswith("its certificate is not signed by ")
            assert re.search(why, trouble.text)

    def test_an_expired_certificate(self, trusting: Tls) -> None:
        trouble = against(trusting, server_context(certificate("localhost", expires=LONG_AGO)))
        assert trouble is not None
        assert trouble.lasting
        assert trouble.text.startswith(
            "its certificate has expired, or this machine's clock is wrong: it says 20"
        )

    def test_a_certificate_of_tomorrow(self, trusting: Tls) -> None:
        soon = datetime.now(UTC) + timedelta(days=400)
        trouble = against(trusting, server_context(certificate("localhost", expires=soon)))
        assert trouble is not None
        assert trouble.text.startswith("its certificate is not valid yet, or this machine's clock")

    def test_another_host(self, trusting: Tls) -> None:
        made = certificate(*(f"mqtt{n}.example.org" for n in range(5)))
        trouble = against(trusting, server_context(made))
        assert trouble is not None
        assert trouble.lasting
        assert trouble.text.startswith(
            "its certificate is for mqtt0.example.org, mqtt1.example.org, mqtt2.example.org,"
            " mqtt3.example.org and 1 more, not for localhost: "
        )
        made = certificate("10.0.0.1", "::1")
        by_address = against(trusting, server_context(made), "127.0.0.1")
        assert by_address is not None
        assert by_address.text.startswith(
            "its certificate is for 10.0.0.1, ::1, not for 127.0.0.1: "
        )

    def test_insecure_takes_them_all(self, tmp_path: Path) -> None:
        tls = Tls(mode="on", ca_file=ca_file(tmp_path), insecure=True)
        for made in (
            certificate("localhost", signed_by="another"),
            certificate("localhost", expires=LONG_AGO),
            certificate("mqtt.example.org"),
        ):
            assert against(tls, server_context(made)) is None

    def test_tls_1_1(self, trusting: Tls) -> None:
        context = server_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        assert against(trusting, context) == Trouble(
            "it does not speak TLS 1.2 or newer", lasting=True
        )

    def test_tls_1_2_is_enough(self, trusting: Tls) -> None:
        context = server_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert against(trusting, context) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
class TestMutualTls:
    def server(self, version: ssl.TLSVersion) -> ssl.SSLContext:
        context = server_context(clients_of="ours")
        context.maximum_version = version
        return context

    def test_with_a_certificate(
        self, tmp_path: Path, version: ssl.TLSVersion, trusting: Tls
    ) -> None:
        cert, key = pair(tmp_path, certificate(CLIENT))
        tls = Tls(mode="on", ca_file=trusting.ca_file, cert_file=cert, key_file=key)
        assert against(tls, self.server(version)) is None

    def test_without_one(self, version: ssl.TLSVersion, trusting: Tls) -> None:
        assert against(trusting, self.server(version)) == Trouble(
            "it wants a certificate of who connects, see cert_file and key_file", lasting=True
        )

    @pytest.mark.parametrize("signed_by", ["another", "ours"])
    def test_with_a_wrong_one(
        self, tmp_path: Path, version: ssl.TLSVersion, trusting: Tls, signed_by: str
    ) -> None:
        expires = LONG_AGO if signed_by == "ours" else None
        made = certificate(CLIENT, signed_by=signed_by, expires=expires)
        cert, key = pair(tmp_path, made)
        tls = Tls(mode="on", ca_file=trusting.ca_file, cert_file=cert, key_file=key)
        trouble = against(tls, self.server(version))
        assert trouble is not None
        assert trouble.lasting
        why = "certificate expired" if expires else "unknown ca"
        assert trouble.text.startswith(f"it does not accept cert_file {cert} ({why}): ")


class TestNoTls:
    def test_a_broker_that_answers_in_plain_text(self, trusting: Tls) -> None:
        with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
            assert tried(trusting, port) == Trouble(
                f"it does not speak TLS on its port {port}", lasting=True
            )

    def test_a_broker_that_closes(self, trusting: Tls) -> None:
        with answering(b"") as port:
            trouble = tried(trusting, port)
        assert trouble is not None
        assert not trouble.lasting  # it may be starting
        assert trouble.text.startswith(
            f"it ended the TLS handshake; maybe it does not speak TLS on its port {port} ("
        )

    def test_a_broker_that_says_nothing(self, trusting: Tls) -> None:
        with answering(None) as port:
            security = Security(trusting, "localhost", port)
            assert security.context is not None
            began = time.monotonic()
            plain = socket.create_connection(("127.0.0.1", port), 0.1)
            with pytest.raises(HandshakeError) as failed:
                security.context.wrap_socket(plain, server_hostname="localhost")
            assert time.monotonic() - began < PATIENCE_S / 2
            assert security.explained(failed.value) == Trouble(
                "it answered nothing to the TLS handshake; maybe it does not speak TLS on its port"
                f" {port}"
            )

    def test_a_port_for_tls_that_is_spoken_to_without(self) -> None:
        security = Security(Tls(), "localhost", 8883)
        with socket.socket() as sock:
            assert security.closed(sock) == Trouble(
                "it closed the connection before it answered the login: is its port 8883 one for"
                ' TLS (tls = "on")?'
            )

    def test_a_broker_that_is_not_there(self) -> None:
        error = ConnectionRefusedError(111, "Connection refused")
        assert Security(Tls(), "localhost", 1).explained(error) == Trouble(
            "[Errno 111] Connection refused"
        )


def test_an_expired_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ca_file(tmp_path)
    security = Security(Tls(mode="on", ca_file=path), "localhost", 8883)
    error = ssl.SSLCertVerificationError(1, "certificate has expired")
    error.verify_code, error.reason = 10, "CERTIFICATE_VERIFY_FAILED"
    failed = HandshakeError()
    failed.__cause__ = error
    assert security.explained(failed).text.startswith("its certificate has expired")
    monkeypatch.setattr(time, "time", lambda: 99e9)
    assert security.explained(failed).text.startswith(
        f"the certificate of the CA in ca_file {path} has expired, or this machine's clock"
    )


def test_a_wait_is_no_alert(trusting: Tls) -> None:
    with answering(None) as upstream, TlsFront(server_context(), upstream) as front:
        security = Security(trusting, "localhost", front.port)
        assert security.context is not None
        plain = socket.create_connection(("127.0.0.1", front.port), PATIENCE_S)
        with security.context.wrap_socket(plain, server_hostname="localhost") as sock:
            sock.setblocking(False)  # noqa: FBT003
            with pytest.raises(ssl.SSLWantReadError):
                sock.recv(1)
            assert isinstance(sock, TlsSocket)
            assert sock.alert is None
            assert security.closed(sock).text == (
                "it closed the connection before it answered the login: does it want a certificate"
                " (cert_file)?"
            )
