"""The MQTT topics: who says what where (docs/protocol.md, T1 to T5)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sync_protocol import limits
from sync_protocol.errors import ProtocolError
from sync_protocol.names import GATEWAY, device_id, feed_name

PREFIX_DEFAULT: Final = "sync/v1"
ONLINE: Final = b"online"
OFFLINE: Final = b"offline"


class Channel(StrEnum):
    """The last level of a replica's topic."""

    NOTIFY = "notify"
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class ReplicaTopic:
    """``{prefix}/{device}/{feed}/{channel}``."""

    device: str
    feed: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class StatusTopic:
    """``{prefix}/{who}/status``, where `who` is a device or ``gateway``."""

    who: str


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics below one prefix."""

    prefix: str = PREFIX_DEFAULT

    def __post_init__(self) -> None:
        levels = self.prefix.split("/")
        if (
            len(self.prefix) > limits.TOPIC_PREFIX_CHARS_MAX
            or not self.prefix.isprintable()
            or any(not level or set(level) & set("+#$ ") for level in levels)
        ):
            raise ValueError(
                f"a topic prefix is levels with / between, none empty and without + # $ or blanks,"
                f" at most {limits.TOPIC_PREFIX_CHARS_MAX} characters, not {self.prefix!a}"
            )

    def replica(self, device: str, feed: str, channel: Channel) -> str:
        """The topic of one channel of one replica."""
        return f"{self.prefix}/{device_id(device)}/{feed_name(feed)}/{channel}"

    def status(self, who: str) -> str:
        """Where a device, or the gateway, says that it is online."""
        return f"{self.prefix}/{who if who == GATEWAY else device_id(who)}/status"

    @property
    def all_requests(self) -> str:
        """The filter that the gateway subscribes to for requests."""
        return f"{self.prefix}/+/+/{Channel.REQUEST}"

    @property
    def all_statuses(self) -> str:
        """The filter that the gateway subscribes to for who is there."""
        return f"{self.prefix}/+/status"

    def parse(self, topic: str) -> ReplicaTopic | StatusTopic:
        """What `topic` names.

        Raises:
            ProtocolError: the topic is none of ours.
        """
        head = self.prefix + "/"
        levels = topic.removeprefix(head).split("/") if topic.startswith(head) else []
        try:
            match levels:
                case [who, "status"]:
                    return StatusTopic(who if who == GATEWAY else device_id(who))
                case [device, feed, channel]:
                    return ReplicaTopic(device_id(device), feed_name(feed), Channel(channel))
                case _:
                    pass
        except ValueError as error:
            raise ProtocolError("topic", f"no topic of ours: {error}") from error
        raise ProtocolError("topic", f"no topic below {self.prefix}/: {topic[:80]!a}")


def may_publish(topics: Topics, device: str, topic: str) -> bool:
    """Whether `device` may publish on `topic` (T4): its own requests and its own status."""
    parsed = _parsed(topics, topic)
    match parsed:
        case ReplicaTopic():
            return parsed.device == device and parsed.channel is Channel.REQUEST
        case StatusTopic():
            return parsed.who == device
        case None:
            return False


def may_receive(topics: Topics, device: str, topic: str) -> bool:
    """Whether `device` may be sent what is published on `topic` (T5)."""
    parsed = _parsed(topics, topic)
    match parsed:
        case ReplicaTopic():
            return parsed.device == device and parsed.channel is not Channel.REQUEST
        case StatusTopic():
            return parsed.who == GATEWAY
        case None:
            return False


def may_subscribe(topics: Topics, device: str, topic_filter: str) -> bool:
    """Whether `device` may subscribe to `topic_filter` (T5).

    A wildcard is allowed only for the feed: ``{prefix}/{device}/+/notify`` and ``.../response``.
    Everything else that a device may hear has one exact name.
    """
    head = topics.prefix + "/"
    levels = topic_filter.removeprefix(head).split("/")
    if topic_filter.startswith(head) and len(levels) == 3 and levels[1] == "+":  # noqa: PLR2004 - device, feed, channel
        topic_filter = f"{head}{levels[0]}/any/{levels[2]}"
    return may_receive(topics, device, topic_filter)


def _parsed(topics: Topics, topic: str) -> ReplicaTopic | StatusTopic | None:
    try:
        return topics.parse(topic)
    except ProtocolError:
        return None
