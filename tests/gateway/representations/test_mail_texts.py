import email
import email.policy

import pytest

from gateway.representations import mail_texts


@pytest.mark.parametrize(
    ("data", "charset", "expected"),
    [
        (b"J\xc3\xb6", None, "J\u00f6"),
        (b"J\xf6", None, "J\u00f6"),
        (b"J\xc3\xb6", "iso-8859-1", "J\u00f6"),
        (b"\x93J\xf6\x94", "ISO-8859-1", "\u201cJ\u00f6\u201d"),
        (b"\x1b$B$9\x1b(B", "iso-2022-jp", "\u3059"),
        ("\u2460".encode("cp932"), "Shift_JIS", "\u2460"),
        ("\u9555".encode("gb18030"), "gb2312", "\u9555"),
        (b"J\xf6", "no-such-charset", "J\u00f6"),
        (b"J\xf6", "utf-8", "J\ufffd"),
        (b"J", '"us-ascii"', "J"),
        (b"\x9d", "rot13", "\ufffd"),
    ],
)
def test_bytes_are_text_whatever_they_claim(
    data: bytes, charset: str | None, expected: str
) -> None:
    assert mail_texts.decoded(data, charset) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a b", "a b"),
        ("=?utf-8?q?J=C3=B6?= a", "J\u00f6 a"),
        ("=?utf-8?b?44G+?= =?utf-8?b?44G/?=", "\u307e\u307f"),
        ("=?utf-8?q?=E3=81?= a", "\ufffd a"),
        ("=?none?q?a?=", "a"),
        ("=?utf-8?b?!?=", "=?utf-8?b?!?="),
        ("=?utf-8?b?4?=", "=?utf-8?b?4?="),
    ],
)
def test_encoded_words(value: str, expected: str) -> None:
    assert mail_texts.words(value) == expected


def test_fields_have_one_line_and_any_bytes() -> None:
    message = email.message_from_bytes(b"X: a\r\n b\nY: J\xc3\xb6\nZ: J\xf6\n\n")
    assert mail_texts.field(message, "x") == "a b"
    assert mail_texts.field(message, "Y") == mail_texts.field(message, "Z") == "J\u00f6"
    assert mail_texts.field(message, "None") == ""


def test_html_is_shown_as_its_text() -> None:
    html = (
        "<html><head><title>t</title><style>p {}</style></head><body><h1>A&amp;B</h1>"
        "<p>a\nb <b>c</b></p><p></p><p></p><script>x()</script>d<br>e<td>f</table></body></html>"
    )
    assert mail_texts.without_marks(html).strip() == "A&B\n\na b c\n\nd\ne\nf"


def test_html_that_never_ends_what_it_begins() -> None:
    assert mail_texts.without_marks("<p>a<style>b").strip() == "a"
    assert mail_texts.without_marks("<head><title>a<body>b") == "b"
