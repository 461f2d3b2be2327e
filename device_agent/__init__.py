"""The device agent: keeps replicas of feeds on a handheld, over a bad link."""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from device_agent.agent import DeviceAgent, SyncFailedError, SyncTimeoutError
    from device_agent.errors import AgentError
    from device_agent.feed_sync import SyncDone
    from device_agent.replica import Event, Happened
    from device_agent.schedule import Waits
    from device_agent.store_sqlite import StoreError

__all__ = [
    "AgentError",
    "DeviceAgent",
    "Event",
    "Happened",
    "StoreError",
    "SyncDone",
    "SyncFailedError",
    "SyncTimeoutError",
    "Waits",
]

# Loaded when first used: the command line starts without paho and pydantic.
_HOMES: Final = {
    "AgentError": "device_agent.errors",
    "DeviceAgent": "device_agent.agent",
    "Event": "device_agent.replica",
    "Happened": "device_agent.replica",
    "StoreError": "device_agent.store_sqlite",
    "SyncDone": "device_agent.feed_sync",
    "SyncFailedError": "device_agent.agent",
    "SyncTimeoutError": "device_agent.agent",
    "Waits": "device_agent.schedule",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
