"""Devices: who they are, how they prove it, and which feeds they may hold."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

SECRET_BYTES: Final = 18  # 24 characters of base64, 144 bits
SALT_BYTES: Final = 16
GENERATION_BYTES: Final = 8
# RFC 7914's interactive parameters: about 30 ms and 16 MiB a login.
_SCRYPT_N: Final = 2**14
_SCRYPT_R: Final = 8


class DeviceError(ValueError):
    """Something about a device cannot be; the message says how to mend it."""


class NoSuchDeviceError(DeviceError):
    """No such device is enrolled."""

    def __init__(self, device_id: str) -> None:
        super().__init__(
            f"there is no device {device_id!r}: 'gateway device list' shows those there are,"
            f" 'gateway device add {device_id} --feed FEED' enrols it"
        )


@dataclass(frozen=True, slots=True)
class Device:
    """An enrolled device.

    Attributes:
        secret_hash: what `hash_secret` made of its credential.
        generation: random at each enrolment, so that an id used again is another device; and new
            when an operator has the device compare all that it holds. Tokens end with it (P4).
        feeds: the feeds that it may hold.
    """

    id: str
    secret_hash: str
    generation: bytes
    feeds: tuple[str, ...]


def make_secret(entropy: bytes) -> str:
    """A credential to show once, made of `SECRET_BYTES` random bytes."""
    assert len(entropy) == SECRET_BYTES  # noqa: S101 - our own caller
    return base64.urlsafe_b64encode(entropy).decode()


def hash_secret(secret: str, *, salt: bytes) -> str:
    """What is kept of a credential: ``scrypt$salt$hash``, in hex (RFC 7914)."""
    return f"scrypt${salt.hex()}${_scrypt(secret, salt).hex()}"


def verify_secret(secret: str, secret_hash: str | None) -> bool:
    """Whether `secret` is the one that was hashed; no hash takes as long as a wrong one."""
    if secret_hash is None:
        _scrypt(secret, b"no such device")
        return False
    _, salt, expected = secret_hash.split("$")
    return hmac.compare_digest(_scrypt(secret, bytes.fromhex(salt)), bytes.fromhex(expected))


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=1, dklen=32)
