"""A feed of the agent's file with its timetable, as an agent that starts takes it up."""

import os
import random
from typing import Final

from device_agent.agent_file import AgentFile
from device_agent.feed_sync import FeedSync
from device_agent.replica import Replica
from device_agent.schedule import Waits
from device_agent.views import WantedView
from sync_protocol import messages

_VIEW_ID_BITS: Final = 32

_random: Final = random.SystemRandom()


def take_up(
    file: AgentFile,
    feed: str,
    wanted: WantedView,
    *,
    unix_time: float,
    waits: Waits,
    answer_bytes_max: int,
) -> FeedSync:
    """A feed with what is wanted of it at `unix_time`."""
    replica = Replica(
        file.replica(feed),
        make_view_id=lambda: _random.getrandbits(_VIEW_ID_BITS),
        view=wanted.view_at(unix_time),
        remainder_bytes_max=wanted.remainder_bytes_max,
        window=wanted.window,
    )
    return FeedSync(
        feed,
        replica,
        waits=waits,
        chance=_random.random,
        request_id=lambda: os.urandom(messages.REQUEST_ID_BYTES),
        answer_bytes_max=answer_bytes_max,
    )
