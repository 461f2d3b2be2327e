"""The `gateway` commands."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; say what to install where only the agent is installed."""
    try:
        from gateway.cli.app import main as run  # noqa: PLC0415 - it may not be there
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("gateway", "sync_protocol")):
            raise
        sys.exit(
            f"error: only the device agent is installed here, not the gateway (there is no"
            f" {error.name}): pip install 'tallysync[gateway]'"
        )
    run(arguments)
