"""Code the boundaries of a token set near their entropy.

A set that is not empty is coded as follows; the empty set is the empty string.

1. ``first``, its smallest token, as a zigzag varint: z = 2n for n >= 0, z = -2n - 1 for n < 0.
2. The number of tokens in its oldest range, minus 1, as a varint. Input that ends here is one
   unbroken range.
3. The number of tokens strictly between A and L, as a varint. A is the token behind the oldest
   range and so absent; L is the newest token of the set and so present.
4. One mode byte. Its two high bits are the mode (0 gaps between absent tokens, 1 gaps between
   present tokens, 2 runs, 3 refused), its six low bits the Rice parameter k.
5. In mode 2 one more byte: the Rice parameter of the present runs, at most 63; k is that of the
   absent ones. Neither may be 0.
6. Rice codes to the end of the input, without a count.

A varint is an unsigned LEB128: seven bits a byte, the least significant first, the high bit set in
all bytes but the last; at most eight bytes, and the last of several is not 0. All tokens lie within
+-(2**53 - 1).

Bits are read from the most significant one of each byte. A Rice code of v is ``v >> k`` ones, a
zero, then the k low bits of v, the highest first. The last byte is filled up with ones, which no
zero ends, so they are no code: a decoder stops where no zero is left, and refuses more than seven
such ones and a code that lacks some of its k bits.

- Gaps: the tokens between A and L are exceptions (absent ones in mode 0, present ones in mode 1)
  or not. For each exception, ascending: how many tokens lie between it and the exception before
  it, or A for the first. What follows the newest exception is none. All must lie below L.
- Runs: the lengths, minus 1, of the absent run that begins at A, the present run behind it, the
  next absent run, and so on up to the newest absent run. Their number is odd. The newest present
  run is not coded; it ends at L, and must hold at least L.

The oldest range stands apart because after a sync it holds the whole history: one gap of a million
among gaps of a hundred would spoil the parameter for all.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from operator import itemgetter, sub
from typing import Final, TypeAlias

from sync_protocol.errors import ProtocolError
from sync_protocol.limits import INTEGER_MAX, TOKEN_SET_BYTES_MAX

# Ascending [first, last + 1, first, last + 1, ...]: the parity of a place says in or out.
Boundaries: TypeAlias = "array[int]"

_VARINT_BYTES_MAX: Final = 8
_VARINT_BITS: Final = 0x7F
_PADDING_BITS_MAX: Final = 7
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
    first, absent_from, last = boundaries[0], boundaries[1], boundaries[-1] - 1
    head = _varint(2 * first if first >= 0 else -2 * first - 1) + _varint(absent_from - first - 1)
    if absent_from > last:
        return head
    absent = list(map(sub, boundaries[2::2], boundaries[1::2]))
    present = list(map(sub, boundaries[3::2], boundaries[2::2]))
    runs = _runs_coding(absent, present)
    absent[0] -= 1  # A and L need no code
    present[-1] -= 1
    _, mode, codes = min(
        _gaps_coding(_GAPS_ABSENT, [0, *present[:-1]], absent),
        _gaps_coding(_GAPS_PRESENT, absent, present),
        runs,
        key=itemgetter(0),
    )
    return head + _varint(last - absent_from - 1) + mode + _bytes_of_bits("".join(codes))


def decode_boundaries(data: bytes) -> Boundaries:
    """Return the boundaries of the set coded in `data`, as long as the input allows at most.

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
    absent_from = first + others + 1
    if first < -INTEGER_MAX or absent_from - 1 > INTEGER_MAX:
        raise _wrong("a token out of range")
    if at == len(data):
        return array("q", (first, absent_from))
    between, at = _read_varint(data, at)
    last = absent_from + between + 1
    if last > INTEGER_MAX:
        raise _wrong("a token out of range")
    mode, k = divmod(_byte(data, at), 1 << _K_BITS)
    boundaries = array("q", (first, absent_from))
    if mode == _RUNS:
        k_present = _byte(data, at + 1)
        if not (k >= _RUNS_K_MIN and _RUNS_K_MIN <= k_present < 1 << _K_BITS):
            raise _wrong("a Rice parameter of runs out of range")
        _read_runs(boundaries, last, _codes(_bits_of_bytes(data[at + 2 :]), k, k_present))
    elif mode in (_GAPS_ABSENT, _GAPS_PRESENT):
        _read_gaps(boundaries, mode, last, _bits_of_bytes(data[at + 1 :]), k)
    else:
        raise _wrong("an unknown mode")
    return boundaries


