"""Every message: there and back in both forms, and refused when a field is not what it must be."""

import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sync_protocol import limits, messages, wire
from sync_protocol.errors import ProtocolError
from sync_protocol.inventory import ENTRY_BYTES, FINGERPRINT_BYTES
from sync_protocol.limits import INTEGER_MAX
from sync_protocol.messages import (
    Answer,
    Change,
    Collection,
    Compared,
    Delta,
    Notification,
    NotificationHead,
    Put,
    Range,
    Refused,
    Remainder,
    Request,
    Void,
    Wanted,
)
from sync_protocol.wire import Format, Message
from tests.sync_protocol import strategies

forms = st.sampled_from(Format)
DIGEST = bytes(16)
EPOCH = bytes(8)
REQUEST_ID = b"\1" * 8

PUT = Put(id="a", kind="contact", digest=DIGEST, size=3)
REMOVE = Change(n=1, remove="a")
WANTED = Wanted(id="a", digest=DIGEST)
REMAINDER = Remainder(id="a", digest=DIGEST, content=b"abc")
COLLECTION = Collection(lineage=1, epoch=EPOCH, asof=3)
NOTHING = Range(entries=b"")
LISTED = Range(prefix="0", entries=bytes(ENTRY_BYTES) + b"\1" * ENTRY_BYTES)
PARTED = Range(prefix="1f", fingerprints=bytes(16 * FINGERPRINT_BYTES))
REQUEST = Request(v=1, id=REQUEST_ID, view_id=1, base=1, collection=COLLECTION)
INVENTORY = Request(v=1, id=REQUEST_ID, view_id=1, inventory=(LISTED, PARTED))
COMPARED = Compared(base=0, head=1, lineage=1, epoch=EPOCH, answered=2, split=("1f0",))
DELTA = Delta(base=0, head=1, lineage=1, epoch=EPOCH)
REFUSED = Refused(reason="busy", message="later")
ANSWER = Answer(v=1, id=REQUEST_ID, delta=DELTA)
PUSH = Notification(v=1, lineage=1, n=2, prev=1, asof=2, put=PUT)


@given(
    st.one_of(
        strategies.puts(),
        strategies.notifications(),
        strategies.requests,
        strategies.answers,
    ),
    forms,
)
def test_there_and_back(message: Message, form: Format) -> None:
    encoded = wire.encode(message, form)
    assert wire.form_of(encoded) is form
    assert wire.decode(type(message), encoded, bytes_max=len(encoded)) == message
    with pytest.raises(ProtocolError) as refused:
        wire.decode(type(message), encoded, bytes_max=len(encoded) - 1)
    assert refused.value.reason == "too-large"


@given(strategies.notifications(), forms)
def test_a_notification_joined_from_parts_is_the_same_as_a_whole_one(
    push: Notification, form: Format
) -> None:
    head = NotificationHead(
        v=1, lineage=push.lineage, n=push.n, prev=push.prev, asof=push.asof, c=push.c
    )
    removed = push.remove is not None
    body = (
        wire.encode_text(push.remove, form)
        if push.remove is not None
        else wire.encode(push.put or PUT, form)
    )
    joined = messages.encode_notification(head, removed=removed, body=body, form=form)
    if form is Format.CBOR:
        assert cbor2.loads(joined) == keyed(push)
    bytes_max = limits.NOTIFICATION_BYTES_MAX
    assert wire.decode(Notification, joined, bytes_max=bytes_max) == push


def test_w4_what_is_absent_has_the_default_of_the_page() -> None:
    assert (PUT.folder, PUT.flags, PUT.date, PUT.content) == ("", (), None, None)
    assert PUT.media_type == "application/octet-stream"
    assert (COLLECTION.p0, COLLECTION.tokens) == (None, b"")
    assert (WANTED.offset, REMAINDER.offset) == (0, 0)
    assert (REQUEST.answer_bytes_max, REQUEST.wanted, REQUEST.inventory) == (262_144, (), ())
    assert (DELTA.p0, DELTA.tokens, DELTA.changes, DELTA.remainders) == (None, b"", (), ())
    assert (DELTA.more, DELTA.withheld) == (False, ())
    assert (NOTHING.prefix, COMPARED.missing, COMPARED.puts, COMPARED.drops) == ("", b"", (), b"")


