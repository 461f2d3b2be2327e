"""Whether a connection is encrypted, as settings say it."""

from typing import Literal

# "auto": with TLS, but for a broker on this machine's loopback.
TlsMode = Literal["auto", "on", "off"]
