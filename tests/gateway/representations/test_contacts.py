import base64
from typing import Any

import pytest

from gateway.representations.contacts import card
from gateway.representations.registry import RenderError

_JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(3)).decode()
_OTHER = base64.b64encode(b"other").decode()


def _card(*lines: str) -> dict[str, Any]:
    """What is shown of a card with these lines and a name, but for its type and name."""
    content = "\r\n".join(["BEGIN:VCARD", "VERSION:3.0", "FN:Ann", *lines, "END:VCARD", ""])
    shown = card(content.encode()).model_dump(by_alias=True, exclude_none=True)
    assert (shown.pop("@type"), shown.pop("version")) == ("Card", "1.0")
    assert shown.pop("name")["full"] == "Ann"
    return shown


def _name(*lines: str) -> dict[str, Any] | None:
    content = "\n".join(["BEGIN:VCARD", *lines, "END:VCARD"])
    shown = card(content.encode()).model_dump(by_alias=True, exclude_none=True)
    name: dict[str, Any] | None = shown.get("name")
    return name


def test_names() -> None:
    assert _name("N:Doe;Ann;Mary;Dr.;Jr.", "FN:Ann Doe") == {"full": "Ann Doe"}
    assert _name("N:Doe;Ann;Mary;Dr.;Jr.", "FN:") == {"full": "Dr. Ann Mary Doe Jr."}
    assert _name("FN:Doe, Ann") == {"full": "Doe, Ann"}
    assert _name("TEL:1") is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["UID:a-1"], {"uid": "a-1"}),
        (["KIND:group", "MEMBER:urn:uuid:1"], {"kind": "group", "members": {"1": True}}),
        (["X-ABShowAs:COMPANY"], {"kind": "org"}),
        (["KIND:x-cat"], {}),
        (["NICKNAME:A,B"], {"nicknames": {"1": {"name": "A"}, "2": {"name": "B"}}}),
        (
            ["TEL;TYPE=CELL,WORK;PREF=3:+1 2", "item1.TEL:3", "item1.X-ABLabel:_$!<Car>!$_"],
            {
                "phones": {
                    "1": {
                        "number": "+1 2",
                        "features": {"mobile": True},
                        "contexts": {"work": True},
                        "pref": 3,
                    },
                    "2": {"number": "3", "label": "Car"},
                }
            },
        ),
        (["TEL;VALUE=uri:tel:+1-2;ext=3"], {"phones": {"1": {"number": "+1-2;ext=3"}}}),
        (
            ["EMAIL;HOME;PREF:mailto:a@example.org"],
            {
                "emails": {
                    "1": {"address": "a@example.org", "contexts": {"private": True}, "pref": 1}
                }
            },
        ),
        (
            ["ORG:A\\, B;C;"],
            {"organizations": {"1": {"name": "A, B", "units": ({"name": "C"},)}}},
        ),
        (["ORG:;;"], {}),
        (
            ["TITLE:A", "ROLE:B"],
            {"titles": {"1": {"name": "A", "kind": "title"}, "2": {"name": "B", "kind": "role"}}},
        ),
        (
            ["X-AIM;HOME:ann", "IMPP:xmpp:ann@example.org"],
            {
                "onlineServices": {
                    "1": {"service": "AIM", "user": "ann", "contexts": {"private": True}},
                    "2": {"uri": "xmpp:ann@example.org"},
                }
            },
        ),
        (
            ["ADR;WORK:Box;Ext;1 St\\nB;Town;Region;123;Land"],
            {
                "addresses": {
                    "1": {
                        "full": "Box\nExt\n1 St\nB\nTown, Region 123\nLand",
                        "contexts": {"work": True},
                    }
                }
            },
        ),
        (['ADR;LABEL="A^nB":;;x'], {"addresses": {"1": {"full": "A\nB"}}}),
        (["ADR:;;;;;;"], {}),
        (
            ["BDAY:1980-03-02", "ANNIVERSARY:20090808T1430-0500"],
            {
                "anniversaries": {
                    "1": {"kind": "birth", "date": {"year": 1980, "month": 3, "day": 2}},
                    "2": {"kind": "wedding", "date": {"year": 2009, "month": 8, "day": 8}},
                }
            },
        ),
        (
            ["BDAY:--0203", "BDAY:1604-02-04"],
            {
                "anniversaries": {
                    "1": {"kind": "birth", "date": {"month": 2, "day": 3}},
                    "2": {"kind": "birth", "date": {"month": 2, "day": 4}},
                }
            },
        ),
        (["BDAY:1980"], {"anniversaries": {"1": {"kind": "birth", "date": {"year": 1980}}}}),
        (["BDAY:soon", "BDAY:--", "BDAY:---05"], {}),
        (["URL:http\\://a.example"], {"links": {"1": {"uri": "http://a.example"}}}),
        (["CATEGORIES:B,A", "CATEGORIES:B"], {"keywords": {"B": True, "A": True}}),
        (["TEL:", "EMAIL:mailto:", "URL: ", "X-AIM:", "TITLE:", "NICKNAME:", "UID:"], {}),
        (["BDAY:19801301", "BDAY:19800132"], {}),
        (["NOTE:a\\nb", "NOTE:"], {"notes": {"1": {"note": "a\nb"}}}),
    ],
)
def test_properties(lines: list[str], expected: dict[str, Any]) -> None:
    assert _card(*lines) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"PHOTO;ENCODING=b;TYPE=PNG:{_JPEG}", ("image/jpeg", _JPEG)),
        (f"PHOTO;BASE64:\r\n {_JPEG[:4]}\r\n  {_JPEG[4:]}", ("image/jpeg", _JPEG)),
        (f"PHOTO;ENCODING=BASE64;WEBP:{_OTHER.rstrip('=')}", ("image/webp", _OTHER)),
        (f"PHOTO;ENCODING=BASE64:{_OTHER}", ("application/octet-stream", _OTHER)),
    ],
)
def test_photos_are_data(line: str, expected: tuple[str, str]) -> None:
    media_type, data = expected
    uri = f"data:{media_type};base64,{data}"
    assert _card(line)["media"] == {"1": {"kind": "photo", "uri": uri, "mediaType": media_type}}


def test_photos_elsewhere_are_links_and_broken_ones_nothing() -> None:
    uri = "https://a.example/b.jpg"
    assert _card(f"PHOTO;VALUE=uri:{uri}")["media"] == {"1": {"kind": "photo", "uri": uri}}
    assert _card("PHOTO;ENCODING=b:!", "PHOTO;ENCODING=b:", "PHOTO;ENCODING=b:A") == {}


def test_what_names_the_contact_is_first_and_what_is_heavy_last() -> None:
    shown = _card(f"PHOTO;ENCODING=b:{_JPEG}", "NOTE:a", "TEL:1", "EMAIL:a", "UID:1")
    assert list(shown) == ["uid", "phones", "emails", "notes", "media"]


def test_lists_and_texts_are_bounded_but_for_notes() -> None:
    shown = _card(*(f"TEL:{number}" for number in range(200)), f"ORG:{'a' * 9_000}")
    assert len(shown["phones"]) == 100
    assert len(shown["organizations"]["1"]["name"]) == 500
    assert len(_card(f"NOTE:{'a' * 9_000}")["notes"]["1"]["note"]) == 9_000


@pytest.mark.parametrize("content", [b"", b"FN:Ann", b"BEGIN:VCARD\nNOTE:a\nFN: \nEND:VCARD"])
def test_a_card_that_says_nobody_is_refused(content: bytes) -> None:
    with pytest.raises(RenderError, match="neither a name nor a number nor an address"):
        card(content)
