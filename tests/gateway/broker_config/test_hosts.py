"""Names and addresses of brokers."""

import pytest

from gateway.broker_config import hosts


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("mqtt.example.org", "mqtt.example.org"),
        ("MQTT.Example.org", "mqtt.example.org"),
        ("broker", "broker"),
        ("2nd", "2nd"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("my_broker-2.lan", "my_broker-2.lan"),
        ("a" * 63 + ".lan", "a" * 63 + ".lan"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::1", "::1"),
    ],
)
def test_hosts(text: str, host: str) -> None:
    assert hosts.host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "mqtt.example.org:8883",
        "mqtt://example.org",
        "two words",
        "-a.lan",
        "a-.lan",
        "a" * 64 + ".lan",
        "a." * 126 + "ab",
        "bücher.example",
        "*.example.org",
        "192.0.2.300",
        "192.0.2",
        "9.9.9.9x",
        "[::1]",
        "a\nlistener 1883",
    ],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"a host is a name|is no address"):
        hosts.host(text)


@pytest.mark.parametrize(
    ("names", "address"),
    [
        (("localhost",), "127.0.0.1"),
        (("localhost", "127.0.0.2"), "127.0.0.1"),
        (("127.0.0.2", "localhost"), "127.0.0.2"),
        (("::1",), "::1"),
        (("localhost", "mqtt.example.org"), None),
        (("192.0.2.7",), None),
    ],
)
def test_a_broker_for_this_machine_listens_on_its_loopback(
    names: tuple[str, ...], address: str | None
) -> None:
    assert hosts.only_here(names) == address
