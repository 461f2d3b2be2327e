"""Whatever bytes come: a message, or ProtocolError and nothing else."""

import json
import struct
from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync_protocol import limits, wire
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Answer, Notification, Range, Request
from sync_protocol.wire import Format, Message
from tests.sync_protocol import strategies

BYTES_MAX = 4096
MODELS: list[type[Message]] = [Request, Answer, Notification]
# The inventory stands in front: what is put behind the view id is easy to cut off.
REQUEST: dict[Any, Any] = {0: 1, 1: bytes(8), 7: [{3: b""}], 3: 5}
JSON_REQUEST = b'{"v":1,"id":"AAAAAAAAAAA=","inventory":[{"entries":""}],"view_id":5}'

cbor_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(max_size=20)
    | st.builds(cbor2.CBORTag, st.integers(0, 2**20), st.text(max_size=5) | st.integers()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-2, 12) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=15,
)
field_names = st.sampled_from(
    ["v", "id", "n", "put", "delta", "changes", "wanted", "lineage", "tokens", "collection", "c"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(field_names | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=15,
)


def decoded_or_refused(data: bytes) -> None:
    """Anything but ProtocolError fails the test."""
    for model in MODELS:
        try:
            message: Message = wire.decode(model, data, bytes_max=BYTES_MAX)
        except ProtocolError as error:
            assert error.reason in {"too-large", "form", "invalid", "unreadable"}  # noqa: PT017
            assert len(str(error)) <= limits.MESSAGE_CHARS_MAX  # noqa: PT017 - most are refused
        else:
            assert wire.encode(message, Format.CBOR)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: b"\xa3" + data))
@example(b"")
@example(b"\xbf")
@example(b"\xbb" + b"\xff" * 8)
@example(b"{")
@example(b"\xa1\x00\x9b" + b"\xff" * 8)  # an array that says it is large
@example(b"\xa1\x00\x5b\x00\x00\xff\xff\xff\xff\xff\xff")  # a byte string, too
@example(b"\xa1\x00\x7b\x7f\xff\xff\xff\xff\xff\xff\xff")
def test_any_bytes(data: bytes) -> None:
    decoded_or_refused(data)


@given(st.dictionaries(st.integers(-2, 12), cbor_values, max_size=10))
@settings(max_examples=200)
def test_any_cbor(value: object) -> None:
    decoded_or_refused(cbor2.dumps(value))


@given(st.dictionaries(field_names, json_values, max_size=10))
@settings(max_examples=200)
def test_any_json(value: object) -> None:
    decoded_or_refused(json.dumps(value).encode())


@given(
    st.one_of(strategies.requests, strategies.answers, strategies.notifications()),
    st.sampled_from(Format),
    st.data(),
)
def test_any_message_with_a_flipped_bit_or_an_early_end(
    message: Message, form: Format, data: st.DataObject
) -> None:
    encoded = bytearray(wire.encode(message, form))
    at = data.draw(st.integers(0, len(encoded) - 1))
    decoded_or_refused(bytes(encoded[:at]))
    encoded[at] ^= 1 << data.draw(st.integers(0, 7))
    decoded_or_refused(bytes(encoded))


def refusal(data: bytes, *, bytes_max: int = BYTES_MAX) -> str:
    with pytest.raises(ProtocolError) as refused:
        wire.decode(Request, data, bytes_max=bytes_max)
    return refused.value.reason


def test_the_least_request_is_read_in_both_forms() -> None:
    wanted = Request(v=1, id=bytes(8), view_id=5, inventory=(Range(entries=b""),))
    assert wire.decode(Request, cbor2.dumps(REQUEST), bytes_max=BYTES_MAX) == wanted
    assert wire.decode(Request, JSON_REQUEST, bytes_max=BYTES_MAX) == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" {}",
        b"\xef\xbb\xbf{}",
        b"[]",
        b"\x80",
        b"null",
        b"\xf6",
        b"\x00",
        b"\xd9\xd9\xf7\xa0",
    ],
)
def test_what_begins_as_neither_form_is_refused(data: bytes) -> None:
    assert refusal(data) == "form"


def test_size_is_checked_before_anything_is_read() -> None:
    class Untouchable(bytes):
        def __getitem__(self, _index: object) -> int:  # type: ignore[override]
            raise AssertionError("it was looked at")

    assert refusal(Untouchable(BYTES_MAX + 1)) == "too-large"
    assert refusal(JSON_REQUEST, bytes_max=len(JSON_REQUEST) - 1) == "too-large"
    wire.decode(Request, JSON_REQUEST, bytes_max=len(JSON_REQUEST))


