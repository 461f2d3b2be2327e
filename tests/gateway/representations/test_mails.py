from typing import Any

import pytest

from gateway.representations.mails import mail
from gateway.representations.registry import RenderError

_HEAD = "From: Ann <ann@example.org>\r\n"


def _mail(text: str) -> dict[str, Any]:
    content = text.encode("utf-8", "surrogateescape")
    return mail(content).model_dump(by_alias=True, exclude_none=True)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Message-ID: <a@b>", {"messageId": ("a@b",)}),
        ("Message-ID: a@b", {"messageId": ("a@b",)}),
        ("References: <a@b>\r\n <c@d>", {"references": ("a@b", "c@d")}),
        ("In-Reply-To: <a@b>", {"inReplyTo": ("a@b",)}),
        ("Subject: =?utf-8?q?J=C3=B6?=\r\n a", {"subject": "J\u00f6 a"}),
        ("Date: Wed, 15 Jan 2025 11:00:00 +0100", {"sentAt": "2025-01-15T11:00:00+01:00"}),
        ("Date: Wed, 15 Jan 2025 11:00:00 -0000", {"sentAt": "2025-01-15T11:00:00Z"}),
        ("Date: today", {}),
        ("To: undisclosed-recipients:;", {}),
        ("To: a@b, C <c@d>", {"to": ({"email": "a@b"}, {"name": "C", "email": "c@d"})}),
        ('Cc: "=?utf-8?q?J=C3=B6?=" <a@b>', {"cc": ({"name": "J\u00f6", "email": "a@b"},)}),
        ("Reply-To: a@b <a@b>", {"replyTo": ({"email": "a@b"},)}),
    ],
)
def test_fields(field: str, expected: dict[str, Any]) -> None:
    assert _mail(f"{_HEAD}{field}\r\n\r\n") == {
        "from": ({"name": "Ann", "email": "ann@example.org"},),
        "hasAttachment": False,
        **expected,
    }


def test_a_plain_body_is_whole_and_its_preview_short() -> None:
    text = "a \r\n" * 1_000
    shown = _mail(f"{_HEAD}\r\n{text}")
    assert shown["bodyValues"] == {"1": {"value": text.replace("\r\n", "\n").strip()}}
    assert shown["preview"] == ("a " * 128).strip()


def _multipart(kind: str, *parts: str) -> str:
    body = "".join(f"--b\r\n{part}\r\n" for part in parts)
    type_ = f'Content-Type: multipart/{kind}; boundary="b"'
    return f"{_HEAD}MIME-Version: 1.0\r\n{type_}\r\n\r\n{body}--b--\r\n"


_PLAIN = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSsO2"
_HTML = "Content-Type: text/html\r\n\r\n<p>html</p>"
_IMAGE = (
    "Content-Type: image/png; name*=utf-8''%C3%B6.png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "aGk="
)


def test_plain_text_is_taken_rather_than_html() -> None:
    for parts in ((_PLAIN, _HTML), (_HTML, _PLAIN)):
        shown = _mail(_multipart("alternative", *parts))
        assert shown["bodyValues"] == {"1": {"value": "J\u00f6"}}
        assert shown["hasAttachment"] is False


def test_html_alone_is_shown_as_its_text() -> None:
    assert _mail(_multipart("mixed", _HTML))["bodyValues"] == {"1": {"value": "html"}}


def test_attachments_are_listed_without_their_bytes() -> None:
    attached = "Content-Disposition: attachment\r\n" + _PLAIN
    within = "Content-Type: message/rfc822\r\n\r\nSubject: b\r\n\r\nhi"
    shown = _mail(_multipart("mixed", _HTML, _IMAGE, attached, within))
    assert shown["hasAttachment"] is True
    assert shown["attachments"][:2] == (
        {"name": "\u00f6.png", "type": "image/png", "size": 2},
        {"type": "text/plain", "size": 3},
    )
    assert shown["attachments"][2]["type"] == "message/rfc822"
    assert "name" not in shown["attachments"][2]


def test_what_names_the_mail_is_first_and_the_text_last() -> None:
    shown = _mail(f"References: <r>\r\nTo: a@b\r\n{_HEAD}Subject: s\r\nMessage-ID: <1>\r\n\r\ntext")
    assert list(shown) == [
        "messageId", "subject", "from", "to", "preview", "hasAttachment", "references",
        "bodyValues",
    ]  # fmt: skip


def test_parts_in_parts_without_end_are_left() -> None:
    deep = "".join(
        f'Content-Type: multipart/mixed; boundary="{n}"\r\n\r\n--{n}\r\n' for n in range(90)
    )
    assert _mail(f"{_HEAD}{deep}\r\nhi")["hasAttachment"] is False


def test_a_thread_of_any_length_shows_its_newest() -> None:
    references = "".join(f"\r\n <{number}@a>" for number in range(300))
    shown = _mail(f"{_HEAD}References:{references}\r\n\r\n")
    assert shown["references"][0] == "200@a"
    assert shown["references"][-1] == "299@a"


@pytest.mark.parametrize("text", ["", "\r\n\r\n", "Date: x\r\n\r\n \r\n"])
def test_a_mail_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(RenderError, match="no subject, no sender and no text"):
        _mail(text)
