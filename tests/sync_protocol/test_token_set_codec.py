"""The coding of token sets is exact, small, and safe against any input."""

import math
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate, cycle, pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_protocol.errors import ProtocolError
from sync_protocol.limits import INTEGER_MAX, KIB, MIB, TOKEN_SET_BYTES_MAX
from sync_protocol.token_set import TokenSet

TEN_LOST = TokenSet.of([57, 120, 121, 300, 455, 456, 457, 700, 881, 999])
TEN_BURSTS = TokenSet.of_ranges((1000 + 9000 * i, 1499 + 9000 * i) for i in range(10))

VECTORS = [
    (TokenSet(), ""),
    (TokenSet.of([0]), "0000"),
    (TokenSet.of([-1]), "0100"),
    (TokenSet.span(1, 1000), "02e707"),
    (TokenSet.span(-999_999, 0), "fd887abf843d"),
    # Mode 0, gaps between absent tokens, k = 4, 8 and 6.
    (TokenSet.span(1, 30) - TokenSet.of([11]), "0209048f"),
    (TokenSet.span(1, 1000) - TokenSet.of([500]), "02f20308bd3f"),
    (TokenSet.span(1, 1000) - TEN_LOST, "0237067c03659a0003b2da5a81"),
    # Mode 1, gaps between present tokens, k = 0 and 13.
    (TokenSet.of([1, 3, 4, 7]), "02004037"),
    (TokenSet.of([1, 10_000, 20_000]), "02004d8e1b1c3f"),
    # Mode 2, runs.
    (
        TokenSet.span(1, 100_000) - TEN_BURSTS,
        "02e607880dbce099de704cef3826779c133bce099de704cef3826779c133bce099de788b9f",
    ),
    (TokenSet.of([-INTEGER_MAX, INTEGER_MAX]), "fdffffffffffff1f0075bffffffffffff9"),
]


@pytest.mark.parametrize(("token_set", "coded"), VECTORS)
def test_vectors(token_set: TokenSet, coded: str) -> None:
    assert token_set.encode().hex() == coded
    assert TokenSet.decode(bytes.fromhex(coded)) == token_set
    assert Book(bytes.fromhex(coded)).token_set() == token_set


@pytest.mark.parametrize(
    ("coded", "what"),
    [
        ("02", "an end in the middle"),
        ("80", "an end in the middle"),
        ("020081", "an end in the middle"),  # no second byte of runs
        ("8000", "an overlong varint"),
        ("028000", "an overlong varint"),
        ("ffffffffffffffff00", "an overlong varint"),
        ("feffffffffffff1f01", "a token out of range"),  # one more than the largest token
        ("ffffffffffffff1f00", "a token out of range"),  # one less than the smallest
        ("fdffffffffffff1fffffffffffffff7f", "a token out of range"),
        ("feffffffffffff1f004000", "a token out of range"),  # mode 1, a present one
        ("fcffffffffffff1f0000be", "a token out of range"),  # mode 0, one behind present ones
        ("feffffffffffff1f00810100", "a token out of range"),
        ("02003fef" + "00" * 7, "a token out of range"),  # in three ways beyond 64 bits
        ("02007fef" + "00" * 7, "a token out of range"),
        ("0200bf3fef" + "00" * 15, "a token out of range"),
        ("0200c0", "an unknown mode"),
        ("02008001", "a Rice parameter of runs out of range"),
        ("02008100", "a Rice parameter of runs out of range"),
        ("02008140", "a Rice parameter of runs out of range"),
        ("020081ff01", "a Rice parameter of runs out of range"),
        ("020000bfff", "an incomplete code at the end"),  # more than seven ones are no padding
        ("020003fe", "an incomplete code at the end"),  # a zero without its three bits
        ("02008101fe", "an incomplete code at the end"),
        ("020000", "no newest token"),
        ("020040", "no newest token"),
        ("020001", "no newest token"),
        ("02008101", "no newest token"),
        ("020000b3", "no newest token"),  # mode 0, the last value is 0
        ("02000143", "no newest token"),
        ("020081013f", "no newest token"),  # an absent run alone
        ("0200810103", "no newest token"),  # two absent runs and one present
    ],
)
def test_refused(coded: str, what: str) -> None:
    with pytest.raises(ProtocolError, match=what) as caught:
        TokenSet.decode(bytes.fromhex(coded))
    assert caught.value.reason == "token-set"


def test_too_much_input_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError) as caught:
        TokenSet.decode(b"\x80" * (TOKEN_SET_BYTES_MAX + 1))
    assert caught.value.reason == "too-large"


# Sets of all scales: short steps and long ones mixed, from anywhere to anywhere.
steps = st.one_of(st.integers(1, 3), st.integers(1, 300), st.integers(1, 2**40))


