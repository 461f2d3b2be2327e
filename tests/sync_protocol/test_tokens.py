"""Compressed tokens and lineages."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_protocol import tokens
from sync_protocol.limits import INTEGER_MAX

EPOCH = b"epoch001"
GENERATION = b"one-time"
LINEAGE = tokens.lineage(EPOCH, base=40, view_id=7, renderer_version=1, generation=GENERATION)
seqs = st.integers(0, INTEGER_MAX)


@given(seqs, seqs)
def test_there_and_back(seq: int, base: int) -> None:
    assert tokens.expand(tokens.compress(seq, base), base) == seq


@given(seqs)
def test_what_is_newer_than_the_base_counts_from_1(base: int) -> None:
    assert tokens.compress(base + 1, base) == 1
    assert tokens.compress(base, base) == 0


@given(seqs)
def test_the_oldest_is_that_of_the_feeds_first_change(base: int) -> None:
    assert tokens.expand(tokens.oldest(base), base) == 1


def test_a_lineage_is_what_the_protocol_says() -> None:
    packed = EPOCH + (40).to_bytes(8) + (7).to_bytes(4) + (1).to_bytes(4) + GENERATION
    named = int.from_bytes(hashlib.sha256(packed).digest()[:4])
    assert named == LINEAGE


@pytest.mark.parametrize(
    ("epoch", "base", "view_id", "version", "generation"),
    [
        (b"epoch002", 40, 7, 1, GENERATION),
        (EPOCH, 41, 7, 1, GENERATION),
        (EPOCH, 40, 8, 1, GENERATION),
        (EPOCH, 40, 7, 2, GENERATION),
        (EPOCH, 40, 7, 1, b"anew\0\0\0\0"),
    ],
)
def test_a_lineage_changes_with_each_of_its_parts(
    epoch: bytes, base: int, view_id: int, version: int, generation: bytes
) -> None:
    other = tokens.lineage(
        epoch, base=base, view_id=view_id, renderer_version=version, generation=generation
    )
    assert other != LINEAGE


@given(seqs, st.integers(0, 2**32 - 1))
def test_a_lineage_has_32_bits(base: int, view_id: int) -> None:
    found = tokens.lineage(
        EPOCH, base=base, view_id=view_id, renderer_version=1, generation=GENERATION
    )
    assert 0 <= found < 2**32
