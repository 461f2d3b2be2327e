"""Renders a vCard as a JSContact Card (RFC 9553), much as RFC 9555 converts them."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gateway.representations import texts
from gateway.representations.card_lines import CardLine, read_card
from gateway.representations.models import (
    Address,
    Anniversary,
    Card,
    Email,
    Flags,
    Link,
    Media,
    Name,
    Nickname,
    Note,
    OnlineService,
    Organization,
    OrgUnit,
    PartialDate,
    Phone,
    Title,
)
from gateway.representations.representation import RenderError

# The fields of N in its order (RFC 6350 section 6.2.2), and those in the order of speech.
_NAME_KINDS: Final = ("surname", "given", "given2", "title", "credential")
_NAME_ORDER: Final = ("title", "given", "given2", "surname", "credential")
_ADDRESS_FIELDS: Final = 7
_FEATURES: Final = {
    "voice": "voice",
    "cell": "mobile",
    "fax": "fax",
    "pager": "pager",
    "video": "video",
    "text": "text",
    "textphone": "textphone",
    "msg": "text",
}
_CONTEXTS: Final = {"home": "private", "work": "work"}
_ANNIVERSARIES: Final = {
    "BDAY": "birth",
    "ANNIVERSARY": "wedding",
    "X-ANNIVERSARY": "wedding",
    "X-EVOLUTION-ANNIVERSARY": "wedding",
    "X-MS-ANNIVERSARY": "wedding",
    "DEATHDATE": "death",
}
_SERVICES: Final = {
    "IMPP": None,
    "SOCIALPROFILE": None,
    "X-SOCIALPROFILE": None,
    "X-AIM": "AIM",
    "X-FACEBOOK": "Facebook",
    "X-GADUGADU": "Gadu-Gadu",
    "X-GOOGLE-TALK": "Google Talk",
    "X-GROUPWISE": "GroupWise",
    "X-GTALK": "Google Talk",
    "X-ICQ": "ICQ",
    "X-JABBER": "Jabber",
    "X-MS-IMADDRESS": None,
    "X-MSN": "MSN",
    "X-QQ": "QQ",
    "X-SKYPE": "Skype",
    "X-SKYPE-USERNAME": "Skype",
    "X-TWITTER": "Twitter",
    "X-YAHOO": "Yahoo",
}
_MEDIA: Final = {"PHOTO": "photo", "LOGO": "logo"}
_KINDS: Final = frozenset({"individual", "group", "org", "location", "device", "application"})
# A date with or without its year (RFC 6350 section 4.3.1), and maybe a time.
_DATE: Final = re.compile(r"(?:(\d{4})-?|--(?!-))(\d\d)?-?(\d\d)?(?:$|[T ])")
_MONTHS: Final = 12
_DAYS: Final = 31
_YEAR_OF_NONE: Final = 1604  # Apple's year for a date without one
_APPLE_LABEL: Final = re.compile(r"_\$!<(.*)>!\$_")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_IMAGE: Final = re.compile(r"[a-z0-9.+-]{1,32}")
_UNKNOWN_IMAGE: Final = "application/octet-stream"
# How images of unknown type begin.
_IMAGE_BEGINNINGS: Final = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
}
_PREF_MAX: Final = 100


def card(content: bytes) -> Card:
    """The Card of a vCard; RenderError if it says neither who it is nor how to reach them."""
    lines = _Lines(read_card(content))
    phones = texts.each(lines.phone, lines.of("TEL"))
    emails = texts.each(lines.email, lines.of("EMAIL"))
    organizations = texts.each(_organization, lines.of("ORG"))
    name = _name(lines)
    if not (name or phones or emails or organizations):
        raise RenderError("it has neither a name nor a number nor an address")
    return Card(
        uid=lines.first("UID"),
        kind=_kind(lines),
        name=name,
        nicknames=texts.each(_nickname, lines.parts_of("NICKNAME")),
        phones=phones,
        emails=emails,
        organizations=organizations,
        titles=texts.each(_title, lines.of("TITLE", "ROLE")),
        online_services=texts.each(_online_service, lines.of(*_SERVICES)),
        addresses=texts.each(lines.address, lines.of("ADR")),
        anniversaries=texts.each(_anniversary, lines.of(*_ANNIVERSARIES)),
        links=texts.each(lines.link, lines.of("URL")),
        keywords=texts.true_for(map(texts.line, lines.parts_of("CATEGORIES"))),
        members=texts.true_for(map(_member, lines.of("MEMBER", "X-ADDRESSBOOKSERVER-MEMBER"))),
        notes=texts.each(_note, lines.of("NOTE")),
        media=texts.each(_media, lines.of(*_MEDIA)),
    )


class _Lines:
    """The lines of a card, and the labels that Apple's programs give to groups of them."""

    def __init__(self, lines: Sequence[CardLine]) -> None:
        self._lines = lines
        self._labels = {
            line.group: texts.line(_APPLE_LABEL.sub(r"\1", line.text))
            for line in lines
            if line.name == "X-ABLABEL" and line.group
        }

    def of(self, *names: str) -> Iterator[CardLine]:
        return (line for line in self._lines if line.name in names)

    def first(self, *names: str) -> str | None:
        return next((text for line in self.of(*names) if (text := texts.line(line.text))), None)

    def parts_of(self, name: str) -> Iterator[str]:
        """The texts between the commas of all lines of that name, escaped ones or not."""
        return (part for line in self.of(name) for part in line.text.split(","))

    def phone(self, line: CardLine) -> Phone | None:
        number = texts.line(re.sub(r"^tel:", "", line.text, flags=re.IGNORECASE))
        if number is None:
            return None
        return Phone(
            number=number,
            features=texts.true_for(map(_FEATURES.get, line.types)),
            contexts=_contexts(line),
            pref=_pref(line),
            label=self._label(line),
        )

    def email(self, line: CardLine) -> Email | None:
        address = texts.line(re.sub(r"^mailto:", "", line.text, flags=re.IGNORECASE))
        if address is None:
            return None
        return Email(
            address=address, contexts=_contexts(line), pref=_pref(line), label=self._label(line)
        )

    def address(self, line: CardLine) -> Address | None:
        full = texts.lines(_full_address(line))
        if full is None:
            return None
        return Address(full=full, contexts=_contexts(line), label=self._label(line))

    def link(self, line: CardLine) -> Link | None:
        uri = texts.line(line.text, chars_max=texts.LONG_NAME_CHARS_MAX)
        if uri is None:
            return None
        return Link(uri=uri, contexts=_contexts(line), label=self._label(line))

    def _label(self, line: CardLine) -> str | None:
        return self._labels.get(line.group) if line.group else None


