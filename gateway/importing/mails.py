"""Takes the one mail out of an `.eml` file."""

import io
import itertools
import string
from collections.abc import Iterator
from typing import Final

from gateway.importing import content_lines, dates
from gateway.importing.found import MESSAGE, Found
from gateway.importing.taking import Taking
from sync_protocol import limits

HEADER_BYTES_MAX: Final = 1 * limits.MIB


# RFC 5322 section 3.6.8: printable ASCII but the colon; section 4.5.8 allows blanks after it.
_FIELD_NAME_BYTES: Final = (string.ascii_letters + string.digits + string.punctuation).encode()


def read_mail(content: bytes, taking: Taking) -> Iterator[Found]:
    """The mail that a file is, byte for byte.

    Its header is read as far as the first blank line, for Message-ID and Date. Of the Message-ID
    all blanks and the angle brackets around it are dropped (RFC 5322 sections 3.6.4 and 4.5.4).
    """
    fields = _fields(content)
    if not fields:
        yield taking.damaged("no header fields: not a mail")
        return
    message_id = b"".join(fields.get(b"MESSAGE-ID", b"").split())
    yield taking.item(
        content,
        kind="mail",
        media_type=MESSAGE,
        claimed_id=message_id.removeprefix(b"<").removesuffix(b">"),
        date=dates.mail_date(fields.get(b"DATE", b"")),
    )


def _fields(content: bytes) -> dict[bytes, bytes]:
    """The header's fields by their names in capitals; of fields with one name the first."""
    beginning = io.BytesIO(content_lines.without_mark(content[:HEADER_BYTES_MAX]))
    lines = content_lines.physical_lines(beginning)
    header = itertools.takewhile(lambda line: line.rstrip(b"\r\n"), lines)
    fields: dict[bytes, bytes] = {}
    for group in content_lines.content_lines(header):
        # Unlike in vCard, the blank at a fold is part of the value (RFC 5322 section 2.2.3).
        line = b"".join(line.rstrip(b"\r\n") for line in group)
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if colon and name and not name.translate(None, _FIELD_NAME_BYTES):
            fields.setdefault(name.upper(), value.strip())
    return fields
