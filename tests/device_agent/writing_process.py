"""A process that takes pushes until it kills itself in the middle of storing one."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from device_agent.agent_file import AgentFile
from device_agent.replica import Replica
from device_agent.store_sqlite import SqliteReplicaStore
from tests.device_agent.builders import push, put, served

_WRITES = ("set_state", "set_item", "delete_item", "remember", "append_content", "clear_content")


class _Killed(SqliteReplicaStore):
    """Dies at its n-th write, before it is done."""

    writes_left = 0

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        found = super().__getattribute__(name)
        return self._counted(found) if name in _WRITES else found

    def _counted(self, method: Callable[..., None]) -> Callable[..., None]:
        def write(*args: object) -> None:
            self.writes_left -= 1
            if self.writes_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            method(*args)

        return write


def check(store: SqliteReplicaStore, newest: int) -> None:
    """Items, contents, removes and tokens are those of just the pushes 1 to `newest`."""
    for n in range(1, newest + 1):
        item = store.item(f"item-{n}")
        removed = n % 3 == 1 and n + 1 <= newest
        assert (item is None) == (removed or n % 3 == 2), n
        if item is not None:
            assert item.n == n
            assert b"".join(store.content(item.id)) == b"%d" % n * 50
        if n % 3 == 2:
            assert store.remembered(f"item-{n - 1}") == n
    assert store.item(f"item-{newest + 1}") is None
    assert b"".join(store.content(f"item-{newest + 1}")) == b""


def main() -> None:
    """Arguments: the file, and at which write to die."""
    file = AgentFile(Path(sys.argv[1]))
    file.replica("feed")
    store = _Killed(file._db, 1)  # noqa: SLF001 - the process that is killed is no user of it
    replica = Replica(store, make_view_id=lambda: 1)
    for _ in range(2):  # an inventory, then what it left
        request = replica.request(bytes(8), answer_bytes_max=10_000)
        replica.on_answer(served(request, head=0))
    store.writes_left = int(sys.argv[2])
    n = 0
    while True:
        n += 1
        # Each third push removes what the one before put.
        what = f"item-{n - 1}" if n % 3 == 2 else put(f"item-{n}", b"%d" % n * 50)
        replica.on_push(push(n, what))


if __name__ == "__main__":
    main()
