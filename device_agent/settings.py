"""The agent's settings: defaults, a TOML file, and TALLYSYNC_AGENT_... in the environment."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from annotated_types import Ge, Le, Len
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from device_agent.errors import AgentError
from device_agent.schedule import Waits
from device_agent.views import WantedView, wanted_view
from programs.tls_settings import TlsMode
from sync_protocol import limits
from sync_protocol.names import DeviceId, FeedName, Folder, Kind, Representation
from sync_protocol.topics import PREFIX_DEFAULT, Topics
from sync_protocol.wire import Format

ENVIRONMENT_PREFIX: Final = "TALLYSYNC_AGENT_"
# Names the settings file itself, so it is no setting.
CONFIG_VARIABLE: Final = ENVIRONMENT_PREFIX + "CONFIG"
# Where `gateway run` has its embedded broker.
BROKER_DEFAULT: Final = "127.0.0.1:21883"

# Says of any limit of what is wanted that there is none.
ALL: Final = "all"
DAYS_MAX: Final = 36_500
# Contacts, calendar entries and nearly all mails are smaller, and are to be whole without a word.
# What is larger holds attachments, which would keep a slow link busy for minutes, mostly for
# nothing: few are ever opened on a handheld.
REMAINDER_BYTES_DEFAULT: Final = 1 * limits.MIB

_PORT_MAX: Final = 65_535
_WAITS: Final = Waits()


class SettingsError(AgentError, ValueError):
    """The settings cannot be used; the message says which, where and how to mend it."""


def broker_address(text: str) -> tuple[str, int]:
    """The host and the port of ``HOST:PORT``; ValueError says what is wrong with it.

    A literal IPv6 address stands in brackets, as in ``[::1]:1883`` (RFC 3986, section 3.2.2).
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets, like [::1]:1883, not {text!a}")
    if not (colon and host and host.isprintable() and set(host).isdisjoint(" []/@")):
        raise ValueError(f"a broker is HOST:PORT, like mqtt.example.org:1883, not {text!a}")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _PORT_MAX):
        raise ValueError(f"a broker's port is 1 to {_PORT_MAX}, not {port!a}")
    return host, int(port)


def _checked_broker(text: str) -> str:
    broker_address(text)
    return text


def _checked_prefix(text: str) -> str:
    return Topics(text).prefix


def _split(value: object) -> object:
    """Lists in the environment are separated by commas."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _or_all(value: object) -> object:
    return None if value == ALL else value


def _split_or_all(value: object) -> object:
    return _split(_or_all(value))


def _pairs(value: object) -> object:
    """A table in the environment is KEY=VALUE, separated by commas."""
    if not isinstance(value, str):
        return value
    found: dict[str, str] = {}
    for pair in filter(None, value.split(",")):
        key, equals, name = (part.strip() for part in pair.partition("="))
        if not equals:
            raise ValueError(f"it is KIND=REPRESENTATION, separated by commas, not {pair!a}")
        if key in found:
            raise ValueError(f"{key} is there twice")
        found[key] = name
    return found


def _data_dir() -> Path:
    # The XDG base directory specification; platformdirs is not among what a handheld installs.
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "tallysync" / "agent"


_Bytes = Annotated[int, Ge(0), Le(limits.CONTENT_BYTES_MAX)]


class FeedSettings(BaseModel):
    """What is wanted of a feed; None restricts nothing, and is written "all"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: Annotated[
        Annotated[tuple[Kind, ...], Len(1, limits.VIEW_KINDS_MAX)] | None,
        NoDecode,
        BeforeValidator(_split_or_all),
    ] = None
    folders: Annotated[
        Annotated[tuple[Folder, ...], Len(1, limits.VIEW_FOLDERS_MAX)] | None,
        NoDecode,
        BeforeValidator(_split_or_all),
    ] = None
    days: Annotated[Annotated[int, Ge(1), Le(DAYS_MAX)] | None, BeforeValidator(_or_all)] = None
    representations: Annotated[
        dict[Kind, Representation],
        Len(0, limits.VIEW_KINDS_MAX),
        NoDecode,
        BeforeValidator(_pairs),
    ] = Field(default_factory=dict)
    portion_bytes: Annotated[_Bytes | None, BeforeValidator(_or_all)] = None
    item_bytes_max: Annotated[_Bytes | None, BeforeValidator(_or_all)] = None
    remainder_bytes_max: Annotated[_Bytes | None, BeforeValidator(_or_all)] = (
        REMAINDER_BYTES_DEFAULT
    )


