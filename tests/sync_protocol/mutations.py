"""Messages as an attacker or a bad link would make them: valid ones, damaged, for hypothesis.

FUZZ_EXAMPLES says how many examples each test tries: the default takes some seconds.
"""

import copy
import json
import os
from collections.abc import Iterator
from typing import Any, Final

import cbor2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from sync_protocol import wire
from sync_protocol.limits import INTEGER_MAX
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format, Message

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "100"))
fuzzed: Final = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# What decoders stumble over, as it stands in CBOR (RFC 8949).
CBOR_PIECES: Final = [
    b"\x9b" + b"\xff" * 8,  # an array, a byte string, a text and a map that say they are huge
    b"\x5b\x00\x00\xff\xff\xff\xff\xff\xff",
    b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xbb" + b"\xff" * 8,
    b"\x9a\x7f\xff\xff\xff",
    b"\x81" * 2_000,  # nested
    b"\xa1\x00" * 2_000,
    b"\x9f\x01\xff",  # of indefinite length
    b"\xbf\x00\x01\xff",
    b"\x5f\x41a\x41b\xff",
    b"\x7f\x61a\xff",
    b"\xc2\x58\x20" + b"\xff" * 32,  # tags: a huge number, a date, an expression, sharing
    b"\xc1\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    b"\xd8\x23\x66(a+)+$",
    b"\xd8\x1c\x81\xd8\x1d\x00",
    b"\xdb" + b"\xff" * 8 + b"\x00",
    b"\xf9\x7e\x00",  # not a number, infinity, undefined, an unassigned simple value, a break
    b"\xf9\x7c\x00",
    b"\xf7",
    b"\xf8\xff",
    b"\xff",
    b"\x1c",
    b"\x63\xed\xa0\x80",  # a lone surrogate
    b"\x1b" + b"\xff" * 8,
    b"\x3b" + b"\xff" * 8,
]
# And in JSON (RFC 8259).
JSON_PIECES: Final = [
    b"NaN", b"-Infinity", b"1e999", b"-0", b"1.0", b"9" * 5_000, b"-" + b"9" * 30, b"1E+2",
    rb'"\ud800"', rb'"\udc00\ud800"', b'"\xed\xa0\x80"', b'"\xff"', rb'"\u0000"', b'"a\nb"',
    b"[" * 2_000, b'{"v":' * 500, b"{}", b"[]", b'""', b"null", b"true", b"[null]", b"[{}]",
    b'"===="', b'"AA"', b'"A-_/+="', b'{"v":1,"v":2}', b"//", b"'a'", b"[1,]",
]  # fmt: skip
# What a field may hold, or nearly, at the ends of its range.
VALUES: Final[list[Any]] = [
    None, True, False, 0, 1, -1, 5, 2**31, 2**32 - 1, 2**32, INTEGER_MAX, -INTEGER_MAX,
    INTEGER_MAX + 1, 2**63, 2**64 - 1, 0.5, "", "0", "a", "\x00", "f" * 12, "x" * 300,
    "AAAAAAAAAAA=", b"", bytes(6), bytes(8), bytes(14), bytes(16), bytes(96), b"\xff" * 20,
    TokenSet.span(-5, 5).encode(), TokenSet.of(range(0, 999, 3)).encode(),
    TokenSet.span(-INTEGER_MAX, INTEGER_MAX).encode(),
    [], [[]], [0], [""], ["0"], [{}], {}, {0: 1}, {1: "a"}, [None] * 300,
]  # fmt: skip

_numbers = st.integers(0, 2**32)
_steps = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "drop", "repeat", "splice", "insert"]), _numbers, _numbers
    ),
    min_size=1,
    max_size=4,
)


def _step(data: bytes, other: bytes, kind: str, first: int, second: int) -> bytes:
    at = first % (len(data) + 1)
    size = 1 + second % 40
    pieces = JSON_PIECES if data[:1] == b"{" else CBOR_PIECES
    match kind:
        case "flip":
            flipped = bytearray(data)
            if data:
                flipped[first % len(data)] ^= 1 << second % 8
            return bytes(flipped)
        case "cut":
            return data[:at]
        case "drop":
            return data[:at] + data[at + size :]
        case "repeat":
            return data[:at] + data[at : at + size] * (2 + second % 5) + data[at + size :]
        case "splice":
            return data[:at] + other[second % (len(other) + 1) :]
        case _:
            return data[:at] + pieces[second % len(pieces)] + data[at:]


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[Message]) -> bytes:
    """The bytes of a message, with some of them changed."""
    form = draw(st.sampled_from(Format))
    data, other = (wire.encode(draw(messages), form) for _ in range(2))
    for kind, first, second in draw(_steps):
        data = _step(data, other, kind, first, second)
    return data


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - any value
    if isinstance(tree, dict):
        pairs = list(tree.items())
    elif isinstance(tree, list):
        pairs = list(enumerate(tree))
    else:
        return
    for key, value in pairs:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _set(tree: Any, path: tuple[Any, ...], value: object) -> None:  # noqa: ANN401 - any value
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


def _get(tree: Any, path: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any value
    for key in path:
        tree = tree[key]
    return tree


def _kin(value: object, number: int) -> object:
    """Another value of the same kind, which may stand there as well."""
    match value:
        case bool():
            return not value
        case int():
            near = [value - 1, value + 1, -value, 2 * value, number % 40 - 20]
            return [*near, 0, 2**32 - 1, INTEGER_MAX, -INTEGER_MAX][number % 9]
        case bytes():
            sets = [TokenSet.span(-99, number % 20), TokenSet.of(range(-99, 20, 1 + number % 7))]
            fills = [bytes(len(value)), b"\xff" * len(value), value[::-1], value + value, b""]
            return [*fills, *(it.encode() for it in sets)][number % 7]
        case str():
            return ["a", "whole", "part", "item-9", value + value, value[:-1], "0"][number % 7]
        case list():
            return [value[1:], value + value, value[::-1], []][number % 4]
        case _:
            return value


@st.composite
def with_other_values(draw: st.DrawFn, messages: st.SearchStrategy[Message]) -> bytes:
    """The bytes of a message in which other values stand in some places."""
    message = draw(messages)
    picks = draw(st.lists(st.tuples(_numbers, _numbers), min_size=1, max_size=3))
    tree = cbor2.loads(wire.encode(message, Format.CBOR))
    may_fit = draw(st.sampled_from([True, True, False]))
    for place, number in picks:
        places = list(_places(tree))
        path = places[place % len(places)]
        wrong = VALUES[number % len(VALUES)]
        _set(tree, path, copy.deepcopy(_kin(_get(tree, path), number) if may_fit else wrong))
    return cbor2.dumps(tree)


@st.composite
def with_other_json(draw: st.DrawFn, messages: st.SearchStrategy[Message]) -> bytes:
    """The same, as JSON that may be none."""
    message = draw(messages)
    place, piece = draw(_numbers), draw(st.sampled_from(JSON_PIECES))
    tree = json.loads(wire.encode(message, Format.JSON))
    places = list(_places(tree))
    _set(tree, places[place % len(places)], "@here@")
    return json.dumps(tree).encode().replace(b'"@here@"', piece)


def hostile(messages: st.SearchStrategy[Message]) -> st.SearchStrategy[bytes]:
    """Any of these."""
    return damaged(messages) | with_other_values(messages) | with_other_json(messages)
