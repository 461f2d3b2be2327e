"""A snapshot that notes which contents were read of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from gateway.feed import EpochSpan, FeedRepresentation, FeedSnapshot
from gateway.rows import Entry, Place, Rendering, Row
from sync_protocol.views import NATIVE


class RecordingSnapshot:
    """What another snapshot shows; `read` has the item ids of the contents, in order."""

    def __init__(self, snapshot: FeedSnapshot) -> None:
        self._snapshot = snapshot
        self.head = snapshot.head
        self.purged = snapshot.purged
        self.item_count = snapshot.item_count
        self.read: list[str] = []

    def epoch(self, epoch_id: bytes) -> EpochSpan | None:
        return self._snapshot.epoch(epoch_id)

    def newest_epoch(self) -> EpochSpan:
        return self._snapshot.newest_epoch()

    def places(self) -> Sequence[Place]:
        return self._snapshot.places()

    def rows(
        self,
        first: int,
        last: int,
        *,
        places: Collection[Place] | None = None,
        newest_first: bool = False,
    ) -> Iterator[Row]:
        return self._snapshot.rows(first, last, places=places, newest_first=newest_first)

    def leavings(
        self, first: int, last: int, *, places: Collection[Place], newest_first: bool = False
    ) -> Iterator[tuple[int, Row]]:
        return self._snapshot.leavings(first, last, places=places, newest_first=newest_first)

    def row(self, item_id: str) -> Row | None:
        return self._snapshot.row(item_id)

    def quarantined(self) -> Sequence[Row]:
        return self._snapshot.quarantined()

    def items(self, *, after: str | None, limit: int) -> Sequence[Row]:
        return self._snapshot.items(after=after, limit=limit)

    def entries(self, first: bytes, last: bytes) -> Iterator[Entry]:
        return self._snapshot.entries(first, last)

    def content(
        self, item_id: str, *, offset: int, bytes_max: int, representation: str = NATIVE
    ) -> bytes:
        self.read.append(item_id)
        return self._snapshot.content(
            item_id, offset=offset, bytes_max=bytes_max, representation=representation
        )

    def representations(self) -> Mapping[str, FeedRepresentation]:
        return self._snapshot.representations()

    def rendering(self, item_id: str, representation: str) -> Rendering | None:
        return self._snapshot.rendering(item_id, representation)

    def unrendered(
        self, representation: str, *, after: str | None = None, limit: int
    ) -> Sequence[Row]:
        return self._snapshot.unrendered(representation, after=after, limit=limit)

    def problems(self) -> Sequence[tuple[Row, str, str]]:
        return self._snapshot.problems()
