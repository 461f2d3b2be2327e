import pytest

from programs.printable import safe_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zo\u00eb's file", "Zo\u00eb's file"),
        ("two\nlines", r"two\nlines"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("turned \u202e round", r"turned \u202e round"),
    ],
)
def test_one_harmless_line(text: str, shown: str) -> None:
    assert safe_line(text) == shown