class Settings(BaseSettings, FeedSettings):
    """All settings of the agent. Names end in their unit: `_s` are seconds.

    What is wanted of a feed holds for all of them, but where `feed` says it of one.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, toml_file=None
    )

    id: DeviceId | None = None
    feeds: Annotated[tuple[FeedName, ...], NoDecode, BeforeValidator(_split)] = ()
    broker: Annotated[str, AfterValidator(_checked_broker)] = BROKER_DEFAULT
    tls: TlsMode = "auto"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False
    data_dir: Path = Field(default_factory=_data_dir)
    password_file: Path | None = None
    sync_period_s: Annotated[float, Ge(1), Le(86_400)] = _WAITS.period_s
    debounce_s: Annotated[float, Ge(0), Le(60)] = _WAITS.debounce_s
    request_timeout_s: Annotated[float, Ge(0.1), Le(600)] = _WAITS.request_timeout_s
    backoff_s: Annotated[float, Ge(0.1), Le(600)] = _WAITS.backoff_s
    backoff_s_max: Annotated[float, Ge(0.1), Le(86_400)] = _WAITS.backoff_s_max
    keepalive_s: Annotated[int, Ge(5), Le(3600)] = 60
    answer_bytes_max: Annotated[
        int, Ge(limits.ANSWER_BYTES_MIN), Le(limits.ANSWER_BYTES_MAX // 2)
    ] = limits.ANSWER_BYTES_DEFAULT
    format: Format = Format.CBOR
    topic_prefix: Annotated[str, AfterValidator(_checked_prefix)] = PREFIX_DEFAULT
    feed: dict[FeedName, FeedSettings] = Field(default_factory=dict)

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line before the environment before the file before the defaults."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(path: Path | None = None, **overrides: object) -> Settings:
    """The settings, from the TOML file at `path` if one is given.

    Args:
        path: a TOML file.
        overrides: what the command line says; None does not override.

    Raises:
        SettingsError: the file or a value cannot be used.
    """
    values = {name: value for name, value in overrides.items() if value is not None}
    _check_environment(os.environ)

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    if path is not None and not path.is_file():
        raise SettingsError(f"there is no settings file {path}")
    try:
        return FromFile(**values)  # type: ignore[arg-type]  # pydantic checks them
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        raise SettingsError(_explained(error, path, values)) from error


def _check_environment(environment: Mapping[str, str]) -> None:
    # A table of tables has no place in a variable.
    names = Settings.model_fields.keys() - {"feed"}
    known = {(ENVIRONMENT_PREFIX + name).upper() for name in names}
    known.add(CONFIG_VARIABLE)
    for variable in sorted(environment):
        if variable.upper().startswith(ENVIRONMENT_PREFIX) and variable.upper() not in known:
            raise SettingsError(
                f"no setting is called {variable} (environment); known are"
                f" {', '.join(sorted(known))}"
            )


def _explained(error: ValidationError, path: Path | None, values: Mapping[str, object]) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = str(first["loc"][0])
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        model = Settings if len(first["loc"]) == 1 else FeedSettings
        known = ", ".join(model.model_fields)
        return f"no setting is called {where} ({path}); known are {known}"
    in_environment = any(name.upper() == ENVIRONMENT_PREFIX + key.upper() for name in os.environ)
    if key in values:
        source = "the command line"
    elif in_environment:
        source = ENVIRONMENT_PREFIX + key.upper()
    else:
        source = str(path)
    said = first["msg"].removeprefix("Value error, ")
    may_be_all = FeedSettings.model_fields.keys() - {"representations"}
    otherwise = f', or "{ALL}"' if first["loc"][-1] in may_be_all else ""
    return f"{where} ({source}): {said}{otherwise}"
