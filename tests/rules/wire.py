"""Breaks of W1 to W8: how messages are written and read."""

from typing import Final

from tests.rules.rule import broken

_WIRE: Final = "sync_protocol/wire.py"
_MESSAGES: Final = "sync_protocol/messages.py"
_TOKENS: Final = "sync_protocol/tokens.py"
_RESPONDING: Final = "gateway/responding.py"
_NOTIFIER: Final = "gateway/notifier.py"
_AGENT: Final = "device_agent/agent.py"

BREAKS: Final = (
    broken(
        "W1",
        "bytes behind a CBOR message are passed over",
        (_WIRE, "if read.tell() != len(data):", "if read.tell() > len(data):"),
    ),
    broken(
        "W1",
        "a CBOR array begins a message, too",
        (_WIRE, "range(0xA0, 0xC0)", "range(0x80, 0xC0)"),
    ),
    broken(
        "W1",
        "blanks before a JSON message are passed over",
        (_WIRE, "if data and data[0] == _JSON_OBJECT", "if data.lstrip()[:1] == b'{'"),
    ),
    broken(
        "W2",
        "every answer is CBOR",
        (
            _RESPONDING,
            "encoded = wire.encode(response.answer, form)",
            "encoded = wire.encode(response.answer, Format.CBOR)",
        ),
    ),
    broken(
        "W2",
        "every push is CBOR",
        (_NOTIFIER, "form = notice.target.form", "form = Format.CBOR"),
    ),
    broken(
        "W3",
        "byte strings are hexadecimal in JSON",
        (_WIRE, 'ser_json_bytes="base64"', 'ser_json_bytes="hex"'),
        (_WIRE, 'val_json_bytes="base64"', 'val_json_bytes="hex"'),
    ),
    broken(
        "W3",
        "CBOR tags are read",
        (
            _WIRE,
            "        tag_hook=_no_tag,\n        semantic_decoders=_NO_TAGS,\n",
            "",
        ),
    ),
    broken(
        "W3",
        "CBOR of indefinite length is read",
        (_WIRE, "allow_indefinite=False", "allow_indefinite=True"),
    ),
    broken(
        "W3",
        "a CBOR key may come twice",
        (_WIRE, "allow_duplicate_keys=False", "allow_duplicate_keys=True"),
    ),
    broken("W3", "CBOR nests 100 deep", (_WIRE, "max_depth=limits.DEPTH_MAX", "max_depth=100")),
    broken(
        "W4",
        "defaults are sent in CBOR",
        (
            _WIRE,
            (
                "        if value == field.default:\n"
                "            continue\n"
                "        if field.model is not"
            ),
            "        if value is not None and field.model is not",
        ),
    ),
    broken(
        "W4",
        "defaults are sent in JSON",
        (_WIRE, "model_dump_json(exclude_defaults=True)", "model_dump_json()"),
    ),
    broken(
        "W5",
        "an unknown field of CBOR is refused",
        (
            _WIRE,
            "continue  # an unknown field of the same version (W5)",
            'raise ProtocolError("invalid", "an unknown field")',
        ),
    ),
    broken(
        "W5",
        "an unknown field of JSON is refused",
        (_WIRE, 'extra="ignore"', 'extra="forbid"'),
    ),
    broken("W5", "fields of a wrong type are converted", (_WIRE, "strict=True", "strict=False")),
    broken(
        "W6",
        "a request of another version is refused as invalid",
        (_MESSAGES, "if version is not None and version != VERSION:", "if version == -1:"),
    ),
    broken(
        "W6",
        "a refusal does not list the versions spoken",
        (
            _RESPONDING,
            'versions=(messages.VERSION,) if error.reason == "version" else ()',
            "versions=()",
        ),
    ),
    broken(
        "W6",
        "a message of any version is taken for one of version 1",
        (_MESSAGES, "Annotated[int, Ge(VERSION), Le(VERSION)]", "Annotated[int, Ge(0), Le(100)]"),
    ),
    broken(
        "W7",
        "a message of any size is read",
        (_WIRE, "if len(data) > bytes_max:", "if len(data) > bytes_max * 1000:"),
    ),
    broken(
        "W7",
        "integers of 64 bits are taken",
        (
            _TOKENS,
            "Integer = Annotated[int, Ge(-INTEGER_MAX), Le(INTEGER_MAX)]",
            "Integer = Annotated[int, Ge(-(2**63)), Le(2**63)]",
        ),
    ),
    broken(
        "W8",
        "a wrong request is dropped though its id can be read",
        (
            _RESPONDING,
            "    _, request_id = messages.envelope(payload)\n    if request_id is None:",
            "    _, request_id = messages.envelope(payload)\n    if error.reason:",
        ),
    ),
    broken(
        "W8",
        "refused requests are not counted",
        (
            _RESPONDING,
            '            self._counters.count(f"requests refused: {error.reason}")\n',
            "",
        ),
    ),
    broken(
        "W8",
        "wrong notifications and answers are not counted",
        (
            _AGENT,
            '            self._counts[f"messages refused: {error.reason}"] += 1\n',
            "",
        ),
    ),
    broken(
        "W8",
        "a wrong notification or answer stops the agent",
        (
            _AGENT,
            "        except ProtocolError as error:\n            self._counts",
            "        except KeyError as error:\n            self._counts",
        ),
    ),
)
