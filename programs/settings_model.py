"""What settings are: tables of named values, each of which came from somewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from programs.settings_words import is_bool


class SettingsTable(BaseModel):
    """A table of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        # To Python, true is 1.
        if isinstance(value, bool) and not is_bool(cls.model_fields[str(info.field_name)]):
            raise PydanticCustomError("truth", "it is neither true nor false")
        return value


class ProgramSettings(BaseSettings, SettingsTable):
    """All settings of a program; its `env_prefix` is what its variables begin with.

    Attributes:
        program: its command, for errors that name one.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    program: ClassVar[str]

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Settings that cannot be used together: the key to blame, and what follows its name."""
        return iter(())

    @classmethod
    def variable(cls, key: str) -> str:
        """The variable of the environment for that setting."""
        return f"{cls.model_config['env_prefix']}{key}".upper()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, below what is given: the file and the command line (`read`)."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings


@dataclass(frozen=True, slots=True)
class Source:
    """Where a setting came from.

    Attributes:
        kind: each goes before those that are named before it. An enrolment is a device's.
        name: of the file or the variable; nothing for the others.
    """

    kind: Literal["default", "enrolment", "file", "variable", "command line"] = "default"
    name: str = ""

    def of(self, key: str) -> str:
        """How a sentence begins that is about a key from there."""
        match self.kind:
            case "file":
                return f"{self.name}: {key}"
            case "variable":
                return f"the environment: {self.name}"
            case "command line":
                return f"the command line: {key}"
            case "enrolment":
                return f"the enrolment: {key}"
            case "default":
                return key
