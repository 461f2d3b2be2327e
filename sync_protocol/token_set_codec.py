"""Code the boundaries of a token set near their entropy.

A set that is not empty is coded as follows; the empty set is the empty string.

1. ``first``, its oldest token, as a zigzag varint: z = 2n for n >= 0, z = -2n - 1 for n < 0.
2. The number of tokens in its oldest range, minus 1, as a varint. Input that ends here is one
   unbroken range. Else let A be the token behind that range, the oldest absent one.
3. One mode byte. Its two high bits are the mode: 0 gaps between absent tokens, 1 gaps between
   present tokens, 2 runs; 3 is refused. Its six low bits are the Rice parameter k.
4. In mode 2 one more byte: the Rice parameter of the present runs, at most 63; k is that of the
   absent runs. Neither may be 0.
5. Rice codes to the end of the input, without a count.

A varint is an unsigned LEB128: seven bits a byte, the least significant first, the high bit set in
all bytes but the last; at most eight bytes, and the last of several is not 0. All tokens of a set
lie within +-(2**53 - 1).

Bits are read from the most significant one of each byte. A Rice code of v is ``v >> k`` ones, a
zero, then the k low bits of v, the highest first. The last byte is filled up with ones, which no
zero ends, so they are no code: a decoder stops where no zero is left, and refuses more than seven
such ones and a code that lacks some of its k bits. The values are

- in mode 0, for each absent token above A up to the one behind the newest token of the set: how
  many tokens lie between it and the absent token before it, or A for the first. There is at least
  one value, and the last is not 0;
- in mode 1, for each present token above A: how many tokens lie between it and the present token
  before it, or A for the first. There is at least one value;
- in mode 2, the lengths, minus 1, of the absent run that begins at A, of the present run behind it,
  and so on up to the newest present run. Their number is even and not 0.

The oldest range stands apart because after a sync it holds the whole history: one gap of a million
among gaps of a hundred would spoil the parameter for all.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter, sub
from typing import Final, TypeAlias

from sync_protocol.errors import ProtocolError
from sync_protocol.limits import INTEGER_MAX, TOKEN_SET_BYTES_MAX

# Ascending [first, last + 1, first, last + 1, ...]: the parity of a place says in or out.
Boundaries: TypeAlias = "array[int]"

_VARINT_BYTES_MAX: Final = 8
_VARINT_BITS: Final = 0x7F
_PADDING_BITS_MAX: Final = 7
_WINDOW_BITS: Final = 8
_K_BITS: Final = 6
_GAPS_ABSENT: Final = 0
_GAPS_PRESENT: Final = 1
_RUNS: Final = 2
# With 0 a byte could be eight runs: twice the work and memory that a decoder must be ready for.
_RUNS_K_MIN: Final = 1


def encode_boundaries(boundaries: Boundaries) -> bytes:
    """Return the shortest coding of a set; it may be longer than `decode_boundaries` accepts.

    The cost grows with the number of ranges, never with that of tokens.
    """
    if not boundaries:
        return b""
    first, absent_from = boundaries[:2]
    head = _varint(2 * first if first >= 0 else -2 * first - 1) + _varint(absent_from - first - 1)
    if absent_from == boundaries[-1]:
        return head
    absent = list(map(sub, boundaries[2::2], boundaries[1::2]))
    present = list(map(sub, boundaries[3::2], boundaries[2::2]))
    others = [absent[0] - 1, *absent[1:]]  # A itself needs no code
    _, mode, codes = min(
        _gaps_coding(_GAPS_ABSENT, [0, *present], [*others, 1]),
        _gaps_coding(_GAPS_PRESENT, others, present),
        _runs_coding([length - 1 for length in absent], [length - 1 for length in present]),
        key=itemgetter(0),
    )
    return head + mode + _bytes_of_bits("".join(codes))


def decode_boundaries(data: bytes) -> Boundaries:
    """Return the boundaries of the set coded in `data`.

    Raises:
        ProtocolError: ``too-large`` or ``token-set``; nothing else, whatever the bytes are.
    """
    if len(data) > TOKEN_SET_BYTES_MAX:
        raise ProtocolError("too-large", f"a token set has at most {TOKEN_SET_BYTES_MAX} bytes")
    if not data:
        return array("q")
    zigzag, at = _read_varint(data, 0)
    first = (zigzag >> 1) ^ -(zigzag & 1)
    others, at = _read_varint(data, at)
    boundaries = array("q", (first, first + others + 1))
    try:
        if at < len(data):
            _read_behind_oldest(boundaries, data, at)
    except OverflowError:  # beyond 64 bits; what fits into those is looked at once, below
        raise _wrong("a token out of range") from None
    if boundaries[0] < -INTEGER_MAX or boundaries[-1] - 1 > INTEGER_MAX:
        raise _wrong("a token out of range")
    return boundaries


# What a way of coding costs in bits, its mode bytes, and its codes, made only if it is chosen.
_Coding: TypeAlias = tuple[int, bytes, Iterator[str]]


def _gaps_coding(mode: int, gaps: Sequence[int], counts: Sequence[int]) -> _Coding:
    """Runs of `counts` exceptions, each run behind a gap: all others of the run have gap 0."""
    bits, k = _best_parameter(gaps, sum(counts), k_min=0)
    again = _code(0, k)
    codes = (
        _code(gap, k) + again * (count - 1)
        for gap, count in zip(gaps, counts, strict=True)
        if count
    )
    return 8 + bits, bytes([mode << _K_BITS | k]), codes


def _runs_coding(absent: Sequence[int], present: Sequence[int]) -> _Coding:
    absent_bits, k_absent = _best_parameter(absent, len(absent), k_min=_RUNS_K_MIN)
    present_bits, k_present = _best_parameter(present, len(present), k_min=_RUNS_K_MIN)
    codes = (
        _code(behind, k_absent) + _code(ahead, k_present)
        for behind, ahead in zip(absent, present, strict=True)
    )
    return 16 + absent_bits + present_bits, bytes([_RUNS << _K_BITS | k_absent, k_present]), codes


def _best_parameter(values: Sequence[int], count: int, *, k_min: int) -> tuple[int, int]:
    """Return (bits, k) for `count` values; those that are not among `values` are zeros.

    The cost is convex in k, so a walk down from the logarithm of the mean ends at the optimum. It
    is short: each step below the mean doubles the ones and saves a bit per value at most.
    """
    k = max(k_min, (sum(values) // count).bit_length() - 1)
    bits = _cost_bits(values, count, k)
    for step in (-1, 1):
        while k + step >= k_min and (other := _cost_bits(values, count, k + step)) < bits:
            bits, k = other, k + step
    return bits, k


def _cost_bits(values: Sequence[int], count: int, k: int) -> int:
    return sum(value >> k for value in values) + count * (1 + k)


def _code(value: int, k: int) -> str:
    # bin() of a number with a one in front of zero and k low bits; "0b1" is cut off.
    return "1" * (value >> k) + bin(value & ((1 << k) - 1) | 2 << k)[3:]


def _codes(bits: str, k: int, k_next: int) -> Iterator[int]:
    """Yield the values coded in `bits`, with the two parameters in turn."""
    here = _Windows(k, k_next)
    there = here if k == k_next else _Windows(k_next, k)
    start = 0
    while True:
        values, end = here[bits[start : start + _WINDOW_BITS]]
        if values:
            end += start
        elif (zero := bits.find("0", start)) >= 0:
            end = zero + 1 + here.k
            values = (_value(bits, start, zero, end),)
        else:
            break
        yield from values
        start = end
        if len(values) % 2:
            here, there = there, here
    if not start <= len(bits) <= start + _PADDING_BITS_MAX:
        raise _wrong("an incomplete code at the end")


class _Windows(dict[str, tuple[tuple[int, ...], int]]):
    """For each window of bits that was met: the whole values in it, and where the last one ends.

    Short codes would otherwise cost a step each, and hostile input has very many of them.
    """

    def __init__(self, k: int, k_next: int) -> None:
        super().__init__()
        self.k = k
        self._k_next = k_next

    def __missing__(self, window: str) -> tuple[tuple[int, ...], int]:
        k, k_next = self.k, self._k_next
        values: list[int] = []
        start = 0
        while 0 <= (zero := window.find("0", start)) < len(window) - k:
            values.append(_value(window, start, zero, zero + 1 + k))
            start, k, k_next = zero + 1 + k, k_next, k
        self[window] = tuple(values), start
        return self[window]


def _value(bits: str, start: int, zero: int, end: int) -> int:
    return (zero - start << end - zero - 1) | int(bits[zero:end], 2)


def _read_behind_oldest(boundaries: Boundaries, data: bytes, at: int) -> None:
    mode, k = divmod(data[at], 1 << _K_BITS)
    if mode == _RUNS:
        k_present = _byte(data, at + 1)
        if not (k >= _RUNS_K_MIN and _RUNS_K_MIN <= k_present < 1 << _K_BITS):
            raise _wrong("a Rice parameter of runs out of range")
        _read_runs(boundaries, _codes(_bits_of_bytes(data[at + 2 :]), k, k_present))
    elif mode in (_GAPS_ABSENT, _GAPS_PRESENT):
        _read_gaps(boundaries, mode, _codes(_bits_of_bytes(data[at + 1 :]), k, k))
    else:
        raise _wrong("an unknown mode")


def _read_gaps(boundaries: Boundaries, mode: int, gaps: Iterable[int]) -> None:
    absent_from = boundaries[-1]
    token = absent_from + 1
    # Where the tokens that are no exceptions go on; not stored yet, as there may be none.
    edge = token if mode == _GAPS_ABSENT else boundaries.pop()
    for gap in gaps:
        token += gap
        if token != edge:
            boundaries.append(edge)
            boundaries.append(token)
        edge = token = token + 1
    if mode == _GAPS_PRESENT:
        boundaries.append(edge)
    if boundaries[-1] == absent_from or (mode == _GAPS_ABSENT and boundaries[-1] != edge - 1):
        raise _wrong("no newest token")


def _read_runs(boundaries: Boundaries, lengths: Iterable[int]) -> None:
    edge = boundaries[-1]
    for length in lengths:
        edge += length + 1
        boundaries.append(edge)
    if len(boundaries) % 2 or edge == boundaries[1]:
        raise _wrong("no newest token")


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > _VARINT_BITS:
        coded.append(value & _VARINT_BITS | 0x80)
        value >>= 7
    coded.append(value)
    return bytes(coded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint that begins at `at`, and the place behind it."""
    value = 0
    for index in range(_VARINT_BYTES_MAX):
        byte = _byte(data, at + index)
        value |= (byte & _VARINT_BITS) << 7 * index
        if byte <= _VARINT_BITS:
            if byte == 0 and index:
                raise _wrong("an overlong varint")
            return value, at + index + 1
    raise _wrong("an overlong varint")


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise _wrong("an end in the middle")
    return data[at]


def _bytes_of_bits(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


def _bits_of_bytes(data: bytes) -> str:
    # The one in front keeps leading zeros; "0b1" is cut off.
    return bin(int.from_bytes(b"\x01" + data, "big"))[3:]


def _wrong(what: str) -> ProtocolError:
    return ProtocolError("token-set", f"a coded token set has {what}")
