"""Reads the lines of a vCard, of any version, with vobject."""

import io
import quopri
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import vobject.base

from gateway.importing import content_lines

# On a line that its pattern for parameters does not fit, vobject takes twice as long for each more.
SEPARATORS_MAX: Final = 12

_FOLD: Final = re.compile(rb"(?:\r+\n?|\n)[ \t]")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_FIELD: Final = re.compile(r"(?:^|;)((?:[^;\\]|\\.?)*)", re.DOTALL)
_FALLBACK_CHARSET: Final = b"cp1252"


@dataclass(frozen=True, slots=True)
class CardLine:
    r"""A property of a card.

    Attributes:
        name: in capitals, such as TEL.
        group: what stands before the name, as `item1` in `item1.TEL`, or None.
        types: the values of TYPE, and the parameters without a name of vCard 2.1, in lower case.
        parameters: the first value of all others by their names in capitals.
        value: decoded, but for backslashes: they are the business of whoever splits it.
    """

    name: str
    group: str | None
    types: Sequence[str]
    parameters: dict[str, str]
    value: str

    @property
    def text(self) -> str:
        """The value as one text (RFC 6350 section 3.4)."""
        return unescaped(self.value)

    def fields(self) -> list[str]:
        """The texts between the semicolons of the value (RFC 6350 section 3.3, component)."""
        return [unescaped(field) for field in _FIELD.findall(self.value)]


def unescaped(value: str) -> str:
    r"""`value` with line ends for `\n` and without other backslashes."""
    return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], value)


def read_card(content: bytes) -> list[CardLine]:
    """The properties of the first card in `content`, without those of cards within it."""
    found: list[CardLine] = []
    depth = 0
    # Photos have more folds than `content_lines` follows.
    flat = content_lines.without_mark(_FOLD.sub(b"", content.lstrip()))
    for group in content_lines.content_lines(content_lines.physical_lines(io.BytesIO(flat))):
        line = _line(content_lines.unfolded(group))
        if line is None:
            continue
        match line.name, line.value.strip().upper():
            case ("BEGIN", "VCARD") | ("AGENT", "BEGIN:VCARD"):
                depth += 1
            case "END", "VCARD":
                depth -= 1
                if depth == 0:
                    break
            case _ if depth == 1:
                found.append(line)
            case _:
                pass
    return found


def _line(line: bytes) -> CardLine | None:
    """The property on an unfolded line; one that vobject refuses is read without it."""
    simple = content_lines.parsed(line)
    if simple is None:
        return None
    charset = (simple.parameter(b"CHARSET") or _FALLBACK_CHARSET).decode("ascii", "replace")
    if simple.parameters.count(b";") + simple.parameters.count(b",") > SEPARATORS_MAX:
        return _without_vobject(simple, charset)
    try:
        read = vobject.base.textLineToContentLine(_decoded(line, charset))
    except (vobject.base.VObjectError, ValueError, LookupError):
        return _without_vobject(simple, charset)
    return CardLine(
        read.name,
        read.group,
        tuple(_types([*read.params.get("TYPE", []), *read.singletonparams])),
        {name: values[0] for name, values in read.params.items() if values},
        _text(read.value),
    )


def _text(value: Any) -> str:  # noqa: ANN401 - vobject has no types
    return value if isinstance(value, str) else ""


def _types(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        yield from (part.strip().lower() for part in word.split(","))


def _without_vobject(simple: content_lines.Property, charset: str) -> CardLine:
    value = simple.value
    parameters = _decoded(simple.parameters, charset)
    if "QUOTED-PRINTABLE" in parameters.upper():
        value = quopri.decodestring(value)
    words = [word.rpartition("=")[2].strip('"') for word in parameters.split(";")[1:]]
    return CardLine(
        simple.name.decode("ascii", "replace"),
        None,
        tuple(_types(words)),
        {},
        _decoded(value, charset),
    )


def _decoded(value: bytes, charset: str) -> str:
    """`value` in UTF-8, which most is whatever it says, or else in its charset, or in any."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        pass
    try:
        return str(value, charset, "replace")
    except (LookupError, ValueError):
        return str(value, _FALLBACK_CHARSET.decode(), "replace")
