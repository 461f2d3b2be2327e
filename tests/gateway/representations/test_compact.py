import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.representations.compact import read_beginning, written
from gateway.representations.models import Card, Name, Note
from gateway.representations.registry import RenderError, installed
from sync_protocol import names

_CARD = Card(name=Name(full='Ann "A,\n}" Ö'), notes={"1": Note(note="x,\n" * 3)})


def test_each_property_has_a_line_and_what_is_absent_has_none() -> None:
    assert written(_CARD).decode() == (
        '{\n"@type":"Card",\n"version":"1.0",\n"name":{"full":"Ann \\"A,\\n}\\" Ö"},\n'
        '"notes":{"1":{"note":"x,\\nx,\\nx,\\n"}}\n}'
    )


def test_the_whole_is_json() -> None:
    assert read_beginning(written(_CARD)) == json.loads(written(_CARD))


def test_every_beginning_can_be_read() -> None:
    document = written(_CARD)
    whole = json.loads(document)
    for size in range(len(document)):
        beginning = document[:size]
        found = read_beginning(beginning)
        assert list(found) == list(whole)[: len(found)]
        assert all(whole[name] == value for name, value in found.items())
        assert len(found) == max(0, min(beginning.count(b"\n") - 1, len(whole)))


def test_a_beginning_that_ends_with_a_line_is_read_up_to_there() -> None:
    document = written(_CARD)
    end = document.index(b'"notes"')
    assert read_beginning(document[:end]) == {
        "@type": "Card",
        "version": "1.0",
        "name": {"full": 'Ann "A,\n}" Ö'},
    }


@pytest.mark.parametrize("data", [b"[]", b"{}", b"[\n1\n]", b"{\nx\n", b'{\n"\xff":1\n}'])
def test_other_documents_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_beginning(data)


_RENDERERS = installed()["compact"].renderers
_SAMPLES = {
    "contact": (
        b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=C3=91=\r\n"
        b"=C3=91;B;;;\r\nitem1.TEL;type=CELL;type=pref:+1 2\r\nitem1.X-ABLabel:_$!<Car>!$_\r\n"
        b"ADR;WORK:;;1 St\\, X;Town;;1;Land\r\nBDAY:--0203\r\nORG:A;B\r\n"
        b"PHOTO;BASE64:\r\n /9j/4AAQ\r\nNOTE:a\\nb\r\nEND:VCARD\r\n"
    ),
    "event": (
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:A\\, b\r\n"
        b"DTSTART;TZID=Europe/Berlin:20250101T100000\r\nDURATION:PT1H\r\n"
        b"RRULE:FREQ=WEEKLY;COUNT=3;BYDAY=MO,-1TU\r\nEXDATE:20250108T090000Z\r\n"
        b"ATTENDEE;CN=Bo;PARTSTAT=ACCEPTED:mailto:b@example.org\r\nGEO:1;2\r\n"
        b"ATTACH;VALUE=BINARY;ENCODING=BASE64:aGk=\r\n"
        b"BEGIN:VALARM\r\nTRIGGER:-PT5M\r\nACTION:DISPLAY\r\nEND:VALARM\r\nEND:VEVENT\r\n"
        b"BEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID:20250115T090000Z\r\nSUMMARY:C\r\nEND:VEVENT\r\n"
        b"END:VCALENDAR\r\n"
    ),
    "task": (
        b"BEGIN:VCALENDAR\r\nBEGIN:VTODO\r\nSUMMARY:A\r\nDUE:20250101T100000Z\r\n"
        b"PERCENT-COMPLETE:50\r\nSTATUS:IN-PROCESS\r\nPRIORITY:1\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"
    ),
    "mail": (
        b"From: =?utf-8?q?J=C3=B6?= <j@example.org>\r\nTo: g: a@b, c;, d@e\r\n"
        b"Subject: =?x?b?!?=\r\nDate: Wed, 15 Jan 2025 11:00:00 +0100\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        b"Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\x1b$B$9\x1b(B</p>\r\n--b\r\n"
        b"Content-Type: image/png; name*=utf-8''%C3%B6.png\r\nContent-Transfer-Encoding: base64\r\n"
        b"\r\naGk=\r\n--b--\r\n"
    ),
}


def test_what_a_library_raises_is_a_render_error() -> None:
    parts = (b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(3_000))
    with pytest.raises(RenderError, match=r"it cannot be read \(RecursionError\)"):
        _RENDERERS["mail"](b"".join(parts))


def _render(kind: str, content: bytes) -> None:
    try:
        rendered = _RENDERERS[kind](content)
    except RenderError:
        return
    assert names.media_type(rendered.media_type)
    assert read_beginning(rendered.content) == json.loads(rendered.content.decode())
    assert _RENDERERS[kind](content) == rendered


@pytest.mark.parametrize("kind", _SAMPLES)
def test_the_samples_render(kind: str) -> None:
    assert _RENDERERS[kind](_SAMPLES[kind]).content


@given(kind=st.sampled_from(sorted(_SAMPLES)), content=st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_render_error(kind: str, content: bytes) -> None:
    _render(kind, content)


@given(
    kind=st.sampled_from(sorted(_SAMPLES)),
    begin=st.integers(0, 700),
    length=st.integers(0, 40),
    other=st.one_of(
        st.binary(max_size=20),
        st.text('\r\n ;:=,"\\BEGINDTRUL0123456789?-/', max_size=20).map(str.encode),
    ),
)
def test_no_damage_raises_anything_but_a_render_error(
    kind: str, begin: int, length: int, other: bytes
) -> None:
    sample = _SAMPLES[kind]
    begin %= len(sample)
    _render(kind, sample[:begin] + other + sample[begin + length :])


@given(kind=st.sampled_from(sorted(_SAMPLES)), order=st.randoms(use_true_random=False))
def test_no_order_of_lines_raises_anything_but_a_render_error(kind: str, order: Random) -> None:
    lines = _SAMPLES[kind].splitlines(keepends=True)
    order.shuffle(lines)
    _render(kind, b"".join(lines))
