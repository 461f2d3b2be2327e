"""A way to break a rule of docs/protocol.md in the real source."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """In `file`, `old`, which stands there exactly once, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Break:
    """A clause, what is done wrong, and the edits that do it."""

    clause: str
    wrong: str
    edits: tuple[Edit, ...]


def broken(clause: str, wrong: str, *edits: tuple[str, str, str]) -> Break:
    """A break, of edits as (file, old text, new text)."""
    return Break(clause, wrong, tuple(Edit(*edit) for edit in edits))
