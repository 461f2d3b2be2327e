"""A replica in memory: the twin of the SQLite store, for the simulator and for tests."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from device_agent.store import HeldItem, ReplicaState
from sync_protocol import inventory
from sync_protocol.views import View


class MemoryReplicaStore:
    """One replica in dictionaries."""

    def __init__(self) -> None:
        self._state: ReplicaState | None = None
        self._items: dict[str, HeldItem] = {}
        self._removed: dict[str, int] = {}
        self._contents: dict[str, bytes] = {}

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See `ReplicaStore`."""
        before = (self._state, dict(self._items), dict(self._removed), dict(self._contents))
        try:
            yield
        except BaseException:
            self._state, self._items, self._removed, self._contents = before
            raise

    def state(self) -> ReplicaState | None:
        """See `ReplicaStore`."""
        return self._state

    def set_state(self, state: ReplicaState) -> None:
        """See `ReplicaStore`."""
        self._state = state

    def item(self, item_id: str) -> HeldItem | None:
        """See `ReplicaStore`."""
        return self._items.get(item_id)

    def items(self) -> Iterator[HeldItem]:
        """See `ReplicaStore`."""
        return iter([self._items[item_id] for item_id in sorted(self._items)])

    def set_item(self, item: HeldItem) -> None:
        """See `ReplicaStore`."""
        self._items[item.id] = item

    def delete_item(self, item_id: str) -> None:
        """See `ReplicaStore`."""
        self._items.pop(item_id, None)
        self._contents.pop(item_id, None)

    def remembered(self, item_id: str) -> int | None:
        """See `ReplicaStore`."""
        return self._removed.get(item_id)

    def remember(self, item_id: str, n: int) -> None:
        """See `ReplicaStore`."""
        self._removed[item_id] = n

    def forget_removed(self, upto: int | None) -> None:
        """See `ReplicaStore`."""
        if upto is None:
            self._removed.clear()
        elif self._removed:
            self._removed = {item: n for item, n in self._removed.items() if n > upto}

    def forget_tokens(self) -> None:
        """See `ReplicaStore`."""
        for item in [item for item in self._items.values() if item.n is not None]:
            self._items[item.id] = replace(item, n=None)

    def entries(self, first: bytes, last: bytes) -> Sequence[tuple[bytes, bytes]]:
        """See `ReplicaStore`."""
        hashed = sorted((inventory.id_hash(item_id), item_id) for item_id in self._items)
        return [
            (id_hash, self._items[item_id].etag)
            for id_hash, item_id in hashed
            if first <= id_hash <= last
        ]

    def hashed(self, id_hash: bytes) -> Sequence[str]:
        """See `ReplicaStore`."""
        return [item_id for item_id in self._items if inventory.id_hash(item_id) == id_hash]

    def wanted(
        self, limit: int, *, size_max: int | None, portions: bool = True
    ) -> Sequence[HeldItem]:
        """See `ReplicaStore`."""
        partial = [
            item
            for item in self._items.values()
            if not item.whole
            and (
                item.is_fetched
                or size_max is None
                or item.size <= size_max
                or (portions and not item.held_bytes)
            )
        ]
        partial.sort(
            key=lambda item: (not item.is_fetched, item.n is None, -(item.n or 0), item.id)
        )
        return partial[:limit]

    def ended(self, before: int) -> Sequence[HeldItem]:
        """See `ReplicaStore`."""
        view = View(since=before)
        return [it for it in self.items() if not view.has_in_window(it.date, it.until)]

    def clear_content(self, item_id: str) -> None:
        """See `ReplicaStore`."""
        self._contents.pop(item_id, None)

    def append_content(self, item_id: str, offset: int, content: bytes) -> None:
        """See `ReplicaStore`."""
        held = self._contents.get(item_id, b"")
        assert len(held) == offset, item_id  # noqa: S101 - our own bug
        self._contents[item_id] = held + content

    def content(self, item_id: str) -> Iterator[bytes]:
        """See `ReplicaStore`."""
        return iter([self._contents.get(item_id, b"")])
