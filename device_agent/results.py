"""What a push or an answer came to."""

from dataclasses import dataclass
from enum import StrEnum

from sync_protocol import messages


class Event(StrEnum):
    """What became of an item."""

    CHANGED = "changed"
    REMOVED = "removed"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Happened:
    """An item changed, went, or has all its bytes now; `n` is the token it came with."""

    event: Event
    item_id: str
    n: int | None


class PushResult(StrEnum):
    """What a push came to."""

    STORED = "stored"
    HELD_ALREADY = "held-already"
    STRANGE = "strange"  # no collection yet, or another lineage: a sync tells what it means
    OLD = "old"  # older than the items
    GAP = "gap"  # stored, and it tells of a lost one


class AnswerFate(StrEnum):
    """What an answer came to."""

    TAKEN = "taken"
    NOT_AWAITED = "not-awaited"  # no request waits for it (A1)
    OVERTAKEN = "overtaken"  # it means something else than what it is to be joined to (A1, A4)
    VOID = "void"  # the collection means nothing any more: take an inventory
    REFUSED = "refused"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """What an answer came to.

    Attributes:
        progress: it brought something, so that asking again at once makes sense.
        refused: why, if the gateway did not serve the request.
    """

    fate: AnswerFate
    progress: bool = False
    happened: tuple[Happened, ...] = ()
    refused: messages.Refused | None = None
