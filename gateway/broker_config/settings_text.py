"""The text of gateway.toml: how a gateway reaches the broker that was configured."""

import json
import tomllib
from collections.abc import Mapping
from typing import Final

Settings = Mapping[str, str | int]

# By which a file is known as one that this command wrote.
MARK: Final = "# Written by 'gateway broker-config mosquitto'"
HEAD: Final = f"""\
{MARK}: how the gateway reaches this broker. Start it with
#   gateway run --config FILE
# Other settings (config/gateway.toml has all of them) may be added: they stay, until these here
# become others. Then all of it is kept in gateway.toml.before.
"""


def is_ours(text: bytes) -> bool:
    """Whether this command wrote a file, whatever people did to it since."""
    return any(line.startswith(MARK.encode()) for line in text.splitlines())


def said(text: bytes) -> Mapping[str, object]:
    """The settings in a file; none if it cannot be read."""
    try:
        return tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def settings_text(settings: Settings) -> str:
    """`settings` in TOML."""
    # The strings of JSON are strings of TOML, too.
    lines = (
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items()
    )
    return HEAD + "".join(lines)
