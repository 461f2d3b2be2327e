"""How far behind devices are, as people are told."""

import pytest

from gateway.device import Allowed, Device
from gateway.feed import FeedStore
from gateway.info import DeviceInfo, ReplicaInfo, device_info
from gateway.ledger import MemoryLedger, Record
from gateway.registry import Registry
from gateway.rows import Alter
from sync_protocol.token_set import TokenSet
from sync_protocol.views import WHOLE_FEED, View
from sync_protocol.wire import Format
from tests.gateway.asking import GENERATION
from tests.gateway.rendered_feeds import BROKEN, HALF_VIEW, begin, half_feed
from tests.gateway.sample_feeds import EPOCH, FEED, memory_feed, put

WORK = View(folders=("Work",))
PHONE = Device("phone", "", GENERATION, (FEED,), Allowed(days_max=7))


def info(store: FeedStore, view: View = WHOLE_FEED, *held: tuple[int, int]) -> DeviceInfo:
    """Of a device that is offline, and held these ranges after its last sync."""
    ledger = MemoryLedger()
    record = Record(
        GENERATION, 0, 1, Format.CBOR, EPOCH, TokenSet.of_ranges(held), synced_at=99, view=view
    )
    ledger.save("phone", GENERATION, {FEED: record})
    return device_info(PHONE, store=store, registry=Registry(), ledger=ledger, now=0)


@pytest.mark.parametrize(
    ("view", "held", "behind"),
    [
        (WHOLE_FEED, [], 4),
        (WHOLE_FEED, [(1, 2), (4, 4)], 2),
        (WHOLE_FEED, [(1, 6)], 0),
        (WORK, [], 3),
        (WORK, [(1, 3)], 3),
        (WORK, [(1, 5)], 1),
        (View(folders=("Home",)), [], 2),
        (View(kinds=()), [], 0),
    ],
)
def test_a_replica_is_behind_by_the_changes_that_its_view_sees(
    view: View, held: list[tuple[int, int]], behind: int
) -> None:
    store = memory_feed(
        *(put("ada", folder="Work"), put("bob", folder="Home"), put("cyd", folder="Work")),
        *(put("ada", folder="Home"), put("cyd", b"new"), put("dan", folder="Work")),
    )
    found = info(store, view, *held)
    assert found.replicas == (ReplicaInfo(FEED, synced_at=99, behind=behind, view=view),)
    assert found.allowed == Allowed(days_max=7)


def test_how_far_behind_a_replica_is_cannot_be_told_before_its_view_is_rendered() -> None:
    store = memory_feed(put("ada"))
    begin(store)
    (replica,) = info(store, HALF_VIEW).replicas
    assert (replica.synced_at, replica.behind, replica.view) == (99, None, HALF_VIEW)


def test_what_cannot_be_rendered_is_a_change_all_the_same() -> None:
    store = half_feed(put("ada", BROKEN), put("bob"), Alter("ada", flags=("x",)))
    (replica,) = info(store, HALF_VIEW).replicas
    assert replica.behind == 2


def test_of_a_replica_that_never_synced_nothing_is_known() -> None:
    found = device_info(
        PHONE, store=memory_feed(), registry=Registry(), ledger=MemoryLedger(), now=0
    )
    assert found.replicas == (ReplicaInfo(FEED, synced_at=None, behind=None),)
