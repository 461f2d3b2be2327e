"""Of a replica's view, what is said in docs/protocol.md and guarded nowhere else."""

import itertools

import pytest

from device_agent.feed_sync import FeedSync
from device_agent.replica import Replica
from device_agent.schedule import Waits
from device_agent.store import ReplicaStore
from device_agent.store_memory import MemoryReplicaStore
from sync_protocol.messages import Request
from sync_protocol.views import ShownAs, View
from tests.device_agent.builders import BASE, compared, delta, push, put, void
from tests.device_agent.one_device import ANSWER_BYTES_MAX, VIEW_ID, Device

VIEW = View(
    kinds=("contact",),
    since=5,
    shown_as=(ShownAs(kind="contact", representation="compact"),),
)


def test_a3_a_void_collection_leaves_the_view_as_it_is(store: ReplicaStore) -> None:
    device = Device(store, VIEW)
    device.sync(lambda it: compared(it, head=5))
    device.sync(void)
    assert (device.replica.state.view, device.replica.state.view_id) == (VIEW, VIEW_ID)
    asked = device.ask()
    assert (asked.view, asked.view_id, asked.collection) == (VIEW, VIEW_ID, None)
    assert device.start(VIEW).replica.state.view_id == VIEW_ID


@pytest.mark.parametrize(
    ("portion_bytes", "wanted"), [(None, ["nothing"]), (1, ["nothing"]), (0, [])]
)
def test_d6_a_large_content_of_which_nothing_is_held_is_wanted_if_there_are_portions(
    store: ReplicaStore, portion_bytes: int | None, wanted: list[str]
) -> None:
    view = View(portion_bytes=portion_bytes)
    device = Device(store, view).start(view, remainder_bytes_max=3).filled()
    device.replica.on_push(push(6, put("nothing", b"1234", held=0)))
    device.replica.on_push(push(7, put("part", b"1234", held=1)))
    assert [it.id for it in device.ask().wanted] == wanted


def test_a2_the_base_is_the_answers(store: ReplicaStore) -> None:
    device = Device(store).filled()
    device.sync(lambda it: delta(it, head=5, base=BASE + 1))
    assert device.replica.state.base == device.ask().base == BASE + 1


def test_q1_a_change_of_view_does_not_wait_for_the_answer_to_the_request_before() -> None:
    view_ids = itertools.count()
    sync = FeedSync(
        "feed",
        Replica(MemoryReplicaStore(), make_view_id=lambda: next(view_ids), view=VIEW),
        waits=Waits(debounce_s=0.2, request_timeout_s=10),
        chance=lambda: 1.0,
        request_id=lambda: bytes(8),
        answer_bytes_max=ANSWER_BYTES_MAX,
    )
    sync.ask_now(0)
    assert isinstance(sync.on_timer(0), Request)
    assert sync.next_timer == 10
    sync.move_window(1, None)
    assert sync.next_timer is not None
    assert sync.next_timer < 2
    assert isinstance(sync.on_timer(2), Request)
