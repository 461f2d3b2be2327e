"""The text of mosquitto.conf, for Mosquitto 2.0 and later."""

import itertools
from dataclasses import dataclass
from typing import Final

from sync_protocol import limits

CONF_FILE: Final = "mosquitto.conf"
ACCOUNTS_FILE: Final = "dynamic-security.json"
PASSWORDS_FILE: Final = "mosquitto.passwd"
RULES_FILE: Final = "mosquitto.acl"
# By which a file is known as one that this command may write anew.
FIRST_LINE: Final = "# Written by 'gateway broker-config mosquitto'."

# Fits the 1,024 files that a program may have open unless it is allowed more.
CONNECTIONS_MAX: Final = 1_000
# Room for the status of each device when the gateway comes, and then some requests.
QUEUED_MESSAGES_MAX: Final = 2 * CONNECTIONS_MAX
QUEUED_BYTES_MAX: Final = 16 * limits.MIB
INFLIGHT_MESSAGES_MAX: Final = 20
# The largest message, its topic and MQTT's own few bytes.
PACKET_BYTES_MAX: Final = limits.ANSWER_BYTES_MAX + limits.KIB
AUTOSAVE_S: Final = 60


_COMMAND_LINE: Final = "#   "


def is_ours(conf: bytes) -> bool:
    """Whether this command wrote a configuration, whatever people did to it since."""
    return any(line.startswith(FIRST_LINE) for line in _lines(conf))


def command_of(conf: bytes) -> str | None:
    """The command that made a configuration, as it says itself."""
    lines = _lines(conf)
    for line, following in itertools.pairwise(lines):
        if line.startswith(FIRST_LINE) and following.startswith(_COMMAND_LINE):
            return following.removeprefix(_COMMAND_LINE)
    return None


def says_the_same(one: bytes, other: bytes) -> bool:
    """Whether two configurations differ in comments at most."""
    return _said(one) == _said(other)


def asks_for_certificates(conf: bytes) -> bool:
    """Whether clients need a certificate."""
    return "require_certificate true" in _said(conf)


def _said(conf: bytes) -> list[str]:
    return [line.strip() for line in _lines(conf) if line.strip() and not line.startswith("#")]


def _lines(conf: bytes) -> list[str]:
    return conf.decode(errors="replace").split("\n")


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """What differs between two configurations.

    Attributes:
        folder: where all files are.
        port, address: where it listens; no address is all of them.
        user: the account that runs it.
        plugin: the dynamic security plugin; None is accounts in files.
        client_ca: the file of the CA whose certificates clients must have; None asks for none.
        command: that makes this configuration again.
    """

    folder: str
    port: int
    address: str | None
    user: str
    plugin: str | None
    client_ca: str | None
    command: str

    def conf(self) -> str:
        """mosquitto.conf, with a comment to each line that is not of course."""
        parts = (self._head(), self._listener(), self._accounts(), _BOUNDS, self._kept(), _LOG)
        return "\n".join(parts)

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _head(self) -> str:
        return f"""\
{FIRST_LINE} The same again renews it:
{_COMMAND_LINE}{self.command}
# Lines that you change here are kept then in {CONF_FILE}.before, and not used any more.
# 'man mosquitto.conf' tells of each.

# If root starts it, it becomes this account, which can read this folder and write into it.
user {self.user}
"""

    def _listener(self) -> str:
        where = f"{self.port} {self.address}" if self.address else f"{self.port}"
        text = f"""\
# The one door: TLS 1.2 or later. Devices see by the certificate that it is this broker.
per_listener_settings false
listener {where}
certfile {self._path("server.crt")}
keyfile {self._path("server.key")}
tls_version tlsv1.2
# As many connections as the limit on open files allows (1,024 is usual): raise both, or none.
max_connections {CONNECTIONS_MAX}
# One connection for each account. A client id is whatever a client says, and who says another's
# would take its place.
use_username_as_clientid true
"""
        if self.client_ca is not None:
            text += f"""\
# Nobody gets as far as a password without a certificate of this CA. The password still says who it
# is: the certificate of one device and no password lets nobody in.
require_certificate true
cafile {self._path(self.client_ca)}
use_identity_as_username false
"""
        return text

    def _accounts(self) -> str:
        text = """\
# Nobody without an account, nor under a name that the broker makes up.
allow_anonymous false
allow_zero_length_clientid false
"""
        if self.plugin is None:
            return (
                text
                + f"""\
# Accounts, and the topics of each. Written anew by the command above when devices come and go; the
# broker reads them again when it gets the signal HUP.
password_file {self._path(PASSWORDS_FILE)}
acl_file {self._path(RULES_FILE)}
"""
            )
        return (
            text
            + f"""\
# Accounts, and the topics of each. The gateway changes them while the broker runs, and the broker
# keeps them in this file: edit it only while it does not run.
plugin {self.plugin}
plugin_opt_config_file {self._path(ACCOUNTS_FILE)}
"""
        )

    def _kept(self) -> str:
        return f"""\
# What is retained are statuses: "online" or "offline", one of each device, so that the gateway
# knows who is there. Those of {AUTOSAVE_S} seconds may be lost in a crash, which harms nothing:
# whoever is there says so again. The file is written aside and then renamed: it is always whole.
persistence true
persistence_location {self.folder}
autosave_interval {AUTOSAVE_S}
autosave_on_changes false
# A status of a device that was removed meanwhile is not passed on.
check_retain_source true
# The gateway and its devices begin a new session each time. Others that do not are forgotten soon.
persistent_client_expiration 1d
queue_qos0_messages false
"""


_BOUNDS: Final = f"""\
# Without this each round trip waits 40 ms.
set_tcp_nodelay true
# The largest answer of the gateway, {limits.ANSWER_BYTES_MAX} bytes, and its topic. Who sends more
# is disconnected.
max_packet_size {PACKET_BYTES_MAX}
# What waits for one client that reads slowly, beyond what it was sent and did not acknowledge. More
# is dropped: pushes may be lost, and requests are asked again. The gateway's queue has room for a
# status of each device.
max_inflight_messages {INFLIGHT_MESSAGES_MAX}
max_queued_messages {QUEUED_MESSAGES_MAX}
max_queued_bytes {QUEUED_BYTES_MAX}
# There is no memory_limit here: with the plugin 2.0.11 counts wrong, and soon turns all away for
# want of memory. Whoever starts the broker may limit it, as systemd does with MemoryMax.
# No figures about the broker under $SYS, which nobody may read.
sys_interval 0
"""

_LOG: Final = """\
# Who connects and what goes wrong, but not what is said: "debug" and "subscribe" would name topics.
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
log_timestamp true
log_timestamp_format %Y-%m-%dT%H:%M:%S
connection_messages true
"""
