"""Every user tries to write and read every topic: T4 and T5 of docs/protocol.md as a table."""

import contextlib
from collections.abc import Mapping, Sequence

from sync_protocol.names import GATEWAY
from tests.abuse.worlds import ABUSER, FEED, HONEST, PRIVATE, REMOVED, Door
from tests.gateway.mqtt_probe import Heard, Probe

P = "sync/v1"
DEVICES = (ABUSER, HONEST, REMOVED)
FEEDS = (FEED, PRIVATE, "invented")
HOLDS = {ABUSER: {FEED}, HONEST: {FEED, PRIVATE}, REMOVED: {FEED}}
USERS = (GATEWAY, ABUSER, HONEST)
REFUSED = 0x80

REQUESTS = {f"{P}/{device}/{feed}/request" for device in DEVICES for feed in FEEDS}
TO_DEVICES = {
    f"{P}/{device}/{feed}/{channel}"
    for device in DEVICES
    for feed in FEEDS
    for channel in ("notify", "response")
}
STATUSES = {f"{P}/{device}/status" for device in DEVICES}
GATEWAY_STATUS = f"{P}/{GATEWAY}/status"
NOBODYS = {
    "elsewhere",
    P,
    f"{P}/{ABUSER}",
    f"{P}/{ABUSER}/{FEED}",
    f"{P}/{ABUSER}/{FEED}/other",
    f"{P}/{ABUSER}/{FEED}/notify/more",
    f"{P}/{ABUSER}//notify",
    f"{P}/{ABUSER}x/status",
    f"{P}//status",
    f"/{P}/{ABUSER}/status",
    f"{P}/{GATEWAY}/{FEED}/request",
    f"{P}/{GATEWAY}/{FEED}/notify",
    f"{P}/../{ABUSER}/status",
}
TOPICS = REQUESTS | TO_DEVICES | STATUSES | {GATEWAY_STATUS} | NOBODYS
CONTROL = "$CONTROL/dynamic-security/v1"
BROKERS_OWN = ("$SYS/broker/uptime", CONTROL, f"{CONTROL}/response", f"$share/all/{P}/tab/status")
WILDCARDS = {
    "#",
    "+",
    "+/#",
    "+/+/+/+/+",
    "sync/#",
    f"{P}/#",
    f"{P}/+/#",
    f"{P}/+/status",
    f"{P}/+/+/notify",
    f"{P}/+/+/response",
    f"{P}/+/+/request",
    f"{P}/+/{FEED}/response",
    f"{P}/{ABUSER}/#",
    f"{P}/{ABUSER}/+/#",
    f"{P}/{ABUSER}/+/+",
    f"{P}/{ABUSER}/+/notify",
    f"{P}/{ABUSER}/+/request",
    f"{P}/{HONEST}/+/response",
    f"{P}/{HONEST}/{FEED}/+",
    "$SYS/#",
    "$SYS/broker/uptime",
    "$CONTROL/#",
    CONTROL,
    "$share/all/#",
    f"$share/all/{P}/+/+/response",
    f"$share/all/{P}/{HONEST}/{FEED}/response",
    f"$share/all/{P}/{ABUSER}/{FEED}/response",
    f"$queue/{P}/{HONEST}/{FEED}/response",
}
# Whose user name or password is wrong: (user, password), where None stands for the right one.
STRANGERS = [
    (REMOVED, None),
    ("stranger", "a guess"),
    ("stranger", ""),
    (None, None),
    (ABUSER, "a guess"),
    (ABUSER, ""),
    (GATEWAY, "a guess"),
    (GATEWAY, ""),
    ("admin", "admin"),
    ("+", "a guess"),
    ("#", "a guess"),
]


def may_write(door: Door, user: str, topic: str) -> bool:
    """T1 to T4: requests and the own status from a device, all but requests from the gateway."""
    if user == GATEWAY:
        return topic in TO_DEVICES | STATUSES | {GATEWAY_STATUS}
    feeds = HOLDS[user] if door.knows_feeds else FEEDS
    return topic in {f"{P}/{user}/status", *(f"{P}/{user}/{feed}/request" for feed in feeds)}