@pytest.mark.parametrize("form", Format)
def test_defaults_do_not_travel(form: Format) -> None:
    assert b"folder" not in wire.encode(PUT, form)
    first = Request(v=1, id=REQUEST_ID, view_id=1, inventory=(NOTHING,))
    encoded = wire.encode(first, form)
    if form is Format.CBOR:
        assert cbor2.loads(encoded) == {0: 1, 1: REQUEST_ID, 3: 1, 7: [{3: b""}]}
    assert messages.decode_request(encoded) == first


def keyed(message: Message) -> dict[int, Any]:
    """`message` as the map of its CBOR, all the way down."""
    found: dict[int, Any] = cbor2.loads(wire.encode(message, Format.CBOR))
    return found


def reason(model: type[Message], fields: object) -> str:
    """Why it is refused."""
    with pytest.raises(ProtocolError) as refused:
        wire.decode(model, cbor2.dumps(fields), bytes_max=10 * limits.MIB)
    return refused.value.reason


def test_what_the_wrong_ones_below_are_made_from_is_right() -> None:
    for message in WRONG:
        decoded: Message = wire.decode(
            type(message), cbor2.dumps(keyed(message)), bytes_max=limits.MIB
        )
        assert decoded == message


WRONG: dict[Message, dict[int, list[object]]] = {
    PUT: {
        1: ["", "x" * 256, "ä" * 128, "a\nb", "\x7f", 1, b"a", None, ["a"]],
        2: ["", "Contact", "1x", "x" * 33, b"contact"],
        3: ["x" * 256, "a\tb", 1, None],
        4: ["seen", [""], ["a b"], ["x" * 65], [1], [b"seen"], None, [f"f{n}" for n in range(33)]],
        5: ["1", 1.0, True, INTEGER_MAX + 1, -INTEGER_MAX - 1, 2**63],
        6: [bytes(15), bytes(17), "0" * 16, None],
        7: [-1, limits.CONTENT_BYTES_MAX + 1, 3.0, True, None],
        8: ["", "text", "Text/Plain", "text/plain; charset=utf-8", "a/" + "x" * 64],
        9: ["abc", b"abcd", 1, [97]],
    },
    REMOVE: {1: [None, "1", 2**64], 6: [keyed(PUT), 1, [keyed(PUT)]], 7: [None, "", 1]},
    WANTED: {1: [""], 2: [b""], 3: [-1, INTEGER_MAX + 1, False]},
    REMAINDER: {4: ["abc", None, bytes(limits.ANSWER_BYTES_MAX + 1)], 3: [-1]},
    COLLECTION: {
        1: [-1, 2**32, "1"],
        2: [bytes(7), bytes(9), 1],
        3: [None, INTEGER_MAX + 1],
        4: ["1", 0.5],
        5: [bytes(limits.TOKEN_SET_BYTES_MAX + 1), [1], None],
    },
    REQUEST: {
        0: [0, 2, "1", True, None],
        1: [bytes(7), bytes(9), None, "12345678"],
        2: [None, -1],
        3: [2**32, -1],
        4: [-1, None, 1e9],
        5: [{}, [], 1, {1: 1}],
        7: [[keyed(NOTHING)]],  # beside a collection
        6: [
            [keyed(WANTED) | {1: f"{n}"} for n in range(limits.REQUEST_WANTED_MAX + 1)],
            [keyed(WANTED), keyed(WANTED) | {2: b"\1" * 16, 3: 1}],  # one item twice
            {},
            [1],
            [None],
            None,
        ],
    },
    NOTHING: {
        1: ["g", "A", "0" * 13, "0x", " ", 1, b"0", None],
        2: [bytes(6)],  # beside entries
        3: [bytes(13), bytes(15), "", None, [1]],
    },
    LISTED: {
        1: ["00", "1", "000000000001"],  # the second entry begins with 01, none with 1
        3: [b"\1" * 14 + bytes(14), bytes(14) + b"\x10" * 14],
    },
    PARTED: {
        1: ["f" * 12],  # it has no parts
        2: [b"", bytes(5), bytes(7), bytes(12), bytes(95), bytes(97), bytes(1536), "x" * 6],
    },
    INVENTORY: {
        2: [-1],
        5: [keyed(COLLECTION)],
        7: [
            [],
            None,
            [
                keyed(NOTHING) | {1: f"{part:03x}"}
                for part in range(limits.INVENTORY_RANGES_MAX + 1)
            ],
            [keyed(NOTHING), keyed(NOTHING)],
            [keyed(LISTED), keyed(NOTHING)],
            [keyed(PARTED), keyed(PARTED) | {1: "1f2"}],
            keyed(NOTHING),
            [{}],
            [None],
        ],
    },
    COMPARED: {
        1: [None, -1],
        3: [None, 2**32],
        4: [bytes(7), None],
        6: [bytes(limits.TOKEN_SET_BYTES_MAX + 1), None],
        7: [[keyed(PUT)] * (limits.ANSWER_CHANGES_MAX + 1), keyed(PUT), [keyed(REMOVE)]],
        8: [bytes(5), bytes(7), [bytes(6)]],
        9: [None, -1, 1.0, True],
        10: [["x"], "0", [""] * (16 * limits.INVENTORY_RANGES_MAX + 1), [1], None],
    },
    DELTA: {
        1: [-1, None],
        2: [None],
        7: [[keyed(REMOVE)] * (limits.ANSWER_CHANGES_MAX + 1), keyed(REMOVE)],
        8: [[keyed(REMAINDER)] * (limits.ANSWER_REMAINDERS_MAX + 1), [[]]],
        9: [1, 0, "true", None],
        10: [["a"] * (limits.REQUEST_WANTED_MAX + 1), "a", [""], [b"a"], [1], None],
    },
    REFUSED: {
        1: ["x" * (limits.REASON_CHARS_MAX + 1), None],
        2: ["x" * (limits.MESSAGE_CHARS_MAX + 1), b"later"],
        3: [-1],
        4: [[1] * 17, ["1"]],
    },
    ANSWER: {
        0: [2],
        2: [None, []],
        3: [{1: "purged"}],
        4: [keyed(REFUSED)],
        5: [keyed(COMPARED), {}],
    },
    PUSH: {
        0: [2, None],
        2: [1, 0, 3],  # no newer than prev; newer than asof
        3: [2, 3, "1"],
        4: [1, None],
        5: [3],
        6: [None, {}],
        7: ["a"],
    },
    Void(why="epoch"): {1: ["", "weather", None, 1]},
}
NAMES = [f"{number}-{type(message).__name__}" for number, message in enumerate(WRONG)]


