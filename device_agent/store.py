"""What a device keeps of its replicas, and the interface of the places that keep it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from sync_protocol import inventory
from sync_protocol.token_set import TokenSet
from sync_protocol.views import WHOLE_FEED, View


@dataclass(frozen=True, slots=True)
class Collection:
    """What the gateway said this replica holds, with the tokens that came since.

    Attributes:
        lineage, epoch, p0: as the gateway gave them.
        asof: the newest head of the feed that was heard of.
        held: the token set.
    """

    lineage: int
    epoch: bytes
    asof: int
    p0: int | None
    held: TokenSet


@dataclass(frozen=True, slots=True)
class Begun:
    """What the answers to an inventory told so far (A4).

    Attributes:
        epoch, p0, upto: of the first answer; `upto` is its head.
        head: of the newest answer.
        lineage: of all of them.
        held: the token set that the inventory will end with, if nothing more is missing.
    """

    epoch: bytes
    p0: int | None
    upto: int
    head: int
    lineage: int
    held: TokenSet


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory that is to be taken, or under way.

    Attributes:
        todo: the ranges of id hashes that are still to be compared, by their prefixes.
        begun: None before the first answer.
    """

    todo: tuple[str, ...] = ("",)
    begun: Begun | None = None


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """The state of one replica beside its items.

    Attributes:
        view_id: names the view; drawn at random when it is made, and when it is another.
        base: what tokens count from; None before the first answer.
        known: the collection; or, before the first one and after the gateway called it void, the
            inventory that leads to the next.
        floor: pushes up to here are older than the items (D1).
        more: the last answer said that changes are pending.
        view: what is asked for.
        narrowed: the beginning of the time window, where the gateway gives less of it (V5).
        window: what was said of the time window that `view` has, in words that are only compared.
    """

    view_id: int
    base: int | None = None
    known: Collection | Inventory = Inventory()
    floor: int | None = None
    more: bool = False
    view: View = WHOLE_FEED
    narrowed: int | None = None
    window: str | None = None

    @property
    def since(self) -> int | None:
        """The beginning of the time window, Unix seconds; None without one."""
        return max((it for it in (self.view.since, self.narrowed) if it is not None), default=None)

    @property
    def collection(self) -> Collection | None:
        """The collection, if there is one."""
        return self.known if isinstance(self.known, Collection) else None


@dataclass(frozen=True, slots=True)
class HeldItem:
    """An item as the device holds it.

    Attributes:
        n: the token of the change it came with; None since a collection was lost.
        digest: the first 16 bytes of the SHA-256 of its whole content.
        size: bytes of its whole content.
        held_bytes: how many of these are here, from byte 0 on.
        whole: all of them are here, and their digest fits.
        until: the last moment that it is about, Unix seconds; None if that is its date.
        is_fetched: somebody asked for all of it, however large it is.
        is_withheld: the gateway said last that it cannot give the rest (G4).
    """

    id: str
    n: int | None
    kind: str
    folder: str
    flags: tuple[str, ...]
    date: int | None
    media_type: str
    digest: bytes
    size: int
    held_bytes: int
    whole: bool
    until: int | None = None
    is_fetched: bool = False
    is_withheld: bool = False

    @property
    def etag(self) -> bytes:
        """What stands for the item's whole state in an inventory (I2)."""
        return inventory.etag(
            self.digest,
            kind=self.kind,
            folder=self.folder,
            flags=self.flags,
            date=self.date,
            until=self.until,
            media_type=self.media_type,
        )


def mark_fetched(store: "ReplicaStore", item_id: str) -> HeldItem | None:
    """Have all of an item wanted, within one transaction; the item, or None if there is none."""
    with store.transaction():
        item = store.item(item_id)
        if item is not None:
            store.set_item(replace(item, is_fetched=True, is_withheld=False))
    return item


class ReplicaStore(Protocol):
    """One replica's part of the device's file. What changes inside a `transaction` is one step."""

    def transaction(self) -> AbstractContextManager[None]:
        """All of what is done inside, or none of it, even if the program is killed."""

    def state(self) -> ReplicaState | None:
        """The state, or None if there is no replica yet."""

    def set_state(self, state: ReplicaState) -> None:
        """Replace the state."""

    def item(self, item_id: str) -> HeldItem | None:
        """One item, if it is held."""

    def items(self) -> Iterator[HeldItem]:
        """All items in order of id."""

    def set_item(self, item: HeldItem) -> None:
        """Insert or replace an item, leaving its content alone."""

    def delete_item(self, item_id: str) -> None:
        """Delete an item and its content."""

    def remembered(self, item_id: str) -> int | None:
        """The token of the remove that took an item away, while it is remembered (D5)."""

    def remember(self, item_id: str, n: int) -> None:
        """Remember a remove."""

    def forget_removed(self, upto: int | None) -> None:
        """Forget removes up to that token, or all."""

    def forget_tokens(self) -> None:
        """Set every item's `n` to None (A3)."""

    def entries(self, first: bytes, last: bytes) -> Sequence[tuple[bytes, bytes]]:
        """(id hash, etag) of the items whose id hash lies in first .. last, in order of it."""

    def hashed(self, id_hash: bytes) -> Sequence[str]:
        """The ids of the items with that id hash."""

    def wanted(
        self, limit: int, *, size_max: int | None, portions: bool = True
    ) -> Sequence[HeldItem]:
        """Up to `limit` items that are to be completed: first those that are fetched.

        Of these and of the others the newest come first, those of unknown `n` last. They are not
        whole, and not larger than `size_max`, or fetched, or with `portions` such of which nothing
        is held.
        """

    def ended(self, before: int) -> Sequence[HeldItem]:
        """The items that are about nothing as late as `before`, Unix seconds (F6)."""

    def clear_content(self, item_id: str) -> None:
        """Drop the bytes held of an item."""

    def append_content(self, item_id: str, offset: int, content: bytes) -> None:
        """Add bytes that begin where those held end, at `offset`."""

    def content(self, item_id: str) -> Iterator[bytes]:
        """The bytes held of an item, in pieces, from byte 0 on."""
