"""What the gateway sends to devices, as the port that some transport fills."""

from typing import Protocol

from gateway.notifier import Push
from gateway.responder import Response


class Outbound(Protocol):
    """Publishes. Neither call raises or waits long: what cannot be sent is lost and counted."""

    def push(self, feed: str, push: Push) -> bool:
        """Publish a notification with QoS 0; whether it could be handed to the connection."""

    def answer(self, device: str, feed: str, payload: bytes, response: Response) -> None:
        """Publish an answer with QoS 1. `response` is what `payload` encodes."""
