"""Renders a mail with the property names of JMAP Email (RFC 8621 section 4.1)."""

import email
import email.policy
import email.utils
import re
from collections.abc import Iterator
from datetime import UTC
from email.message import Message
from typing import Final

from gateway.representations import mail_texts, texts
from gateway.representations.models import Attachment, BodyValue, EmailAddress, Mail
from gateway.representations.representation import RenderError

PREVIEW_CHARS_MAX: Final = 256
# Parts within parts deeper than this are not looked at.
NESTING_MAX: Final = 32
PARTS_MAX: Final = 1_000

_MESSAGE_ID: Final = re.compile(r"<([^<>]+)>")
_UNKNOWN_TYPE: Final = "application/octet-stream"
_BODY_TYPES: Final = ("text/plain", "text/html")
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}")


def mail(content: bytes) -> Mail:
    """The Email of a mail; RenderError if it has no header and no text."""
    # Header fields are decoded here: the parser's own policies for that fail with odd ones.
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    parts = list(_parts(message))
    body_part = _body_part(parts)
    text = mail_texts.body(body_part) if body_part is not None else None
    attachments = [_attachment(part) for part in parts if not _is_shown(part)]
    subject = texts.line(mail_texts.words(mail_texts.field(message, "Subject")))
    senders = _addresses(message, "From") or _addresses(message, "Sender")
    if not (subject or senders or text or attachments):
        raise RenderError("it has no subject, no sender and no text")
    return Mail(
        message_id=_ids(message, "Message-ID"),
        subject=subject,
        from_=senders,
        sent_at=_sent_at(message),
        to=_addresses(message, "To"),
        cc=_addresses(message, "Cc"),
        reply_to=_addresses(message, "Reply-To"),
        preview=texts.line(text, chars_max=PREVIEW_CHARS_MAX) if text else None,
        has_attachment=bool(attachments),
        attachments=tuple(attachments[: texts.ENTRIES_MAX]) or None,
        in_reply_to=_ids(message, "In-Reply-To"),
        references=_ids(message, "References"),
        body_values=texts.numbered([BodyValue(value=text) if text else None]),
    )


def _parts(message: Message, depth: int = 0) -> Iterator[Message]:
    """The parts of a mail that have no parts; a mail within it is one of them."""
    payload = message.get_payload()
    if message.get_content_maintype() != "multipart" or not isinstance(payload, list):
        yield message
    elif depth < NESTING_MAX:
        for part in payload[:PARTS_MAX]:
            if isinstance(part, Message):
                yield from _parts(part, depth + 1)


def _body_part(parts: list[Message]) -> Message | None:
    """The first part with plain text, or else with HTML, that is not attached."""
    inline = [part for part in parts if not _is_attached(part)]
    for type_ in _BODY_TYPES:
        for part in inline:
            if part.get_content_type() == type_ and mail_texts.body(part):
                return part
    return None


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or _file_name(part) is not None


def _is_shown(part: Message) -> bool:
    """Whether it is no attachment: text in one form or the other, or a multipart without parts."""
    if part.get_content_maintype() == "multipart":
        return True
    return part.get_content_type() in _BODY_TYPES and not _is_attached(part)


def _file_name(part: Message) -> str | None:
    name = part.get_filename()
    return texts.line(mail_texts.words(name)) if name else None


def _attachment(part: Message) -> Attachment:
    type_ = part.get_content_type().lower()
    return Attachment(
        name=_file_name(part),
        type=type_ if _TYPE.fullmatch(type_) else _UNKNOWN_TYPE,
        size=_size(part),
    )


def _size(part: Message) -> int:
    payload = part.get_payload(decode=True)
    if isinstance(payload, bytes):
        return len(payload) or len(str(part.get_payload()))  # as it is, if it cannot be decoded
    # A mail within the mail.
    return sum(len(bytes(inner)) for inner in part.get_payload() if isinstance(inner, Message))


def _addresses(message: Message, name: str) -> tuple[EmailAddress, ...] | None:
    value = mail_texts.field(message, name)
    pairs = email.utils.getaddresses([value]) if value else []
    found = (_address(name, address) for name, address in pairs[: texts.ENTRIES_MAX])
    return tuple(dict.fromkeys(filter(None, found))) or None


def _address(name: str, address: str) -> EmailAddress | None:
    shown = texts.line(mail_texts.words(name).strip("\"' "))
    reached = texts.line(mail_texts.words(address))
    if shown == reached:
        shown = None
    return EmailAddress(name=shown, email=reached) if shown or reached else None


def _ids(message: Message, name: str) -> tuple[str, ...] | None:
    value = mail_texts.field(message, name)
    found = _MESSAGE_ID.findall(value) or value.split()
    # Of a long thread the newest are of use: they stand last (RFC 5322 section 3.6.4).
    shown = [texts.line("".join(id_.split())) for id_ in found[-texts.ENTRIES_MAX :]]
    return tuple(filter(None, shown)) or None


def _sent_at(message: Message) -> str | None:
    """The Date with the sender's offset from UTC (RFC 3339)."""
    try:
        moment = email.utils.parsedate_to_datetime(mail_texts.field(message, "Date"))
        if moment.tzinfo is None:  # "-0000": the time is UTC, the sender's zone unknown
            moment = moment.replace(tzinfo=UTC)
        return moment.isoformat().replace("+00:00", "Z")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
