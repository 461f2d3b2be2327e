"""The changes of the demo with views: as in the other, and dates, photos and long mails."""

import base64
import email.utils
import re
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.demo.workload import NAMES, Workload, crlf, marked
from gateway.rows import Put, Row

DAY_S: Final = 86_400
_KINDS: Final = ("contact", "event", "event", "task", "mail", "mail")
_EVENT_S: Final = 3600
_EVENT_DURATION: Final = "PT1H"
# Dates are drawn from so many days on either side of where the time window begins.
_SPREAD_S: Final = 30 * DAY_S
# Some fall just within, or just without: a mail at its date, an event at its end.
_EDGE_SHARE: Final = 0.1
_EDGES_S: Final = (-_EVENT_S - 1, -_EVENT_S, -1, 0)
_PHOTO_BYTES: Final = 6_000
_LINE_CHARS: Final = 74
# Of the items that the demo made itself, and the dates of mails that it did not.
_TIMES: Final = re.compile(rb"^(DTSTART|COMPLETED):\d{8}T\d{6}Z", re.MULTILINE)
_NUMBER: Final = re.compile(rb"^TEL;TYPE=CELL:[+\d]*", re.MULTILINE)
_MAIL_DATE: Final = re.compile(rb"^Date:[^\r\n]*", re.MULTILINE | re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class DatedWorkload(Workload):
    """Draws changes with which items enter and leave views.

    Attributes:
        since: where the time window begins, Unix seconds.
    """

    since: int

    def _moment(self) -> int:
        if self.random.random() < _EDGE_SHARE:
            return self.since + self.random.choice(_EDGES_S)
        return self.since + self.random.randrange(-_SPREAD_S, _SPREAD_S)

    def _edit(self, row: Row, content: bytes) -> Put:
        edited = marked(content, self.random.randrange(10**9))
        moment = self._moment()
        count = 0
        if self.random.random() < 0.5:  # noqa: PLR2004 - every other one
            match row.kind:
                case "contact":
                    number = b"TEL;TYPE=CELL:+49170%06d" % self.random.randrange(10**6)
                    edited = _NUMBER.sub(number, edited)
                case "event" | "task" if row.id.startswith("demo-"):
                    edited, count = _TIMES.subn(rb"\1:" + _utc(moment).encode(), edited)
                case "mail":
                    line = f"Date: {email.utils.formatdate(moment)}".encode()
                    edited, count = _MAIL_DATE.subn(line, edited, count=1)
                case _:
                    pass
        date = moment if count else row.date
        return Put(row.id, edited, row.kind, row.media_type, date=date)

    def _new(self, item_id: str) -> Put:
        name = self.random.choice(NAMES)
        number = self.random.randrange(10**6)
        match self.random.choice(_KINDS):
            case "contact":
                return Put(item_id, self._card(item_id, name, number), "contact", "text/vcard")
            case "event" | "task" as kind:
                moment = self._moment()
                content = self._calendar(kind, item_id, name, moment)
                return Put(item_id, content, kind, "text/calendar", date=moment)
            case _:
                moment = self._moment()
                content = self._mail(item_id, name, number, moment)
                return Put(
                    item_id, content, "mail", "message/rfc822", folder="Inbox", date=moment
                )  # fmt: skip

    def _card(self, uid: str, name: str, number: int) -> bytes:
        lines = [
            "BEGIN:VCARD", "VERSION:3.0", f"UID:{uid}", f"FN:{name} {number}",
            f"N:{number};{name};;;", f"TEL;TYPE=CELL:+49170{number:06}",
        ]  # fmt: skip
        if self.random.randrange(2):
            lines.append("NOTE:" + " ".join(self.random.choices(NAMES, k=60)))
        if self.random.randrange(2):
            photo = base64.b64encode(self.random.randbytes(_PHOTO_BYTES)).decode()
            lines += textwrap.wrap(
                f"PHOTO;ENCODING=b;TYPE=JPEG:{photo}", _LINE_CHARS, subsequent_indent=" "
            )
        return crlf([*lines, "END:VCARD"])

    def _calendar(self, kind: str, uid: str, name: str, moment: int) -> bytes:
        component = "VEVENT" if kind == "event" else "VTODO"
        lines = [
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tallysync//demo//EN",
            f"BEGIN:{component}", f"UID:{uid}", "DTSTAMP:20260101T000000Z",
            f"DTSTART:{_utc(moment)}", f"SUMMARY:Meet {name}",
        ]  # fmt: skip
        if kind == "event":
            lines.append(f"DURATION:{_EVENT_DURATION}")
            repeats = ("", "", "", "RRULE:FREQ=WEEKLY;COUNT=3", "RRULE:FREQ=YEARLY")
            lines += filter(None, [self.random.choice(repeats)])
        elif self.random.randrange(2):
            lines += ["STATUS:COMPLETED", f"COMPLETED:{_utc(moment)}"]
        return crlf([*lines, f"END:{component}", "END:VCALENDAR"])

    def _mail(self, uid: str, name: str, number: int, moment: int) -> bytes:
        # A header may be longer than a portion, and so may be what follows it.
        received = [
            f"Received: from host-{hop}.example.org by host-{hop + 1}.example.org"
            for hop in range(self.random.choice((0, 3, 30)))
        ]
        text = [f"line {line} of {number}" for line in range(self.random.choice((3, 300, 1000)))]
        lines = [
            f"Date: {email.utils.formatdate(moment)}", *received, f"Message-ID: <{uid}>",
            f"From: {name} <{name.lower()}@example.org>", "To: you@example.org",
            f"Subject: note {number}", "", *text,
        ]  # fmt: skip
        return crlf(lines)


def _utc(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
