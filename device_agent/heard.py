"""What a message from the broker is to a device (docs/protocol.md, T1 to T5)."""

from collections.abc import Container
from dataclasses import dataclass

from sync_protocol import limits, topics, wire
from sync_protocol.messages import Answer, Notification
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Channel, ReplicaTopic, StatusTopic, Topics


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """The gateway says whether it is there."""

    online: bool


def heard(
    topic_names: Topics, device: str, feeds: Container[str], *, topic: str, payload: bytes
) -> GatewayStatus | tuple[str, Notification | Answer] | None:
    """What was published on `topic`; a push and an answer with the feed; None is nothing of ours.

    Raises:
        ProtocolError: it is on no topic, or not as the protocol has it.
    """
    match topic_names.parse(topic):
        case StatusTopic(who) if who == GATEWAY:
            return GatewayStatus(payload == topics.ONLINE)
        case ReplicaTopic(whose, feed, channel) if whose == device and feed in feeds:
            if channel is Channel.NOTIFY:
                return feed, wire.decode(
                    Notification, payload, bytes_max=limits.NOTIFICATION_BYTES_MAX
                )
            if channel is Channel.RESPONSE:
                return feed, wire.decode(Answer, payload, bytes_max=limits.ANSWER_BYTES_MAX)
            return None
        case _:
            return None
