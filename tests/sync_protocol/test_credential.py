import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_protocol.addresses import is_host
from sync_protocol.credential import CREDENTIAL_CHARS_MAX, Credential
from sync_protocol.errors import ProtocolError
from sync_protocol.topics import PREFIX_DEFAULT


def der(body: bytes) -> bytes:
    """A SEQUENCE, as a certificate is one."""
    size = len(body)
    head = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2)
    return b"\x30" + head + body


# A pager's, with all that a credential may have.
FULL = Credential(
    device="pager",
    secret="lKq0-3_fJ2mZ8sXcVbN1aQwE",
    host="mqtt.example.org",
    port=8883,
    feeds=("contacts", "mail"),
    topic_prefix="home/sync",
    tls=True,
    ca=der(b"a certificate"),
)
FULL_LINE = (
    "tallysync://pager:lKq0-3_fJ2mZ8sXcVbN1aQwE@mqtt.example.org:8883"
    "?feed=contacts&feed=mail&prefix=home%2Fsync&tls=on&ca=GAGWCIDDMVZHI2LGNFRWC5DF"
)
PLAIN = Credential(
    device="pager", secret="s", host="127.0.0.1", port=21883, feeds=("contacts",)
)  # fmt: skip

names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda it: it != "gateway")
printable = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
hosts = (
    st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}", fullmatch=True)
    | st.ip_addresses().map(str)
    | st.text(printable, min_size=1, max_size=20).filter(is_host)
    | st.just("fe80::1%eth0")
)
credentials = st.builds(
    Credential,
    device=names,
    secret=st.text(printable, min_size=1, max_size=60).filter(str.isprintable),
    host=hosts,
    port=st.integers(1, 65_535),
    feeds=st.lists(names, min_size=1, max_size=10, unique=True).map(tuple),
    topic_prefix=st.sampled_from([PREFIX_DEFAULT, "x", "home/sync", "é/&=?%"]),
    tls=st.sampled_from([None, True, False]),
    ca=st.none() | st.binary(max_size=1500).map(der),
)


@given(credentials)
def test_a_line_says_all_of_a_credential(credential: Credential) -> None:
    line = credential.line()
    assert Credential.parse(line) == credential
    assert line.isascii()
    assert line.isprintable()
    assert " " not in line


def test_a_line_reads_as_documented() -> None:
    assert FULL.line() == FULL_LINE
    assert Credential.parse(FULL_LINE) == FULL
    assert PLAIN.line() == "tallysync://pager:s@127.0.0.1:21883?feed=contacts"
    there = dataclasses.replace(PLAIN, host="::1", tls=False)
    assert there.line() == "tallysync://pager:s@[::1]:21883?feed=contacts&tls=off"


@given(st.data())
def test_a_line_may_be_broken_anywhere(data: st.DataObject) -> None:
    line = FULL_LINE
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(line)))
        line = line[:at] + data.draw(st.sampled_from(["\n", "\r\n", "  ", "\n \t"])) + line[at:]
    assert Credential.parse(line) == FULL


def test_capitals_of_the_certificate_may_be_small_ones() -> None:
    head, ca = FULL_LINE.rsplit("=", 1)
    assert Credential.parse(f"{head}={ca.lower()}") == FULL


# Before the first feed is named in full; later cuts may leave a credential of less.
@pytest.mark.parametrize("cut", range(FULL_LINE.index("feed=") + len("feed=")))
def test_a_line_that_was_cut_is_refused_and_never_shows_the_secret(cut: int) -> None:
    with pytest.raises(ProtocolError, match="gateway device add") as refused:
        Credential.parse(FULL_LINE[:cut])
    assert refused.value.reason == "credential"
    # Not even the part of it that is there.
    assert FULL.secret[:6] not in str(refused.value)


@pytest.mark.parametrize("cut", range(FULL_LINE.index("&ca=") + 1, len(FULL_LINE)))
def test_a_certificate_that_was_cut_is_refused(cut: int) -> None:
    with pytest.raises(ProtocolError):
        Credential.parse(FULL_LINE[:cut])


