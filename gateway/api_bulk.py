"""The body of a bulk request as bytes: an array in CBOR (docs/api.md, "Many items at once")."""

from collections.abc import Sequence
from typing import Any

import cbor2

from gateway.api_models import BulkMutation
from sync_protocol import limits


class BulkError(ValueError):
    """The bytes are not CBOR, or not of the plain kind that is read."""


def encode(mutations: Sequence[BulkMutation]) -> bytes:
    """The body for these mutations."""
    return cbor2.dumps([mutation.model_dump(exclude_none=True) for mutation in mutations])


def decode(body: bytes) -> Any:  # noqa: ANN401 - whatever a client sent, to be checked by the caller
    """What the body holds. BulkError, and nothing else whatever the bytes are."""
    try:
        return cbor2.loads(
            body, max_depth=limits.DEPTH_MAX, allow_indefinite=False, allow_duplicate_keys=False
        )
    except Exception as error:
        raise BulkError(f"the body is not CBOR: {type(error).__name__}") from None
