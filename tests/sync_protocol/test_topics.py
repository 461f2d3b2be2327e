"""Who says what where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_protocol import limits
from sync_protocol.errors import ProtocolError
from sync_protocol.topics import (
    Channel,
    ReplicaTopic,
    StatusTopic,
    Topics,
    may_publish,
    may_receive,
    may_subscribe,
)

TOPICS = Topics()
name = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda text: text != "gateway")


@given(name, name, st.sampled_from(Channel))
def test_a_replicas_topic_there_and_back(device: str, feed: str, channel: Channel) -> None:
    topic = TOPICS.replica(device, feed, channel)
    # A feed may be called status: three levels are a replica's, two are a status.
    assert TOPICS.parse(topic) == ReplicaTopic(device, feed, channel)


@given(name)
def test_a_status_there_and_back(device: str) -> None:
    assert TOPICS.parse(TOPICS.status(device)) == StatusTopic(device)
    assert TOPICS.parse(TOPICS.status("gateway")) == StatusTopic("gateway")


def test_how_they_look() -> None:
    assert TOPICS.replica("phone", "mail", Channel.NOTIFY) == "sync/v1/phone/mail/notify"
    assert Topics("a/b").status("phone") == "a/b/phone/status"
    assert TOPICS.all_requests == "sync/v1/+/+/request"
    assert TOPICS.all_statuses == "sync/v1/+/status"


@given(st.text(st.characters(), max_size=80) | st.text("/abc+#", max_size=20))
def test_any_other_topic_is_refused(text: str) -> None:
    for topic in (text, TOPICS.prefix + "/" + text):
        try:
            TOPICS.parse(topic)
        except ProtocolError as error:
            assert error.reason == "topic"  # noqa: PT017 - nearly all are refused
            assert str(error).isprintable()  # noqa: PT017


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "sync/v1",
        "sync/v1/",
        "sync/v1/phone",
        "sync/v1/phone/mail",
        "sync/v1/phone/mail/notify/x",
        "sync/v1/phone/mail/Notify",
        "sync/v1/+/mail/notify",
        "sync/v1/gateway/mail/notify",
        "sync/v1/phone/gateway/notify",
        "sync/v10/phone/status",
        "/sync/v1/phone/status",
        "$SYS/sync/v1/phone/status",
    ],
)
def test_what_is_none_of_ours(topic: str) -> None:
    with pytest.raises(ProtocolError):
        TOPICS.parse(topic)


@pytest.mark.parametrize(
    "prefix",
    ["", "/", "a/", "/a", "a//b", "a/+", "#", "$SYS", "a b", "a\0", "a\n", "x" * 129],
)
def test_a_prefix_that_cannot_be(prefix: str) -> None:
    with pytest.raises(ValueError, match="a topic prefix is levels"):
        Topics(prefix)


def test_the_longest_prefix() -> None:
    assert Topics("x" * limits.TOPIC_PREFIX_CHARS_MAX).status("a").endswith("x/a/status")


@pytest.mark.parametrize("wrong", ["gateway", "a/b", "", "+"])
def test_no_topic_is_made_of_a_wrong_name(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"name|device id"):
        TOPICS.replica(wrong, "mail", Channel.NOTIFY)
    with pytest.raises(ValueError, match="name"):
        TOPICS.replica("phone", wrong, Channel.NOTIFY)


# (topic, may publish, may receive), as the device "phone".
RULES = [
    ("sync/v1/phone/mail/request", True, False),
    ("sync/v1/phone/status", True, False),
    ("sync/v1/phone/mail/notify", False, True),
    ("sync/v1/phone/mail/response", False, True),
    ("sync/v1/gateway/status", False, True),
    ("sync/v1/tablet/mail/request", False, False),
    ("sync/v1/tablet/mail/notify", False, False),
    ("sync/v1/tablet/status", False, False),
    ("other/phone/mail/notify", False, False),
    ("$SYS/broker/version", False, False),
]


@pytest.mark.parametrize(("topic", "publish", "receive"), RULES)
def test_what_a_device_may(topic: str, *, publish: bool, receive: bool) -> None:
    assert may_publish(TOPICS, "phone", topic) == publish
    assert may_receive(TOPICS, "phone", topic) == receive
    assert may_subscribe(TOPICS, "phone", topic) == receive


@pytest.mark.parametrize("topic_filter", ["sync/v1/phone/+/notify", "sync/v1/phone/+/response"])
def test_a_device_may_hear_all_its_feeds(topic_filter: str) -> None:
    assert may_subscribe(TOPICS, "phone", topic_filter)


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "sync/#",
        "sync/v1/#",
        "sync/v1/phone/#",
        "sync/v1/+/+/notify",
        "sync/v1/+/mail/notify",
        "sync/v1/tablet/+/notify",
        "sync/v1/phone/+/request",
        "sync/v1/phone/+/+",
        "sync/v1/phone/mail/+",
        "sync/v1/+/status",
        "+/v1/phone/mail/notify",
        "phone/+/notify",
    ],
)
def test_a_device_may_hear_nothing_more(topic_filter: str) -> None:
    assert not may_subscribe(TOPICS, "phone", topic_filter)
