import pytest

from gateway.representations import texts


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  a \r\n b\rc ", "a \n b\nc"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("a\0b\ufeff\x1bc\td", "abc\td"),
        ("\r\n \0", None),
        ("", None),
    ],
)
def test_whole_texts_keep_their_lines(value: str, expected: str | None) -> None:
    assert texts.whole(value) == expected


def test_whole_texts_are_not_cut() -> None:
    assert texts.whole("a" * 10**6) == "a" * 10**6


def test_a_line_has_no_line_ends_and_is_cut() -> None:
    assert texts.line(" a\n\tb  c ") == "a b c"
    assert texts.line("abc d", chars_max=4) == "abc"
    assert texts.line("\n\0") is None


def test_lines_are_cut() -> None:
    assert texts.lines("a\nb", chars_max=3) == "a\nb"
    assert texts.lines("ab\nc", chars_max=3) == "ab"


def test_entries_are_numbered_each_once() -> None:
    assert texts.numbered(["a", None, "b", "a"]) == {"1": "a", "2": "b"}
    assert texts.numbered([None]) is None
    many = texts.numbered(range(1000))
    assert many is not None
    assert len(many) == texts.ENTRIES_MAX


def test_sets_keep_their_order() -> None:
    assert texts.true_for(["b", None, "a", "", "b"]) == {"b": True, "a": True}
    assert list(texts.true_for(["b", "a"]) or ()) == ["b", "a"]
    assert texts.true_for([""]) is None