def _kind(lines: _Lines) -> str | None:
    kind = (lines.first("KIND", "X-ADDRESSBOOKSERVER-KIND") or "").lower()
    if kind in _KINDS:
        return kind
    is_company = (lines.first("X-ABSHOWAS") or "").lower() == "company"
    return "org" if is_company else None


def _name(lines: _Lines) -> Name | None:
    values: Mapping[str, str] = {}
    for line in lines.of("N"):
        fields = map(texts.line, line.fields())
        values = {kind: field for kind, field in zip(_NAME_KINDS, fields, strict=False) if field}
        break
    full = lines.first("FN") or " ".join(values[kind] for kind in _NAME_ORDER if kind in values)
    if not full:
        return None
    return Name(full=full)


def _nickname(text: str) -> Nickname | None:
    name = texts.line(text)
    return Nickname(name=name) if name else None


def _contexts(line: CardLine) -> Flags | None:
    return texts.true_for(map(_CONTEXTS.get, line.types))


def _pref(line: CardLine) -> int | None:
    """1 is the most preferred (RFC 9553 section 1.5.4), as in vCard 4.0; TYPE=pref is 1 as well."""
    number = line.parameters.get("PREF", "")
    if number.isdecimal() and len(number) <= len(str(_PREF_MAX)) and 1 <= int(number) <= _PREF_MAX:
        return int(number)
    return 1 if "pref" in line.types else None


