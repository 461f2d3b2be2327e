"""A set of compressed tokens: long unbroken ranges with a few holes where pushes were lost."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from sync_protocol.limits import INTEGER_MAX
from sync_protocol.token_set_codec import Boundaries, decode_boundaries, encode_boundaries

_SHOWN_RANGES: Final = 6
_NONE: Final[Boundaries] = array("q")


class TokenSet:
    """An immutable set of integers within +-`INTEGER_MAX`, kept as disjoint, non-adjacent ranges.

    All ranges are (first, last), both inclusive, and all operations cost by ranges, never by
    tokens. `TokenSet()` is the empty set; others come from `of`, `span`, `of_ranges` and `decode`.
    """

    __slots__ = ("_boundaries", "_coded")

    def __init__(self, boundaries: Boundaries = _NONE) -> None:
        # Only this class hands in boundaries: they are neither copied nor checked.
        self._boundaries = boundaries
        self._coded: bytes | None = None  # coding many ranges is dear

    @classmethod
    def of(cls, tokens: Iterable[int]) -> "TokenSet":
        """Return the set of `tokens`, in any order; ValueError if one is out of range."""
        return cls.of_ranges((token, token) for token in tokens)

    @classmethod
    def span(cls, first: int, last: int) -> "TokenSet":
        """Return the set of all tokens `first` to `last`, empty if `last` is below `first`."""
        return cls.of_ranges([(first, last)])

    @classmethod
    def of_ranges(cls, ranges: Iterable[tuple[int, int]]) -> "TokenSet":
        """Return the set of all tokens in `ranges`, which may overlap and come in any order.

        Raises:
            ValueError: a token is beyond +-`INTEGER_MAX`.
        """
        ascending = sorted((first, last) for first, last in ranges if first <= last)
        for first, last in ascending:
            _check(first, last)
        return cls(_joined(ascending))

    @classmethod
    def decode(cls, data: bytes) -> "TokenSet":
        """Return the set that `encode` turned into `data`; ProtocolError if it is none."""
        return cls(decode_boundaries(data))

    def encode(self) -> bytes:
        """Return the set in the coding of `token_set_codec`, the empty set as no bytes."""
        if self._coded is None:
            self._coded = encode_boundaries(self._boundaries)
        return self._coded

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenSet):
            return NotImplemented
        return self._boundaries == other._boundaries

    def __hash__(self) -> int:
        return hash(self._boundaries.tobytes())

    def __bool__(self) -> bool:
        return bool(self._boundaries)

    def __contains__(self, token: int) -> bool:
        return bisect_right(self._boundaries, token) % 2 == 1

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Iterate over the ranges, ascending."""
        for first, end in zip(self._boundaries[::2], self._boundaries[1::2], strict=True):
            yield first, end - 1

    def __or__(self, other: "TokenSet") -> "TokenSet":
        if not (self and other):
            return self or other
        # Sorting two ascending sequences behind each other is one linear merge.
        return TokenSet(_joined(sorted(chain(self, other))))

    def __sub__(self, other: "TokenSet") -> "TokenSet":
        if not (self and other):
            return self
        left = array("q")
        for own in self:
            for first, last in other.holes(*own):
                left.append(first)
                left.append(last + 1)
        return TokenSet(left)

    def __repr__(self) -> str:
        shown = [f"{first}..{last}" if first < last else f"{first}" for first, last in self._ends()]
        if self.range_count > _SHOWN_RANGES:
            middle = len(shown) // 2
            shown.insert(middle, f"... {self.range_count - _SHOWN_RANGES} more ...")
        return f"TokenSet({', '.join(shown)})"

    def _ends(self) -> "TokenSet":
        """The oldest and newest few ranges: a line in a log has a bound."""
        if self.range_count <= _SHOWN_RANGES:
            return self
        return TokenSet(self._boundaries[:_SHOWN_RANGES] + self._boundaries[-_SHOWN_RANGES:])

    @property
    def range_count(self) -> int:
        """How many unbroken ranges the set has."""
        return len(self._boundaries) // 2

    @property
    def token_count(self) -> int:
        """How many tokens the set has."""
        return sum(self._boundaries[1::2]) - sum(self._boundaries[::2])

    @property
    def first(self) -> int:
        """The oldest token; ValueError if there is none."""
        if not self:
            raise ValueError("an empty token set has no first token")
        return self._boundaries[0]

    @property
    def last(self) -> int:
        """The newest token; ValueError if there is none."""
        if not self:
            raise ValueError("an empty token set has no last token")
        return self._boundaries[-1] - 1

    def holes(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Iterate over the ranges of `first` to `last` that are absent, ascending.

        The cost is a binary search and then by holes, whatever lies outside.
        """
        boundaries = self._boundaries
        index = bisect_right(boundaries, first)
        if index % 2:
            first = boundaries[index]
            index += 1
        while first <= last:
            if index == len(boundaries):
                yield first, last
                return
            yield first, min(last, boundaries[index] - 1)
            first = boundaries[index + 1]
            index += 2

    def covers(self, first: int, last: int) -> bool:
        """Whether all of `first` to `last` are in the set; true if `last` is below `first`."""
        index = bisect_right(self._boundaries, first)
        return last < first or (index % 2 == 1 and last < self._boundaries[index])

    def add(self, first: int, last: int) -> "TokenSet":
        """Return this set with `first` to `last` added; ValueError if they are out of range.

        Two binary searches and a copy: cheap enough for each push that arrives.
        """
        if self.covers(first, last):
            return self
        _check(first, last)
        boundaries = self._boundaries[:]
        # Everything between the two places is swallowed. A place of even parity is outside of any
        # range, so that the new span begins or ends there on its own; adjacent counts as inside.
        start = bisect_left(boundaries, first)
        stop = bisect_right(boundaries, last + 1)
        new = array("q", [first] * (start % 2 == 0) + [last + 1] * (stop % 2 == 0))
        boundaries[start:stop] = new
        return TokenSet(boundaries)

    def newest_within(self, bytes_max: int) -> "TokenSet":
        """Return the set of about as many of the newest ranges as `bytes_max` bytes can code.

        It is this set if that fits. Dropping the oldest ranges is safe: a token that the gateway
        does not see presented only travels again.
        """
        kept, best = self.range_count, self
        # Coding is dear, so the first guess is one of the average range, and what is dropped
        # beyond it doubles: mostly two or three codings, at worst thirteen.
        dropped = 1 / 8_192
        while kept and (bytes_coded := len(best.encode())) > bytes_max:
            guess = kept * bytes_max // bytes_coded
            dropped *= 2
            kept = max(0, min(guess, kept - max(1, int(kept * dropped))))
            best = TokenSet(self._boundaries[len(self._boundaries) - 2 * kept :])
        return best


def _check(first: int, last: int) -> None:
    if first < -INTEGER_MAX or last > INTEGER_MAX:
        raise ValueError(f"a token lies within +-{INTEGER_MAX}")


def _joined(ascending: Iterable[tuple[int, int]]) -> Boundaries:
    """Boundaries of ranges in order of their first tokens, overlapping and adjacent ones as one."""
    boundaries = array("q")
    for first, last in ascending:
        if not boundaries or first > boundaries[-1]:
            boundaries.append(first)
            boundaries.append(last + 1)
        elif last >= boundaries[-1]:
            boundaries[-1] = last + 1
    return boundaries
