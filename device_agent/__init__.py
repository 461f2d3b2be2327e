"""The device agent: keeps replicas of feeds on a handheld, over a bad link."""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from device_agent.agent import DeviceAgent
    from device_agent.errors import AgentError, NotFoundError, SyncFailedError, SyncTimeoutError
    from device_agent.feed_sync import SyncDone
    from device_agent.results import Event, Happened
    from device_agent.schedule import Waits
    from device_agent.store_sqlite import StoreError
    from device_agent.views import WantedView
    from programs.tls_settings import Tls

__all__ = [
    "AgentError",
    "DeviceAgent",
    "Event",
    "Happened",
    "NotFoundError",
    "StoreError",
    "SyncDone",
    "SyncFailedError",
    "SyncTimeoutError",
    "Tls",
    "Waits",
    "WantedView",
]

# Loaded when first used: the command line starts without paho and pydantic.
_HOMES: Final = {
    "AgentError": "device_agent.errors",
    "DeviceAgent": "device_agent.agent",
    "Event": "device_agent.replica",
    "Happened": "device_agent.replica",
    "NotFoundError": "device_agent.errors",
    "StoreError": "device_agent.store_sqlite",
    "SyncDone": "device_agent.feed_sync",
    "SyncFailedError": "device_agent.errors",
    "SyncTimeoutError": "device_agent.errors",
    "Tls": "programs.tls_settings",
    "Waits": "device_agent.schedule",
    "WantedView": "device_agent.views",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
