"""The text of mosquitto.conf."""

from collections import Counter
from dataclasses import replace

from gateway.broker_config import mosquitto
from gateway.broker_config.mosquitto import Mosquitto
from sync_protocol import limits
from sync_protocol.topics import Channel, Topics

PLAIN = Mosquitto(
    folder="/etc/tally sync",
    port=8883,
    address=None,
    user="somebody",
    plugin="/usr/lib/plugin.so",
    client_ca=None,
    command="gateway broker-config mosquitto --out '/etc/tally sync'",
)
MQTT_BYTES_MAX = 1 + 4 + 2 + 2  # type, length, length of the topic, packet id


def lines(conf: str) -> dict[str, str]:
    """Each option that stands once, with its value."""
    found = [line.partition(" ") for line in conf.splitlines() if line and line[0] != "#"]
    count = Counter(name for name, _, _ in found)
    assert {name for name, times in count.items() if times > 1} <= {"log_type"}
    return {name: value for name, _, value in found if count[name] == 1}


def test_one_door_with_tls_and_accounts() -> None:
    found = lines(PLAIN.conf())
    assert found["listener"] == "8883"
    assert found["certfile"] == "/etc/tally sync/server.crt"
    assert found["keyfile"] == "/etc/tally sync/server.key"
    assert found["tls_version"] == "tlsv1.2"
    assert found["allow_anonymous"] == "false"
    assert found["allow_zero_length_clientid"] == "false"
    assert found["use_username_as_clientid"] == "true"
    assert found["user"] == "somebody"
    assert found["plugin"] == "/usr/lib/plugin.so"
    assert found["plugin_opt_config_file"] == "/etc/tally sync/dynamic-security.json"
    assert not {"password_file", "acl_file", "require_certificate", "port", "protocol"} & set(found)


def test_an_address_to_listen_on() -> None:
    assert lines(replace(PLAIN, address="::1").conf())["listener"] == "8883 ::1"


def test_accounts_in_files() -> None:
    found = lines(replace(PLAIN, plugin=None).conf())
    assert found["password_file"] == "/etc/tally sync/mosquitto.passwd"
    assert found["acl_file"] == "/etc/tally sync/mosquitto.acl"
    assert not {"plugin", "plugin_opt_config_file"} & set(found)


def test_certificates_of_clients() -> None:
    found = lines(replace(PLAIN, client_ca="ca.crt").conf())
    assert found["require_certificate"] == "true"
    assert found["cafile"] == "/etc/tally sync/ca.crt"
    # Else a certificate would do without a password.
    assert found["use_identity_as_username"] == "false"


def test_the_largest_answer_fits_with_the_longest_topic() -> None:
    longest = Topics("p" * limits.TOPIC_PREFIX_CHARS_MAX).replica(
        "d" * limits.DEVICE_ID_CHARS_MAX, "f" * limits.DEVICE_ID_CHARS_MAX, Channel.RESPONSE
    )
    found = lines(PLAIN.conf())
    room_bytes = int(found["max_packet_size"]) - limits.ANSWER_BYTES_MAX
    assert room_bytes >= len(longest) + MQTT_BYTES_MAX
    assert int(found["max_queued_bytes"]) >= limits.ANSWER_BYTES_MAX


def test_all_is_bounded() -> None:
    found = lines(PLAIN.conf())
    for name, bound in (
        ("max_connections", mosquitto.CONNECTIONS_MAX),
        ("max_queued_messages", mosquitto.QUEUED_MESSAGES_MAX),
        ("max_queued_bytes", mosquitto.QUEUED_BYTES_MAX),
        ("max_inflight_messages", mosquitto.INFLIGHT_MESSAGES_MAX),
    ):
        assert found[name] == str(bound)
        assert bound > 0
    # With the plugin, Mosquitto 2.0.11 counts its memory wrong, and soon lets in nobody.
    assert "memory_limit" not in found


def test_the_log_names_no_topics() -> None:
    conf = PLAIN.conf()
    types = [line.split()[1] for line in conf.splitlines() if line.startswith("log_type")]
    assert types == ["error", "warning", "notice", "information"]


def test_it_says_how_it_is_made_again() -> None:
    conf = PLAIN.conf()
    assert conf.startswith(mosquitto.FIRST_LINE)
    assert mosquitto.command_of(conf.encode()) == PLAIN.command
    assert mosquitto.command_of(b"") is None
    assert mosquitto.command_of(b"# a comment\n\xff") is None
    assert mosquitto.command_of(f"# ours\n\n{conf}".encode()) == PLAIN.command
    assert mosquitto.command_of(mosquitto.FIRST_LINE.encode()) is None
    assert all(len(line) <= 100 for line in conf.splitlines())


def test_comments_are_no_other_configuration() -> None:
    conf = PLAIN.conf().encode()
    assert mosquitto.says_the_same(conf, b"# ours\n\n" + conf.replace(b"\n", b"  \n"))
    assert mosquitto.says_the_same(conf, replace(PLAIN, command="another").conf().encode())
    for other in (replace(PLAIN, port=9000), replace(PLAIN, address="::1")):
        assert not mosquitto.says_the_same(conf, other.conf().encode())


def test_whether_clients_need_a_certificate() -> None:
    assert mosquitto.asks_for_certificates(replace(PLAIN, client_ca="ca.crt").conf().encode())
    assert not mosquitto.asks_for_certificates(PLAIN.conf().encode())
