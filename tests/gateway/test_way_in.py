"""What a device is told of the way to its broker."""

from pathlib import Path

import pytest
import trustme

from gateway.device import DeviceError
from gateway.settings import load
from gateway.way_in import CA_FILE_BYTES_MAX, only_certificate, way_in
from sync_protocol.credential import Credential


def test_the_gateways_own_way_unless_there_is_another(tmp_path: Path) -> None:
    own = way_in(load(data_dir=tmp_path), "10.0.0.1", 8883)
    assert (own.host, own.port, own.tls, own.ca) == ("10.0.0.1", 8883, None, None)
    settings = load(data_dir=tmp_path, devices_broker="[fd00::1]:8884", topic_prefix="a/b")
    other = way_in(settings, "127.0.0.1", 1883)
    assert (other.host, other.port, other.topic_prefix) == ("fd00::1", 8884, "a/b")


@pytest.mark.parametrize(
    ("mode", "devices_broker", "tls"),
    [
        ("auto", None, None),
        ("on", None, True),
        ("off", None, False),
        ("auto", "there:1", None),
        ("on", "there:1", True),
        ("off", "there:1", None),  # the gateway beside its broker needs none; others may
    ],
)
def test_with_tls_or_without(
    tmp_path: Path, *, mode: str, devices_broker: str | None, tls: bool | None
) -> None:
    settings = load(
        data_dir=tmp_path, broker_host="here", broker_tls=mode, devices_broker=devices_broker
    )
    assert way_in(settings, "here", 1).tls is tls


def test_the_certificate_of_a_private_ca_comes_along(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    pem = trustme.CA().cert_pem.bytes()
    file.write_bytes(b"# ours\n" + pem + b"# that was it\n")
    settings = load(data_dir=tmp_path, broker_host="here", broker_ca_file=file)
    made = way_in(settings, "here", 8883).credential("phone", "secret", ("f",))
    assert made.ca is not None
    assert Credential.parse(made.line()) == made


@pytest.mark.parametrize("what", ["many", "none", "cut", "large", "absent"])
def test_other_files_have_no_certificate_to_give(tmp_path: Path, what: str) -> None:
    pem = trustme.CA().cert_pem.bytes()
    file = tmp_path / "ca.crt"
    match what:
        case "many":
            file.write_bytes(pem * 2)
        case "none":
            file.write_bytes(b"\xff\0")
        case "cut":
            file.write_bytes(pem[: len(pem) // 2])
        case "absent":
            pass
        case _:
            file.write_bytes(pem + b" " * CA_FILE_BYTES_MAX)
    assert only_certificate(file) is None


def test_what_a_credential_cannot_say_is_refused(tmp_path: Path) -> None:
    way = way_in(load(data_dir=tmp_path), "here", 1)
    with pytest.raises(DeviceError, match="device 'phone': a credential names at least one feed"):
        way.credential("phone", "secret", ())
    feeds = tuple(f"{number:064}" for number in range(200))
    with pytest.raises(DeviceError, match="fewer feeds"):
        way.credential("phone", "secret", feeds)