@st.composite
def token_sets(draw: st.DrawFn) -> TokenSet:
    edge = draw(st.one_of(st.integers(-5, 5), st.integers(-INTEGER_MAX, INTEGER_MAX)))
    edges = [edge]
    for step in draw(st.lists(steps, max_size=60)):
        edges.append(edges[-1] + step)
    ranges = [(first, end - 1) for first, end in pairwise(edges)][::2]
    return TokenSet.of_ranges(span for span in ranges if span[1] <= INTEGER_MAX)


@given(token_sets())
def test_what_is_decoded_is_what_was_encoded(token_set: TokenSet) -> None:
    assert TokenSet.decode(token_set.encode()) == token_set


class Book:
    """A second decoder, slow and written after the docstring of the codec alone."""

    def __init__(self, data: bytes) -> None:
        self.rest = list(data)

    def byte(self) -> int:
        if not self.rest:
            raise ValueError("an end")
        return self.rest.pop(0)

    def varint(self) -> int:
        value = 0
        for place in range(8):
            octet = self.byte()
            value += (octet % 128) << (7 * place)
            if octet < 128:
                if octet == 0 and place > 0:
                    raise ValueError("overlong")
                return value
        raise ValueError("overlong")

    def codes(self, *parameters: int) -> Iterator[int]:
        bits = "".join(f"{octet:08b}" for octet in self.rest)
        turns = cycle(parameters)
        while "0" in bits:
            k = next(turns)
            ones, _, bits = bits.partition("0")
            if len(bits) < k:
                raise ValueError("incomplete")
            low, bits = bits[:k], bits[k:]
            yield (len(ones) << k) + int(f"0{low}", 2)
        if len(bits) > 7:
            raise ValueError("padding")

    def token_set(self) -> TokenSet:
        if not self.rest:
            return TokenSet()
        zigzag = self.varint()
        first = -(zigzag + 1) // 2 if zigzag % 2 else zigzag // 2
        a = first + self.varint() + 1
        oldest = TokenSet.span(first, a - 1)
        if not self.rest:
            return oldest
        mode, k = divmod(self.byte(), 64)
        if mode == 2:
            return oldest | self.runs(a, k)
        places = list(accumulate((gap + 1 for gap in self.codes(k)), initial=a))
        if mode == 3 or len(places) == 1:
            raise ValueError("mode or newest")
        if mode == 1:
            return oldest | TokenSet.of(places[1:])
        if places[-2] + 1 == places[-1]:
            raise ValueError("newest")
        return TokenSet.span(first, places[-1] - 1) - TokenSet.of(places[:-1])

    def runs(self, a: int, k_absent: int) -> TokenSet:
        k_present = self.byte()
        if not (0 < k_absent < 64 and 0 < k_present < 64):
            raise ValueError("parameter")
        lengths = (length + 1 for length in self.codes(k_absent, k_present))
        starts = list(accumulate(lengths, initial=a))
        if len(starts) == 1 or len(starts) % 2 == 0:
            raise ValueError("newest")
        present = zip(starts[1::2], starts[2::2], strict=True)
        return TokenSet.of_ranges((start, end - 1) for start, end in present)


def assert_read_by_the_book(data: bytes) -> None:
    try:
        expected = Book(data).token_set()
    except ValueError:
        with pytest.raises(ProtocolError):
            TokenSet.decode(data)
    else:
        assert TokenSet.decode(data) == expected


# Heads that leave room for codes, so that random bytes get as far as those.
heads = st.sampled_from(["0000", "0905", "018f4e", "fdffffffffffff1f00", "f6ffffffffffff1f00"])
modes = st.one_of(
    st.builds(lambda mode, k: bytes([mode << 6 | k]), st.integers(0, 3), st.integers(0, 9)),
    st.binary(min_size=1, max_size=1),
)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_by_the_book(data: bytes) -> None:
    assert_read_by_the_book(data)


@given(heads, modes, st.binary(max_size=30))
def test_any_codes_are_read_by_the_book(head: str, mode: bytes, codes: bytes) -> None:
    assert_read_by_the_book(bytes.fromhex(head) + mode + codes)


@given(token_sets(), st.data())
def test_damaged_sets_are_read_by_the_book(token_set: TokenSet, data: st.DataObject) -> None:
    coded = bytearray(token_set.encode() or b"\0")
    coded[data.draw(st.integers(0, len(coded) - 1))] = data.draw(st.integers(0, 255))
    assert_read_by_the_book(bytes(coded[: data.draw(st.integers(0, len(coded)))]))


