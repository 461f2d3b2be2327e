import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.importing.card_splitter import Card
from gateway.importing.found import Found, FoundItem, Left, Missing
from gateway.importing.identity import IdRegistry
from gateway.importing.taking import Taking
from gateway.importing.vcards import read_cards, uid

_ANN = b"BEGIN:VCARD\r\nVERSION:4.0\r\nUID:ann\r\nFN:Ann\r\nEND:VCARD\r\n"
_BOB = b"BEGIN:VCARD\nVERSION:3.0\nFN:Bob\nEND:VCARD"


def _read(content: bytes) -> list[Found]:
    return list(read_cards(io.BytesIO(content), Taking("f.vcf", folder="", ids=IdRegistry())))


def _contact(id_: str, content: bytes) -> FoundItem:
    return FoundItem(id_, "contact", "", None, "text/vcard", content)


def _digest_id(content: bytes) -> str:
    return "sha256-" + hashlib.sha256(content).hexdigest()[:32]


def test_a_card_alone_is_the_whole_file() -> None:
    for content in (
        _ANN,
        b"\xef\xbb\xbf" + _ANN,
        b"\r\n\xef\xbb\xbf" + _ANN + b"\r\n \n",
    ):
        assert _read(content) == [_contact("ann", content)]


def test_several_cards_are_cut_byte_for_byte() -> None:
    assert _read(b"\xef\xbb\xbf" + _ANN + b"\n" + _BOB) == [
        _contact("ann", _ANN),
        _contact(_digest_id(_BOB), _BOB),
    ]


def test_blank_lines_without_end_are_not_part_of_a_card() -> None:
    assert _read(b"\n" * 100_000 + _ANN) == [_contact("ann", _ANN)]


def test_what_is_no_card_is_left() -> None:
    assert _read(b"hello\n" + _ANN + b"again\n" + _BOB) == [
        _contact("ann", _ANN),
        _contact(_digest_id(_BOB), _BOB),
        Left("f.vcf:1", "text outside of the cards", Missing.DAMAGED),
    ]
    assert _read(b"BEGIN:VCARD\nUID:x\n" + _ANN) == [
        Left("f.vcf:1", "BEGIN:VCARD without its END:VCARD: cut off", Missing.DAMAGED),
        _contact("ann", _ANN),
    ]


@pytest.mark.parametrize("content", [b"", b"\n", b"hello", b"\0\xff\xd8\n\r", b"BEGIN:VCALENDAR\n"])
def test_a_file_without_cards_is_left(content: bytes) -> None:
    assert _read(content) == [Left("f.vcf", "no vCard in it", Missing.DAMAGED)]


def test_a_card_that_is_too_large_is_left() -> None:
    large = b"BEGIN:VCARD\nNOTE:" + b"x" * (25 * 1024 * 1024) + b"\nEND:VCARD\n"
    reason = "larger than 25 MiB, which is the limit for one item"
    assert _read(large) == [Left("f.vcf:1", reason, Missing.DAMAGED)]
    assert _read(_ANN + large + _BOB)[1] == Left("f.vcf:6", reason, Missing.DAMAGED)


def test_of_two_cards_with_one_uid_the_first_is_taken() -> None:
    other = _ANN.replace(b"FN:Ann", b"FN:Anna")
    assert _read(_ANN + _ANN + other) == [
        _contact("ann", _ANN),
        Left("f.vcf:6", "duplicate of f.vcf:1"),
        Left("f.vcf:11", "its id is already that of f.vcf:1, which has other content"),
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"UID:a\r\n", b"a"),
        (b"uid: a \n", b"a"),
        (b"UID:a\r", b"a"),
        (b"UID:a\r\n b\r\n", b"ab"),
        (b"UID\n :a\n", b"a"),
        (b"UID;VALUE=text:a\n", b"a"),
        (b"item1.UID:a\nUID:b\n", b"a"),
        (b"X-UID:b\nX-ABUID:c\nUID:a\n", b"a"),
        (b"NOTE:UID:b\nREV:1\n", None),
        (b"NOTE:b\n UID:b\n", None),
        (b"NOTE;QUOTED-PRINTABLE:b=\nUID:b\n", None),
        (b"NOTE;QUOTED-PRINTABLE:b=\r\nUID:b=\r\n\r\nUID:a\r\n", b"a"),
        (b"AGENT:\nBEGIN:VCARD\nUID:b\nEND:VCARD\n", None),
        (b"AGENT:\nBEGIN:VCARD\nUID:b\nEND:VCARD\nUID:a\n", b"a"),
        (b"AGENT:BEGIN:VCARD\nUID:b\nEND:VCARD\nUID:a\n", b"a"),
        (b"UID\n", None),
        (b"UID:\n", b""),
    ],
)
def test_the_uid_of_a_card(lines: bytes, expected: bytes | None) -> None:
    content = b"BEGIN:VCARD\n" + lines + b"END:VCARD\n"
    assert uid(Card(1, content, has_agent=b"AGENT" in content)) == expected


_LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"])
_PROPERTIES = st.lists(
    st.sampled_from(["VERSION:3.0", "UID:u", "FN:x", "PHOTO:aaa=", " x", "EMAIL:y", "B", "\0", ""])
)


@st.composite
def _cards(draw: st.DrawFn) -> bytes:
    line_end = draw(_LINE_ENDS)
    lines = ["BEGIN:VCARD", *draw(_PROPERTIES), "END:VCARD", ""]
    return line_end.join(lines).encode()


@given(st.lists(_cards(), min_size=2, unique=True))
def test_cards_joined_are_split_again(cards: list[bytes]) -> None:
    # Every card gets an id of its own, so that none is left for that.
    numbered = [card.replace(b"UID:u", b"UID:%d" % number) for number, card in enumerate(cards)]
    found = _read(b"".join(numbered))
    assert [item.content for item in found if isinstance(item, FoundItem)] == numbered
    assert len(found) == len(numbered)


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd(content: bytes) -> None:
    assert _read(content)
    assert _read(_ANN + content + _BOB)
    assert _read(b"BEGIN:VCARD\n" + content + b"\nEND:VCARD\n")