def test_the_secret_is_not_in_what_a_log_would_show() -> None:
    assert FULL.secret not in repr(FULL)
    assert FULL.secret not in str(FULL)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "it begins with tallysync://"),
        ("http://a:secret@h:1?feed=f", "it begins with tallysync://"),
        ("tallysync://a:secret@h:1", "was it copied in full?"),
        ("tallysync://a:secret?feed=f", "was it copied in full?"),
        ("tallysync://secret@h:1?feed=f", "was it copied in full?"),
        ("tallysync://a:secret@h:1?", "was it copied in full?"),
        ("tallysync://a:secret@h:1?tls=on", "at least one feed"),
        ("tallysync://a:secret@h:1?feed=f&feed=f", "each once"),
        ("tallysync://a:secret@h:1?feed=a/b", "a feed name is"),
        ("tallysync://a/b:secret@h:1?feed=f", "a device id is"),
        ("tallysync://gateway:secret@h:1?feed=f", "the gateway's own name"),
        ("tallysync://a:@h:1?feed=f", "a device's secret is printable text"),
        ("tallysync://a:secret%00@h:1?feed=f", "a device's secret is printable text"),
        ("tallysync://a:secret%0A@h:1?feed=f", "a device's secret is printable text"),
        ("tallysync://a:secret%FF@h:1?feed=f", "it is not UTF-8 text"),
        ("tallysync://a:secret@h?feed=f", "a broker is HOST:PORT"),
        ("tallysync://a:secret@h:0?feed=f", "a broker's port is 1 to 65535"),
        ("tallysync://a:secret@h:65536?feed=f", "a broker's port is 1 to 65535"),
        ("tallysync://a:secret@::1:1?feed=f", "an IPv6 address stands in brackets"),
        ("tallysync://a:secret@h%2Fx:1?feed=f", "a broker is HOST:PORT"),
        ("tallysync://a:secret@h:1/?feed=f", "a broker's port is 1 to 65535"),
        ("tallysync://a:secret@h:1?feed=f&tls=maybe", "tls is on or off, not 'maybe'"),
        ("tallysync://a:secret@h:1?feed=f&tls=on&tls=off", "tls is there twice"),
        ("tallysync://a:secret@h:1?feed=f&prefix=a/%2B", "a topic prefix is"),
        ("tallysync://a:secret@h:1?feed=f&prefix=", "a topic prefix is"),
        ("tallysync://a:secret@h:1?feed=f&ca=10", "ca is not in base32"),
        ("tallysync://a:secret@h:1?feed=f&ca=", "the CA's certificate is not whole"),
        ("tallysync://a:secret@h:1?feed=f&ca=GAGWC", "the CA's certificate is not whole"),
        ("tallysync://a:secret@h:1?feed=f&pin=1", "a part 'pin' that this version does not know"),
    ],
)
def test_what_cannot_be_is_refused_with_why(line: str, why: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        Credential.parse(line)
    assert why in str(refused.value)
    assert "secret@" not in str(refused.value)
    assert "tallysync://ID:SECRET@HOST:PORT" in str(refused.value)


@given(st.text(max_size=200).map(lambda it: f"tallysync://{it}"))
def test_any_text_is_a_credential_or_refused(text: str) -> None:
    try:
        found = Credential.parse(text)
    except ProtocolError:
        return
    assert Credential.parse(found.line()) == found


def test_a_credential_is_bounded() -> None:
    full = 4 * 1024
    with pytest.raises(ValueError, match="a credential has at most 8192 characters"):
        dataclasses.replace(PLAIN, ca=der(b"x" * (full + 2000)))
    most = dataclasses.replace(PLAIN, ca=der(b"x" * full))
    assert len(most.line()) <= CREDENTIAL_CHARS_MAX
    assert Credential.parse(most.line() + "\n" * CREDENTIAL_CHARS_MAX).ca == most.ca
    for text in (
        FULL_LINE + "A" * CREDENTIAL_CHARS_MAX,
        FULL_LINE + "\n" * 2 * CREDENTIAL_CHARS_MAX,
    ):
        with pytest.raises(ProtocolError, match="it is longer than 8192 characters"):
            Credential.parse(text)


@pytest.mark.parametrize(
    "ca",
    [
        b"",
        b"\x30",
        b"\x31\x00",
        b"\x30\x01",
        b"\x30\x00x",
        b"\x30\x80",
        b"\x30\x81",
        b"\x30\x85" + bytes(5),
        der(b"x" * 300)[:-1],
        der(b"x" * 300) + b"x",
    ],
)
def test_a_certificate_that_is_not_whole_is_refused(ca: bytes) -> None:
    with pytest.raises(ValueError, match="the CA's certificate is not whole, or not in DER"):
        dataclasses.replace(PLAIN, ca=ca)


@pytest.mark.parametrize("host", ["", "a b", "[::1]", "a/b", "a@b", "a\nb"])
def test_a_host_that_cannot_be_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="broker"):
        dataclasses.replace(PLAIN, host=host)
