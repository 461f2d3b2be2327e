"""Puts what is found in files into a feed, in batches of bounded size, and reports on each file."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.api_models import BulkMutation, DeleteMutation, PutMutation
from gateway.client import GatewayClient
from gateway.importing.found import FoundItem, Left, Missing
from gateway.importing.identity import IdRegistry
from gateway.importing.sources import SourceFile, read_source, source_files
from sync_protocol import limits

BATCH_ITEMS_MAX: Final = 500
BATCH_BYTES_MAX: Final = 4 * limits.MIB
# Reasons that are kept of one file; beyond it they are counted.
LEFT_KEPT_MAX: Final = 20
# A mirror that would delete more than this many items, and than a share of the feed, asks first.
MIRROR_DELETES_UNASKED: Final = 10


@dataclass(slots=True)
class FileReport:
    """What became of one file.

    Attributes:
        where: its path, printable.
        left: what was not taken and why, the first `LEFT_KEPT_MAX`.
        left_count: how much was not taken.
    """

    where: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    left: list[Left] = field(default_factory=list)
    left_count: int = 0
    waiting: int = 0
    read: bool = False

    @property
    def taken(self) -> int:
        """How many items of it the feed holds now."""
        return self.new + self.changed + self.unchanged

    def leave(self, left: Left) -> None:
        """Note that something was not taken."""
        self.left_count += 1
        if len(self.left) < LEFT_KEPT_MAX:
            self.left.append(left)


class MirrorHeldError(Exception):
    """Nothing was deleted; the message says why.

    Attributes:
        deletes: how many items would have been.
        can_be_confirmed: whether they are if the user says so.
    """

    def __init__(self, message: str, *, deletes: int, can_be_confirmed: bool = True) -> None:
        super().__init__(message)
        self.deletes = deletes
        self.can_be_confirmed = can_be_confirmed


class Importer:
    """One import into one feed.

    Attributes:
        missing: the first thing of each kind because of which items may be missing: a mirror would
            delete them.
    """

    def __init__(
        self, client: GatewayClient, feed: str, *, progress: Callable[[int], object]
    ) -> None:
        """Prepare; `progress` is called with the bytes that were read since its last call."""
        self.missing: dict[Missing, Left] = {}
        self._client = client
        self._feed = feed
        self._progress = progress
        self._ids = IdRegistry()
        self._open: deque[FileReport] = deque()
        self._batch: list[tuple[FileReport, PutMutation]] = []
        self._batch_bytes = 0

    def run(self, paths: Sequence[Path]) -> Iterator[FileReport]:
        """Import; reports come in the order of the files, each once all of it was stored."""
        for source in source_files(paths):
            report = FileReport(source.where)
            self._open.append(report)
            if isinstance(source, Left):
                self._leave(report, source)
            else:
                self._read(source, report)
            report.read = True
            yield from self._complete()
        self._flush()
        yield from self._complete()

    def _read(self, source: SourceFile, report: FileReport) -> None:
        try:
            for found in read_source(source, self._ids, progress=self._progress):
                if isinstance(found, FoundItem):
                    self._take(report, found)
                else:
                    self._leave(report, found)
        except (ValueError, LookupError, ArithmeticError, RecursionError) as error:
            # A bug of a reader, and no reason to go without all the other files.
            self._leave(
                report,
                Left(
                    source.where,
                    f"cannot be read: {type(error).__name__}, please report",
                    Missing.DAMAGED,
                ),
            )

    def _take(self, report: FileReport, found: FoundItem) -> None:
        size_bytes = len(found.content)
        full = len(self._batch) == BATCH_ITEMS_MAX
        if full or (self._batch and self._batch_bytes + size_bytes > BATCH_BYTES_MAX):
            self._flush()
        # Not checked here: the gateway does, and what it refuses is reported.
        put = PutMutation.model_construct(
            id=found.id,
            content=found.content,
            media_type=found.media_type,
            kind=found.kind,
            folder=found.folder,
            date=found.date,
        )
        report.waiting += 1
        self._batch.append((report, put))
        self._batch_bytes += size_bytes

    def _leave(self, report: FileReport, left: Left) -> None:
        report.leave(left)
        if left.missing is not Missing.NOTHING:
            self.missing.setdefault(left.missing, left)

    def _flush(self) -> None:
        if not self._batch:
            return
        results = self._client.bulk(self._feed, [put for _, put in self._batch])
        for (report, _), result in zip(self._batch, results, strict=True):
            report.waiting -= 1
            match result.status:
                case "created":
                    report.new += 1
                case "changed":
                    report.changed += 1
                case "unchanged":
                    report.unchanged += 1
                case "failed":
                    why = result.error.message if result.error else "refused"
                    self._leave(report, Left(report.where, why))
        self._batch.clear()
        self._batch_bytes = 0

    def _complete(self) -> Iterator[FileReport]:
        while self._open and self._open[0].read and not self._open[0].waiting:
            yield self._open.popleft()

    def mirror(self, *, deletes_share_max: float, confirmed: bool) -> int:
        """Delete what `run` did not find; how many items that were.

        Args:
            deletes_share_max: of the items of the feed; to delete more looks like a mistake.
            confirmed: delete even what looks like a mistake.

        Raises:
            MirrorHeldError: something was not read; or, unless `confirmed`, something is damaged,
                or nothing at all was found, or too much would go.
        """
        held = stale = 0
        for item in self._client.items(self._feed):
            held += 1
            stale += item.id not in self._ids
        would_go = f"{stale:,} of {held:,} items would go"
        if unread := self.missing.get(Missing.UNREAD):
            why = f"not all was read ({unread.where}: {unread.reason})"
            raise MirrorHeldError(
                f"{would_go}, but {why}" if stale else why,
                deletes=stale,
                can_be_confirmed=False,
            )
        if not stale:
            return 0
        if not confirmed:
            if damaged := self.missing.get(Missing.DAMAGED):
                raise MirrorHeldError(
                    f"{would_go}, and some may be in {damaged.where}, which is damaged"
                    f" ({damaged.reason})",
                    deletes=stale,
                )
            much = stale > max(MIRROR_DELETES_UNASKED, held * deletes_share_max)
            if much or not len(self._ids):
                raise MirrorHeldError(f"{would_go}, which looks like a mistake", deletes=stale)
        return self._delete_stale()

    def _delete_stale(self) -> int:
        deleted = 0
        batch: list[BulkMutation] = []
        for item in self._client.items(self._feed):
            if item.id in self._ids:
                continue
            batch.append(DeleteMutation(id=item.id))
            if len(batch) == BATCH_ITEMS_MAX:
                deleted += self._deleted(batch)
                batch.clear()
        return deleted + (self._deleted(batch) if batch else 0)

    def _deleted(self, batch: Sequence[BulkMutation]) -> int:
        results = self._client.bulk(self._feed, batch)
        return sum(result.status == "changed" for result in results)
