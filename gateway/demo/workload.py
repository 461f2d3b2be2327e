"""The changes of the demo: random additions, edits, deletes, flags and moves, from a seed."""

from dataclasses import dataclass, field
from random import Random
from typing import Final

from gateway.rows import Alter, Delete, Mutation, Put, Row

_FLAGS: Final = ("$seen", "$flagged", "$answered", "$forwarded")
_FOLDERS: Final = ("", "Inbox", "Archive", "Work", "Family")
_KINDS: Final = ("edit", "add", "delete", "flags", "move")
_WEIGHTS: Final = (40, 15, 13, 20, 12)
NAMES: Final = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Juna")


@dataclass(slots=True)
class Workload:
    """Draws one change after another; the ids that are live are kept here.

    Attributes:
        live: id -> what is there, changed by `next`.
        added, deleted: how many of each there were: never more deletes than additions.
    """

    random: Random
    live: dict[str, Row]
    ids: list[str] = field(init=False)
    added: int = 0
    deleted: int = 0

    def __post_init__(self) -> None:
        self.ids = sorted(self.live)

    def draw(self) -> tuple[str, str]:
        """What to do next, and to which item: (kind of change, item id)."""
        kind = self.random.choices(_KINDS, _WEIGHTS)[0]
        if not self.ids or (kind == "delete" and self.deleted >= self.added):
            kind = "add"
        if kind == "add":
            self.added += 1
            return kind, f"demo-{self.added}"
        return kind, self.random.choice(self.ids)

    def mutation(self, kind: str, item_id: str, content: bytes) -> Mutation:
        """The change itself; `content` is what the item has now."""
        match kind:
            case "add":
                return self._new(item_id)
            case "delete":
                return Delete(item_id)
            case "flags":
                count = self.random.randrange(len(_FLAGS) + 1)
                return Alter(item_id, flags=tuple(self.random.sample(_FLAGS, count)))
            case "move":
                return Alter(item_id, folder=self.random.choice(_FOLDERS))
            case _:
                return self._edit(self.live[item_id], content)

    def done(self, item_id: str, row: Row | None) -> None:
        """Note what became of the item; None if the change changed nothing."""
        if row is None:
            return
        if row.deleted:
            self.deleted += 1
            del self.live[item_id]
            self.ids.remove(item_id)
            return
        if item_id not in self.live:
            self.ids.append(item_id)
        self.live[item_id] = row

    def _edit(self, row: Row, content: bytes) -> Put:
        edited = marked(content, self.random.randrange(10**9))
        return Put(row.id, edited, row.kind, row.media_type, date=row.date)

    def _new(self, item_id: str) -> Put:
        name = self.random.choice(NAMES)
        number = self.random.randrange(10**6)
        match self.random.choice(("contact", "event", "task", "mail")):
            case "contact":
                lines = [
                    "BEGIN:VCARD", "VERSION:3.0", f"UID:{item_id}", f"FN:{name} {number}",
                    f"N:{number};{name};;;", f"TEL;TYPE=CELL:+49170{number}", "END:VCARD",
                ]  # fmt: skip
                return Put(item_id, crlf(lines), "contact", "text/vcard")
            case "event":
                return Put(item_id, _calendar("VEVENT", item_id, name), "event", "text/calendar")
            case "task":
                return Put(item_id, _calendar("VTODO", item_id, name), "task", "text/calendar")
            case _:
                text = [f"line {line} of {number}" for line in range(self.random.choice((3, 300)))]
                lines = [
                    f"Message-ID: <{item_id}>", f"From: {name} <{name.lower()}@example.org>",
                    "To: you@example.org", f"Subject: note {number}", "", *text,
                ]  # fmt: skip
                return Put(item_id, crlf(lines), "mail", "message/rfc822", folder="Inbox")


def _calendar(component: str, uid: str, name: str) -> bytes:
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tallysync//demo//EN", f"BEGIN:{component}",
        f"UID:{uid}", "DTSTAMP:20260101T000000Z", "DTSTART:20260102T090000Z",
        f"SUMMARY:Meet {name}", f"END:{component}", "END:VCALENDAR",
    ]  # fmt: skip
    return crlf(lines)


def crlf(lines: list[str]) -> bytes:
    """The lines as a file."""
    return "".join(f"{line}\r\n" for line in lines).encode()


def marked(content: bytes, number: int) -> bytes:
    """`content` with one property or line more, or another in the place of the one added before."""
    before, marker, after = content.rpartition(b"X-TALLYSYNC-DEMO:")
    if marker:
        return b"%bX-TALLYSYNC-DEMO:%09d%b" % (before, number, after[9:])
    line = b"X-TALLYSYNC-DEMO:%09d\r\n" % number
    head, end, tail = content.rpartition(b"END:V")
    return b"%b%b%b%b" % (head, line, end, tail) if end else content + line
