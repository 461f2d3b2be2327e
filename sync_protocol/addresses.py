"""A broker's address as text: HOST:PORT, with a literal IPv6 address in brackets."""

from typing import Final

_PORT_MAX: Final = 65_535
_NOT_IN_A_HOST: Final = " []/@"
# RFC 1035, section 2.3.4.
_LABEL_CHARS_MAX: Final = 63


def broker_address(text: str) -> tuple[str, int]:
    """The host and the port of ``HOST:PORT``; ValueError says what is wrong with it.

    A literal IPv6 address stands in brackets, as in ``[::1]:1883`` (RFC 3986, section 3.2.2).
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets, like [::1]:1883, not {text!a}")
    if not (colon and is_host(host)):
        raise ValueError(f"a broker is HOST:PORT, like mqtt.example.org:1883, not {text!a}")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _PORT_MAX):
        raise ValueError(f"a broker's port is 1 to {_PORT_MAX}, not {port!a}")
    return host, int(port)


def is_host(text: str) -> bool:
    """Whether it can be the name of a host or its address.

    What Python could not look up is none: that raises an error which is no OSError.
    """
    if not (text and text.isprintable() and set(text).isdisjoint(_NOT_IN_A_HOST)):
        return False
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            return False
    labels = text.removesuffix(".").split(".")
    return all(0 < len(label) <= _LABEL_CHARS_MAX for label in labels)


def address_text(host: str, port: int) -> str:
    """The text of which `broker_address` makes the same host and port again."""
    return f"{f'[{host}]' if ':' in host else host}:{port}"
