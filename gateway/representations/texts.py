"""Texts and lists in the sizes that a representation allows."""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

ENTRIES_MAX: Final = 100
# A name, a title, a number, an address: what a small display shows in a line or some.
NAME_CHARS_MAX: Final = 500
# A postal address in some lines, or a URI that is no data.
LONG_NAME_CHARS_MAX: Final = 2_000

T = TypeVar("T")
U = TypeVar("U")
_LONE_SURROGATES: Final = re.compile("[\ud800-\udfff]")
# All controls but tab and newline, and the marks that begin texts in UTF-16.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufeff]")
_LINE_ENDS: Final = re.compile(r"\r+\n?")


def whole(value: str) -> str | None:
    """`value` without what no text has; None if nothing is left."""
    text = _LINE_ENDS.sub("\n", value)
    text = _CONTROLS.sub("", _LONE_SURROGATES.sub("\ufffd", text))
    return text.strip() or None


def line(value: str, *, chars_max: int = NAME_CHARS_MAX) -> str | None:
    """`value` on one line and not too long; None if nothing is left."""
    # What is far too long need not be looked at as a whole.
    text = whole(" ".join(value[: 4 * chars_max].split()))
    return text[:chars_max].rstrip() if text else None


def lines(value: str, *, chars_max: int = LONG_NAME_CHARS_MAX) -> str | None:
    """`value` as it is, but not too long; None if nothing is left."""
    text = whole(value[: 4 * chars_max])
    return text[:chars_max].rstrip() if text else None


def numbered(values: Iterable[T | None]) -> Mapping[str, T] | None:
    """A map of the first different values by the Ids 1, 2, 3 (RFC 9553 section 1.4.3).

    None if there are none.
    """
    kept: list[T] = []
    for value in values:
        if value is not None and value not in kept:
            kept.append(value)
            if len(kept) == ENTRIES_MAX:
                break
    return {str(number): value for number, value in enumerate(kept, 1)} or None


def true_for(words: Iterable[str | None]) -> Mapping[str, bool] | None:
    """A set as JSContact and JSCalendar write it, in the order of `words`; None if empty."""
    present = dict.fromkeys(word for word in words if word)
    return dict.fromkeys(itertools.islice(present, ENTRIES_MAX), True) or None


def each(make: Callable[[U], T | None], values: Iterable[U]) -> Mapping[str, T] | None:
    """`numbered` of what `make` makes of the values."""
    return numbered(make(value) for value in values)
