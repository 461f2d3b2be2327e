"""Breaks of T1 to T8: topics, and who may use them."""

from typing import Final

from tests.rules.rule import broken

_TOPICS: Final = "sync_protocol/topics.py"
_ACCESS: Final = "gateway/access.py"
_AGENT: Final = "device_agent/agent.py"
_DEVICE_LINK: Final = "device_agent/mqtt.py"
_GATEWAY_LINK: Final = "gateway/mqtt.py"
_RIVAL: Final = "device_agent/rival.py"
_RIVALS: Final = "gateway/rivals.py"
_SCHEDULE: Final = "device_agent/schedule.py"

BREAKS: Final = (
    broken("T1", "pushes go to another topic", (_TOPICS, 'NOTIFY = "notify"', 'NOTIFY = "push"')),
    broken(
        "T1",
        "pushes are published with QoS 1",
        (
            _GATEWAY_LINK,
            "self._publish(topic, push.payload, qos=0)",
            "self._publish(topic, push.payload, qos=1)",
        ),
    ),
    broken(
        "T1",
        "pushes and answers are retained",
        (
            _GATEWAY_LINK,
            "self._client.publish(topic, payload, qos=qos)",
            "self._client.publish(topic, payload, qos=qos, retain=True)",
        ),
    ),
    broken(
        "T2",
        "requests are published with QoS 0",
        (
            _DEVICE_LINK,
            "self._client.publish(topic, payload, qos=1)",
            "self._client.publish(topic, payload, qos=0)",
        ),
    ),
    broken(
        "T2",
        "requests are retained",
        (
            _DEVICE_LINK,
            "self._client.publish(topic, payload, qos=1)",
            "self._client.publish(topic, payload, qos=1, retain=True)",
        ),
    ),
    broken(
        "T3",
        "answers are published with QoS 0",
        (
            _GATEWAY_LINK,
            "self._publish(topic, payload, qos=1)",
            "self._publish(topic, payload, qos=0)",
        ),
    ),
    broken(
        "T4",
        "a device may publish another one's requests",
        (
            _TOPICS,
            "parsed.device == device and parsed.channel is Channel.REQUEST",
            "parsed.channel is Channel.REQUEST",
        ),
    ),
    broken(
        "T4",
        "a device may publish on its own notify and response topics",
        (
            _TOPICS,
            "parsed.device == device and parsed.channel is Channel.REQUEST",
            "parsed.device == device",
        ),
    ),
    broken(
        "T4",
        "a device may publish the status of another",
        (_TOPICS, "return parsed.who == device", "return True"),
    ),
    broken(
        "T5",
        "a device may hear another one's pushes and answers",
        (
            _TOPICS,
            "parsed.device == device and parsed.channel is not Channel.REQUEST",
            "parsed.channel is not Channel.REQUEST",
        ),
    ),
    broken(
        "T5",
        "a device may hear its own request topic",
        (
            _TOPICS,
            "parsed.device == device and parsed.channel is not Channel.REQUEST",
            "parsed.device == device",
        ),
    ),
    broken(
        "T5",
        "a device may hear the status of other devices",
        (_TOPICS, "return parsed.who == GATEWAY", "return True"),
    ),
    broken(
        "T5",
        "a device subscribes to notify with QoS 1",
        (_DEVICE_LINK, "(Channel.NOTIFY, 0)", "(Channel.NOTIFY, 1)"),
    ),
    broken(
        "T5",
        "a device connects with a session that the broker keeps",
        (_DEVICE_LINK, "clean_session=True,", "clean_session=False,"),
    ),
    broken(
        "T6",
        "the broker does not look whose topic a device publishes on",
        (
            _ACCESS,
            "_is_user(user) and device_rules.may_publish(self.topics, user, topic)",
            "_is_user(user)",
        ),
    ),
    broken(
        "T6",
        "a device may connect under the name of another",
        (_ACCESS, "return _is_user(user) and client_id == user", "return _is_user(user)"),
    ),
    broken(
        "T7",
        "a device says online before its subscriptions are acknowledged",
        (
            _DEVICE_LINK,
            "        client.subscribe(self._subscriptions)\n",
            (
                "        client.publish(\n"
                "            self._topics.status(self._device), topics.ONLINE, qos=1, retain=True\n"
                "        )\n"
                "        client.subscribe(self._subscriptions)\n"
            ),
        ),
    ),
    broken(
        "T7",
        "a device does not sync when it has connected",
        (
            _AGENT,
            "case events.Connected():\n                self._ask_all(now)\n",
            "case events.Connected():\n                pass\n",
        ),
    ),
    broken(
        "T7",
        "a device does not sync when the gateway says online",
        (_AGENT, "sync.gateway_returned(now)", "pass"),
    ),
    broken(
        "T7",
        "a device syncs when it hears a retained online of the gateway",
        (_AGENT, "if online and not message.retained:", "if online:"),
    ),
    broken(
        "T7",
        "the gateway does not say online",
        (
            _GATEWAY_LINK,
            (
                "        client.publish(self._topics.status(GATEWAY), topics.ONLINE, qos=1,"
                " retain=True)\n"
            ),
            "",
        ),
    ),
    broken(
        "T7",
        "the gateway's online is not retained",
        (_GATEWAY_LINK, "topics.ONLINE, qos=1, retain=True", "topics.ONLINE, qos=1"),
    ),
    broken(
        "T7",
        "a device's online is not retained",
        (_DEVICE_LINK, "topics.ONLINE, qos=1, retain=True", "topics.ONLINE, qos=1"),
    ),
    broken(
        "T7",
        "a device has no last will",
        (
            _DEVICE_LINK,
            (
                "        client.will_set(topic_names.status(device), topics.OFFLINE, qos=1,"
                " retain=True)\n"
            ),
            "",
        ),
    ),
    broken(
        "T7",
        "a device leaves without saying offline",
        (
            _DEVICE_LINK,
            "self._topics.status(self._device), topics.OFFLINE, qos=1, retain=True",
            "self._topics.status(self._device), topics.ONLINE, qos=1, retain=True",
        ),
    ),
    broken(
        "T7",
        "the gateway has no last will",
        (
            _GATEWAY_LINK,
            (
                "        client.will_set(topic_names.status(GATEWAY), topics.OFFLINE, qos=1,"
                " retain=True)\n"
            ),
            "",
        ),
    ),
    broken(
        "T7",
        "the gateway leaves without saying offline",
        (
            _GATEWAY_LINK,
            "self._topics.status(GATEWAY), topics.OFFLINE, qos=1, retain=True\n",
            "self._topics.status(GATEWAY), topics.ONLINE, qos=1, retain=True\n",
        ),
    ),
    broken(
        "T8",
        "a request waits for its answer for ever",
        (_SCHEDULE, "deadline=now + waits.request_timeout_s", "deadline=now + 1e9"),
    ),
    broken(
        "T8",
        "a request without an answer is not sent again",
        (_SCHEDULE, "due=now + bound * chance,", "due=now + 1e9,"),
    ),
    broken(
        "T9",
        "the client id is not the device id",
        (_DEVICE_LINK, "client_id=device,", 'client_id=f"{device}-agent",'),
    ),
    broken(
        "T9",
        "a device whose connections are closed again and again does not wait longer",
        (_RIVAL, "return self.short_connections >= SHORT_CONNECTIONS_IN_A_ROW", "return False"),
    ),
    broken(
        "T9",
        "a device waits as if every connection had been closed soon",
        (_RIVAL, "if now - self.connected_at >= short_s:", "if now < 0:"),
    ),
    broken(
        "T9",
        "the gateway takes a new view id for another agent",
        (_RIVALS, "now if view_id in self.ids else self.returned_at", "now"),
    ),
    broken(
        "T9",
        "the gateway does not see that an earlier view id comes back",
        (_RIVALS, "now if view_id in self.ids else self.returned_at", "self.returned_at"),
    ),
)
