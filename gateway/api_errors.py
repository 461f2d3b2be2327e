"""What can go wrong between a command and the gateway's HTTP API."""

import shlex
from pathlib import Path


class ApiError(Exception):
    """The gateway refused a request; the message says why and how to mend it.

    Attributes:
        status: of HTTP.
        reason: a word for programs (docs/api.md, "Errors").
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NoGatewayError(Exception):
    """No gateway runs with that data directory."""

    def __init__(self, data_dir: Path, why: str) -> None:
        super().__init__(
            f"no gateway runs with {data_dir} ({why}):"
            f" 'gateway run --data {shlex.quote(str(data_dir))}' starts one"
        )


class NoAnswerError(Exception):
    """The gateway runs, and did not answer as it should; the message says what happened."""
