"""Makes text of a mail's header fields and bodies, in whatever charset they are or claim to be."""

import binascii
import email.errors
import email.header
import html.parser
import re
from email.message import Message
from typing import Final

from gateway.representations import texts

_CHARSETS: Final = {
    # What is sent under these names has more characters than they stand for.
    "ascii": "utf-8",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "iso-8859-1": "cp1252",
    "ks_c_5601-1987": "cp949",
    "shift_jis": "cp932",
    "unknown-8bit": "utf-8",
    "us-ascii": "utf-8",
    "x-sjis": "cp932",
    "x-windows-949": "cp949",
}
_FALLBACK_CHARSET: Final = "cp1252"
# A header field longer than this is cut before it is decoded.
FIELD_CHARS_MAX: Final = 100_000
_BLANKS: Final = re.compile(r"[ \t\r\f\v\u00a0]+")
_BLANK_LINES: Final = re.compile(r"\n\s*\n+")


def decoded(data: bytes, charset: str | None) -> str:
    """`data` as text: in its charset, or what can be read of it."""
    name = (charset or "utf-8").lower().strip("\"' ")
    name = _CHARSETS.get(name, name)
    # What is UTF-8 is nothing else by chance, but of what has single bytes all can be anything.
    first, second = ("utf-8", name) if name == _FALLBACK_CHARSET else (name, "utf-8")
    for candidate in (first, second):
        try:
            return data.decode(candidate)
        except (LookupError, ValueError):
            pass
    try:
        return str(data, name if charset else _FALLBACK_CHARSET, "replace")
    except (LookupError, ValueError):
        return str(data, _FALLBACK_CHARSET, "replace")


def field(message: Message, name: str) -> str:
    """A header field as it stands there, encoded words and all; empty without one."""
    wanted = name.lower()
    for key, value in message.raw_items():
        if key.lower() == wanted:
            raw = str(value)[:FIELD_CHARS_MAX]
            # Bytes that are not ASCII came as surrogates.
            data = raw.encode("utf-8", "surrogateescape")
            return " ".join(decoded(data, None).split())
    return ""


def words(value: str) -> str:
    """`value` with its encoded words decoded (RFC 2047)."""
    if "=?" not in value:
        return value
    try:
        pieces = email.header.decode_header(value)
    except (email.errors.HeaderParseError, binascii.Error, ValueError):
        return value
    text = "".join(
        piece if isinstance(piece, str) else decoded(piece, charset) for piece, charset in pieces
    )
    return text or value


def body(part: Message) -> str | None:
    """The text of a part that is text; of HTML without its marks."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return None
    text = decoded(data, charset(part))
    if part.get_content_type() == "text/html":
        return texts.whole(without_marks(text))
    return texts.whole(text)


def charset(part: Message) -> str | None:
    """The charset that a part claims, or None."""
    value = part.get_param("charset")
    return value[2] if isinstance(value, tuple) else value and str(value)


class _Text(html.parser.HTMLParser):
    """Gathers what a browser would show as text."""

    _HIDDEN: Final = frozenset({"script", "style", "head", "title", "template"})
    _BLOCKS: Final = frozenset(
        {"address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "form"}
        | {"h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre"}
        | {"section", "table", "td", "th", "tr", "ul"}
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if self._hidden is None and tag in self._HIDDEN:
            self._hidden = tag
        elif tag == "body":
            self._hidden = None
        if tag in self._BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = None
        if tag in self._BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden is None:
            self.pieces.append(data.replace("\n", " "))


def without_marks(text: str) -> str:
    """The text of an HTML document: one line for each block, and no line that is empty twice."""
    parser = _Text()
    parser.feed(text)
    parser.close()
    lines = (_BLANKS.sub(" ", line).strip() for line in "".join(parser.pieces).split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines))
