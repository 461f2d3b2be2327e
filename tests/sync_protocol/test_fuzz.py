"""Whatever comes, a decoder gives a message or raises ProtocolError, in bounded memory."""

import tracemalloc
from collections.abc import Callable

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_protocol import inventory, limits, messages, wire
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Answer, Notification, Request
from sync_protocol.token_set import TokenSet
from sync_protocol.topics import Topics
from sync_protocol.wire import Format, Message
from tests.sync_protocol import mutations, strategies
from tests.sync_protocol.mutations import fuzzed, hostile

BYTES_MAX: dict[type[Message], int] = {
    Request: limits.REQUEST_BYTES_MAX,
    Answer: limits.ANSWER_BYTES_MAX,
    Notification: limits.NOTIFICATION_BYTES_MAX,
}
# Of those that Python counts. An empty map is one byte of CBOR and 64 of Python, in a list and once
# more by its names; the most that was found is 184.
MEMORY_PER_BYTE_MAX = 256
any_message: st.SearchStrategy[Message] = st.one_of(
    strategies.requests, strategies.answers, strategies.notifications()
)
any_bytes = st.binary(max_size=400) | st.builds(
    bytes.__add__, st.sampled_from([b"{", b"\xa0", b"\xa3", b"\xb7", b"\xb9"]), st.binary()
)


def read(decode: Callable[[], object]) -> object | None:
    """What `decode` gives; anything but ProtocolError fails the test."""
    try:
        return decode()
    except ProtocolError as error:
        assert error.reason  # noqa: PT017 - what is refused says why
        assert len(str(error)) <= limits.MESSAGE_CHARS_MAX  # noqa: PT017
        return None


def read_as_all(data: bytes) -> None:
    for model, bytes_max in BYTES_MAX.items():
        message = read(lambda: wire.decode(model, data, bytes_max=bytes_max))  # noqa: B023 - called at once
        if isinstance(message, Message):
            check(message)
    read(lambda: messages.decode_request(data))
    version, request_id = messages.envelope(data)
    assert version is None or version >= 0
    assert request_id is None or len(request_id) == messages.REQUEST_ID_BYTES


def check(message: Message) -> None:
    """What was read can be said again, and what is inside can be read."""
    for form in Format:
        again = wire.decode(type(message), wire.encode(message, form), bytes_max=limits.MIB * 4)
        assert again == message
    if isinstance(message, Request):
        for each in message.inventory:
            pairs = list(inventory.unpack(each.entries or b""))
            assert all(len(etag) == inventory.ETAG_BYTES for _, etag in pairs)
            first, last = inventory.bounds(each.prefix)
            assert all(first <= id_hash <= last for id_hash, _ in pairs)
        if message.collection is not None:
            read(lambda: TokenSet.decode(message.collection.tokens))  # type: ignore[union-attr]
    if isinstance(message, Answer) and message.inventory is not None:
        read(lambda: TokenSet.decode(message.inventory.missing))  # type: ignore[union-attr]


@given(any_bytes)
@fuzzed
def test_any_bytes(data: bytes) -> None:
    read_as_all(data)


@given(hostile(any_message))
@fuzzed
def test_damaged_messages(data: bytes) -> None:
    read_as_all(data)


@pytest.mark.parametrize("piece", mutations.CBOR_PIECES, ids=lambda piece: piece[:6].hex())
@pytest.mark.parametrize("key", range(13))
def test_each_hostile_piece_in_each_field_in_cbor(key: int, piece: bytes) -> None:
    for model in BYTES_MAX:
        message = {
            Request: Request(v=1, id=bytes(8), view_id=1, inventory=(messages.Range(entries=b""),)),
            Answer: Answer(v=1, id=bytes(8), void=messages.Void(why="epoch")),
            Notification: Notification(v=1, lineage=1, n=1, asof=1, remove="a"),
        }[model]
        tree = cbor2.loads(wire.encode(message, Format.CBOR)) | {key: None}
        del tree[key]
        head = bytes([0xA0 + len(tree) + 1]) + b"".join(
            cbor2.dumps(known) + cbor2.dumps(value) for known, value in tree.items()
        )
        read_as_all(head + cbor2.dumps(key) + piece)


