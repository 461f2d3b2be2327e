"""Foreign text is harmless on a terminal, and tables fit."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from device_agent.printing import (
    age_text,
    date_text,
    moment_text,
    safe_line,
    safe_text,
    size_text,
    table,
)

any_text = st.text(st.characters(exclude_categories=()))
ROWS = [
    ("short", "contact", "", "", "1 KiB"),
    ("x" * 50, "contact", "Friends and family/Far away", "", "12 B of 1 KiB"),
    ("漢字" * 20, "event", "", "", "0 B"),
]
HEADER = ("ID", "KIND", "FOLDER", "FLAGS", "SIZE")


def lines(width: int | None) -> list[str]:
    return list(table(HEADER, lambda: ROWS, width=width))


@given(any_text)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    kept = {"\n", "\t"}
    for made, allowed in ((safe_line(text), set[str]()), (safe_text(text), kept)):
        bad = [char for char in made if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}]
        assert set(bad) <= allowed
        assert set(made).isdisjoint("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200f")


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_is_harmless_stays(text: str) -> None:
    assert safe_line(text) == safe_text(text) == text


def test_what_is_not_is_spelt_out() -> None:
    assert safe_line("\x1b]0;x\x07\r\n\t\x9b") == r"\x1b]0;x\x07\r\n\t\x9b"
    assert safe_text("a\r\nb\rc\td") == "a\nb\\rc\td"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_fits(width: int) -> None:
    found = lines(width)
    assert all(cell_len(line) <= width for line in found)
    assert len(found) == len(ROWS) + 1
    assert found[1].startswith("short ")
    assert ("…" in found[2]) == (width < 107)


def test_a_column_without_values_is_left_out() -> None:
    assert "FLAGS" not in lines(200)[0]


def test_without_a_width_nothing_is_cut() -> None:
    assert "…" not in "".join(lines(None))


def test_a_table_without_rows_is_nothing() -> None:
    assert list(table(HEADER, list, width=80)) == []


def test_sizes() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 1536, 25 * 2**20)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 KiB",
        "25.0 MiB",
    ]


def test_dates() -> None:
    assert date_text(None) == ""
    assert date_text(0) == "1970-01-01"
    assert date_text(-86_400) == "1969-12-31"
    assert date_text(2**53) == str(2**53)
    assert len(moment_text(0)) == 19


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7199, "119 min ago"),
        (7200, "2 h ago"),
        (2 * 86_400, "2 days ago"),
        (-1, "in the future: a clock was set back"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
