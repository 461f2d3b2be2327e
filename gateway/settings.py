"""The gateway's settings: defaults, a TOML file, and TALLYSYNC_GATEWAY_... in the environment."""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from gateway.data_dir import default_data_dir
from gateway.representations.registry import installed_names
from programs.tls_settings import TlsMode
from sync_protocol import limits
from sync_protocol.names import Representation
from sync_protocol.topics import PREFIX_DEFAULT

ENVIRONMENT_PREFIX: Final = "TALLYSYNC_GATEWAY_"
# Not MQTT's 1883 and no HTTP port that others use: a gateway tried out disturbs nobody.
BROKER_PORT_DEFAULT: Final = 21883
API_PORT_DEFAULT: Final = 21880


def _split(value: object) -> object:
    """Names in the environment are separated by commas; an empty text has none."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",")) if value.strip() else ()


Port = Annotated[int, Ge(0), Le(65_535)]
HomePath = Annotated[Path, AfterValidator(Path.expanduser)]


class SettingsError(ValueError):
    """The settings cannot be used; the message says which, where and how to mend it."""


class Settings(BaseSettings):
    """All settings of `gateway run`. A port of 0 chooses a free one."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, toml_file=None
    )

    data_dir: HomePath = Field(
        default_factory=default_data_dir,
        description="where feeds, devices and the ledger are kept",
    )
    broker_host: str | None = Field(
        default=None, description="an MQTT broker to use instead of the embedded one"
    )
    broker_port: Port = Field(
        default=BROKER_PORT_DEFAULT, description="its port, or that of the embedded broker"
    )
    broker_user: str = Field(default="gateway", description="the gateway's account there")
    broker_password_file: HomePath | None = Field(
        default=None, description="a file that holds that account's password"
    )
    broker_tls: TlsMode = "auto"
    broker_ca_file: HomePath | None = None
    broker_cert_file: HomePath | None = None
    broker_key_file: HomePath | None = None
    broker_insecure: bool = False
    broker_accounts: Literal["by-hand", "dynamic-security"] = "by-hand"
    devices_broker: str | None = None
    broker_keepalive_s: Annotated[int, Ge(5), Le(3600)] = 30
    topic_prefix: str = PREFIX_DEFAULT
    api_port: Port = Field(default=API_PORT_DEFAULT, description="of the HTTP API, on 127.0.0.1")
    notification_content_bytes_max: Annotated[
        int, Ge(0), Le(limits.NOTIFICATION_BYTES_MAX // 2)
    ] = 4 * limits.KIB
    answer_bytes_max: Annotated[
        int, Ge(limits.ANSWER_BYTES_MIN), Le(limits.ANSWER_BYTES_MAX // 2)
    ] = limits.ANSWER_BYTES_DEFAULT
    delete_marker_retention_days: Annotated[int, Ge(1), Le(3650)] = 30
    ledger_flush_s: Annotated[float, Ge(0.1), Le(3600)] = 5.0
    representations: Annotated[tuple[Representation, ...], NoDecode, BeforeValidator(_split)] = (
        Field(
            default=("compact",), description="in which contents are rendered for who asks for it"
        )
    )
    render_s_max: Annotated[float, Ge(0.1), Le(60)] = 5.0
    render_memory_bytes_max: Annotated[int, Ge(128 * limits.MIB), Le(16 * 1024 * limits.MIB)] = (
        512 * limits.MIB
    )
    device_requests_per_minute_max: Annotated[int, Ge(1), Le(60_000)] = 600
    device_bytes_per_hour_max: Annotated[int, Ge(limits.MIB), Le(1024 * 1024 * limits.MIB)] = (
        1024 * limits.MIB
    )
    device_work_share_max: Annotated[float, Gt(0), Le(1)] = 0.25
    embedded_connections_max: Annotated[int, Ge(1), Le(1000)] = 200

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
        SettingsError: the file or a value cannot be used, or no representation is called so.
    """
    values = {name: value for name, value in overrides.items() if value is not None}

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    if path is not None and not path.is_file():
        raise SettingsError(f"there is no settings file {path}")
    try:
        settings = FromFile(**values)  # type: ignore[arg-type]  # pydantic checks them
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise SettingsError(_unknown(key, path)) from error
        why = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{key} in {_source(key, path, values)}: {why}") from error
    known = installed_names()
    for name in settings.representations:
        if name not in known:
            source = _source("representations", path, values)
            raise SettingsError(f"representations in {source}: {_not_installed(name, known)}")
    return settings


def _source(key: str, path: Path | None, values: Mapping[str, object]) -> str:
    """Where a value came from: what overrides the others."""
    variable = f"{ENVIRONMENT_PREFIX}{key.upper()}"
    if key in values:
        return "the command line"
    if path is None or any(name.upper() == variable for name in os.environ):
        return variable
    return str(path)


def _not_installed(name: str, known: Sequence[str]) -> str:
    alike = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {alike[0]}? " if alike else ""
    return f"no representation is called {name}; {meant}those installed are {', '.join(known)}"


def _unknown(key: str, path: Path | None) -> str:
    known = sorted(Settings.model_fields)
    alike = difflib.get_close_matches(key, known, n=1)
    meant = f"did you mean {alike[0]}? " if alike else ""
    return f"no setting is called {key} ({path}); {meant}the settings are {', '.join(known)}"
