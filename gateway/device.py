"""Devices: who they are, how they prove it, and which feeds they may hold."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Final, NamedTuple

from annotated_types import Ge, Le, Len
from pydantic import BaseModel, ConfigDict, Strict

from sync_protocol import limits
from sync_protocol.names import Folder, Kind
from sync_protocol.tokens import Natural
from sync_protocol.views import View

SECRET_BYTES: Final = 18  # 24 characters of base64, 144 bits
SALT_BYTES: Final = 12
GENERATION_BYTES: Final = 8
# A credential is 144 random bits, which nobody finds by trying, however fast that goes: a slow hash
# would add nothing but a way to keep a broker busy.
HASH_ITERATIONS: Final = 1_000
HASH_BYTES: Final = 64
_NO_SALT: Final = bytes(SALT_BYTES)
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
    # Strict: a limit of `true` is a slip, and would be 1.
    days_max: Annotated[int, Strict(), Ge(0), Le(DAYS_MAX)] | None = None
    item_bytes_max: Annotated[Natural, Strict()] | None = None

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


class DeviceExistsError(DeviceError):
    """A device of that id is enrolled already."""

    def __init__(self, device_id: str) -> None:
        super().__init__(
            f"there is a device {device_id!r} already: 'gateway device rotate {device_id}' gives it"
            f" a new credential, 'gateway device remove {device_id}' takes it away"
        )


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


class SecretHash(NamedTuple):
    """The parts of a `secret_hash`, as Mosquitto's dynamic-security.json has them.

    Attributes:
        salt, digest: in base64.
    """

    iterations: int
    salt: str
    digest: str


def hash_secret(secret: str, *, salt: bytes) -> str:
    """What is kept of a credential: ``$7$iterations$salt$digest``, salt and digest in base64.

    PBKDF2 with HMAC-SHA-512 (RFC 8018), in the form of Mosquitto's password files. `salt` is
    `SALT_BYTES` random bytes.
    """
    salt_text, digest = (base64.b64encode(part).decode() for part in (salt, _digest(secret, salt)))
    return f"$7${HASH_ITERATIONS}${salt_text}${digest}"


def hash_parts(secret_hash: str) -> SecretHash:
    """The parts of what `hash_secret` made. DeviceError if it did not."""
    match secret_hash.split("$"):
        case ["", "7", iterations, salt, digest] if iterations == str(HASH_ITERATIONS):
            return SecretHash(HASH_ITERATIONS, salt, digest)
        case _:
            raise DeviceError(
                "what the state file keeps of a device's credential is damaged: 'gateway device"
                " rotate ID' makes a new one"
            )


def verify_secret(secret: str, secret_hash: str | None) -> bool:
    """Whether `secret` is the one that was hashed; no hash takes as long as a wrong one.

    DeviceError if `secret_hash` is damaged.
    """
    if secret_hash is None:
        _digest(secret, _NO_SALT)
        return False
    kept = hash_parts(secret_hash)
    digest = base64.b64encode(_digest(secret, base64.b64decode(kept.salt)))
    return hmac.compare_digest(digest, kept.digest.encode())


def _digest(secret: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, HASH_ITERATIONS, HASH_BYTES)
