"""What is remembered of whoever came last: of so many, and no more."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A value for each key; beyond `count_max` of them, the key that was not used longest goes."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value of `key`, which counts as used; None without one."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def get_or_make(self, key: K, make: Callable[[], V]) -> V:
        """The value of `key`, made if there is none."""
        if key not in self._values:
            self.put(key, make())
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: K, value: V) -> None:
        """Remember `value`, in place of what was remembered of `key`."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._count_max:
            self._values.popitem(last=False)

    def forget(self, key: K) -> None:
        """Remember nothing of `key`."""
        self._values.pop(key, None)