def _organization(line: CardLine) -> Organization | None:
    name, *units = [texts.line(field) for field in line.fields()]
    kept = tuple(OrgUnit(name=unit) for unit in units[: texts.ENTRIES_MAX] if unit)
    return Organization(name=name, units=kept or None) if name or kept else None


def _title(line: CardLine) -> Title | None:
    name = texts.line(line.text)
    return Title(name=name, kind=line.name.lower()) if name else None


def _online_service(line: CardLine) -> OnlineService | None:
    text = texts.line(line.text, chars_max=texts.LONG_NAME_CHARS_MAX)
    if text is None:
        return None
    service = (
        _SERVICES[line.name]
        or line.parameters.get("X-SERVICE-TYPE")
        or line.parameters.get("SERVICE-TYPE")
    )
    uri = text if _URI.fullmatch(text) else None
    return OnlineService(
        service=texts.line(service) if service else None,
        uri=uri,
        user=None if uri else text,
        contexts=_contexts(line),
    )


def _full_address(line: CardLine) -> str:
    """The address as on an envelope: its LABEL, or box, extension and street on lines first."""
    label = line.parameters.get("LABEL")
    if label:
        return re.sub(r"\^n|\\n", "\n", label).replace("^'", '"').replace("^^", "^")
    fields = [field.strip().strip(",") for field in line.fields()[:_ADDRESS_FIELDS]]
    fields += [""] * (_ADDRESS_FIELDS - len(fields))
    box, extended, street, locality, region, code, country = fields
    town = ", ".join(filter(None, (locality, " ".join(filter(None, (region, code))))))
    return "\n".join(filter(None, (box, extended, street, town, country)))


def _anniversary(line: CardLine) -> Anniversary | None:
    match = _DATE.match(line.text.strip())
    if match is None:
        return None
    year, month, day = (int(part) if part else None for part in match.groups())
    if year == _YEAR_OF_NONE:
        year = None
    if not (year or month) or (day and not month) or (month or 0) > _MONTHS or (day or 0) > _DAYS:
        return None
    date = PartialDate(year=year or None, month=month or None, day=day or None)
    return Anniversary(kind=_ANNIVERSARIES[line.name], date=date)


def _member(line: CardLine) -> str | None:
    return texts.line(re.sub(r"^urn:uuid:", "", line.text, flags=re.IGNORECASE))


def _note(line: CardLine) -> Note | None:
    note = texts.whole(line.text)
    return Note(note=note) if note else None


def _media(line: CardLine) -> Media | None:
    kind = _MEDIA[line.name]
    value = line.text.strip()
    if _URI.fullmatch(value):
        return Media(kind=kind, uri=value)
    try:
        # Line ends and blanks within are common, and so are missing pad characters.
        compressed = "".join(value.split()).rstrip("=")
        data = base64.b64decode(compressed + "=" * (-len(compressed) % 4), validate=True)
    except ValueError:
        return None
    if not data:
        return None
    media_type = _media_type(line.types, data)
    text = base64.b64encode(data).decode()
    return Media(kind=kind, uri=f"data:{media_type};base64,{text}", media_type=media_type)


def _media_type(types: Iterable[str], data: bytes) -> str:
    for beginning, media_type in _IMAGE_BEGINNINGS.items():
        if data.startswith(beginning):
            return media_type
    named = [
        word for word in types if _IMAGE.fullmatch(word) and word not in {"base64", "b", "pref"}
    ]
    return f"image/{named[0]}" if named else _UNKNOWN_IMAGE
