import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.importing import content_lines
from gateway.importing.content_lines import Property, SoftBreaks


def _lines(content: bytes, **options: int) -> list[bytes]:
    return list(content_lines.physical_lines(io.BytesIO(content), **options))


class _OneByteAtATime:
    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, _size: int, /) -> bytes:
        return self._file.read(1)


def test_each_kind_of_line_end() -> None:
    assert _lines(b"a\nb\r\nc\rd\r\r\ne") == [b"a\n", b"b\r\n", b"c\r", b"d\r\r\n", b"e"]
    assert _lines(b"") == []
    assert _lines(b"\n\r\n") == [b"\n", b"\r\n"]
    assert _lines(b"a\r") == [b"a\r"]


@given(st.text("ab\r\n", max_size=40))
def test_lines_joined_are_the_file_wherever_it_is_torn(text: str) -> None:
    content = text.encode()
    torn = list(content_lines.physical_lines(_OneByteAtATime(content)))
    assert b"".join(torn) == content
    assert all(line.rstrip(b"\r\n").find(b"\n") < 0 for line in torn)


@given(st.text("a\r\n", max_size=40).filter(lambda text: "\r\r\r" not in text))
def test_lines_are_the_same_wherever_the_file_is_torn(text: str) -> None:
    content = text.encode()
    assert list(content_lines.physical_lines(_OneByteAtATime(content))) == _lines(content)


def test_many_soft_breaks_behind_a_long_line_are_not_looked_up_each_time() -> None:
    begun = b"X;" + b"QUOTED-PRINTABLE" * 20_000 + b"=\n"
    lines = [begun, *[b" =\n"] * 200_000, b" .\n", b"next\n"]
    assert [group[0] for group in content_lines.content_lines(lines)] == [begun, b"next\n"]


def test_lines_around_the_end_of_a_chunk() -> None:
    for missing in range(4):
        filler = b"x" * (content_lines.CHUNK_BYTES - missing)
        assert _lines(filler + b"\r\r\nnext\r\n") == [filler + b"\r\r\n", b"next\r\n"]


def test_a_line_longer_than_the_bound_comes_in_pieces() -> None:
    content = b"x" * (3 * content_lines.CHUNK_BYTES) + b"\nnext\n"
    lines = _lines(content, line_bytes_max=content_lines.CHUNK_BYTES)
    assert len(lines) > 2
    assert b"".join(lines) == content
    assert lines[-1] == b"next\n"


def test_long_lines_stay_whole_up_to_the_bound() -> None:
    content = b"x" * (5 * 1024 * 1024) + b"\r\n"
    assert _lines(content + content) == [content, content]


def _unfolded(content: bytes) -> list[bytes]:
    groups = content_lines.content_lines(content.splitlines(keepends=True))
    return [content_lines.unfolded(group) for group in groups]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"UID:a\r\nFN:b\r\n", [b"UID:a", b"FN:b"]),
        (b"UID:a\r\n b\r\n\tc\r\n", [b"UID:abc"]),
        (b"VERSION\n\n :2.0\n", [b"VERSION:2.0"]),
        (b" a\n b\n", [b" ab"]),
        (
            b"N;ENCODING=QUOTED-PRINTABLE:a=\nb=\nc\nUID:d",
            [b"N;ENCODING=QUOTED-PRINTABLE:abc", b"UID:d"],
        ),
        (b"N;quoted-printable:a=\n\nUID:d", [b"N;quoted-printable:a=", b"UID:d"]),
        (b"PHOTO;ENCODING=b:aaa=\nUID:d", [b"PHOTO;ENCODING=b:aaa=", b"UID:d"]),
        (b"\n\r\n", []),
    ],
)
def test_content_lines_are_unfolded(content: bytes, expected: list[bytes]) -> None:
    assert _unfolded(content) == expected


def test_a_fold_within_a_character_is_mended() -> None:
    assert _unfolded("SUMMARY:\u00e4".encode()[:-1] + b"\r\n \xa4") == ["SUMMARY:\u00e4".encode()]


def test_a_content_line_of_very_many_lines_is_cut() -> None:
    lines = [b"PHOTO:", *[b" x"] * 2_000, b"UID:a"]
    photo, uid = content_lines.content_lines(lines)
    assert len(photo) == content_lines.FOLDS_MAX
    assert uid == [b"UID:a"]


def test_soft_breaks_agree_with_content_lines() -> None:
    lines = [b"N;QUOTED-PRINTABLE:a=\n", b"END:VCARD=\n", b"b\n", b"PHOTO:c=\n", b"d\n"]
    soft_breaks = SoftBreaks()
    states = [soft_breaks.at_end_of(lines[: count + 1]) for count in range(len(lines))]
    assert states == [True, True, False, False, False]
    assert SoftBreaks().at_end_of(lines[:2])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"UID:a:b", Property(b"UID", b"", b"a:b")),
        (b"item1.tel;TYPE=cell: 1 ", Property(b"TEL", b";TYPE=cell", b"1")),
        (b'ORGANIZER;CN="a:b":mailto:c', Property(b"ORGANIZER", b';CN="a:b"', b"mailto:c")),
        (b'X;CN="a:b', Property(b"X", b';CN="a', b"b")),
        (b"DTSTART;;VALUE=DATE:1", Property(b"DTSTART", b";;VALUE=DATE", b"1")),
        (b":", Property(b"", b"", b"")),
        (b"X", None),
    ],
)
def test_a_property_is_parsed(line: bytes, expected: Property | None) -> None:
    assert content_lines.parsed(line) == expected


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (b"", None),
        (b";VALUE=DATE", None),
        (b";VALUE=DATE;TZID=Europe/Berlin", b"Europe/Berlin"),
        (b";tzid=UTC;VALUE=DATE", b"UTC"),
        (b';TZID="(UTC+1) A; B, C: D";X=1', b"(UTC+1) A; B, C: D"),
        (b';TZID="open', b"open"),
        (b";XTZID=a", None),
    ],
)
def test_a_parameter_is_found(parameters: bytes, expected: bytes | None) -> None:
    assert Property(b"X", parameters, b"").parameter(b"TZID") == expected


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(content: bytes) -> None:
    for line in _unfolded(content):
        property_ = content_lines.parsed(line)
        if property_ is not None:
            property_.parameter(b"TZID")


def test_a_line_of_many_colons_and_quotes_is_read_in_one_go() -> None:
    line = b'X;A="' + b":" * 200_000
    assert content_lines.parsed(line) is not None