@pytest.mark.parametrize(
    ("message", "key", "wrong"),
    [
        pytest.param(message, key, wrong, id=f"{name}-{key}-{number}")
        for name, (message, keys) in zip(NAMES, WRONG.items(), strict=True)
        for key, values in keys.items()
        for number, wrong in enumerate(values)
    ],
)
def test_a_wrong_field_makes_the_message_wrong(message: Message, key: int, wrong: object) -> None:
    assert reason(type(message), keyed(message) | {key: wrong}) in {"invalid", "unreadable"}


@pytest.mark.parametrize("message", WRONG, ids=NAMES)
def test_unknown_fields_are_ignored(message: Message) -> None:
    more = keyed(message) | {77: ["new", {1: 2}], "name": 1, -1: None, b"x": 1.5}
    decoded: Message = wire.decode(type(message), cbor2.dumps(more), bytes_max=limits.MIB)
    assert decoded == message
    encoded = wire.encode(message, Format.JSON)[:-1] + b',"new":[{"v":1}],"77":null}'
    assert wire.decode(type(message), encoded, bytes_max=limits.MIB) == message


@pytest.mark.parametrize(
    "required", [key for key in keyed(PUSH) if key != 3], ids=lambda key: f"key {key}"
)
def test_a_field_that_is_absent_makes_a_notification_wrong(required: int) -> None:
    fields = keyed(PUSH)
    del fields[required]
    assert reason(Notification, fields) == "invalid"


