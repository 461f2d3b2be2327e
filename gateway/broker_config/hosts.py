"""By which names and addresses a broker is reached, and where it listens."""

import ipaddress
import re
from typing import Final

from programs.tls import is_loopback

LOCALHOST: Final = "localhost"
# To listen on, and nobody's address.
ANYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to refuse them

# RFC 1123, section 2.1; labels in other alphabets are written as A-labels (RFC 5891).
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NAME_CHARS_MAX: Final = 253


def host(text: str) -> str:
    """`text`, if it is a host's name or address; ValueError says what is wrong with it."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    labels = text.split(".")
    if len(text) > _NAME_CHARS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(
            f"a host is a name like mqtt.example.org or an address like 192.0.2.7, without a port,"
            f" not {text[:80]!a}"
        )
    # No top-level domain begins with a digit: nobody would take that for a name.
    if labels[-1].isdigit() or (len(labels) > 1 and labels[-1][0].isdigit()):
        raise ValueError(f"{text[:80]!a} is no address")
    return text.lower()


def only_here(hosts: tuple[str, ...]) -> str | None:
    """The address to listen on if all `hosts` are this machine's loopback, and None if not."""
    if not all(map(is_loopback, hosts)):
        return None
    # The first is that by which gateway and devices reach it.
    return "127.0.0.1" if hosts[0] == LOCALHOST else hosts[0]
