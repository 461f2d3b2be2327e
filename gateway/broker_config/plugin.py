"""Where Mosquitto and its dynamic security plugin are on this machine."""

import shutil
from pathlib import Path
from typing import Final

PLUGIN_NAME: Final = "mosquitto_dynamic_security.so"
# Debian and Ubuntu; others; built from source; Homebrew.
_FOLDERS: Final = (
    "usr/lib/*-linux-*",
    "usr/lib",
    "usr/lib64",
    "usr/lib/mosquitto",
    "usr/local/lib",
    "usr/local/lib64",
    "opt/homebrew/opt/mosquitto/lib",
    "usr/local/opt/mosquitto/lib",
)
# Debian has it where ordinary users' shells do not look.
_PROGRAM_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"


def find_plugin(root: Path = Path("/")) -> Path | None:
    """The plugin's file below `root`, if it is in one of the usual folders."""
    for folder in _FOLDERS:
        for found in sorted(root.glob(f"{folder}/{PLUGIN_NAME}")):
            return found
    return None


def find_program() -> str | None:
    """How a shell is told to start Mosquitto, if it is installed."""
    if shutil.which("mosquitto"):
        return "mosquitto"
    return shutil.which("mosquitto", path=_PROGRAM_FOLDERS)
