"""How a device proves who it is (RFC 8018)."""

import base64
import hashlib
import time
from collections.abc import Callable

import pytest

from gateway.device import (
    SALT_BYTES,
    SECRET_BYTES,
    DeviceError,
    NoSuchDeviceError,
    SecretHash,
    hash_parts,
    hash_secret,
    make_secret,
    verify_secret,
)

SALT = bytes(range(SALT_BYTES))
SECRET = make_secret(bytes(range(SECRET_BYTES)))
HASH = hash_secret(SECRET, salt=SALT)


def test_a_secret_is_its_entropy_as_text() -> None:
    assert SECRET == "AAECAwQFBgcICQoLDA0ODxAR"
    assert make_secret(b"\xff" * SECRET_BYTES) == "_" * 24  # nothing that a shell or a URL minds


def test_what_is_kept_is_as_in_mosquittos_password_files() -> None:
    nothing, kind, iterations, salt, kept = HASH.split("$")
    assert (nothing, kind, iterations) == ("", "7", "1000")
    assert base64.b64decode(salt) == SALT
    expected = hashlib.pbkdf2_hmac("sha512", SECRET.encode(), SALT, 1000, dklen=64)
    assert base64.b64decode(kept) == expected
    assert hash_parts(HASH) == SecretHash(1000, salt, kept)
    assert SECRET not in HASH
    assert hash_secret(SECRET, salt=bytes(SALT_BYTES)) != HASH


@pytest.mark.parametrize("damaged", ["", "x", "$6$1000$AA$AA", "$7$100000$AA$AA", HASH + "$"])
def test_a_damaged_hash_is_told_with_the_command_that_mends_it(damaged: str) -> None:
    with pytest.raises(DeviceError, match="gateway device rotate ID"):
        verify_secret(SECRET, damaged)


@pytest.mark.parametrize("wrong", ["", SECRET[:-1], SECRET + "x", SECRET.lower(), "ä\0" * 500])
def test_only_the_secret_itself_proves_it(wrong: str) -> None:
    assert verify_secret(SECRET, HASH)
    assert not verify_secret(wrong, HASH)


def test_nobody_has_a_secret_without_a_hash() -> None:
    assert not verify_secret(SECRET, None)
    assert not verify_secret("", None)


def test_an_unknown_name_costs_what_a_wrong_secret_costs() -> None:
    unknown, wrong = _seconds(lambda: verify_secret("x", None)), _seconds(_verify_wrong)
    assert wrong / 3 < unknown < wrong * 3


def _verify_wrong() -> bool:
    return verify_secret("x", HASH)


def _seconds(verify: Callable[[], bool]) -> float:
    """The shortest of some times: what the work takes when nothing else is in its way."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        verify()
        times.append(time.perf_counter() - started)
    return min(times)


def test_the_error_names_the_command_that_mends_it() -> None:
    assert "gateway device add phone" in str(NoSuchDeviceError("phone"))
