"""Breaks of the table of limits, which is called L here."""

from typing import Final

from tests.rules.rule import broken

_LIMITS: Final = "sync_protocol/limits.py"
_MESSAGES: Final = "sync_protocol/messages.py"
_VIEWS: Final = "sync_protocol/views.py"
_RESPONDER: Final = "gateway/responder.py"
_HEARD: Final = "device_agent/heard.py"
_SETTINGS: Final = "gateway/settings.py"

BREAKS: Final = (
    broken(
        "L",
        "a request has 256 KiB",
        (_LIMITS, "REQUEST_BYTES_MAX: Final = 128 * KIB", "REQUEST_BYTES_MAX: Final = 256 * KIB"),
    ),
    broken(
        "L",
        "an answer has 2 MiB",
        (_LIMITS, "ANSWER_BYTES_MAX: Final = 1 * MIB", "ANSWER_BYTES_MAX: Final = 2 * MIB"),
    ),
    broken(
        "L",
        "an answer has 128 KiB by default",
        (
            _LIMITS,
            "ANSWER_BYTES_DEFAULT: Final = 256 * KIB",
            "ANSWER_BYTES_DEFAULT: Final = 128 * KIB",
        ),
    ),
    broken(
        "L",
        "an answer has at least 1 KiB",
        (_LIMITS, "ANSWER_BYTES_MIN: Final = 4 * KIB", "ANSWER_BYTES_MIN: Final = 1 * KIB"),
    ),
    broken(
        "L",
        "an answer may be as small as is asked for",
        (
            _RESPONDER,
            "answer_bytes_max = max(asked, limits.ANSWER_BYTES_MIN)",
            "answer_bytes_max = asked",
        ),
    ),
    broken(
        "L",
        "an answer is as large as is asked for",
        (
            _RESPONDER,
            "asked = min(request.answer_bytes_max, bounds.answer_bytes_max)",
            "asked = request.answer_bytes_max",
        ),
    ),
    broken(
        "L",
        "a notification has 512 KiB",
        (
            _LIMITS,
            "NOTIFICATION_BYTES_MAX: Final = 256 * KIB",
            "NOTIFICATION_BYTES_MAX: Final = 512 * KIB",
        ),
    ),
    broken(
        "L",
        "contents above 8 KiB are pushed in part",
        (_SETTINGS, "default=4 * limits.KIB", "default=8 * limits.KIB"),
    ),
    broken(
        "L",
        "a token set has 64 KiB",
        (_LIMITS, "TOKEN_SET_BYTES_MAX: Final = 32 * KIB", "TOKEN_SET_BYTES_MAX: Final = 64 * KIB"),
    ),
    broken(
        "L",
        "an answer has 4,000 changes",
        (_LIMITS, "ANSWER_CHANGES_MAX: Final = 2_000", "ANSWER_CHANGES_MAX: Final = 4_000"),
    ),
    broken(
        "L",
        "the gateway puts more changes into an answer than it may have",
        (
            _RESPONDER,
            "if len(self._added) == limits.ANSWER_CHANGES_MAX:",
            "if len(self._added) < 0:",
        ),
    ),
    broken(
        "L",
        "a request wants 128 contents",
        (_LIMITS, "REQUEST_WANTED_MAX: Final = 64", "REQUEST_WANTED_MAX: Final = 128"),
    ),
    broken(
        "L",
        "an answer has 128 remainders",
        (_LIMITS, "ANSWER_REMAINDERS_MAX: Final = 64", "ANSWER_REMAINDERS_MAX: Final = 128"),
    ),
    broken(
        "L",
        "a request has 512 ranges",
        (_LIMITS, "INVENTORY_RANGES_MAX: Final = 256", "INVENTORY_RANGES_MAX: Final = 512"),
    ),
    broken(
        "L",
        "a content has 50 MiB",
        (_LIMITS, "CONTENT_BYTES_MAX: Final = 25 * MIB", "CONTENT_BYTES_MAX: Final = 50 * MIB"),
    ),
    broken(
        "L",
        "the gateway reads requests of any size",
        (
            _MESSAGES,
            "wire.decode(Request, data, bytes_max=limits.REQUEST_BYTES_MAX)",
            "wire.decode(Request, data, bytes_max=2**40)",
        ),
    ),
    broken(
        "L",
        "a device reads notifications of any size",
        (_HEARD, "bytes_max=limits.NOTIFICATION_BYTES_MAX", "bytes_max=2**40"),
    ),
    broken(
        "L",
        "a device reads answers of any size",
        (_HEARD, "bytes_max=limits.ANSWER_BYTES_MAX", "bytes_max=2**40"),
    ),
    broken(
        "L",
        "a view names 32 kinds",
        (_LIMITS, "VIEW_KINDS_MAX: Final = 16", "VIEW_KINDS_MAX: Final = 32"),
    ),
    broken(
        "L",
        "a view names 128 folders",
        (_LIMITS, "VIEW_FOLDERS_MAX: Final = 64", "VIEW_FOLDERS_MAX: Final = 128"),
    ),
    broken(
        "L",
        "a view names representations of any number of kinds",
        (_VIEWS, "MaxLen(limits.VIEW_KINDS_MAX), Key(4)", "Key(4)"),
    ),
)