@pytest.mark.parametrize("behind", [b"\x00", b"{}", cbor2.dumps(REQUEST), b"\xff"])
def test_nothing_may_stand_behind_a_message(behind: bytes) -> None:
    assert refusal(cbor2.dumps(REQUEST) + behind) == "unreadable"
    assert refusal(JSON_REQUEST + behind) == "invalid"


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_is_refused_even_in_unknown_fields() -> None:
    at_most = limits.DEPTH_MAX - 1  # in the map of the message
    wire.decode(Request, cbor2.dumps(REQUEST | {99: nested(at_most)}), bytes_max=BYTES_MAX)
    assert refusal(cbor2.dumps(REQUEST | {99: nested(at_most + 1)})) == "unreadable"
    assert refusal(cbor2.dumps(REQUEST | {99: nested(300)})) == "unreadable"
    deep = b"[" * 2000 + b"]" * 2000
    assert refusal(JSON_REQUEST[:-1] + b',"x":' + deep + b"}") == "invalid"
    assert refusal(b'{"x":' * 800) == "invalid"


def test_a_key_twice_is_refused_in_cbor() -> None:
    twice = b"\xa5" + cbor2.dumps(REQUEST)[1:] + b"\x03\x06"
    assert refusal(twice) == "unreadable"
    assert refusal(cbor2.dumps(REQUEST)[:-2] + b"\x18\x63\xa2\x01\x01\x01\x02") == "unreadable"


def test_a_key_twice_in_json_is_never_more_than_its_last_value() -> None:
    twice = JSON_REQUEST[:-1] + b',"view_id":6}'
    assert wire.decode(Request, twice, bytes_max=BYTES_MAX).view_id == 6


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1.0", b"5e0"])
def test_numbers_that_are_no_integers_are_refused_in_json(text: bytes) -> None:
    assert refusal(JSON_REQUEST.replace(b":5", b":" + text)) == "invalid"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 5.0, 2**64, -(2**64)])
def test_numbers_that_are_no_integers_are_refused_in_cbor(value: float) -> None:
    assert refusal(cbor2.dumps(REQUEST | {3: value})) in {"invalid", "unreadable"}


def test_huge_integers_are_refused() -> None:
    assert refusal(JSON_REQUEST.replace(b":5", b":" + b"9" * 3000)) == "invalid"
    big = cbor2.CBORTag(2, b"\xff" * 3000)
    assert refusal(cbor2.dumps(REQUEST | {3: big})) == "unreadable"


@pytest.mark.parametrize(
    "bad",
    [rb'"\ud800"', rb'"\udc00x"', b'"\xff"', b'"\xed\xa0\x80"'],
    ids=["high surrogate", "low surrogate", "no UTF-8", "UTF-8 of a surrogate"],
)
def test_text_that_is_none_is_refused_in_json(bad: bytes) -> None:
    wanted = b',"wanted":[{"digest":"AAAAAAAAAAAAAAAAAAAAAA==","id":'
    assert refusal(JSON_REQUEST[:-1] + wanted + bad + b"}]}") == "invalid"


@pytest.mark.parametrize("bad", [b"\x61\xff", b"\x63\xed\xa0\x80"])
def test_text_that_is_none_is_refused_in_cbor(bad: bytes) -> None:
    head = b"\xa5" + cbor2.dumps(REQUEST)[1:]
    assert refusal(head + b"\x06\x81\xa2\x02\x50" + bytes(16) + b"\x01" + bad) == "unreadable"


@pytest.mark.parametrize("tag", [*range(8), 21, 28, 30, 35, 36, 37, 256, 258, 55799, 2**40])
@pytest.mark.parametrize(
    "value", ["(a+)+$", 1, b"abc", [1, 2]], ids=["text", "int", "bytes", "list"]
)
def test_tags_are_refused_even_in_unknown_fields(tag: int, value: object) -> None:
    head = b"\xa5" + cbor2.dumps(REQUEST)[1:] + b"\x18\x63"
    tagged = b"\xdb" + struct.pack(">Q", tag) + cbor2.dumps(value)
    assert refusal(head + tagged) == "unreadable"


@pytest.mark.parametrize(
    "data", [b"\xbf\x00\x01\xff", b"\xa1\x06\x9f\xff", b"\xa1\x01\x5f\x41a\xff"]
)
def test_indefinite_lengths_are_refused(data: bytes) -> None:
    assert refusal(data) == "unreadable"


def test_an_error_never_quotes_what_came() -> None:
    secret = b"a secret of the user"
    for data in (
        JSON_REQUEST.replace(b":5", b':"' + secret + b'"'),
        cbor2.dumps(REQUEST | {3: secret.decode()}),
        cbor2.dumps(REQUEST | {1: secret}),
    ):
        with pytest.raises(ProtocolError) as refused:
            wire.decode(Request, data, bytes_max=BYTES_MAX)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("form", Format)
@given(text=strategies.item_ids)
def test_a_text_alone(form: Format, text: str) -> None:
    encoded = wire.encode_text(text, form)
    assert (json.loads(encoded) if form is Format.JSON else cbor2.loads(encoded)) == text
