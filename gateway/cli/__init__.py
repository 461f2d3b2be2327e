"""The `gateway` commands."""

from gateway.cli.app import main

__all__ = ["main"]
