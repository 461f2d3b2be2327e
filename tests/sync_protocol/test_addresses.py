import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_protocol.addresses import address_text, broker_address, is_host


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:1", ("localhost", 1)),
        ("mqtt.example.org:65535", ("mqtt.example.org", 65_535)),
        ("[::1]:1883", ("::1", 1883)),
        ("127.0.0.1:21883", ("127.0.0.1", 21_883)),
        ("mqtt.example.org.:1883", ("mqtt.example.org.", 1883)),
        (f"{'a' * 63}.b:1883", (f"{'a' * 63}.b", 1883)),
        ("bücher.example:1883", ("bücher.example", 1883)),
    ],
)
def test_a_broker(text: str, address: tuple[str, int]) -> None:
    assert broker_address(text) == address
    assert address_text(*address) == text


@pytest.mark.parametrize(
    "text",
    ["", ":", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:1x", "a:\N{ARABIC-INDIC DIGIT ONE}",
     "a..b:1", ".a:1", ".:1", f"{'a' * 64}.b:1", f"{'é' * 64}:1",
     "::1:1883", "[::1]", "[]:1", "a b:1", "mqtt://a:1", "me:secret@a:1", "a\n:1"],
)  # fmt: skip
def test_no_broker(text: str) -> None:
    with pytest.raises(ValueError, match=r"broker|brackets"):
        broker_address(text)


@given(st.text(min_size=1, max_size=80) | st.from_regex(r"[a-zé.]{1,80}", fullmatch=True))
def test_every_host_can_be_looked_up(text: str) -> None:
    if is_host(text):
        assert text.encode("idna")
