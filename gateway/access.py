"""Who may say and hear what at the broker (docs/protocol.md, T4 and T5)."""

from dataclasses import dataclass

from sync_protocol import topics as device_rules
from sync_protocol.errors import ProtocolError
from sync_protocol.names import GATEWAY, device_id
from sync_protocol.topics import Channel, ReplicaTopic, StatusTopic, Topics


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one broker. A user is a device, or ``gateway``; nobody else may do anything.

    Every method answers for a user whose password was right, and looks at nothing but names.
    """

    topics: Topics

    def may_connect(self, user: str, *, client_id: str) -> bool:
        """Whether `user` may connect under `client_id`: only under its own name.

        A broker disconnects whoever else has the client id (MQTT 3.1.1, section 3.1.4), so any
        freedom here would let one device silence another.
        """
        return _is_user(user) and client_id == user

    def may_publish(self, user: str, topic: str) -> bool:
        """Whether `user` may publish, or leave a will, on `topic`."""
        if user != GATEWAY:
            return _is_user(user) and device_rules.may_publish(self.topics, user, topic)
        match self._parsed(topic):
            case ReplicaTopic(channel=channel):
                return channel is not Channel.REQUEST
            case StatusTopic():
                return True  # it clears those of devices that were thrown out
            case None:
                return False

    def may_retain(self, topic: str) -> bool:
        """Whether the broker may keep what is published on `topic` for later subscribers.

        Only statuses: a retained request would be served again and again, and one retained
        message for every feed name that a device can think of would fill the memory.
        """
        return isinstance(self._parsed(topic), StatusTopic)

    def may_subscribe(self, user: str, topic_filter: str) -> bool:
        """Whether `user` may subscribe to `topic_filter`; ``$share/...`` and ``$SYS`` are never."""
        if user == GATEWAY:
            return topic_filter in (self.topics.all_requests, self.topics.all_statuses)
        return (
            _is_user(user)
            and topic_filter.startswith(self.topics.prefix + "/")
            and device_rules.may_subscribe(self.topics, user, topic_filter)
        )

    def may_receive(self, user: str, topic: str) -> bool:
        """Whether `user` may be sent what was published on `topic`."""
        if user != GATEWAY:
            return _is_user(user) and device_rules.may_receive(self.topics, user, topic)
        match self._parsed(topic):
            case ReplicaTopic(channel=channel):
                return channel is Channel.REQUEST
            case StatusTopic(who=who):
                return who != GATEWAY
            case None:
                return False

    def _parsed(self, topic: str) -> ReplicaTopic | StatusTopic | None:
        try:
            return self.topics.parse(topic)
        except ProtocolError:
            return None


def _is_user(name: str) -> bool:
    try:
        return name == GATEWAY or bool(device_id(name))
    except ValueError:
        return False
