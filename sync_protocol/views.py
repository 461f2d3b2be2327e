"""Views: what of a feed a replica wants, and in which form (docs/protocol.md, M12 and V)."""

from typing import Annotated, Final, Self

from annotated_types import MaxLen
from pydantic import AfterValidator, FailFast, model_validator

from sync_protocol import limits
from sync_protocol.names import Folder, Kind, Representation
from sync_protocol.tokens import Integer, Natural
from sync_protocol.wire import Key, Message

NATIVE: Final = "native"


def _as_set(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Sorted and each once: equal views must be equal bytes."""
    return None if values is None else tuple(sorted(set(values)))


class ShownAs(Message):
    """The representation in which the contents of one kind come."""

    kind: Annotated[Kind, Key(1)]
    representation: Annotated[Representation, Key(2)]


class View(Message):
    """What of a feed a replica wants (M12). What is absent restricts nothing; no kind is none.

    Attributes:
        kinds: the kinds of items.
        folders: the folders that they are in, without those below them.
        since: Unix seconds; items that are about nothing later are not wanted (F6).
        shown_as: the representation of each kind whose contents do not come as they are.
        portion_bytes: a larger content comes with its first portion, of at most so many bytes.
        item_bytes_max: larger items are not wanted.
    """

    kinds: Annotated[
        tuple[Kind, ...] | None,
        MaxLen(limits.VIEW_KINDS_MAX),
        FailFast(),
        AfterValidator(_as_set),
        Key(1),
    ] = None
    folders: Annotated[
        tuple[Folder, ...] | None,
        MaxLen(limits.VIEW_FOLDERS_MAX),
        FailFast(),
        AfterValidator(_as_set),
        Key(2),
    ] = None
    since: Annotated[Integer | None, Key(3)] = None
    shown_as: Annotated[tuple[ShownAs, ...], FailFast(), MaxLen(limits.VIEW_KINDS_MAX), Key(4)] = ()
    portion_bytes: Annotated[Natural | None, Key(5)] = None
    item_bytes_max: Annotated[Natural | None, Key(6)] = None

    @model_validator(mode="after")
    def _once(self) -> Self:
        kinds = [each.kind for each in self.shown_as]
        if kinds != sorted(set(kinds)):
            raise ValueError("shown_as names each kind once, in order")
        return self

    def wants(self, kind: str, folder: str) -> bool:
        """Whether an item of that kind in that folder may be in the view (V1)."""
        return (self.kinds is None or kind in self.kinds) and (
            self.folders is None or folder in self.folders
        )

    @property
    def wants_all_places(self) -> bool:
        """Whether kind and folder do not matter."""
        return self.kinds is None and self.folders is None

    def has_in_window(self, date: int | None, until: int | None) -> bool:
        """Whether an item of that date is late enough (V2).

        Args:
            date: its date, Unix seconds, or None.
            until: the last moment that it is about; None if that is its date.
        """
        ends = until if until is not None else date
        return self.since is None or ends is None or ends >= self.since

    def representation(self, kind: str) -> str:
        """The representation of items of that kind (V4)."""
        return next((it.representation for it in self.shown_as if it.kind == kind), NATIVE)


WHOLE_FEED: Final = View()
