"""A gateway's side of a feed whose contents come in part, and then as a test lets them."""

import threading

from sync_protocol.messages import Answer, Remainder, Request, Wanted
from sync_protocol.token_set import TokenSet
from tests.device_agent.builders import change, compared, delta, digest, put


class Shelf:
    """Answers requests; the first bytes of a content come with its change.

    Attributes:
        portion: how many these are.
        piece: how many come with one answer afterwards.
        open: whether any come afterwards.
        withheld: the items whose rest cannot be had.
        requests: all that came.
        wanted: what was asked for, in order.
    """

    def __init__(self, *, portion: int = 4, piece: int = 1_000_000) -> None:
        self.portion = portion
        self.piece = piece
        self.open = threading.Event()
        self.open.set()
        self.withheld: set[str] = set()
        self.requests: list[Request] = []
        self.wanted: list[Wanted] = []
        self._head = 0
        self._contents: dict[str, tuple[int, bytes | None]] = {}

    def put(self, item_id: str, content: bytes | None) -> None:
        """Put an item; None deletes it."""
        self._head += 1
        self._contents[item_id] = (self._head, content)

    def respond(self, request: Request) -> Answer:
        """See `ScriptedGateway`."""
        self.requests.append(request)
        if request.collection is None:
            missing = [n for n, content in self._contents.values() if content is not None]
            return compared(request.id, head=self._head, missing=missing)
        held = TokenSet.decode(request.collection.tokens)
        changes = [
            change(n, item_id if content is None else put(item_id, content, held=self.portion))
            for item_id, (n, content) in self._contents.items()
            if n not in held
        ]
        self.wanted += request.wanted
        rests = [rest for wanted in request.wanted if (rest := self._rest(wanted)) is not None]
        withheld = [wanted.id for wanted in request.wanted if wanted.id in self.withheld]
        return delta(
            request.id, head=self._head, changes=changes, remainders=rests, withheld=withheld
        )

    def _rest(self, wanted: Wanted) -> Remainder | None:
        _, content = self._contents[wanted.id]
        if content is None or digest(content) != wanted.digest:
            return None
        if wanted.id in self.withheld or not self.open.is_set():
            return None
        end = wanted.offset + self.piece
        return Remainder(
            id=wanted.id,
            digest=wanted.digest,
            offset=wanted.offset,
            content=content[wanted.offset : end],
        )

    def offsets(self, item_id: str) -> list[int]:
        """From which bytes on the content was asked for."""
        return [wanted.offset for wanted in self.wanted if wanted.id == item_id]
