"""How the connection to the broker is: what is logged and counted of it, and said to people."""

import logging
from collections import Counter
from typing import Final

from device_agent import events
from device_agent.errors import SyncFailedError
from device_agent.rival import explanation
from sync_protocol.addresses import address_text

_LOG: Final = logging.getLogger(__name__)


class Connection:
    """What the agent's thread knows of its connection."""

    def __init__(
        self, device: str, address: tuple[str, int], *, refusals_max: int, counts: Counter[str]
    ) -> None:
        self.is_up = False
        self.hindrance_lasts = False
        self._device = device
        self._address = address
        self._refusals_max = refusals_max
        self._counts = counts
        self._refusals = 0
        self._rival_told = False
        self._unreachable: str | None = "the broker has not answered yet"

    @property
    def hindrance(self) -> str:
        """What may keep a sync from being done: words for people. Any thread may ask."""
        if self._unreachable:
            return f"no connection to {self._broker}: {self._unreachable}"
        return f"is a gateway connected to {self._broker}?"

    @property
    def _broker(self) -> str:
        return f"the broker at {address_text(*self._address)}"

    def take(self, event: events.ConnectionEvent) -> None:
        """Note what happened.

        Raises:
            SyncFailedError: the broker refused the device, and there is no use in trying on.
        """
        self.hindrance_lasts = isinstance(event, events.Unreachable) and event.lasting
        match event:
            case events.Connected():
                self.is_up = True
                self._unreachable = None
                self._refusals = 0
                self._counts["connects"] += 1
                _LOG.info("connected to %s", self._broker)
            case events.Lost():
                self._lost(event)
            case events.Unreachable(reason):
                self._counts["connects failed"] += 1
                if reason != self._unreachable:  # paho tries on; the log says it once
                    _LOG.warning("no connection to %s, trying on: %s", self._broker, reason)
                self._unreachable = reason
            case events.Refused():
                self._refused(event)

    def _lost(self, lost: events.Lost) -> None:
        self.is_up = False
        self._unreachable = explanation(self._device) if lost.rival else lost.reason
        if lost.rival:
            self._counts["connections lost to another agent"] += 1
        if not (lost.rival and self._rival_told):
            _LOG.warning("the connection to %s was lost: %s", self._broker, self._unreachable)
        self._rival_told = lost.rival

    def _refused(self, refused: events.Refused) -> None:
        self._refusals += 1
        self._counts["logins refused"] += 1
        message = f"{self._broker} refuses device {self._device}: {refused.reason}"
        self._unreachable = refused.reason
        if refused.lasting or self._refusals >= self._refusals_max:
            raise SyncFailedError(
                f"{message}; check the device id, its password and its feeds: was the device"
                " removed or its password changed? 'gateway device add' enrols it, or 'gateway"
                " device rotate' gives it another password; 'device-agent enroll' takes it here"
            )
        _LOG.warning("%s; trying again", message)
