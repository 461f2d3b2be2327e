"""The agent's settings: which there are, and which of them exclude each other."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final

from annotated_types import Ge, Le, Len
from pydantic import Field
from pydantic_settings import NoDecode, SettingsConfigDict

from device_agent.errors import AgentError
from device_agent.schedule import Waits
from device_agent.views import WantedView, wanted_view
from programs import settings_file
from programs.settings_model import ProgramSettings, SettingsTable
from programs.settings_types import (
    BrokerAddress,
    FilePath,
    FolderPath,
    FromEnrolment,
    KeyFilePath,
    OrAll,
    PasswordFilePath,
    TopicPrefix,
    Words,
    comma_separated,
    comma_separated_pairs,
    or_all,
)
from programs.tls_settings import TlsMode
from sync_protocol import limits
from sync_protocol.names import DeviceId, FeedName, Folder, Kind, Representation
from sync_protocol.topics import PREFIX_DEFAULT
from sync_protocol.wire import Format

ENVIRONMENT_PREFIX: Final = "TALLYSYNC_AGENT_"
# Where `gateway run` has its embedded broker.
BROKER_DEFAULT: Final = "127.0.0.1:21883"

DAYS_MAX: Final = 36_500
# Contacts, calendar entries and nearly all mails are smaller, and are to be whole without a word.
# What is larger holds attachments, which would keep a slow link busy for minutes, mostly for
# nothing: few are ever opened on a handheld.
REMAINDER_BYTES_DEFAULT: Final = 1 * limits.MIB

_WAITS: Final = Waits()


class SettingsError(settings_file.SettingsError, AgentError):
    """The settings cannot be used; see `programs.settings_file.SettingsError`."""


def _data_dir() -> Path:
    # The XDG base directory specification; platformdirs is not among what a handheld installs.
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "tallysync" / "agent"


_Bytes = Annotated[int, Ge(0), Le(limits.CONTENT_BYTES_MAX)]


class FeedSettings(SettingsTable):
    """What is wanted of a feed; None restricts nothing, and is written "all"."""

    kinds: Annotated[
        Annotated[tuple[Kind, ...], Len(1, limits.VIEW_KINDS_MAX)] | None,
        NoDecode,
        comma_separated,
        or_all,
        OrAll(),
        Words("a list of kinds"),
    ] = Field(
        default=None,
        description='The kinds of items, as in ["contact", "event"]; "all" are all kinds.',
    )
    folders: Annotated[
        Annotated[tuple[Folder, ...], Len(1, limits.VIEW_FOLDERS_MAX)] | None,
        NoDecode,
        comma_separated,
        or_all,
        OrAll(),
        Words("a list of folders"),
    ] = Field(
        default=None,
        description=(
            'The folders, without those below them, as in ["Inbox", "Lists/Family"]; "" are the'
            " items that are in none."
        ),
    )
    days: Annotated[Annotated[int, Ge(1), Le(DAYS_MAX)] | None, or_all, OrAll()] = Field(
        default=None,
        description=(
            "The time window: days before midnight (UTC) of today, as in 30. What is about nothing"
            " later is not wanted, and is dropped when it falls out, with or without a connection;"
            " items without a date stay. The gateway's operator may allow fewer days."
        ),
    )
    representations: Annotated[
        dict[Kind, Representation],
        Len(0, limits.VIEW_KINDS_MAX),
        NoDecode,
        comma_separated_pairs,
        Words("a table of kinds with their representations"),
    ] = Field(
        default_factory=dict,
        description=(
            'In which representation contents come, by kind, as in { contact = "compact", mail ='
            ' "compact" }. Other kinds come as they are, "native". In the environment as'
            " contact=compact,mail=compact."
        ),
    )
    portion_bytes: Annotated[_Bytes | None, or_all, OrAll()] = Field(
        default=None,
        description=(
            "Bytes of the first portion of a content that is larger; the rest comes later."
            ' "all" leaves it to the gateway what comes at once.'
        ),
    )
    item_bytes_max: Annotated[_Bytes | None, or_all, OrAll()] = Field(
        default=None,
        description="Bytes of the largest content that is wanted: larger items are left out.",
    )
    remainder_bytes_max: Annotated[_Bytes | None, or_all, OrAll()] = Field(
        default=REMAINDER_BYTES_DEFAULT,
        description=(
            "Bytes of the largest content whose rest comes by itself; larger ones wait for"
            ' "device-agent fetch ITEM". 0 waits with all, "all" with none. What is no larger than'
            " portion_bytes is to come whole in any case. Nearly all contacts, events and mails are"
            " below 1 MiB; the rest are attachments, which would keep a slow link busy for minutes"
            " and which few people open on a handheld."
        ),
    )


class Settings(ProgramSettings, FeedSettings):
    """All settings of the agent. Names end in their unit: `_s` are seconds.

    What is wanted of a feed holds for all of them, but where `feed` says it of one.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX)
    program: ClassVar[str] = "device-agent"

    id: Annotated[DeviceId | None, FromEnrolment()] = Field(
        default=None,
        description=("Who this device is: 1 to 64 of A-Z a-z 0-9 _ and -. No default; or --id."),
        examples=["handheld-1"],
    )
    feeds: Annotated[
        tuple[FeedName, ...],
        NoDecode,
        comma_separated,
        Words("a list of names of feeds"),
        FromEnrolment(),
    ] = Field(
        default=(),
        description="The feeds to keep here. No default; or --feed, once for each.",
        examples=[["contacts", "calendar"]],
    )
    broker: Annotated[BrokerAddress, FromEnrolment()] = Field(
        default=BROKER_DEFAULT,
        description='The MQTT broker, HOST:PORT; an IPv6 address in brackets: "[::1]:21883".',
    )
    tls: Annotated[TlsMode, FromEnrolment()] = Field(
        default="auto",
        description=(
            'Whether the broker is spoken to with TLS: "auto" (with TLS unless it is on this'
            ' machine\'s loopback), "on" or "off".'
        ),
    )
    ca_file: FilePath | None = Field(
        default=None,
        description=(
            "A file of PEM with the CA certificates that the broker is verified by. Without it,"
            " that of the enrolment, or those of the system. Or --ca-file."
        ),
        examples=["/etc/tallysync/ca.crt"],
    )
    cert_file: FilePath | None = Field(
        default=None,
        description="For mutual TLS: the device's own certificate, in PEM.",
        examples=["/etc/tallysync/phone.crt"],
    )
    key_file: KeyFilePath | None = Field(
        default=None,
        description=(
            "For mutual TLS: the private key of that certificate, in PEM, readable by nobody else."
        ),
        examples=["/etc/tallysync/phone.key"],
    )
    insecure: bool = Field(
        default=False,
        description=(
            'true does not verify the broker\'s certificate, and lets tls = "off" reach other'
            " machines. Whoever is on the way can read and change all. The agent says so at each"
            " connect."
        ),
    )
    data_dir: FolderPath = Field(
        default_factory=_data_dir,
        description=(
            "Where items, tokens and collections are kept: one SQLite file. One agent for each"
            " directory. By default tallysync/agent below $XDG_DATA_HOME, or below ~/.local/share"
            " without it."
        ),
        examples=["/var/lib/tallysync/agent"],
    )
    password_file: PasswordFilePath | None = Field(
        default=None,
        description=(
            'A file that holds the device\'s password, readable by nobody else; "-" is standard'
            " input. Without one it is that of the enrolment, or is asked for on the terminal. Or"
            " --password-file."
        ),
        examples=["/etc/tallysync/agent.password"],
    )
    sync_period_s: Annotated[float, Ge(1), Le(86_400)] = Field(
        default=_WAITS.period_s,
        description=(
            "Seconds between syncs when nothing else asks for one. Up to half of it is taken away"
            " at random, so that devices do not ask in step."
        ),
    )
    debounce_s: Annotated[float, Ge(0), Le(60)] = Field(
        default=_WAITS.debounce_s,
        description=(
            "Seconds from the first sign of a lost push to the sync that repairs it, less up to"
            " half."
        ),
    )
    request_timeout_s: Annotated[float, Ge(0.1), Le(600)] = Field(
        default=_WAITS.request_timeout_s,
        description="Seconds to wait for the answer to one request.",
    )
    backoff_s: Annotated[float, Ge(0.1), Le(600)] = Field(
        default=_WAITS.backoff_s,
        description=(
            "Seconds: the longest first wait after a request without an answer. It doubles with"
            " each further one, and the wait itself is drawn at random below it."
        ),
    )
    backoff_s_max: Annotated[float, Ge(0.1), Le(86_400)] = Field(
        default=_WAITS.backoff_s_max,
        description="Seconds: how far it doubles. Not less than backoff_s.",
    )
    keepalive_s: Annotated[int, Ge(5), Le(3600)] = Field(
        default=60,
        description=(
            "Seconds of silence after which agent and broker look whether the other is still there."
        ),
    )
    answer_bytes_max: Annotated[
        int, Ge(limits.ANSWER_BYTES_MIN), Le(limits.ANSWER_BYTES_MAX // 2)
    ] = Field(
        default=limits.ANSWER_BYTES_DEFAULT,
        description="Bytes of one answer of the gateway; what does not fit comes with the next.",
    )
    format: Format = Field(
        default=Format.CBOR,
        description='How messages are written: "cbor", or "json", which is longer and can be read.',
    )
    topic_prefix: Annotated[TopicPrefix, FromEnrolment()] = Field(
        default=PREFIX_DEFAULT,
        description="What all topics begin with; the gateway's must be the same.",
    )
    feed: Annotated[
        dict[FeedName, FeedSettings],
        NoDecode,
        Words("a table like [feed.mail], which only a settings file can hold"),
    ] = Field(
        default_factory=dict,
        description=(
            "What is wanted of one feed, where it is another than what is wanted of all, in a table"
            " of its name, which comes last in this file."
        ),
        examples=[{"mail": {"days": 30}}],
    )

    def wanted(self, feed: str) -> WantedView:
        """What is wanted of that feed."""
        own = self.feed.get(feed)
        said = {} if own is None else {name: getattr(own, name) for name in own.model_fields_set}
        common = {name: getattr(self, name) for name in FeedSettings.model_fields}
        return wanted_view(**(common | said))

    @property
    def waits(self) -> Waits:
        """How long the agent waits for what."""
        return Waits(
            debounce_s=self.debounce_s,
            period_s=self.sync_period_s,
            request_timeout_s=self.request_timeout_s,
            backoff_s=self.backoff_s,
            backoff_s_max=self.backoff_s_max,
        )

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """See `ProgramSettings`."""
        if (self.cert_file is None) != (self.key_file is None):
            has, lacks = ("cert_file", "key_file")[:: 1 if self.key_file is None else -1]
            yield has, f"is set and {lacks} is not: mutual TLS needs both"
        if self.backoff_s > self.backoff_s_max:
            key = "backoff_s" if "backoff_s" in self.model_fields_set else "backoff_s_max"
            yield (
                key,
                (
                    f"makes the first wait ({self.backoff_s:g} s) longer than the longest"
                    f" ({self.backoff_s_max:g} s, backoff_s_max)"
                ),
            )


def load(path: Path | None = None, **overrides: object) -> Settings:
    """The settings, from the TOML file at `path` if one is given.

    Args:
        path: a TOML file.
        overrides: what the command line says; None does not override.

    Raises:
        SettingsError: with all that is wrong.
    """
    return loaded(path, **overrides).settings


def loaded(path: Path | None = None, **overrides: object) -> settings_file.Loaded[Settings]:
    """The settings as of `load`, with where each came from."""
    try:
        return settings_file.read(Settings, path, overrides)
    except settings_file.SettingsError as error:
        raise SettingsError(error.problems) from None
