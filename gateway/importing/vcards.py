"""Takes the contacts out of a `.vcf` file, holding one card at a time."""

import io
import itertools
from collections.abc import Iterator
from typing import Final, assert_never

from gateway.importing import content_lines
from gateway.importing.card_splitter import Between, Broken, Card, CardSplitter, Piece
from gateway.importing.found import VCARD, Found, Readable
from gateway.importing.taking import Taking
from sync_protocol import limits

# Blank lines around the only card of a file are part of its content, but not any number of them.
_BLANK_BYTES_MAX: Final = 64 * limits.KIB

_UID: Final = b"UID"


def read_cards(file: Readable, taking: Taking) -> Iterator[Found]:
    """The contacts of a file, one card after the other (RFC 6350 section 3.3).

    A card that has the file to itself, but for blank lines and a byte order mark, is the whole file
    byte for byte; any other is cut from `BEGIN:VCARD` to the end of the line `END:VCARD`. Nothing
    in a card is looked at but its UID.
    """
    pieces = CardSplitter().pieces(content_lines.physical_lines(file))
    opening, card = _opening(pieces)
    if card is not None:
        yield _contact(card, b"".join(piece.content for piece in opening), taking, line=0)
        return
    begun = False
    stray_line = 0
    for piece in itertools.chain(opening, pieces):
        match piece:
            case Card(line, content):
                begun = True
                yield _contact(piece, content, taking, line=line)
            case Broken(line, too_large=True):
                begun = True
                yield taking.too_large(line=line)
            case Broken(line):
                begun = True
                yield taking.damaged("BEGIN:VCARD without its END:VCARD: cut off", line=line)
            case Between(line):
                if not stray_line and not piece.is_blank():
                    stray_line = line
            case _:
                assert_never(piece)
    if not begun:
        yield taking.damaged("no vCard in it")
    elif stray_line:
        yield taking.damaged("text outside of the cards", line=stray_line)


def _opening(pieces: Iterator[Piece]) -> tuple[list[Piece], Card | None]:
    """The pieces up to the one that shows that the file is not just one card; or all, and that."""
    opening: list[Piece] = []
    card: Card | None = None
    blank_bytes = 0
    for piece in pieces:
        opening.append(piece)
        if isinstance(piece, Card) and card is None:
            card = piece
        elif isinstance(piece, Between) and piece.is_blank() and blank_bytes < _BLANK_BYTES_MAX:
            blank_bytes += len(piece.content)
        else:
            return opening, None
    return opening, card


def _contact(card: Card, content: bytes, taking: Taking, *, line: int) -> Found:
    return taking.item(content, kind="contact", media_type=VCARD, claimed_id=uid(card), line=line)


def uid(card: Card) -> bytes | None:
    """The value of the card's first UID (RFC 6350 section 6.7.6), not that of a card within it."""
    content = card.content
    capitals = content.upper()
    at = capitals.find(_UID)
    while at >= 0 and not (
        content[at - 1 : at] in b"\r\n." and content[at + 3 : at + 4] in b":; \t\r\n"
    ):
        at = capitals.find(_UID, at + 3)  # that was not the name of a property
    if at < 0:
        return None
    # Nearly every UID stands on a line of its own, and this is all that it takes to read that.
    end = content.find(b"\n", at)
    value = content[at + 4 : end].rstrip(b"\r")
    if (
        not card.has_agent
        and content[at - 1 : at] != b"."
        and b"=" not in content[at - 4 : at]
        and content[at + 3 : at + 4] == b":"
        and b"\r" not in value
        and content[end + 1 : end + 2] not in b" \t\r\n"
    ):
        return value.strip()
    return _uid_of_odd_card(content)


def _uid_of_odd_card(content: bytes) -> bytes | None:
    depth = 0
    lines = content_lines.physical_lines(io.BytesIO(content))
    for group in content_lines.content_lines(lines):
        property_ = content_lines.parsed(content_lines.unfolded(group))
        if property_ is None:
            continue
        match property_.name, property_.value.upper():
            case b"UID", _ if depth == 1:
                return property_.value
            case (b"BEGIN", b"VCARD") | (b"AGENT", b"BEGIN:VCARD"):
                depth += 1
            case b"END", b"VCARD":
                depth -= 1
            case _:
                pass
    return None
