"""How a message becomes bytes: CBOR with small integer keys, or JSON with names."""

import functools
import io
import json
import typing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

import cbor2
from pydantic import BaseModel, ConfigDict, ValidationError

from sync_protocol import limits
from sync_protocol.errors import ProtocolError

_JSON_OBJECT: Final = ord("{")
_CBOR_MAP: Final = range(0xA0, 0xC0)  # RFC 8949, section 3.1: major type 5
_CBOR_SHORT_MAP_MAX: Final = 23  # entries whose count stands in the first byte
# The tags that cbor2 gives a meaning to: patterns to compile, mails to parse, shared and cyclic
# values, numbers of any length. No message has one, so none is ever built.
_CBOR_TAGS: Final = (
    *range(6), 25, *range(28, 31), *range(35, 38), 100, 256, 258, 260, 261, 1004, 43000, 55799,
)  # fmt: skip


class Format(StrEnum):
    """The two forms of the wire; the first byte of a message tells them apart (W1)."""

    CBOR = "cbor"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Key:
    """A field's key in CBOR."""

    number: int


class Message(BaseModel):
    """A message, or a part of one. Every field carries a `Key`; defaults are not sent (W4)."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        hide_input_in_errors=True,
    )


M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class _Field:
    key: int
    name: str
    default: object
    model: type[Message] | None


@functools.cache
def _fields(model: type[Message]) -> tuple[_Field, ...]:
    fields = []
    for name, info in model.model_fields.items():
        (key,) = [item.number for item in info.metadata if isinstance(item, Key)]
        fields.append(_Field(key, name, info.default, _submodel(info.annotation)))
    assert len({field.key for field in fields}) == len(fields), model  # noqa: S101 - our own bug
    return tuple(fields)


def _submodel(annotation: Any) -> type[Message] | None:  # noqa: ANN401 - any type annotation
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return annotation
    found = (_submodel(part) for part in typing.get_args(annotation))
    return next((model for model in found if model), None)


@functools.cache
def _by_key(model: type[Message]) -> dict[int, _Field]:
    return {field.key: field for field in _fields(model)}


def encode(message: Message, form: Format) -> bytes:
    """`message` as bytes."""
    if form is Format.JSON:
        return message.model_dump_json(exclude_defaults=True).encode()
    return cbor2.dumps(_to_keys(message))


def encode_text(text: str, form: Format) -> bytes:
    """`text` as the value of a field, for `splice`."""
    return json.dumps(text).encode() if form is Format.JSON else cbor2.dumps(text)


def _to_keys(message: Message) -> dict[int, object]:
    keyed: dict[int, object] = {}
    for field in _fields(type(message)):
        value = getattr(message, field.name)
        if value == field.default:
            continue
        if field.model is not None:
            value = (
                [_to_keys(part) for part in value] if isinstance(value, tuple) else _to_keys(value)
            )
        keyed[field.key] = value
    return keyed


def splice(head: bytes, *, key: int, name: str, body: bytes, form: Format) -> bytes:
    """`head`, an encoded message of some fields, with one more field whose value is `body`.

    This is what lets a fan-out encode a change once and join it to each device's few own bytes.
    """
    if form is Format.JSON:
        return b'%b,"%b":%b}' % (head[:-1], name.encode(), body)
    count = head[0] - _CBOR_MAP.start
    assert count < _CBOR_SHORT_MAP_MAX  # noqa: S101 - our own heads are short
    return b"%c%b%b%b" % (head[0] + 1, head[1:], cbor2.dumps(key), body)


def form_of(data: bytes) -> Format:
    """Which form `data` has (W1).

    Raises:
        ProtocolError: it is neither.
    """
    if data and data[0] == _JSON_OBJECT:
        return Format.JSON
    if data and data[0] in _CBOR_MAP:
        return Format.CBOR
    raise ProtocolError("form", "a message is a CBOR map or a JSON object; this begins as neither")


def decode(model: type[M], data: bytes, *, bytes_max: int) -> M:
    """The message of type `model` that `data` holds.

    Raises:
        ProtocolError: `data` is larger than `bytes_max`, in neither form, or not such a message.
            Nothing else is ever raised, whatever `data` is.
    """
    if len(data) > bytes_max:
        raise ProtocolError("too-large", f"{len(data)} bytes, and at most {bytes_max} are read")
    try:
        if form_of(data) is Format.JSON:
            return model.model_validate_json(data)
        return model.model_validate(_to_names(model, _cbor(data)))
    except ProtocolError:
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise ProtocolError(
            "invalid", f"{where}: {first['msg']}"[: limits.MESSAGE_CHARS_MAX]
        ) from None
    except Exception as error:  # decoders of hostile bytes raise many things
        raise ProtocolError("unreadable", f"cannot be decoded: {type(error).__name__}") from None


def _cbor(data: bytes) -> object:
    read = io.BytesIO(data)
    decoder = cbor2.CBORDecoder(
        read,
        max_depth=limits.DEPTH_MAX,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        tag_hook=_no_tag,
        semantic_decoders=_NO_TAGS,
    )
    keyed: object = decoder.decode()
    if read.tell() != len(data):
        raise ProtocolError("unreadable", "something stands behind the message")
    return keyed


def _no_tag(_value: object, _immutable: object) -> object:
    raise ProtocolError("unreadable", "a message has no tags")


_NO_TAGS: Final = dict.fromkeys(_CBOR_TAGS, _no_tag)


def _to_names(model: type[Message], keyed: object) -> dict[str, object]:
    if not isinstance(keyed, dict):
        raise ProtocolError("invalid", f"{model.__name__} is a map")
    by_key = _by_key(model)
    named: dict[str, object] = {}
    for key, raw in keyed.items():
        field = by_key.get(key) if type(key) is int else None
        if field is None:
            continue  # an unknown field of the same version (W5)
        value: object = raw
        if isinstance(raw, list):
            value = (
                tuple(_to_names(field.model, part) for part in raw) if field.model else tuple(raw)
            )
        elif field.model is not None and raw is not None:
            value = _to_names(field.model, raw)
        named[field.name] = value
    return named