# What a way of coding costs in bits, its mode bytes, and its codes, made only if it is chosen.
_Coding: TypeAlias = tuple[int, bytes, Iterator[str]]


def _gaps_coding(mode: int, gaps: Sequence[int], counts: Sequence[int]) -> _Coding:
    """Runs of `counts` exceptions, each run behind a gap: all others of the run have gap 0."""
    runs = [(gap, count) for gap, count in zip(gaps, counts, strict=True) if count]
    bits, k = _best_parameter([gap for gap, _ in runs], sum(counts), k_min=0)
    again = _code(0, k)
    codes = (_code(gap, k) + again * (count - 1) for gap, count in runs)
    return 8 + bits, bytes([mode << _K_BITS | k]), codes


def _runs_coding(absent: Sequence[int], present: Sequence[int]) -> _Coding:
    absent = [length - 1 for length in absent]
    present = [length - 1 for length in present[:-1]]
    absent_bits, k_absent = _best_parameter(absent, len(absent), k_min=_RUNS_K_MIN)
    present_bits, k_present = _best_parameter(present, len(present), k_min=_RUNS_K_MIN)
    codes = chain(
        (
            _code(behind, k_absent) + _code(length, k_present)
            for behind, length in zip(absent[:-1], present, strict=True)
        ),
        (_code(absent[-1], k_absent),),
    )
    return 16 + absent_bits + present_bits, bytes([_RUNS << _K_BITS | k_absent, k_present]), codes


def _best_parameter(values: Sequence[int], count: int, *, k_min: int) -> tuple[int, int]:
    """Return (bits, k) for `count` values; those that are not among `values` are zeros.

    The cost is convex in k, so a walk down from the logarithm of the mean ends at the optimum. It
    is short: each step below the mean doubles the ones and saves a bit per value at most.
    """
    k = max(k_min, (sum(values) // max(count, 1)).bit_length() - 1)
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
    start = 0
    while (zero := bits.find("0", start)) >= 0:
        end = zero + 1 + k
        yield (zero - start << k) | int(bits[zero:end], 2)
        start, k, k_next = end, k_next, k
    _check_padding(len(bits) - start)


def _bitmap_codes(bits: str) -> Iterator[tuple[int, int]]:
    """Yield (gap, exceptions behind it) for k = 0, where each bit is a token, a zero an exception.

    This is what `_codes` would say, but in as many steps as there are runs.
    """
    start = 0
    while (zero := bits.find("0", start)) >= 0:
        one = bits.find("1", zero)
        end = one if one >= 0 else len(bits)
        yield zero - start, end - zero
        start = end
    _check_padding(len(bits) - start)


def _check_padding(size_bits: int) -> None:
    if not 0 <= size_bits <= _PADDING_BITS_MAX:
        raise _wrong("an incomplete code at the end")


def _read_gaps(boundaries: Boundaries, mode: int, last: int, bits: str, k: int) -> None:
    absent_from = boundaries.pop()
    token = absent_from + 1
    # Where the tokens that are no exceptions go on; not stored yet, as there may be none.
    edge = absent_from
    if mode == _GAPS_ABSENT:
        boundaries.append(absent_from)
        edge = token
    for gap, count in _bitmap_codes(bits) if k == 0 else zip(_codes(bits, k, k), repeat(1)):
        token += gap
        if token + count > last:
            raise _wrong("a code past the newest token")
        if token != edge:
            boundaries.append(edge)
            boundaries.append(token)
        edge = token = token + count
    if mode == _GAPS_ABSENT:
        boundaries.append(edge)
    elif edge != last:
        boundaries.append(edge)
        boundaries.append(last)
    boundaries.append(last + 1)


def _read_runs(boundaries: Boundaries, last: int, lengths: Iterable[int]) -> None:
    edge = boundaries[-1]
    for length in lengths:
        edge += length + 1
        if edge > last:
            raise _wrong("a code past the newest token")
        boundaries.append(edge)
    if len(boundaries) % 2 == 0:
        raise _wrong("an even number of runs")
    boundaries.append(last + 1)


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
