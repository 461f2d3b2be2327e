"""Whether another agent uses this device's id, and how long to leave the broker to it then.

A broker keeps one connection for each client id: who connects ends the other's (MQTT 3.1.1,
section 3.1.4). Two agents of one id would so take turns for ever.
"""

from dataclasses import dataclass, replace
from typing import Final

# A connection that the broker closes sooner had hardly begun.
SHORT_CONNECTION_S_MAX: Final = 10.0
SHORT_CONNECTIONS_IN_A_ROW: Final = 5
RECONNECT_WAIT_S: Final = 1
# Upper bound of the first wait. It makes a short connection of the other agent's, which is one
# behind in counting, and so notices as well.
BACKOFF_S: Final = 5
BACKOFF_S_MAX: Final = 300
# Another agent that is still there would have come back by then, from the longest wait.
UNDISTURBED_S: Final = 2.0 * BACKOFF_S_MAX


@dataclass(frozen=True, slots=True)
class Rival:
    """What the ends of this agent's connections say. All times are of a monotonic clock.

    Attributes:
        connected_at: when the newest connection was made.
        short_connections: how many the broker closed soon, in a row.
    """

    connected_at: float = 0.0
    short_connections: int = 0

    def connected(self, now: float) -> "Rival":
        """The device hears its topics."""
        return replace(self, connected_at=now)

    def closed(self, now: float) -> "Rival":
        """The broker closed the connection."""
        short_s = UNDISTURBED_S if self.suspected else SHORT_CONNECTION_S_MAX
        if now - self.connected_at >= short_s:
            return Rival()
        return replace(self, short_connections=self.short_connections + 1)

    def excused(self) -> "Rival":
        """The network, the broker or the gateway was away: that is why connections ended."""
        return Rival(connected_at=self.connected_at)

    @property
    def suspected(self) -> bool:
        """Whether another agent seems to use the id."""
        return self.short_connections >= SHORT_CONNECTIONS_IN_A_ROW

    def wait_s(self, chance: float) -> int:
        """How long to wait before connecting again. `chance` is a random number in 0 .. 1."""
        if not self.suspected:
            return RECONNECT_WAIT_S
        doublings = min(self.short_connections - SHORT_CONNECTIONS_IN_A_ROW, 16)
        return max(RECONNECT_WAIT_S, round(chance * min(BACKOFF_S_MAX, BACKOFF_S << doublings)))


def explanation(device: str) -> str:
    """What a suspicion means, for people."""
    return (
        f"another agent seems to use the device id {device}: the broker closed"
        f" {SHORT_CONNECTIONS_IN_A_ROW} connections in a row soon after they were made. Each agent"
        " needs an id of its own: gateway device add"
    )
