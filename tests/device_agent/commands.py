"""Commands as tests call them, and what they find."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from device_agent.agent_file import AgentFile
from device_agent.replica import Replica
from sync_protocol.messages import Put
from sync_protocol.views import WHOLE_FEED, View
from tests.device_agent.builders import change, put, served


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


Call = Callable[..., Done]


def text_item(item_id: str, content: bytes, *, held: int | None = None, folder: str = "") -> Put:
    made = put(item_id, content, held=held, folder=folder, flags=("$seen",))
    return made.model_copy(update={"media_type": "text/plain", "date": 86_400})


def fill(file: AgentFile, feed: str, items: Sequence[Put], view: View = WHOLE_FEED) -> Replica:
    replica = Replica(file.replica(feed), make_view_id=lambda: 1, view=view)
    changes = [change(n, item) for n, item in enumerate(items, 1)]
    for _ in range(2):  # an inventory, then what it left
        request = replica.request(bytes(8), answer_bytes_max=10_000)
        replica.on_answer(served(request, head=len(items), changes=changes))
    file.replica(feed).set_synced_at(int(time.time()))
    return replica
