"""Each operation of TokenSet does what the same one of Python's set does."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sync_protocol.errors import ProtocolError
from sync_protocol.limits import INTEGER_MAX, TOKEN_SET_BYTES_MAX
from sync_protocol.token_set import TokenSet

# Few values, so that ranges often touch, overlap and swallow each other.
tokens = st.integers(-25, 25)
models = st.sets(tokens)


def tokens_of(token_set: TokenSet) -> set[int]:
    return {token for first, last in token_set for token in range(first, last + 1)}


def assert_is(token_set: TokenSet, model: set[int]) -> None:
    """The set holds just the model, in the one form it may have."""
    assert tokens_of(token_set) == model
    ranges = list(token_set)
    assert all(first <= last for first, last in ranges)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ranges))
    assert token_set == TokenSet.of(model)
    assert hash(token_set) == hash(TokenSet.of(model))


@given(st.lists(tokens))
def test_made_of_tokens(values: list[int]) -> None:
    assert_is(TokenSet.of(values), set(values))


@given(st.lists(st.tuples(tokens, tokens)))
def test_made_of_ranges_in_any_order_overlapping_or_empty(ranges: list[tuple[int, int]]) -> None:
    model = {token for first, last in ranges for token in range(first, last + 1)}
    assert_is(TokenSet.of_ranges(ranges), model)


@given(tokens, tokens)
def test_made_of_one_span(first: int, last: int) -> None:
    assert_is(TokenSet.span(first, last), set(range(first, last + 1)))


@given(models, models)
def test_equality_and_hash(left: set[int], right: set[int]) -> None:
    assert (TokenSet.of(left) == TokenSet.of(right)) == (left == right)
    assert len({TokenSet.of(left), TokenSet.of(right)}) == (1 if left == right else 2)


def test_equal_to_nothing_but_token_sets() -> None:
    assert TokenSet.of([1]) != {1}
    assert TokenSet() != object()


@given(models, models)
def test_union_and_difference(left: set[int], right: set[int]) -> None:
    own, other = TokenSet.of(left), TokenSet.of(right)
    assert_is(own | other, left | right)
    assert_is(own - other, left - right)
    assert_is(own, left)
    assert_is(other, right)


@given(models, tokens)
def test_membership(model: set[int], token: int) -> None:
    assert (token in TokenSet.of(model)) == (token in model)


@given(models)
def test_counts_and_ends(model: set[int]) -> None:
    token_set = TokenSet.of(model)
    assert bool(token_set) == bool(model)
    assert token_set.token_count == len(model)
    assert token_set.range_count == len(list(token_set))
    assume(model)
    assert (token_set.first, token_set.last) == (min(model), max(model))


def test_the_empty_set_has_no_ends() -> None:
    assert TokenSet() == TokenSet.of([]) == TokenSet.span(1, 0)
    with pytest.raises(ValueError, match="no first token"):
        _ = TokenSet().first
    with pytest.raises(ValueError, match="no last token"):
        _ = TokenSet().last


@given(models, tokens, tokens)
def test_holes_and_covers(model: set[int], first: int, last: int) -> None:
    token_set, wanted = TokenSet.of(model), set(range(first, last + 1))
    holes = list(token_set.holes(first, last))
    assert holes == sorted(holes)
    assert_is(TokenSet.of_ranges(holes), wanted - model)
    assert len(holes) == TokenSet.of_ranges(holes).range_count
    assert token_set.covers(first, last) == (wanted <= model)


def test_holes_cost_nothing_for_what_lies_outside() -> None:
    many = TokenSet.of(range(0, 20_000, 2)).add(30_000, INTEGER_MAX)
    assert next(many.holes(-INTEGER_MAX, INTEGER_MAX)) == (-INTEGER_MAX, -1)
    assert list(many.holes(100, 103)) == [(101, 101), (103, 103)]
    assert list(many.holes(40_000, INTEGER_MAX)) == []


@given(models, tokens, tokens)
def test_add(model: set[int], first: int, last: int) -> None:
    token_set = TokenSet.of(model)
    assert_is(token_set.add(first, last), model | set(range(first, last + 1)))
    assert_is(token_set, model)


@given(st.lists(st.tuples(tokens, st.integers(0, 3)), max_size=30))
def test_add_again_and_again(pushes: list[tuple[int, int]]) -> None:
    token_set, model = TokenSet(), set[int]()
    for first, more in pushes:
        token_set = token_set.add(first, first + more)
        model |= set(range(first, first + more + 1))
        assert_is(token_set, model)


@pytest.mark.parametrize("token", [INTEGER_MAX + 1, -INTEGER_MAX - 1, 2**63, -(2**70)])
def test_tokens_out_of_range_are_refused(token: int) -> None:
    with pytest.raises(ValueError, match="a token lies within"):
        TokenSet.of([1, token])
    with pytest.raises(ValueError, match="a token lies within"):
        TokenSet.span(min(token, 0), max(token, 0))
    with pytest.raises(ValueError, match="a token lies within"):
        TokenSet.of_ranges([(5, 6), (min(token, 0), max(token, 0))])
    with pytest.raises(ValueError, match="a token lies within"):
        TokenSet.of([7]).add(min(token, 0), max(token, 0))
    assert token not in TokenSet.span(-INTEGER_MAX, INTEGER_MAX)


def test_the_widest_set() -> None:
    everything = TokenSet.span(-INTEGER_MAX, INTEGER_MAX)
    assert everything.token_count == 2 * INTEGER_MAX + 1
    assert everything.add(-INTEGER_MAX, INTEGER_MAX) is everything
    assert TokenSet.decode(everything.encode()) == everything
    assert everything - everything == TokenSet()


@given(models)
def test_encode_and_decode(model: set[int]) -> None:
    assert_is(TokenSet.decode(TokenSet.of(model).encode()), model)


def test_decode_refuses() -> None:
    with pytest.raises(ProtocolError) as caught:
        TokenSet.decode(b"\x80")
    assert caught.value.reason == "token-set"


@given(models, st.integers(0, 20))
def test_newest_within_keeps_the_newest_ranges(model: set[int], bytes_max: int) -> None:
    token_set = TokenSet.of(model)
    kept = token_set.newest_within(bytes_max)
    assert len(kept.encode()) <= bytes_max
    assert list(kept) == list(token_set)[token_set.range_count - kept.range_count :]
    assert (kept is token_set) == (len(token_set.encode()) <= bytes_max)


def test_newest_within_drops_no_more_than_it_must() -> None:
    token_set = TokenSet.of(range(0, 500_000, 17)) - TokenSet.of(range(0, 500_000, 51))
    size_bytes = len(token_set.encode())
    for bytes_max in (size_bytes - 1, size_bytes // 2, 100):
        kept = token_set.newest_within(bytes_max)
        assert 0.9 * bytes_max - 2 <= len(kept.encode()) <= bytes_max
    assert token_set.newest_within(2) == TokenSet()


def test_newest_within_makes_any_set_fit_a_message() -> None:
    token_set = TokenSet.of(i * i for i in range(1, 50_000))
    assert len(token_set.encode()) > TOKEN_SET_BYTES_MAX
    kept = token_set.newest_within(TOKEN_SET_BYTES_MAX)
    assert TokenSet.decode(kept.encode()) == kept


def test_repr_is_short_and_says_the_ends() -> None:
    assert repr(TokenSet()) == "TokenSet()"
    assert repr(TokenSet.of([1, 2, 3, 5])) == "TokenSet(1..3, 5)"
    many = TokenSet.of_ranges((-INTEGER_MAX + 4 * i, -INTEGER_MAX + 4 * i + 1) for i in range(1000))
    assert "... 994 more ..." in repr(many)
    assert f"{many.last})" in repr(many)
    assert len(repr(many)) < 300
