import pytest

from gateway.representations import card_lines
from gateway.representations.card_lines import CardLine, read_card


def _line(text: str | bytes) -> CardLine:
    """The one line of a card."""
    content = text if isinstance(text, bytes) else text.encode()
    (line,) = read_card(b"BEGIN:VCARD\r\n" + content + b"\r\nEND:VCARD\r\n")
    return line


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("TEL:1", ()),
        ("TEL;CELL;PREF:1", ("cell", "pref")),
        ("TEL;TYPE=CELL,voice:1", ("cell", "voice")),
        ('TEL;TYPE="cell,voice":1', ("cell", "voice")),
        ("tel;type=CELL;type=pref:1", ("cell", "pref")),
    ],
)
def test_types_of_all_versions(text: str, types: tuple[str, ...]) -> None:
    line = _line(text)
    assert (line.name, tuple(line.types), line.value) == ("TEL", types, "1")


def test_groups_and_other_parameters() -> None:
    line = _line('item1.TEL;PREF=2;LABEL="a, b":1')
    assert (line.group, line.parameters) == ("item1", {"PREF": "2", "LABEL": "a, b"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"FN:J\xc3\xb6", "J\u00f6"),
        (b"FN:J\xf6", "J\u00f6"),
        (b"FN;CHARSET=ISO-8859-2:\xb9", "\u0161"),
        (b"FN;CHARSET=NONE:\xf6", "\u00f6"),
        ("FN;ENCODING=QUOTED-PRINTABLE:J=C3=B6=20", "J\u00f6 "),
        ("FN;QUOTED-PRINTABLE:J=C3=\r\n=B6", "J\u00f6"),
        ("FN;ENCODING=quoted-printable:J=C3=B6", "J=C3=B6"),
        ("FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3", "J\ufffd"),
        ("FN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:J=F6", "J\u00f6"),
        ("FN;CHARSET=NONE;ENCODING=QUOTED-PRINTABLE:J=F6", "J\u00f6"),
        ("FN:a\r\n b\r\n\tc", "abc"),
    ],
)
def test_values_are_decoded(text: str | bytes, value: str) -> None:
    assert _line(text).value == value


def test_more_folds_than_any_text_has() -> None:
    assert len(_line(b"PHOTO:" + b"\r\n abcd" * 20_000).value) == 80_000


def test_backslashes_and_fields() -> None:
    line = _line(r"ADR:a\,b\nc;\;d\\;;e\:f")
    assert line.text == "a,b\nc;;d\\;;e:f"
    assert line.fields() == ["a,b\nc", ";d\\", "", "e:f"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('TEL;TYPE="CELL:1', "TEL"),
        ("TEL; TYPE=CELL:1", "TEL"),
        ("X TEL;CELL:1", "X TEL"),
        ("TEL;CELL" + ";A=,," * card_lines.SEPARATORS_MAX + ":1", "TEL"),
    ],
)
def test_lines_that_vobject_refuses_are_read_without_it(text: str, name: str) -> None:
    line = _line(text)
    assert (line.name, line.value) == (name, "1")
    assert "cell" in line.types


def test_parameters_that_vobject_would_take_for_ever_for() -> None:
    assert _line("TEL;A" + "," * 1_000 + '":1').value == "1"


def test_a_card_within_a_card_is_left_out() -> None:
    found = read_card(
        b"\r\n\xef\xbb\xbfBEGIN:VCARD\nFN:Ann\nAGENT:\nBEGIN:VCARD\nFN:Bo\nEND:VCARD\nTEL:1\nEND:VCARD\n"
        b"BEGIN:VCARD\nFN:Cy\nEND:VCARD\n"
    )
    assert [line.value for line in found] == ["Ann", "", "1"]


def test_lines_without_a_colon_are_nothing() -> None:
    assert not read_card(b"BEGIN:VCARD\nnothing\nEND:VCARD\n")
    assert not read_card(b"FN:Ann\n")
