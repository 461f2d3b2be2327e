"""The roles for Mosquitto say the same as the rules of the gateway's own broker."""

import itertools

from paho.mqtt.client import topic_matches_sub

from gateway import broker_roles
from gateway.access import Access
from gateway.broker_roles import Rules
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Topics

PREFIX = "sync/v1"
TOPICS = Topics(PREFIX)
ACCESS = Access(TOPICS)
FEEDS = ("contacts", "calendar")
# All that anybody could come upon, below the prefix and elsewhere.
LEVELS = ("phone", "tab", GATEWAY, "contacts", "secret", "notify", "request", "response", "status")
NAMES = [
    "/".join((prefix, *levels))
    for prefix in (PREFIX, "sync", "$SYS")
    for count in (1, 2, 3)
    for levels in itertools.product(LEVELS, repeat=count)
]


def rules_of(user: str) -> Rules:
    if user == GATEWAY:
        return broker_roles.gateway_rules(TOPICS)
    return broker_roles.device_rules(TOPICS, user, FEEDS)


def allows(rules: Rules, kind: str, topic: str) -> bool:
    return any(
        rule["acltype"] == kind and rule["allow"] and topic_matches_sub(rule["topic"], topic)
        for rule in rules
    )


def has_feed(topic: str) -> bool:
    """Whether it is about a feed that the phone has, or about none."""
    levels = topic.removeprefix(f"{PREFIX}/").split("/")
    return len(levels) != 3 or levels[1] in FEEDS


def test_a_device_may_do_what_the_gateways_own_broker_allows_for_its_feeds() -> None:
    rules = rules_of("phone")
    allowed = []
    for topic in NAMES:
        for kind, may in (
            ("publishClientSend", ACCESS.may_publish),
            ("publishClientReceive", ACCESS.may_receive),
        ):
            may_it = may("phone", topic) and has_feed(topic)
            assert allows(rules, kind, topic) == may_it, (kind, topic)
            allowed += [(kind, topic)] * may_it
    assert len(allowed) == 5


def test_the_gateway_may_do_what_its_own_broker_allows() -> None:
    rules = rules_of(GATEWAY)
    for topic in NAMES:
        if ACCESS.may_publish(GATEWAY, topic):
            assert allows(rules, "publishClientSend", topic), topic
        if ACCESS.may_receive(GATEWAY, topic):
            assert allows(rules, "publishClientReceive", topic), topic
    # No device, and nobody who is none. (A status of one it may only clear, but no rule says so.)
    for topic in ("sync/v1/phone/contacts/request", "sync/v1/#", "other"):
        assert not allows(rules, "publishClientSend", topic)


def test_subscriptions_are_those_that_both_sides_make() -> None:
    literal = [it["topic"] for it in rules_of("phone") if it["acltype"] == "subscribeLiteral"]
    assert literal == [
        "sync/v1/phone/contacts/notify",
        "sync/v1/phone/contacts/response",
        "sync/v1/phone/calendar/notify",
        "sync/v1/phone/calendar/response",
        "sync/v1/gateway/status",
    ]
    literal = [it["topic"] for it in rules_of(GATEWAY) if it["acltype"] == "subscribeLiteral"]
    assert literal == [
        TOPICS.all_requests,
        TOPICS.all_statuses,
        "$CONTROL/dynamic-security/v1/response",
    ]


def test_only_the_gateway_reaches_the_plugin() -> None:
    assert allows(rules_of(GATEWAY), "publishClientSend", broker_roles.CONTROL_TOPIC)
    for rule in rules_of("phone"):
        assert rule["topic"].startswith(f"{PREFIX}/")
        assert not set(rule["topic"]) & set("+#%")


def test_a_device_without_feeds_has_its_status_only() -> None:
    rules = broker_roles.device_rules(TOPICS, "phone", ())
    assert {rule["topic"] for rule in rules} == {TOPICS.status("phone"), TOPICS.status(GATEWAY)}
