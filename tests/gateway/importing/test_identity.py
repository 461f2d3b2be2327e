import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.importing.identity import IdRegistry, item_id, located
from sync_protocol import names

_SHA256 = hashlib.sha256(b"content").digest()
_DIGEST_ID = "sha256-" + hashlib.sha256(b"content").hexdigest()[:32]


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (b"urn:uuid:1", "urn:uuid:1"),
        (b" a b ", "a b"),
        ("\u00e4".encode(), "\u00e4"),
        (b"x" * 255, "x" * 255),
        (b"x" * 256, _DIGEST_ID),
        ("\u00e4".encode() * 128, _DIGEST_ID),
        (b"a\tb", _DIGEST_ID),
        (b"a\0", _DIGEST_ID),
        (b"\xff", _DIGEST_ID),
        (b"  ", _DIGEST_ID),
        (b"", _DIGEST_ID),
        (None, _DIGEST_ID),
    ],
)
def test_an_item_is_called_what_it_claims_if_it_may_be(
    claimed: bytes | None, expected: str
) -> None:
    assert item_id(claimed, _SHA256) == expected


@given(st.binary(max_size=300))
def test_every_item_gets_a_legal_id(claimed: bytes) -> None:
    id_ = item_id(claimed, _SHA256)
    assert names.item_id(id_) == id_


def test_the_first_to_claim_an_id_keeps_it() -> None:
    ids = IdRegistry()
    ids.open_file("a")
    assert ids.claim("1", _SHA256, line=0) is None
    ids.open_file("b")
    assert ids.claim("2", _SHA256, line=7) is None
    assert ids.claim("1", _SHA256, line=9) == "duplicate of a"
    ids.open_file("c")
    other = hashlib.sha256(b"other").digest()
    assert ids.claim("2", other, line=1) == "its id is already that of b:7, which has other content"
    assert ids.claim("2", _SHA256, line=1) == "duplicate of b:7"


def test_a_mirror_can_ask_what_was_imported() -> None:
    ids = IdRegistry()
    ids.open_file("a")
    ids.claim("1", _SHA256, line=0)
    assert "1" in ids
    assert "2" not in ids
    assert len(ids) == 1


def test_a_place_in_a_file() -> None:
    assert located("a.vcf", 3) == "a.vcf:3"
    assert located("a.vcf", 0) == "a.vcf"
