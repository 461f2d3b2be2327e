import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.importing.found import Found, FoundItem, Left, Missing
from gateway.importing.identity import IdRegistry
from gateway.importing.mails import HEADER_BYTES_MAX, read_mail
from gateway.importing.taking import Taking


def _read(content: bytes) -> list[Found]:
    return list(read_mail(content, Taking("m.eml", folder="", ids=IdRegistry())))


def _read_one(content: bytes) -> tuple[str, int | None]:
    (item,) = _read(content)
    assert isinstance(item, FoundItem)
    assert (item.kind, item.media_type) == ("mail", "message/rfc822")
    assert item.content == content
    return item.id, item.date


@pytest.mark.parametrize(
    ("message_id", "expected"),
    [
        (b"Message-ID: <a@b>\r\n", "a@b"),
        (b"message-id:<a@b>\n", "a@b"),
        (b"MESSAGE-ID\t:\r\n <a@\r\n b>\r\n", "a@b"),
        (b"Message-Id: a@b\r", "a@b"),
        (b"Message-ID  : <1234   @   local(c)  .example>\n", "1234@local(c).example"),
        (b"Message-ID: <a@b>\nMessage-ID: <c@d>\n", "a@b"),
        ("Message-ID: <\u00e4@b>\n".encode(), "\u00e4@b"),
    ],
)
def test_a_mail_is_called_by_its_message_id(message_id: bytes, expected: str) -> None:
    assert _read_one(b"From: x\n" + message_id + b"\nMessage-ID: <no>\n") == (expected, None)


@pytest.mark.parametrize(
    "message_id", [b"", b"Message-ID: <>\n", b"Message-ID:\n", b"Message-ID: \xff\n"]
)
def test_a_mail_without_one_is_called_by_its_digest(message_id: bytes) -> None:
    content = b"From: x\n" + message_id + b"\nMessage-ID: <a@b>"
    assert _read_one(content)[0] == "sha256-" + hashlib.sha256(content).hexdigest()[:32]


def test_its_date_is_that_of_its_header() -> None:
    date = b"Date: Wed, 15 Jan 2025\r\n 11:00:00 +0100\r\n"
    assert _read_one(b"Message-ID: <a>\r\n" + date + b"\r\nbody") == ("a", 1_736_935_200)


@pytest.mark.parametrize(
    "before", [b"From a@b Mon May  2 16:07:05 2005\n", b"\xef\xbb\xbf", b"no field\n"]
)
def test_what_may_stand_before_the_fields(before: bytes) -> None:
    assert _read_one(before + b"Message-ID: <a>\n\n")[0] == "a"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\nTo: x\n", b"hello", b"hello world: x\n", b":\n", b"\0\0:\n\xff: x"]
)
def test_a_file_without_header_fields_is_no_mail(content: bytes) -> None:
    assert _read(content) == [Left("m.eml", "no header fields: not a mail", Missing.DAMAGED)]


def test_a_header_without_end_is_not_read_to_its_end() -> None:
    content = b"To: x\n" * (HEADER_BYTES_MAX // 6 + 1) + b"Message-ID: <a>\n"
    assert _read_one(content)[0].startswith("sha256-")


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd(content: bytes) -> None:
    assert len(_read(content)) == 1
    assert len(_read(b"Message-ID:" + content)) == 1
    assert len(_read(b"Date:" + content + b"\n\n")) == 1