def may_read(door: Door, user: str, topic: str) -> bool:
    """T1 to T3, T5: what is for a device, and the gateway's status; requests for the gateway."""
    if user == GATEWAY:
        return topic in REQUESTS | STATUSES
    feeds = HOLDS[user] if door.knows_feeds else FEEDS
    own = {f"{P}/{user}/{feed}/{it}" for feed in feeds for it in ("notify", "response")}
    return topic in own | {GATEWAY_STATUS}


def may_subscribe(door: Door, user: str, topic_filter: str) -> bool | None:
    """None where a filter names nothing but what is the user's own: a broker may take it or not."""
    if user == GATEWAY:
        return topic_filter in {f"{P}/+/+/request", f"{P}/+/status"} or (
            None
            if may_read(door, user, topic_filter) or topic_filter.startswith("$CONTROL")
            else False
        )
    if topic_filter in {f"{P}/{user}/+/notify", f"{P}/{user}/+/response"}:
        return None
    own = f"$share/all/{P}/{user}/"
    if topic_filter.startswith(own):
        return None
    return may_read(door, user, topic_filter)


def test_every_user_tries_every_topic(door: Door) -> None:
    filters = sorted(WILDCARDS | TOPICS)
    with contextlib.ExitStack() as stack:
        probes = {user: stack.enter_context(door.probe(user)) for user in USERS}
        for user, probe in probes.items():
            granted = dict(zip(filters, probe.subscribe(*filters), strict=True))
            wrong = {
                each: code
                for each, code in granted.items()
                if may_subscribe(door, user, each) not in (None, code != REFUSED)
            }
            assert wrong == {}, user
        for user, probe in probes.items():
            for retain in (False, True):
                for topic in sorted(TOPICS):
                    probe.publish(topic, f"{user} on {topic}".encode(), retain=retain)
        heard = {
            (reader, message.topic, message.payload.decode())
            for reader, messages in ends(probes).items()
            for message in messages
            if b" on " in message.payload
        }
    # What the gateway says of itself and of nobody cannot be left out of the filter by which it
    # hears the statuses of the devices; only it hears that.
    heard -= {(GATEWAY, it, f"{GATEWAY} on {it}") for it in NOBODYS | {GATEWAY_STATUS}}
    assert heard == {
        (reader, topic, f"{writer} on {topic}")
        for writer in USERS
        for topic in TOPICS
        if may_write(door, writer, topic)
        for reader in USERS
        if may_read(door, reader, topic)
    }


def ends(probes: Mapping[str, Probe]) -> Mapping[str, Sequence[Heard]]:
    """All that each has heard: a last message to each comes behind all that was said before."""
    heard: dict[str, list[Heard]] = {GATEWAY: []}
    for device in (ABUSER, HONEST):
        end = f"end of {device}".encode()
        probes[device].publish(f"{P}/{device}/{FEED}/request", end)
        heard[GATEWAY] += probes[GATEWAY].hear_until(end)
        probes[GATEWAY].publish(f"{P}/{device}/{FEED}/notify", end)
        heard[device] = probes[device].hear_until(end)
    return heard


def test_a_device_writes_nothing_that_is_the_brokers(door: Door) -> None:
    command = b'{"commands":[{"command":"deleteClient","username":"tab"}]}'
    notify = f"{P}/{HONEST}/{FEED}/notify"
    with door.probe(HONEST) as tab:
        tab.subscribe(notify)
        for topic in BROKERS_OWN:
            with door.probe(ABUSER) as phone:
                phone.publish(topic, command, qos=0)
        with door.probe(GATEWAY) as gateway:
            gateway.publish(notify, b"still here")
            assert tab.hear_until(b"still here") == []


def test_who_is_no_user_does_not_come_in(door: Door) -> None:
    for user, password in STRANGERS:
        for client_id in (user or "nobody", HONEST):
            probe = door.probe(user, password=password, client_id=client_id)
            assert probe.connect() != "Success", (user, password, client_id)
            probe.close()