SHARES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.34, 0.38, 0.42, 0.5]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("count", [1000, 1500, 10_000, 100_000])
def test_a_random_share_missing_costs_little_more_than_its_entropy(
    count: int, share: float
) -> None:
    entropy_bits = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    bound_bytes = 1.10 * count * entropy_bits / 8 + 8
    for seed in range(20 if count < 100_000 else 2):
        chance = random.Random(f"{count} {share} {seed}")
        lost = chance.sample(range(1, count + 1), round(count * share))
        token_set = TokenSet.span(1, count) - TokenSet.of(lost)
        coded = token_set.encode()
        assert len(coded) <= bound_bytes, seed
        assert TokenSet.decode(coded) == token_set


@given(st.integers(1 - 2**40, 2**40 - 1), st.integers(1 - 2**40, 2**40 - 1))
def test_an_unbroken_range_costs_at_most_12_bytes(one: int, other: int) -> None:
    assert len(TokenSet.span(min(one, other), max(one, other)).encode()) <= 12


@pytest.mark.parametrize("size_min", [400, 500])
def test_ten_bursts_cost_at_most_60_bytes(size_min: int) -> None:
    for seed in range(300):
        chance = random.Random(f"{size_min} {seed}")
        token_set = TokenSet.span(1, 100_000)
        for _ in range(10):
            size = chance.randint(size_min, 1000 - size_min)
            first = chance.randint(1, 100_001 - size)
            token_set -= TokenSet.span(first, first + size - 1)
        assert len(token_set.encode()) <= 60, seed


def test_old_history_makes_recent_losses_no_dearer() -> None:
    recent = TokenSet.span(1, 1000) - TEN_LOST
    whole = recent.add(-INTEGER_MAX, 0)
    assert len(recent.encode()) == 13
    assert len(whole.encode()) == 13 + 7 + 7


def test_a_million_missing_tokens_cost_one_step() -> None:
    # Would not end in a lifetime if anything went token by token.
    edges = [1, 2**20, 2**30, 2**52, 2**52 + 9, INTEGER_MAX]
    token_set = TokenSet.of(edges)
    assert TokenSet.decode(token_set.encode()) == token_set
    assert len(token_set.encode()) < 60


PARAMETERS = [0, 1, 2, 3, 8, 40, 63]
PATTERNS = ["00", "ff", "55", "aa", "24", "6d", "0f"]


def hostile(size_bytes: int, parameters: list[int], patterns: list[str]) -> Iterator[bytes]:
    """Inputs with room for any code that make a decoder work hard, and some of pure chance."""
    head = bytes.fromhex("0200")
    chance = random.Random(size_bytes)
    for mode, k in product(range(4), parameters):
        start = head + bytes([mode << 6 | k, *([1] * (mode == 2))])
        rest_bytes = size_bytes - len(start)
        for pattern in patterns:
            yield start + bytes.fromhex(pattern) * rest_bytes
        yield start + chance.randbytes(rest_bytes)
    for _ in range(20):
        yield chance.randbytes(size_bytes)
    for pattern in patterns:
        yield bytes.fromhex(pattern) * size_bytes


def decode_anyway(data: bytes) -> None:
    try:
        TokenSet.decode(data)
    except ProtocolError as error:
        assert error.reason == "token-set"  # noqa: PT017 - either outcome is right


def best_seconds(action: Callable[[], None], *, enough_seconds: float) -> float:
    """The least of a few attempts, in time of the processor: others may keep it busy."""
    best = math.inf
    for _ in range(10):
        start = time.thread_time()
        action()
        best = min(best, time.thread_time() - start)
        if best <= enough_seconds:
            break
    return best


@pytest.mark.parametrize(
    ("size_bytes", "bound_seconds"), [(4 * KIB, 0.010), (TOKEN_SET_BYTES_MAX, 0.200)]
)
def test_hostile_input_costs_little_time(size_bytes: int, bound_seconds: float) -> None:
    for data in hostile(size_bytes, PARAMETERS, PATTERNS):
        seconds = best_seconds(partial(decode_anyway, data), enough_seconds=bound_seconds)
        assert seconds <= bound_seconds, data[:12].hex()


@pytest.mark.parametrize(
    ("size_bytes", "bound_bytes"),
    [
        (4 * KIB, 1 * MIB),
        pytest.param(TOKEN_SET_BYTES_MAX, 4 * MIB, marks=pytest.mark.slow),
    ],
)
def test_hostile_input_costs_little_memory(size_bytes: int, bound_bytes: int) -> None:
    tracemalloc.start()
    try:
        # Fewer than for time, as tracing is slow: those of most ranges and largest numbers.
        for data in hostile(size_bytes, [0, 1, 63], ["00", "55"]):
            tracemalloc.reset_peak()
            before_bytes, _ = tracemalloc.get_traced_memory()
            decode_anyway(data)
            _, peak_bytes = tracemalloc.get_traced_memory()
            assert peak_bytes - before_bytes <= bound_bytes, data[:12].hex()
    finally:
        tracemalloc.stop()
