"""The gateway's and the devices' roles in Mosquitto's dynamic security plugin (T4 and T5)."""

from collections.abc import Sequence
from typing import Any, Final

from sync_protocol.names import GATEWAY
from sync_protocol.topics import Channel, Topics

# Where the plugin is told to change accounts, and where it answers who told it.
CONTROL_TOPIC: Final = "$CONTROL/dynamic-security/v1"
CONTROL_ANSWER_TOPIC: Final = f"{CONTROL_TOPIC}/response"
# Before the id of a device: a role of that name is this gateway's to make and take away.
DEVICE_ROLE_PREFIX: Final = "device-"

Rules = list[dict[str, Any]]


def device_role(device: str) -> str:
    """The name of a device's role."""
    return f"{DEVICE_ROLE_PREFIX}{device}"


def device_rules(topics: Topics, device: str, feeds: Sequence[str]) -> Rules:
    """What a device may do, in the plugin's form: its own topics, each by its whole name.

    With a wildcard for the feed it could have the broker keep a message on every feed name that it
    can think of.
    """
    send = [topics.replica(device, feed, Channel.REQUEST) for feed in feeds]
    hear = [
        topics.replica(device, feed, channel)
        for feed in feeds
        for channel in (Channel.NOTIFY, Channel.RESPONSE)
    ]
    return _rules(send=[*send, topics.status(device)], hear=[*hear, topics.status(GATEWAY)])


def gateway_rules(topics: Topics) -> Rules:
    """What the gateway may do: serve all devices, and change their accounts (T4)."""
    every = [f"{topics.prefix}/+/+/{channel}" for channel in (Channel.NOTIFY, Channel.RESPONSE)]
    return _rules(
        send=[*every, topics.all_statuses, CONTROL_TOPIC],
        hear=[topics.all_requests, topics.all_statuses, CONTROL_ANSWER_TOPIC],
    )


def _rules(*, send: Sequence[str], hear: Sequence[str]) -> Rules:
    rules = [("publishClientSend", topic) for topic in send]
    rules += [
        (kind, topic) for topic in hear for kind in ("subscribeLiteral", "publishClientReceive")
    ]
    return [
        {"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in rules
    ]
