"""Whatever a broker or a gateway says, a replica raises nothing and damages nothing it holds."""

from hypothesis import given
from hypothesis import strategies as st

from device_agent.replica import Replica
from device_agent.results import AnswerFate
from device_agent.store_memory import MemoryReplicaStore
from sync_protocol import limits, messages, wire
from sync_protocol.digests import digest_of
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Answer, Notification
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format, Message
from tests.device_agent.builders import (
    OTHER_EPOCH,
    change,
    compared,
    delta,
    push,
    put,
    refused,
    void,
)
from tests.device_agent.one_device import FIRST, Device, remainder
from tests.sync_protocol import strategies
from tests.sync_protocol.mutations import fuzzed, hostile

WHOLE, PART = b"whole content", b"the first bytes of a content"
ASKED = b"asked..."


def device(*, under_way: bool) -> Device:
    """One that holds a whole item and a part of another, with a collection or without."""
    made = Device(MemoryReplicaStore()).filled()
    made.replica.on_push(push(6, put("whole", WHOLE)))
    made.replica.on_push(push(7, put("part", PART, held=9)))
    made.replica.on_push(push(9, "gone", prev=8))
    if under_way:
        made.sync(void)
        made.sync(lambda it: compared(it, head=12, split=["0", "1"]))
    made.replica.request(ASKED, answer_bytes_max=50_000)
    return made


# Such as this device could be told, so that what is damaged of them still means something to it.
likely_pushes: st.SearchStrategy[Message] = st.sampled_from(
    [
        push(10, put("whole", WHOLE, held=0, flags=("$seen",)), c=6),
        push(12, put("part", PART), prev=10, asof=14),
        push(12, put("part", PART, held=20), prev=None),
        push(11, "whole"),
        push(11, put("new", b"abc", held=1)),
        push(8, put("gone", b"A")),
    ]
)
likely_answers: st.SearchStrategy[Message] = st.sampled_from(
    [
        delta(
            ASKED,
            head=14,
            changes=[
                change(14, "whole"),
                change(13, put("part", PART, held=0, flags=("a",))),
                change(12, put("new", b"new", held=1)),
                change(3, put("whole", b"of old")),
            ],
            remainders=[remainder("part", PART, 9), remainder("new", b"new", 1)],
            held=TokenSet.of_ranges([(FIRST, 3), (9, 14)]),
            more=True,
            p0=2,
        ),
        delta(ASKED, head=12, remainders=[remainder("part", PART, 9, 12)], epoch=OTHER_EPOCH),
        compared(
            ASKED,
            head=14,
            missing=[3, 7],
            puts=[put("whole", WHOLE, held=0, folder="x"), put("part", PART, held=0)],
            drops=["whole", "nobody"],
            split=["00", "0f"],
        ),
        compared(ASKED, head=14, answered=2, epoch=OTHER_EPOCH),
        void(ASKED),
        refused(ASKED, retry_after_s=3),
    ]
)
pushes = likely_pushes | strategies.notifications()
answers = likely_answers | strategies.answers


def is_sound(device: Device) -> None:
    """Nothing counts as whole that is not, and the device can ask on, now and after a restart."""
    for item in device.store.items():
        content = device.content(item.id)
        assert len(content) == item.held_bytes
        assert item.whole == (item.held_bytes == item.size and digest_of([content]) == item.digest)
    assert device.store.state() == device.replica.state
    restarted = Replica(device.store, make_view_id=lambda: 0)
    for replica in (device.replica, restarted):
        replica.needs_sync()
        for form in Format:
            asked = replica.request(bytes(8), answer_bytes_max=50_000)
            encoded = wire.encode(asked, form)
            assert len(encoded) <= limits.REQUEST_BYTES_MAX
            assert messages.decode_request(encoded) == asked


def others_are_as_before(device: Device, named: set[str]) -> None:
    for item_id, content in (("whole", WHOLE), ("part", PART[:9])):
        if item_id not in named:
            assert device.content(item_id) == content


@given(hostile(pushes), st.booleans())
@fuzzed
def test_damaged_pushes(data: bytes, under_way: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    try:
        message = wire.decode(Notification, data, bytes_max=limits.NOTIFICATION_BYTES_MAX)
    except ProtocolError:
        return
    take_push(message, under_way=under_way)


@given(pushes, st.integers(0, 2**32 - 1) | st.just(7), st.booleans())
@fuzzed
def test_any_push(message: Notification, lineage: int, under_way: bool) -> None:  # noqa: FBT001
    take_push(message.model_copy(update={"lineage": lineage}), under_way=under_way)


def take_push(message: Notification, *, under_way: bool) -> None:
    held = device(under_way=under_way)
    held.replica.on_push(message)
    held.replica.on_push(message)
    others_are_as_before(held, {message.item_id})
    is_sound(held)


@given(hostile(answers), st.booleans())
@fuzzed
def test_damaged_answers(data: bytes, under_way: bool) -> None:  # noqa: FBT001
    try:
        message = wire.decode(Answer, data, bytes_max=limits.ANSWER_BYTES_MAX)
    except ProtocolError:
        return
    take_answer(message, under_way=under_way)


@given(answers, st.booleans())
@fuzzed
def test_any_answer(message: Answer, under_way: bool) -> None:  # noqa: FBT001
    take_answer(message.model_copy(update={"id": ASKED}), under_way=under_way)


def take_answer(message: Answer, *, under_way: bool) -> None:
    held = device(under_way=under_way)
    state, items = held.replica.state, list(held.store.items())
    result = held.replica.on_answer(message)
    assert held.replica.on_answer(message).fate is AnswerFate.NOT_AWAITED
    if result.fate is not AnswerFate.TAKEN:
        assert [it.id for it in held.store.items()] == [it.id for it in items]
        others_are_as_before(held, set())
    if result.fate in {AnswerFate.NOT_AWAITED, AnswerFate.UNREADABLE, AnswerFate.REFUSED}:
        assert (held.replica.state, list(held.store.items())) == (state, items)
    is_sound(held)
