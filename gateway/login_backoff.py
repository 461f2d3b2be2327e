"""Who has to wait before a password is looked at again (pure)."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.recent import Recent

# So many wrong passwords in a row cost nothing yet.
FREE_FAILURES: Final = 5
BACKOFF_S: Final = 1.0
BACKOFF_S_MAX: Final = 60.0
SOURCES_MAX: Final = 10_000

# Address and user name: on one machine all come from one address.
Source: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    until: float


class LoginBackoff:
    """Counts wrong passwords in a row. `now` is seconds of a clock that never goes back.

    A source that gave too many has its next ones refused unseen, for up to `BACKOFF_S_MAX`. Whoever
    guesses in the name of a device would so keep the device itself out; so a password that was
    right last time is always looked at. It is remembered by a keyed hash: knowing `key`, which is
    made anew at each start, is of no use without it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._failures: Recent[Source, _Failures] = Recent(SOURCES_MAX)
        self._right: Recent[Source, bytes] = Recent(SOURCES_MAX)

    def wait_s(self, source: Source, password: str, *, now: float) -> float:
        """How long until a password of that source is looked at; 0 for now."""
        failures = self._failures.get(source)
        if failures is None or now >= failures.until or self._was_right(source, password):
            return 0.0
        return failures.until - now

    def right(self, source: Source, password: str) -> None:
        """The password was right."""
        self._failures.forget(source)
        self._right.put(source, self._hash(password))

    def wrong(self, source: Source, password: str, *, now: float) -> None:
        """The password was wrong."""
        if self._was_right(source, password):
            self._right.forget(source)  # it has been changed
        known = self._failures.get(source)
        count = 1 if known is None else known.count + 1
        doublings = min(count - FREE_FAILURES, 16)
        wait_s = 0.0 if doublings < 0 else min(BACKOFF_S * 2**doublings, BACKOFF_S_MAX)
        self._failures.put(source, _Failures(count, now + wait_s))

    def _was_right(self, source: Source, password: str) -> bool:
        known = self._right.get(source)
        return known is not None and hmac.compare_digest(known, self._hash(password))

    def _hash(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode("utf-8", "surrogatepass"), hashlib.sha256)
