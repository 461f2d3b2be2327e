"""Digests of contents and of replicas."""

import hashlib
import random

from hypothesis import given
from hypothesis import strategies as st

from sync_protocol.digests import DIGEST_BYTES, digest_of, replica_digest

ITEM = ("a", bytes(16), "Inbox", ("$flagged", "$seen"))
items = st.tuples(
    st.text(max_size=3), st.binary(min_size=2, max_size=2), st.text(max_size=3),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
)  # fmt: skip


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_a_digest_is_of_the_bytes_however_they_are_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert digest_of(pieces) == digest_of([whole]) == hashlib.sha256(whole).digest()[:DIGEST_BYTES]


@given(st.lists(items, max_size=6), st.randoms())
def test_the_order_of_items_does_not_matter(
    found: list[tuple[str, bytes, str, tuple[str, ...]]], shuffle: random.Random
) -> None:
    before = replica_digest(found)
    shuffle.shuffle(found)
    assert replica_digest(iter(found)) == before


@given(st.lists(items, max_size=4), st.lists(items, max_size=4))
def test_different_items_have_different_digests(
    left: list[tuple[str, bytes, str, tuple[str, ...]]],
    right: list[tuple[str, bytes, str, tuple[str, ...]]],
) -> None:
    assert (replica_digest(left) == replica_digest(right)) == (sorted(left) == sorted(right))


def test_each_field_counts() -> None:
    others = [
        ("b", *ITEM[1:]),
        (ITEM[0], b"\1" * 16, *ITEM[2:]),
        (*ITEM[:2], "", ITEM[3]),
        (*ITEM[:3], ("$seen",)),
        # The same bytes, cut elsewhere.
        (*ITEM[:2], "Inbo", ("x$flagged", "$seen")),
        (*ITEM[:3], ("$flagged$seen",)),
    ]
    digests = {replica_digest([item]) for item in [ITEM, *others]}
    assert len(digests) == len(others) + 1
    assert replica_digest([]) == hashlib.sha256().hexdigest()