@given(st.binary(max_size=200))
@example(b"\x00" * 40)
@example(b"\xff" * 40)
@fuzzed
def test_any_token_set(data: bytes) -> None:
    found = read(lambda: TokenSet.decode(data))
    if isinstance(found, TokenSet):
        assert TokenSet.decode(found.encode()) == found


@given(
    st.lists(st.integers(-(2**50), 2**50), max_size=60), st.integers(0, 2**16), st.integers(0, 7)
)
@fuzzed
def test_a_damaged_token_set(members: list[int], place: int, bit: int) -> None:
    data = bytearray(TokenSet.of(members).encode() + b"\x00")
    data[place % len(data)] ^= 1 << bit
    for end in (len(data), place % len(data)):
        found = read(lambda: TokenSet.decode(bytes(data[:end])))  # noqa: B023 - called at once
        if isinstance(found, TokenSet):
            assert TokenSet.decode(found.encode()) == found


@given(st.text(max_size=60) | st.lists(st.text(max_size=5), max_size=8).map("/".join))
@fuzzed
def test_any_topic(topic: str) -> None:
    for name in (topic, f"sync/v1/{topic}", f"sync/v1/{topic}/request", f"sync/v1/{topic}/status"):
        read(lambda: Topics().parse(name))  # noqa: B023 - called at once


# A multiple shows in a message of this size as well as in the largest.
LARGE_BYTES = 64 * limits.KIB


@pytest.mark.parametrize("model", BYTES_MAX)
@pytest.mark.parametrize("key", [6, 7, 99])
@pytest.mark.parametrize(
    "fill",
    [b"\xa0", b"\x80", b"\x00", b"\x61a", b"\xa1\x00\x00", b"\x81\x80", b"\xf9\x3c\x00", b"\x40"],
    ids=bytes.hex,
)
def test_memory_stays_within_a_multiple_of_the_message_in_cbor(
    model: type[Message], key: int, fill: bytes
) -> None:
    count = LARGE_BYTES // len(fill)
    data = b"\xa1" + cbor2.dumps(key) + b"\x9a" + count.to_bytes(4) + fill * count
    assert memory_of(model, data) <= MEMORY_PER_BYTE_MAX * len(data)


@pytest.mark.parametrize("model", BYTES_MAX)
@pytest.mark.parametrize("name", ["wanted", "inventory", "put", "unknown"])
@pytest.mark.parametrize("fill", ["{}", "[]", "0", '"a"', "[{}]", "1.5"])
def test_memory_stays_within_a_multiple_of_the_message_in_json(
    model: type[Message], name: str, fill: str
) -> None:
    count = LARGE_BYTES // (len(fill) + 1)
    data = f'{{"v":1,"{name}":[{",".join([fill] * count)}]}}'.encode()
    assert memory_of(model, data) <= MEMORY_PER_BYTE_MAX * len(data)


@pytest.mark.parametrize("field", ["delta", "inventory"])
@pytest.mark.parametrize("name", ["changes", "remainders", "puts", "split"])
@pytest.mark.parametrize("fill", ["{}", "0", '{"put":{"flags":[0,0,0,0,0,0]}}'])
def test_memory_stays_within_a_multiple_of_an_answer(field: str, name: str, fill: str) -> None:
    count = LARGE_BYTES // (len(fill) + 1)
    data = f'{{"v":1,"{field}":{{"{name}":[{",".join([fill] * count)}]}}}}'.encode()
    assert memory_of(Answer, data) <= MEMORY_PER_BYTE_MAX * len(data)


def test_memory_stays_within_a_multiple_of_the_dearest_answer_that_was_found() -> None:
    count = LARGE_BYTES // 3
    fill = b"\xa1\x06\xa0"  # a change with a put, both without fields
    data = b"\xa1\x02\xa1\x07\x9a" + count.to_bytes(4) + fill * count
    assert memory_of(Answer, data) <= MEMORY_PER_BYTE_MAX * len(data)


def memory_of(model: type[Message], data: bytes) -> int:
    tracemalloc.start()
    try:
        read(lambda: wire.decode(model, data, bytes_max=len(data)))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
