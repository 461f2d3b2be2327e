"""What reading a file gives: items, and what was left with the reason."""

import enum
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

VCARD: Final = "text/vcard"
ICALENDAR: Final = "text/calendar"
MESSAGE: Final = "message/rfc822"


@dataclass(frozen=True, slots=True)
class FoundItem:
    """One item, ready to be put into a feed.

    Attributes:
        id: its UID or Message-ID, or else `sha256-` and 32 hexadecimal digits of its content.
        kind: `contact`, `event`, `task`, `journal` or `mail`.
        folder: the sub-folder it was found in, with `/` between names; empty at the top.
        date: Unix seconds, a coarse key to sort and to filter by (`gateway.importing.dates`).
        media_type: of the content.
        content: a whole file, or cut out of one byte for byte.
    """

    id: str
    kind: str
    folder: str
    date: int | None
    media_type: str
    content: bytes


class Missing(enum.Enum):
    """Whether items may be missing from what was found because something was not taken."""

    NOTHING = enum.auto()
    """It is no item, or its item is there: a duplicate, an id of another, another component."""
    DAMAGED = enum.auto()
    """It was read, and is not what it should be: cut off, empty, no text, too large."""
    UNREAD = enum.auto()
    """Nobody could look at what is in it."""


@dataclass(frozen=True, slots=True)
class Left:
    """Something that was not taken.

    Attributes:
        where: the file or folder, with `:` and a line number where that helps; printable.
        reason: why, in words for the user who started the import.
        missing: whether items may be missing because of it: a mirror must not delete them.
    """

    where: str
    reason: str
    missing: Missing = Missing.NOTHING


Found: TypeAlias = FoundItem | Left


class Readable(Protocol):
    """The one method of a binary file that is needed here."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end of the file."""
        ...
