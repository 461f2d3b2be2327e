"""What a representation is: a name, a version, and what renders each kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sync_protocol import names
from sync_protocol.views import NATIVE

VERSION_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Rendered:
    """An item's content in a representation.

    Attributes:
        content: the bytes.
        media_type: of them, in lower case and without parameters.
    """

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an item could not be rendered, in words for an operator: one line, never contents."""

    why: str


class RenderError(Exception):
    """Why an item cannot be rendered, in words for an operator. It never quotes contents."""


Renderer: TypeAlias = Callable[[bytes], Rendered]
"""Renders an item's own bytes, or raises RenderError."""


@dataclass(frozen=True, slots=True)
class Representation:
    """A form that items can be rendered into.

    Attributes:
        name: a letter, then letters, digits and `-`, in lower case; "native" is taken.
        version: raised whenever the same content would give other bytes than before.
        renderers: by kind: "contact", "event", "task", "mail" or another.
    """

    name: str
    version: int
    renderers: Mapping[str, Renderer]

    def __post_init__(self) -> None:
        if names.representation(self.name) == NATIVE:
            raise ValueError(f"{NATIVE!r} is what contents are before they are rendered")
        if not 1 <= self.version <= VERSION_MAX:
            raise ValueError(f"a representation's version is 1 to {VERSION_MAX}")
