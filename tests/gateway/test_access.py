"""Every user tries every topic, on paper."""

import itertools

import pytest

from gateway.access import Access
from sync_protocol.topics import Topics

ACCESS = Access(Topics())
DEVICES = ("phone", "tablet")
STRANGERS = ("", " gateway", "phone/mail", "+", "#", "$SYS", "no such name", "x" * 65)
FEEDS = ("mail", "contacts")

REQUESTS = {f"sync/v1/{device}/{feed}/request" for device in DEVICES for feed in FEEDS}
TO_DEVICES = {
    f"sync/v1/{device}/{feed}/{channel}"
    for device in DEVICES
    for feed in FEEDS
    for channel in ("notify", "response")
}
STATUSES = {f"sync/v1/{device}/status" for device in DEVICES}
GATEWAY_STATUS = "sync/v1/gateway/status"
TOPICS = REQUESTS | TO_DEVICES | STATUSES | {GATEWAY_STATUS}
NO_TOPICS = {
    "",
    "/",
    "sync/v1",
    "sync/v1/phone",
    "sync/v1/phone/mail",
    "sync/v1/phone/mail/other",
    "sync/v1/phone/mail/notify/more",
    "sync/v1/phone//notify",
    "sync/v1//mail/notify",
    "sync/v1/phone/gateway/notify",
    "sync/v1/gateway/mail/notify",
    "sync/v1/gateway/mail/request",
    "/sync/v1/phone/mail/notify",
    "sync/v1/phone/mail/notify ",
    "sync/v1/phone/mail/Notify",
    "sync/v1/phone/mail/notify\0",
    "sync/v1/../phone/status",
    "sync/v2/phone/mail/notify",
    "other/phone/mail/notify",
    "phone/mail/notify",
    "$SYS/broker/version",
    "$SYS/sync/v1/phone/status",
}
WILDCARDS = {
    "#",
    "+",
    "+/+",
    "+/#",
    "sync/#",
    "sync/+/phone/mail/notify",
    "sync/v1/#",
    "sync/v1/+",
    "sync/v1/+/status",
    "sync/v1/+/+/notify",
    "sync/v1/+/+/request",
    "sync/v1/+/+/response",
    "sync/v1/+/mail/notify",
    "sync/v1/phone/#",
    "sync/v1/phone/+",
    "sync/v1/phone/mail/+",
    "sync/v1/phone/mail/#",
    "sync/v1/phone/+/#",
    "sync/v1/phone/+/+",
    "sync/v1/phone/+/request",
    "sync/v1/phone/mail/notify/#",
    "sync/v1/phone/+/notify/",
    "phone/+/notify",
    "+/+/+/+/notify",
    "$SYS/#",
    "$share/all/sync/v1/+/+/notify",
    "$share/all/sync/v1/phone/+/notify",
    "$share/+/notify",
    "$queue/sync/v1/phone/mail/notify",
}

PUBLISHES = {
    "gateway": TO_DEVICES | STATUSES | {GATEWAY_STATUS},
    **{
        device: {topic for topic in REQUESTS | STATUSES if f"/{device}/" in topic}
        for device in DEVICES
    },
}
RECEIVES = {
    "gateway": REQUESTS | STATUSES,
    **{
        device: {topic for topic in TO_DEVICES if f"/{device}/" in topic} | {GATEWAY_STATUS}
        for device in DEVICES
    },
}
SUBSCRIBES = {
    "gateway": {"sync/v1/+/+/request", "sync/v1/+/status"},
    **{
        device: RECEIVES[device] | {f"sync/v1/{device}/+/notify", f"sync/v1/{device}/+/response"}
        for device in DEVICES
    },
}
USERS = ("gateway", *DEVICES)
CLIENT_IDS = list(itertools.product(USERS, (*USERS, "", "phone-2")))


@pytest.mark.parametrize("user", USERS)
def test_a_user_publishes_only_where_it_may(user: str) -> None:
    everything = TOPICS | NO_TOPICS | WILDCARDS
    assert {topic for topic in everything if ACCESS.may_publish(user, topic)} == PUBLISHES[user]


@pytest.mark.parametrize("user", USERS)
def test_a_user_receives_only_what_it_may(user: str) -> None:
    everything = TOPICS | NO_TOPICS | WILDCARDS
    assert {topic for topic in everything if ACCESS.may_receive(user, topic)} == RECEIVES[user]


@pytest.mark.parametrize("user", USERS)
def test_a_user_subscribes_only_to_what_it_may(user: str) -> None:
    everything = TOPICS | NO_TOPICS | WILDCARDS | SUBSCRIBES[user]
    allowed = {topic for topic in everything if ACCESS.may_subscribe(user, topic)}
    assert allowed == SUBSCRIBES[user]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_whoever_is_neither_gateway_nor_device_may_nothing(stranger: str) -> None:
    for topic in TOPICS | NO_TOPICS | WILDCARDS:
        assert not ACCESS.may_publish(stranger, topic)
        assert not ACCESS.may_subscribe(stranger, topic)
        assert not ACCESS.may_receive(stranger, topic)
    assert not ACCESS.may_connect(stranger, client_id=stranger)


@pytest.mark.parametrize(("user", "client_id"), CLIENT_IDS)
def test_a_client_id_is_the_user_name(user: str, client_id: str) -> None:
    assert ACCESS.may_connect(user, client_id=client_id) == (user == client_id)


def test_only_statuses_are_retained() -> None:
    retained = {topic for topic in TOPICS | NO_TOPICS | WILDCARDS if ACCESS.may_retain(topic)}
    assert retained == STATUSES | {GATEWAY_STATUS}


def test_the_prefix_is_a_setting() -> None:
    access = Access(Topics(prefix="home"))
    assert access.may_publish("phone", "home/phone/mail/request")
    assert access.may_subscribe("gateway", "home/+/+/request")
    assert not access.may_publish("phone", "sync/v1/phone/mail/request")
    assert not access.may_subscribe("gateway", "sync/v1/+/+/request")
