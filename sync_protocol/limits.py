"""Every bound of the wire, with its unit in its name (docs/protocol.md, "Limits")."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Integers stay exact in JSON readers that keep numbers as IEEE doubles (RFC 8259, section 6).
INTEGER_MAX: Final = 2**53 - 1

TOKEN_SET_BYTES_MAX: Final = 32 * KIB
REQUEST_BYTES_MAX: Final = 128 * KIB
ANSWER_BYTES_MAX: Final = 1 * MIB
NOTIFICATION_BYTES_MAX: Final = 256 * KIB

# What a device may ask for in one answer, and what it gets if it does not say.
ANSWER_BYTES_DEFAULT: Final = 256 * KIB
ANSWER_BYTES_MIN: Final = 4 * KIB

ANSWER_CHANGES_MAX: Final = 2_000
ANSWER_REMAINDERS_MAX: Final = 64
REQUEST_WANTED_MAX: Final = 64
INVENTORY_RANGES_MAX: Final = 256
VIEW_KINDS_MAX: Final = 16
VIEW_FOLDERS_MAX: Final = 64

DEVICE_FEEDS_MAX: Final = 100
DEVICE_ID_CHARS_MAX: Final = 64
ITEM_ID_BYTES_MAX: Final = 255
FOLDER_BYTES_MAX: Final = 255
MEDIA_TYPE_CHARS_MAX: Final = 127
FLAG_CHARS_MAX: Final = 64
FLAGS_MAX: Final = 32
CONTENT_BYTES_MAX: Final = 25 * MIB
REASON_CHARS_MAX: Final = 32
MESSAGE_CHARS_MAX: Final = 500
TOPIC_PREFIX_CHARS_MAX: Final = 128

# Nesting of arrays and maps in one message; the deepest of ours has four.
DEPTH_MAX: Final = 8