def test_flags_are_a_set() -> None:
    put = wire.decode(Put, cbor2.dumps(keyed(PUT) | {4: ["b", "a", "b"]}), bytes_max=1000)
    assert put.flags == ("a", "b")


def test_our_own_code_cannot_make_a_wrong_one() -> None:
    with pytest.raises(ValidationError, match="exactly one of put and remove"):
        Change(n=1)
    with pytest.raises(ValidationError, match="exactly one of delta, void, refused and inventory"):
        Answer(v=1, id=REQUEST_ID)
    with pytest.raises(ValidationError, match="exactly one of fingerprints and entries"):
        Range()
    with pytest.raises(ValidationError, match="exactly one of collection and inventory"):
        Request(v=1, id=REQUEST_ID, view_id=1)
    with pytest.raises(ValidationError, match="exactly one of collection and inventory"):
        Request(v=1, id=REQUEST_ID, view_id=1, collection=COLLECTION, inventory=(NOTHING,))
    with pytest.raises(ValidationError, match="needs the base"):
        Request(v=1, id=REQUEST_ID, view_id=1, collection=COLLECTION)
    with pytest.raises(ValidationError, match="wanted once"):
        Request(v=1, id=REQUEST_ID, view_id=1, inventory=(NOTHING,), wanted=(WANTED, WANTED))


class TestVersions:
    @pytest.mark.parametrize("form", Format)
    @pytest.mark.parametrize("version", [0, 2, INTEGER_MAX])
    def test_another_version_is_told_from_a_wrong_request(self, form: Format, version: int) -> None:
        fields: dict[Any, Any] = {"v": version, "id": "AQEBAQEBAQE=", "later": True}
        if form is Format.CBOR:
            encoded = cbor2.dumps({0: version, 1: REQUEST_ID, 99: True})
        else:
            encoded = json.dumps(fields).encode()
        with pytest.raises(ProtocolError, match=f"version {version} is not spoken") as refused:
            messages.decode_request(encoded)
        assert refused.value.reason == "version"
        assert messages.envelope(encoded) == (version, REQUEST_ID)

    def test_a_wrong_request_of_this_version_is_invalid(self) -> None:
        encoded = cbor2.dumps({0: 1, 1: REQUEST_ID})
        with pytest.raises(ProtocolError) as refused:
            messages.decode_request(encoded)
        assert refused.value.reason == "invalid"
        assert messages.envelope(encoded) == (1, REQUEST_ID)

    @pytest.mark.parametrize(
        "data", [b"", b"{", b"\xa0", b"{}", cbor2.dumps({0: 2, 1: b"short"}), bytes(200_000)]
    )
    def test_what_cannot_be_read_has_no_envelope(self, data: bytes) -> None:
        assert messages.envelope(data) == (None, None)

    def test_an_envelope_may_have_no_id(self) -> None:
        assert messages.envelope(b'{"v":3}') == (3, None)

    def test_a_request_that_is_too_large_says_so(self) -> None:
        with pytest.raises(ProtocolError) as refused:
            messages.decode_request(b"{" * (limits.REQUEST_BYTES_MAX + 1))
        assert refused.value.reason == "too-large"
