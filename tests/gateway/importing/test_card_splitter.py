from hypothesis import given
from hypothesis import strategies as st

from gateway.importing.card_splitter import Between, Broken, Card, CardSplitter, Piece
from sync_protocol import limits

_CARD = b"BEGIN:VCARD\nFN:a\nEND:VCARD\n"


def _pieces(content: bytes) -> list[Piece]:
    return list(CardSplitter().pieces(content.splitlines(keepends=True)))


def test_cards_and_what_is_between_them() -> None:
    assert _pieces(b"\n" + _CARD + b"junk\n" + _CARD) == [
        Between(1, b"\n"),
        Card(2, _CARD, has_agent=False),
        Between(5, b"junk\n"),
        Card(6, _CARD, has_agent=False),
    ]


def test_marks_may_be_written_in_any_way() -> None:
    for card in (
        b"begin:vcard\r\nend:vcard\r\n",
        b"BEGIN:vCard\nEND:vCard",
        b"BEGIN : VCARD \rEND:VCARD\t\r",
    ):
        assert _pieces(card) == [Card(1, card, has_agent=False)]


def test_a_byte_order_mark_is_not_part_of_the_card() -> None:
    assert _pieces(b"\xef\xbb\xbf" + _CARD) == [
        Between(1, b"\xef\xbb\xbf"),
        Card(1, _CARD, has_agent=False),
    ]


def test_a_card_within_agent_is_part_of_the_card() -> None:
    for nested in (
        b"BEGIN:VCARD\nFN:boss\nAGENT:\nBEGIN:VCARD\nFN:a\nEND:VCARD\nEND:VCARD\n",
        b"BEGIN:VCARD\nx.agent:\n\nBEGIN:VCARD\nAGENT: begin:vcard\n" + b"END:VCARD\n" * 3,
    ):
        assert _pieces(nested + _CARD)[0] == Card(1, nested, has_agent=True)
        assert len(_pieces(nested + _CARD)) == 2


def test_a_begin_elsewhere_shows_that_the_card_before_lost_its_end() -> None:
    assert _pieces(b"BEGIN:VCARD\nFN:b\n" + _CARD) == [
        Broken(1),
        Card(3, _CARD, has_agent=False),
    ]


def test_a_card_cut_off_by_the_end_of_the_file() -> None:
    assert _pieces(_CARD + b"BEGIN:VCARD\nFN:b\n") == [
        Card(1, _CARD, has_agent=False),
        Broken(4),
    ]


def test_marks_of_other_things_are_lines_like_any_other() -> None:
    card = b"BEGIN:VCARD\nBEGIN:VEVENT\nEND:VEVENT\nBEGINNING:VCARD\nEND:VCARDS\nEND:VCARD\n"
    assert _pieces(card) == [Card(1, card, has_agent=False)]
    assert _pieces(b"END:VCARD\nAGENT:BEGIN:VCARD\n") == [
        Between(1, b"END:VCARD\n"),
        Between(2, b"AGENT:BEGIN:VCARD\n"),
    ]


def test_an_end_in_quoted_printable_or_folded_text_is_text() -> None:
    for text in (
        b"NOTE;ENCODING=QUOTED-PRINTABLE:a=\nEND:VCARD=\nEND:VCARD\nFN:b\n",
        b"NOTE:a\n END:VCARD\n",
    ):
        card = b"BEGIN:VCARD\n" + text + b"END:VCARD\n"
        assert _pieces(card) == [Card(1, card, has_agent=False)]


def test_an_end_after_base64_is_an_end() -> None:
    card = b"BEGIN:VCARD\nNOTE;QUOTED-PRINTABLE:a=\nb\nPHOTO;ENCODING=b:aaa=\nEND:VCARD\n"
    assert _pieces(card) == [Card(1, card, has_agent=False)]


def test_an_end_after_a_needless_soft_break_is_an_end_if_nothing_else_is() -> None:
    card = b"BEGIN:VCARD\nNOTE;QUOTED-PRINTABLE:a=\nEND:VCARD\n"
    assert _pieces(card + b"\n" + _CARD) == [
        Card(1, card, has_agent=False),
        Between(4, b"\n"),
        Card(5, _CARD, has_agent=False),
    ]
    assert _pieces(card) == [Card(1, card, has_agent=False)]


def test_a_card_over_the_limit_is_not_held() -> None:
    line = b"NOTE:" + b"x" * limits.MIB + b"\n"
    lines = [
        b"BEGIN:VCARD\n",
        *[line] * 26,
        b"\n",
        b"END:VCARD\n",
        *_CARD.splitlines(keepends=True),
    ]
    assert list(CardSplitter().pieces(lines)) == [
        Broken(1, too_large=True),
        Card(30, _CARD, has_agent=False),
    ]
    assert list(CardSplitter().pieces(lines[:28])) == [Broken(1, too_large=True)]
    assert list(CardSplitter().pieces([*lines[:28], *lines[:1]])) == [
        Broken(1, too_large=True),
        Broken(29),
    ]


def test_a_mark_after_a_piece_of_a_line_is_not_at_the_beginning_of_one() -> None:
    lines = [b"BEGIN:VCARD\n", b"NOTE:x", b"END:VCARD\n", b"FN:a\n"]
    assert list(CardSplitter().pieces(lines)) == [Broken(1)]


def test_many_ends_in_quoted_printable_text_are_read_in_one_go() -> None:
    text = b"N;QUOTED-PRINTABLE:=\nEND:VCARD\n" * 50_000
    (card,) = _pieces(b"BEGIN:VCARD\n" + text + b"END:VCARD\n")
    assert isinstance(card, Card)


_LINES = st.sampled_from(
    [
        b"BEGIN:VCARD\n",
        b"END:VCARD\r\n",
        b"AGENT:\n",
        b"AGENT:BEGIN:VCARD\n",
        b"N;QUOTED-PRINTABLE:a=\n",
        b"FN:a\n",
        b" b\n",
        b"\n",
        b"\xef\xbb\xbfBEGIN:VCARD\n",
    ]
)


@given(st.lists(_LINES, max_size=30))
def test_nothing_is_lost_but_broken_cards(lines: list[bytes]) -> None:
    pieces = list(CardSplitter().pieces(lines))
    joined = b"".join(piece.content for piece in pieces)
    if not any(isinstance(piece, Broken) for piece in pieces):
        assert joined == b"".join(lines)
    assert len(joined) <= len(b"".join(lines))
    assert [piece.line for piece in pieces] == sorted(piece.line for piece in pieces)
