"""What a gateway keeps of devices that synced, and of contents that it could not render."""

import contextlib
from collections.abc import Iterator

from gateway.feed import FeedRepresentation
from gateway.ledger import Record
from gateway.ledger_tinydb import TinyDbLedger
from gateway.representations.registry import installed
from gateway.representations.representation import Problem
from gateway.service import LEDGER_DIR, STORE_FILE, Service
from gateway.state_file import SqliteStore
from sync_protocol import tokens
from sync_protocol.token_set import TokenSet
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format

COMPACT = installed()["compact"]
SLOW = "it took longer than 5 s"


@contextlib.contextmanager
def _beside(service: Service) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(service.settings.data_dir / STORE_FILE)) as store:
        yield store


def synced(
    service: Service, device: str, feed: str, view: View = WHOLE_FEED, *, at: int = 0
) -> None:
    """Have the ledger tell that a device, which is offline, got all of a feed at its last sync."""
    with _beside(service) as store:
        enrolled = store.device(device)
        assert enrolled is not None
        with store.snapshot(feed) as snapshot:
            record = Record(
                generation=enrolled.generation,
                base=snapshot.head,
                view_id=1,
                form=Format.CBOR,
                epoch=snapshot.newest_epoch().id,
                held=TokenSet.span(tokens.oldest(snapshot.head), 0),
                synced_at=at,
                view=view,
            )
    ledger = TinyDbLedger(service.settings.data_dir / LEDGER_DIR)
    ledger.save(device, enrolled.generation, {feed: record})


def begin_compact(service: Service, feed: str) -> None:
    """Have what is put into a feed from now on rendered as compact."""
    wanted = FeedRepresentation(COMPACT.name, COMPACT.version, frozenset(COMPACT.renderers))
    with _beside(service) as store, store.transaction() as transaction:
        transaction.begin_rendering(feed, wanted)


def fail_compact(service: Service, feed: str, item_id: str, *, why: str = SLOW) -> None:
    """Let an item that was put before `begin_compact` be one that could not be rendered."""
    row = service.row(feed, item_id)
    with _beside(service) as store, store.transaction() as transaction:
        transaction.set_rendering(feed, row, COMPACT.name, Problem(why))
