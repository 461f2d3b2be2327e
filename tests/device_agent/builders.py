"""Messages of a gateway, as short as a test wants them."""

import hashlib
from collections.abc import Iterable

from sync_protocol import inventory, messages
from sync_protocol.messages import (
    Answer,
    Change,
    Compared,
    Delta,
    Notification,
    Put,
    Refused,
    Remainder,
    Request,
)
from sync_protocol.token_set import TokenSet

EPOCH = b"epoch001"
OTHER_EPOCH = b"epoch002"
LINEAGE = 7
BASE = 100


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:16]


def put(
    item_id: str,
    content: bytes = b"",
    *,
    held: int | None = None,
    flags: tuple[str, ...] = (),
    folder: str = "",
    date: int | None = None,
    until: int | None = None,
) -> Put:
    """An item of this content, of which `held` bytes come along; None for all, 0 for none."""
    portion = content if held is None else content[:held]
    return Put(
        id=item_id,
        kind="contact",
        folder=folder,
        flags=flags,
        date=date,
        until=until,
        digest=digest(content),
        size=len(content),
        content=portion or None,
    )


def push(
    n: int,
    what: Put | str,
    *,
    prev: int | None = -1,
    asof: int | None = None,
    c: int | None = None,
    lineage: int = LINEAGE,
) -> Notification:
    """A push of a put, or of the remove of an item; `prev` is n - 1 unless it is said."""
    return Notification(
        v=1,
        lineage=lineage,
        n=n,
        prev=n - 1 if prev == -1 else prev,
        asof=n if asof is None else asof,
        c=c,
        put=what if isinstance(what, Put) else None,
        remove=what if isinstance(what, str) else None,
    )


def change(n: int, what: Put | str) -> Change:
    if isinstance(what, Put):
        return Change(n=n, put=what)
    return Change(n=n, remove=what)


def delta(
    request_id: bytes,
    *,
    head: int,
    changes: Iterable[Change] = (),
    remainders: Iterable[Remainder] = (),
    held: TokenSet | None = None,
    more: bool = False,
    epoch: bytes = EPOCH,
    lineage: int = LINEAGE,
    p0: int | None = None,
    base: int = BASE,
    withheld: Iterable[str] = (),
    since: int | None = None,
) -> Answer:
    """An answer; its set is all up to `head` unless another is given."""
    held = TokenSet.span(1 - base, head) if held is None else held
    return Answer(
        v=1,
        id=request_id,
        delta=Delta(
            base=base,
            head=head,
            lineage=lineage,
            epoch=epoch,
            p0=p0,
            tokens=held.encode(),
            changes=tuple(changes),
            remainders=tuple(remainders),
            more=more,
            withheld=tuple(withheld),
            since=since,
        ),
    )


def compared(
    request_id: bytes,
    *,
    head: int,
    missing: Iterable[int] = (),
    puts: Iterable[Put] = (),
    drops: Iterable[str] = (),
    answered: int = 1,
    split: Iterable[str] = (),
    epoch: bytes = EPOCH,
    lineage: int = LINEAGE,
    p0: int | None = None,
    base: int = BASE,
    since: int | None = None,
) -> Answer:
    """An inventory's answer; all is equal unless it is said; `drops` are item ids."""
    return Answer(
        v=1,
        id=request_id,
        inventory=Compared(
            base=base,
            head=head,
            lineage=lineage,
            epoch=epoch,
            p0=p0,
            missing=TokenSet.of(missing).encode(),
            puts=tuple(puts),
            drops=b"".join(inventory.id_hash(item_id) for item_id in drops),
            answered=answered,
            split=tuple(split),
            since=since,
        ),
    )


def served(request: Request, *, head: int, changes: Iterable[Change] = ()) -> Answer:
    """What a gateway says whose feed is at `head`: an inventory first, and then `changes`."""
    changes = tuple(changes)
    if request.inventory:
        return compared(request.id, head=head, missing=[it.n for it in changes])
    return delta(request.id, head=head, changes=changes)


def void(request_id: bytes) -> Answer:
    return Answer(v=1, id=request_id, void=messages.Void(why="epoch"))


def refused(request_id: bytes, retry_after_s: int | None = None) -> Answer:
    why = Refused(reason="busy", message="later", retry_after_s=retry_after_s)
    return Answer(v=1, id=request_id, refused=why)
