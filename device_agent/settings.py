"""The agent's settings: defaults, a TOML file, and TALLYSYNC_AGENT_... in the environment."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from device_agent.errors import AgentError
from device_agent.schedule import Waits
from sync_protocol import limits
from sync_protocol.names import DeviceId, FeedName
from sync_protocol.topics import PREFIX_DEFAULT, Topics
from sync_protocol.wire import Format

ENVIRONMENT_PREFIX: Final = "TALLYSYNC_AGENT_"
# Names the settings file itself, so it is no setting.
CONFIG_VARIABLE: Final = ENVIRONMENT_PREFIX + "CONFIG"
# Where `gateway run` has its embedded broker.
BROKER_DEFAULT: Final = "127.0.0.1:21883"

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
    """Feeds in the environment are separated by commas."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _data_dir() -> Path:
    # The XDG base directory specification; platformdirs is not among what a handheld installs.
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "tallysync" / "agent"


class Settings(BaseSettings):
    """All settings of the agent. Names end in their unit: `_s` are seconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, toml_file=None
    )

    id: DeviceId | None = None
    feeds: Annotated[tuple[FeedName, ...], NoDecode, BeforeValidator(_split)] = ()
    broker: Annotated[str, AfterValidator(_checked_broker)] = BROKER_DEFAULT
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
    known = {(ENVIRONMENT_PREFIX + name).upper() for name in Settings.model_fields}
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
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(Settings.model_fields)
        return f"no setting is called {where} ({path}); known are {known}"
    in_environment = any(name.upper() == ENVIRONMENT_PREFIX + key.upper() for name in os.environ)
    if key in values:
        source = "the command line"
    elif in_environment:
        source = ENVIRONMENT_PREFIX + key.upper()
    else:
        source = str(path)
    return f"{where} ({source}): {first['msg'].removeprefix('Value error, ')}"
