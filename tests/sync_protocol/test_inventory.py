"""What names an item and its state in a few bytes, and the ranges they lie in: I1 to I5."""

import hashlib
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_protocol import inventory
from sync_protocol.inventory import ENTRY_BYTES, FINGERPRINT_BYTES, ID_HASH_BYTES
from sync_protocol.messages import Put
from tests.sync_protocol import strategies

DIGEST = bytes(range(16))
ITEM: dict[str, Any] = {
    "kind": "contact",
    "folder": "Friends",
    "flags": ("$a", "b"),
    "date": 5,
    "until": 70,
    "media_type": "text/vcard",
}
hashes = st.binary(min_size=ID_HASH_BYTES, max_size=ID_HASH_BYTES)
etags = st.binary(min_size=inventory.ETAG_BYTES, max_size=inventory.ETAG_BYTES)
entry_lists = st.lists(st.tuples(hashes, etags), max_size=40)


class TestIdHash:
    def test_i1_is_what_the_protocol_says(self) -> None:
        assert inventory.id_hash("Größe") == hashlib.sha256("Größe".encode()).digest()[:6]
        assert inventory.id_hash("a").hex() == "ca978112ca1b"


class TestEtag:
    def test_i2_is_what_the_protocol_says(self) -> None:
        meta = hashlib.sha256(b"7:contact7:Friends10:text/vcard1:52:702:$a1:b").digest()
        assert inventory.etag(DIGEST, **ITEM) == DIGEST[:5] + meta[:3]

    def test_i2_no_date_is_empty_and_lengths_are_bytes(self) -> None:
        item = ITEM | {"folder": "Ä", "date": None, "until": None, "flags": ()}
        meta = hashlib.sha256("7:contact2:Ä10:text/vcard0:0:".encode()).digest()
        assert inventory.etag(DIGEST, **item) == DIGEST[:5] + meta[:3]

    def test_i2_all_of_a_longer_digest_comes_to_the_same(self) -> None:
        # The gateway keeps 32 bytes of it, a device 16.
        assert inventory.etag(DIGEST + bytes(16), **ITEM) == inventory.etag(DIGEST, **ITEM)

    @pytest.mark.parametrize(
        "other",
        [
            {"kind": "event"},
            {"folder": "friends"},
            {"folder": ""},
            {"flags": ("$a",)},
            {"flags": ("$ab",)},
            {"flags": ("$a", "b", "")},
            {"date": -5},
            {"date": 0},
            {"date": None},
            {"date": 70, "until": 5},
            {"until": 71},
            {"until": None},
            {"media_type": "text/plain"},
        ],
        ids=str,
    )
    def test_i2_each_field_changes_it_and_the_content_stays_the_same(
        self, other: dict[str, Any]
    ) -> None:
        one, two = inventory.etag(DIGEST, **ITEM), inventory.etag(DIGEST, **ITEM | other)
        assert one != two
        assert inventory.is_same_content(one, two)

    def test_i2_another_digest_is_another_content(self) -> None:
        for place in range(5):
            digest = bytearray(DIGEST)
            digest[place] ^= 1
            other = inventory.etag(bytes(digest), **ITEM)
            assert not inventory.is_same_content(inventory.etag(DIGEST, **ITEM), other)

    def test_i2_fields_cannot_flow_into_each_other(self) -> None:
        one = ITEM | {"folder": "a", "media_type": "b/c"}
        two = ITEM | {"folder": "ab", "media_type": "/c"}
        assert inventory.etag(DIGEST, **one) != inventory.etag(DIGEST, **two)

    @given(strategies.puts())
    def test_i2_any_item_has_one(self, put: Put) -> None:
        made = inventory.etag(
            put.digest,
            kind=put.kind,
            folder=put.folder,
            flags=put.flags,
            date=put.date,
            until=put.until,
            media_type=put.media_type,
        )
        assert len(made) == inventory.ETAG_BYTES


class TestEntries:
    @given(entry_lists)
    def test_i3_stand_in_order_whatever_order_they_came_in(
        self, entries: list[tuple[bytes, bytes]]
    ) -> None:
        packed = inventory.pack(entries)
        assert len(packed) == ENTRY_BYTES * len(entries)
        assert list(inventory.unpack(packed)) == sorted(entries)
        assert inventory.pack(reversed(entries)) == packed

    def test_i4_a_fingerprint_is_what_the_protocol_says(self) -> None:
        one, two = (b"\1" * 6, b"\2" * 8), (b"\0" * 6, b"\3" * 8)
        packed = b"\0" * 6 + b"\3" * 8 + b"\1" * 6 + b"\2" * 8
        assert inventory.fingerprint([one, two]) == hashlib.sha256(packed).digest()[:6]
        assert inventory.fingerprint([]).hex() == "e3b0c44298fc"
        assert len(inventory.fingerprint([])) == FINGERPRINT_BYTES

    @given(entry_lists, entry_lists)
    def test_i4_tells_different_lists_apart(
        self, one: list[tuple[bytes, bytes]], two: list[tuple[bytes, bytes]]
    ) -> None:
        same = inventory.fingerprint(one) == inventory.fingerprint(two)
        assert same == (sorted(one) == sorted(two))


class TestRanges:
    @given(strategies.prefixes)
    def test_i5_bounds_are_the_first_and_last_hash_of_a_prefix(self, prefix: str) -> None:
        first, last = inventory.bounds(prefix)
        assert (len(first), len(last)) == (ID_HASH_BYTES, ID_HASH_BYTES)
        assert first.hex().startswith(prefix)
        assert last.hex().startswith(prefix)
        size = int.from_bytes(last) - int.from_bytes(first) + 1
        assert size == 16 ** (inventory.PREFIX_DIGITS_MAX - len(prefix))

    @given(strategies.prefixes.filter(lambda prefix: len(prefix) < inventory.PREFIX_DIGITS_MAX))
    def test_i5_the_sixteen_parts_make_up_a_range(self, prefix: str) -> None:
        parts = inventory.parts(prefix)
        assert (len(parts), sorted(parts)) == (16, parts)
        ends = [tuple(map(int.from_bytes, inventory.bounds(part))) for part in parts]
        first, last = map(int.from_bytes, inventory.bounds(prefix))
        assert ends[0][0] == first
        assert ends[-1][1] == last
        assert all(one[1] + 1 == two[0] for one, two in itertools.pairwise(ends))

    @given(
        strategies.prefixes.filter(lambda prefix: len(prefix) < inventory.PREFIX_DIGITS_MAX),
        st.data(),
    )
    def test_i5_every_entry_is_in_the_part_whose_bounds_hold_it(
        self, prefix: str, data: st.DataObject
    ) -> None:
        first, last = map(int.from_bytes, inventory.bounds(prefix))
        numbers = data.draw(st.lists(st.integers(first, last), max_size=30))
        entries = [(number.to_bytes(ID_HASH_BYTES), b"\7" * 8) for number in numbers]
        found = inventory.by_part(prefix, entries)
        assert list(found) == inventory.parts(prefix)
        for part, within in found.items():
            low, high = inventory.bounds(part)
            assert within == [entry for entry in entries if low <= entry[0] <= high]
