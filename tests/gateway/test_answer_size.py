"""What is counted for an answer is never less than what it takes on the wire."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import viewed
from gateway.answer_size import ANSWER_OVERHEAD_BYTES, Sizes
from gateway.rows import Delete, Mutation, Row
from gateway.viewed import Effective
from sync_protocol import inventory, messages, wire
from sync_protocol.limits import CONTENT_BYTES_MAX, INTEGER_MAX
from sync_protocol.messages import Answer, Change, Compared, Delta, Remainder
from sync_protocol.wire import Format
from tests.gateway import random_feeds
from tests.gateway.asking import REQUEST_ID
from tests.gateway.sample_feeds import changed, memory_feed, put

# What is counted for a change that takes less.
SPARE_BYTES_MAX = 10
# As large as they may be, with the lists as long as they may be, and nothing in them.
LARGEST = (
    Answer(
        v=messages.VERSION,
        id=REQUEST_ID,
        delta=Delta(
            base=INTEGER_MAX,
            head=-INTEGER_MAX,
            lineage=2**32 - 1,
            epoch=b"\xff" * 8,
            p0=-INTEGER_MAX,
            tokens=b"\xff",
            more=True,
            since=-INTEGER_MAX,
        ),
    ),
    Answer(
        v=messages.VERSION,
        id=REQUEST_ID,
        inventory=Compared(
            base=INTEGER_MAX,
            head=-INTEGER_MAX,
            lineage=2**32 - 1,
            epoch=b"\xff" * 8,
            p0=-INTEGER_MAX,
            missing=b"\xff",
            drops=bytes(inventory.ID_HASH_BYTES),
            answered=256,
            since=-INTEGER_MAX,
        ),
    ),
)


def encoded_bytes(message: wire.Message, form: Format) -> int:
    return len(wire.encode(message, form))


def effective(row: Row) -> Effective:
    return Effective(row.seq, row, None if row.deleted else row.native)


def largest(row: Row) -> Change:
    """A change of the row with the largest numbers and, if it is live, an empty content."""
    if row.deleted:
        return Change(n=-INTEGER_MAX, remove=row.id)
    put = viewed.put_of(row, row.native, b"").model_copy(update={"size": CONTENT_BYTES_MAX})
    return Change(n=-INTEGER_MAX, put=put)


@given(mutation=random_feeds.puts(sizes=(0,)), form=st.sampled_from(Format))
def test_a_change_takes_no_more_than_is_counted(mutation: Mutation, form: Format) -> None:
    store = memory_feed()
    sizes = Sizes(form)
    comma = 1
    for row in (changed(store, mutation), changed(store, Delete(mutation.id))):
        assert encoded_bytes(largest(row), form) + comma <= sizes.change(effective(row))


@pytest.mark.parametrize("form", Format)
def test_a_change_that_is_as_large_as_it_can_be_takes_nearly_what_is_counted(form: Format) -> None:
    largest_put = put(
        "i" * 255,
        b"",
        kind="k" * 32,
        media_type="a" * 63 + "/" + "b" * 63,
        folder="f" * 255,
        flags=("x" * 64,),
        date=-INTEGER_MAX,
    )
    row = changed(memory_feed(), replace(largest_put, until=-INTEGER_MAX))
    comma = 1
    taken = encoded_bytes(largest(row), form) + comma
    assert 0 <= Sizes(form).change(effective(row)) - taken <= SPARE_BYTES_MAX


@given(mutation=random_feeds.puts(sizes=(0,)), form=st.sampled_from(Format))
def test_a_remainder_takes_no_more_than_is_counted(mutation: Mutation, form: Format) -> None:
    row = changed(memory_feed(), mutation)
    content = b"x" * 5_000
    remainder = Remainder(id=row.id, digest=row.wire_digest, offset=INTEGER_MAX, content=content)
    sizes = Sizes(form)
    assert encoded_bytes(remainder, form) + 1 <= sizes.head(row.id) + sizes.sent(len(content))


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("answer", LARGEST, ids=["delta", "inventory"])
def test_what_stands_around_it_takes_no_more_than_is_counted(answer: Answer, form: Format) -> None:
    assert encoded_bytes(answer, form) <= ANSWER_OVERHEAD_BYTES


@given(size_bytes=st.integers(0, 10_000), form=st.sampled_from(Format))
def test_bytes_take_what_is_counted(size_bytes: int, form: Format) -> None:
    sizes = Sizes(form)
    empty = Remainder(id="x", digest=bytes(16), content=b"")
    filled = empty.model_copy(update={"content": bytes(size_bytes)})
    lengths = 2  # of the byte string, in CBOR
    grown = encoded_bytes(filled, form) - encoded_bytes(empty, form)
    assert sizes.sent(size_bytes) <= grown <= sizes.sent(size_bytes) + lengths


@given(left_bytes=st.integers(-100, 10_000), form=st.sampled_from(Format))
def test_room_is_for_as_much_as_fits(left_bytes: int, form: Format) -> None:
    sizes = Sizes(form)
    room = sizes.room(left_bytes)
    assert room >= 0
    assert sizes.sent(room) <= max(0, left_bytes)
    assert sizes.sent(room + 3) > left_bytes


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("text", ["", "plain", '"', "\\", '\\"' * 100, "äß€\U0001f600"])
def test_a_text_takes_what_is_counted(text: str, form: Format) -> None:
    named, bare = (
        viewed.put_of(row, row.native, None)
        for folder in (f"-{text}", "-")
        for row in [changed(memory_feed(), put("x", folder=folder))]
    )
    grown = encoded_bytes(named, form) - encoded_bytes(bare, form)
    length = 2  # of a longer text, in CBOR
    assert Sizes(form).text(text) <= grown <= Sizes(form).text(text) + length
