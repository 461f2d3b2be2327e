"""Types of settings, with marks that say in which way they are more than Python's types."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator

from sync_protocol.addresses import broker_address, is_host
from sync_protocol.topics import Topics

# Says of any limit of what is wanted that there is none.
ALL: Final = "all"
STANDARD_INPUT: Final = Path("-")


@dataclass(frozen=True, slots=True)
class Words:
    """Marks a type that takes something else than its Python type would tell a user."""

    text: str


@dataclass(frozen=True, slots=True)
class OrAll:
    """Marks a type whose None is written "all"."""


@dataclass(frozen=True, slots=True)
class NamesFile:
    """Marks the path of a file that is read and was there before.

    Attributes:
        holds: the kind of secret that it holds, if it does.
    """

    holds: Literal["key", "password"] | None = None


@dataclass(frozen=True, slots=True)
class NamesFolder:
    """Marks the path of a folder that is made if need be, and written to."""


@dataclass(frozen=True, slots=True)
class FromEnrolment:
    """Marks a setting that a device's enrolment says, where nothing else does.

    A settings file that states its default would go before the enrolment.
    """


def _not_empty(value: object) -> object:
    if value == "":  # to Python it is the working directory
        raise ValueError("it is a path, and not empty")
    return value


def _expanded(path: Path) -> Path:
    if not str(path).isprintable():
        raise ValueError("it is a path of printable characters")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("it begins with ~ and the name of a user who is not known") from None


def _broker_address(text: str) -> str:
    # What stands there may be a password, which no message may quote.
    if "@" in text:
        raise ValueError("it is HOST:PORT alone, like mqtt.example.org:1883, without an account")
    broker_address(text)
    return text


def _broker_host(text: str) -> str:
    if not text.isprintable() or not set(text).isdisjoint(" []/@") or text.count(":") == 1:
        raise ValueError("it is a host alone, like mqtt.example.org, without a port or an account")
    if not is_host(text):
        raise ValueError("it is a host, like mqtt.example.org, and not empty")
    return text


def _topic_prefix(text: str) -> str:
    return Topics(text).prefix


_Path = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_expanded), Words("a path")]
FilePath = Annotated[_Path, NamesFile()]
KeyFilePath = Annotated[_Path, NamesFile("key")]
PasswordFilePath = Annotated[_Path, NamesFile("password")]
FolderPath = Annotated[_Path, NamesFolder()]
BrokerAddress = Annotated[str, AfterValidator(_broker_address), Words("HOST:PORT")]
BrokerHost = Annotated[str, AfterValidator(_broker_host), Words("a host")]
TopicPrefix = Annotated[str, AfterValidator(_topic_prefix)]


def _or_all(value: object) -> object:
    return None if value == ALL else value


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",")) if value.strip() else ()


def _pairs(value: object) -> object:
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


# For a type that is None where there is no limit; it has the mark `OrAll`, too.
or_all: Final = BeforeValidator(_or_all)
# For a tuple: names in the environment are separated by commas; an empty text has none.
comma_separated: Final = BeforeValidator(_split)
# For a dictionary: pairs in the environment are KEY=VALUE, separated by commas.
comma_separated_pairs: Final = BeforeValidator(_pairs)
