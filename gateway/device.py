"""Devices: who they are, how they prove it, and which feeds they may hold."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge, Le, Len
from pydantic import BaseModel, ConfigDict

from sync_protocol import limits
from sync_protocol.names import Folder, Kind
from sync_protocol.tokens import Natural
from sync_protocol.views import View

SECRET_BYTES: Final = 18  # 24 characters of base64, 144 bits
SALT_BYTES: Final = 16
GENERATION_BYTES: Final = 8
# RFC 7914's interactive parameters: about 30 ms and 16 MiB a login.
_SCRYPT_N: Final = 2**14
_SCRYPT_R: Final = 8
DAYS_MAX: Final = 36_500
_DAY_S: Final = 86_400


class DeviceError(ValueError):
    """Something about a device cannot be; the message says how to mend it."""


class NoSuchDeviceError(DeviceError):
    """No such device is enrolled."""

    def __init__(self, device_id: str) -> None:
        super().__init__(
            f"there is no device {device_id!r}: 'gateway device list' shows those there are,"
            f" 'gateway device add {device_id} --feed FEED' enrols it"
        )


class Allowed(BaseModel):
    """What of its feeds a device may see, whatever its view asks for (V5). None bounds nothing.

    Attributes:
        kinds, folders: the only ones.
        days_max: how many days back, counted from midnight UTC.
        item_bytes_max: the largest item, in the representation in which it comes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: Annotated[tuple[Kind, ...], Len(1, limits.VIEW_KINDS_MAX)] | None = None
    folders: Annotated[tuple[Folder, ...], Len(1, limits.VIEW_FOLDERS_MAX)] | None = None
    days_max: Annotated[int, Ge(0), Le(DAYS_MAX)] | None = None
    item_bytes_max: Natural | None = None

    def bound(self, view: View, *, now: int) -> View:
        """What a replica gets that asks for `view`, which may be nothing.

        `now` is in Unix seconds.
        """
        since = None
        if self.days_max is not None:
            since = (now // _DAY_S - self.days_max) * _DAY_S
        sizes = [it for it in (view.item_bytes_max, self.item_bytes_max) if it is not None]
        sinces = [it for it in (view.since, since) if it is not None]
        return view.model_copy(
            update={
                "kinds": _both(view.kinds, self.kinds),
                "folders": _both(view.folders, self.folders),
                "since": max(sinces, default=None),
                "item_bytes_max": min(sizes, default=None),
            }
        )


EVERYTHING: Final = Allowed()


def _both(asked: tuple[str, ...] | None, allowed: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if asked is None or allowed is None:
        return asked if allowed is None else tuple(sorted(set(allowed)))
    return tuple(sorted(set(asked) & set(allowed)))


@dataclass(frozen=True, slots=True)
class Device:
    """An enrolled device.

    Attributes:
        secret_hash: what `hash_secret` made of its credential.
        generation: random at each enrolment, so that an id used again is another device; and new
            when an operator has the device compare all that it holds. Tokens end with it (P4).
        feeds: the feeds that it may hold.
        allowed: what of them.
    """

    id: str
    secret_hash: str
    generation: bytes
    feeds: tuple[str, ...]
    allowed: Allowed = EVERYTHING


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
