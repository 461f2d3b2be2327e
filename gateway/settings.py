"""The gateway's settings: which there are, and which of them exclude each other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from annotated_types import Ge, Le
from pydantic import Field
from pydantic_settings import NoDecode, SettingsConfigDict

from gateway.data_dir import default_data_dir
from gateway.representations.registry import installed_names
from programs.settings_file import SettingsError, read
from programs.settings_model import ProgramSettings
from programs.settings_problems import did_you_mean
from programs.settings_types import (
    BrokerAddress,
    BrokerHost,
    FilePath,
    FolderPath,
    KeyFilePath,
    PasswordFilePath,
    TopicPrefix,
    Words,
    comma_separated,
)
from programs.tls_settings import Tls, TlsMode
from sync_protocol import limits
from sync_protocol.names import Representation
from sync_protocol.topics import PREFIX_DEFAULT

__all__ = ["ENVIRONMENT_PREFIX", "Settings", "SettingsError", "load"]

ENVIRONMENT_PREFIX: Final = "TALLYSYNC_GATEWAY_"
# Not MQTT's 1883 and no HTTP port that others use: a gateway tried out disturbs nobody.
BROKER_PORT_DEFAULT: Final = 21883
API_PORT_DEFAULT: Final = 21880

Port = Annotated[int, Ge(0), Le(65_535)]

# What is of a broker elsewhere: the gateway's own knows neither TLS nor accounts of others.
_OF_A_BROKER_ELSEWHERE: Final = (
    "broker_password_file",
    "broker_ca_file",
    "broker_cert_file",
    "broker_key_file",
    "broker_insecure",
)


class Settings(ProgramSettings):
    """All settings of `gateway run`."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX)
    program: ClassVar[str] = "gateway"

    data_dir: FolderPath = Field(
        default_factory=default_data_dir,
        description=(
            "Where feeds, devices and the ledger are kept. Private, and for one gateway at a time."
            " By default tallysync/gateway in the user's data directory."
        ),
        examples=["~/.local/share/tallysync/gateway"],
    )
    broker_host: BrokerHost | None = Field(
        default=None,
        description=(
            "An MQTT broker to use. Without it the gateway brings its own, which serves this"
            " machine only."
        ),
        examples=["mqtt.example.org"],
    )
    broker_port: Port = Field(
        default=BROKER_PORT_DEFAULT,
        description=(
            "Its port, or that of the gateway's own broker, where 0 is any that is free. Not MQTT's"
            " 1883, which may be taken."
        ),
    )
    broker_user: str = Field(
        default="gateway",
        description=(
            "The gateway's account at a broker that is not its own. It must be called"
            ' "gateway" where the broker\'s rules go by that name.'
        ),
    )
    broker_password_file: PasswordFilePath | None = Field(
        default=None,
        description=(
            "A file that holds that account's password and nothing else, readable by nobody else."
        ),
        examples=["/etc/tallysync/gateway.password"],
    )
    broker_tls: TlsMode = Field(
        default="auto",
        description=(
            'Whether that broker is spoken to with TLS: "auto" (with TLS unless it is on this'
            ' machine\'s loopback), "on" or "off". The gateway\'s own broker has no TLS: only this'
            " machine reaches it."
        ),
    )
    broker_ca_file: FilePath | None = Field(
        default=None,
        description=(
            "A file of PEM with the CA certificates that the broker is verified by. Without it,"
            " those of the system."
        ),
        examples=["/etc/tallysync/ca.crt"],
    )
    broker_cert_file: FilePath | None = Field(
        default=None,
        description="For mutual TLS: the gateway's own certificate, in PEM.",
        examples=["/etc/tallysync/gateway.crt"],
    )
    broker_key_file: KeyFilePath | None = Field(
        default=None,
        description=(
            "For mutual TLS: the private key of that certificate, in PEM, readable by nobody else."
        ),
        examples=["/etc/tallysync/gateway.key"],
    )
    broker_insecure: bool = Field(
        default=False,
        description=(
            'true does not verify the broker\'s certificate, and lets broker_tls = "off" reach'
            " other machines. Whoever is on the way can read and change all. The gateway says so at"
            " each connect."
        ),
    )
    broker_accounts: Literal["by-hand", "dynamic-security"] = Field(
        default="by-hand",
        description=(
            'Who keeps the devices\' accounts at that broker: "by-hand" (the operator), or'
            ' "dynamic-security" (the gateway, through Mosquitto\'s plugin of that name: adding,'
            " rotating and removing a device takes effect at once)."
        ),
    )
    devices_broker: BrokerAddress | None = Field(
        default=None,
        description=(
            "HOST:PORT at which devices reach the broker, if it is another than the gateway's way"
            ' to it. It is what "gateway device add" tells a device.'
        ),
        examples=["mqtt.example.org:8883"],
    )
    broker_keepalive_s: Annotated[int, Ge(5), Le(3600)] = Field(
        default=30,
        description="Seconds of silence after which the broker is asked whether it is still there.",
    )
    topic_prefix: TopicPrefix = Field(
        default=PREFIX_DEFAULT,
        description=(
            "What the topics begin with. The agents must be told, too, if it is another one."
        ),
    )
    api_port: Port = Field(
        default=API_PORT_DEFAULT,
        description=(
            "Port of the HTTP API, which listens on 127.0.0.1 only. 0 is any that is free."
        ),
    )
    notification_content_bytes_max: Annotated[
        int, Ge(0), Le(limits.NOTIFICATION_BYTES_MAX // 2)
    ] = Field(
        default=4 * limits.KIB,
        description=(
            "Bytes of an item's content that a notification may carry. Larger items come with the"
            " sync."
        ),
    )
    answer_bytes_max: Annotated[
        int, Ge(limits.ANSWER_BYTES_MIN), Le(limits.ANSWER_BYTES_MAX // 2)
    ] = Field(
        default=limits.ANSWER_BYTES_DEFAULT,
        description="Bytes of one answer to a device that does not say how much it can take.",
    )
    delete_marker_retention_days: Annotated[int, Ge(1), Le(3650)] = Field(
        default=30,
        description=(
            "Days for which deletions are remembered. A device that was away for longer compares"
            " all its items with the gateway's, which costs more but loses nothing."
        ),
    )
    ledger_flush_s: Annotated[float, Ge(0.1), Le(3600)] = Field(
        default=5.0,
        description=(
            "Seconds between writes of what is known about devices. What is lost of it is told"
            " again."
        ),
    )
    representations: Annotated[
        tuple[Representation, ...],
        NoDecode,
        comma_separated,
        Words("a list of names of representations"),
    ] = Field(
        default=("compact",),
        description=(
            'Representations in which devices may ask for contents, beside "native", the bytes as'
            ' they are. "compact" is small JSON without what handhelds do not show; other packages'
            " may bring further ones. Nothing is rendered before a device asks for it. [] has none."
        ),
    )
    render_s_max: Annotated[float, Ge(0.1), Le(60)] = Field(
        default=5.0,
        description=(
            "Seconds that rendering one content may take. What takes longer is held back from the"
            " devices that want it so ('gateway quarantine list')."
        ),
    )
    render_memory_bytes_max: Annotated[int, Ge(128 * limits.MIB), Le(16 * 1024 * limits.MIB)] = (
        Field(
            default=512 * limits.MIB,
            description=(
                "Bytes of memory (address space) of the process that renders, which takes some of"
                " them itself."
            ),
        )
    )
    device_requests_per_minute_max: Annotated[int, Ge(1), Le(60_000)] = Field(
        default=600,
        description=(
            "Requests that a device may make in a minute; so many may come at once. One that asks"
            " more often is told to wait. One that sends ten times as much is shut out, for a"
            " minute at first and up to an hour."
        ),
    )
    device_bytes_per_hour_max: Annotated[int, Ge(limits.MIB), Le(1024 * 1024 * limits.MIB)] = Field(
        default=1024 * limits.MIB,
        description=(
            "Bytes of answers and notifications that a device may be sent in an hour; so many may"
            " come at once. Then it is told to wait, and pushed nothing."
        ),
    )
    device_work_share_max: Annotated[float, Ge(0.01), Le(1)] = Field(
        default=0.25,
        description=(
            "The share of the gateway's time for answers that one device may take for long. Three"
            " seconds may come at once."
        ),
    )
    embedded_connections_max: Annotated[int, Ge(1), Le(1000)] = Field(
        default=200,
        description="Connections that the gateway's own broker takes at once.",
    )

    @property
    def tls(self) -> Tls:
        """How a broker elsewhere is to be reached."""
        return Tls(
            mode=self.broker_tls,
            ca_file=self.broker_ca_file,
            cert_file=self.broker_cert_file,
            key_file=self.broker_key_file,
            insecure=self.broker_insecure,
            key_prefix="broker_",
        )

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """See `ProgramSettings`."""
        if (self.broker_cert_file is None) != (self.broker_key_file is None):
            keys = ("broker_cert_file", "broker_key_file")
            has, lacks = keys if self.broker_key_file is None else keys[::-1]
            yield has, f"is set and {lacks} is not: mutual TLS needs both"
        if self.broker_host is None:
            yield from self._without_a_broker()
        known = installed_names()
        for name in self.representations:
            if name not in known:
                those = f"those installed are {', '.join(known)}"
                meant = did_you_mean(name, known)
                yield (
                    "representations",
                    f"has {name!a}, which is not installed{meant or '; ' + those}",
                )

    def _without_a_broker(self) -> Iterator[tuple[str, str]]:
        why = "but there is no broker_host: the gateway's own broker"
        for key in _OF_A_BROKER_ELSEWHERE:
            if getattr(self, key):
                what = "makes its own password" if "password" in key else "has no TLS"
                yield key, f"is set, {why} {what}"
        if self.broker_tls == "on":
            yield "broker_tls", f'is "on", {why} has no TLS'
        if self.broker_accounts == "dynamic-security":
            yield "broker_accounts", f'is "dynamic-security", {why} needs no accounts'


def load(path: Path | None = None, **overrides: object) -> Settings:
    """The settings, from the TOML file at `path` if one is given.

    Args:
        path: a TOML file.
        overrides: what the command line says; None does not override.

    Raises:
        SettingsError: with all that is wrong.
    """
    return read(Settings, path, overrides).settings
