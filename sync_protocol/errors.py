"""The one error that input from outside can cause in this package."""


class ProtocolError(ValueError):
    """A peer, a file or a user broke a rule of the protocol.

    The message says what was wrong and, where that can help, how to mend it. It never quotes
    contents. Anything else that comes out of `sync_protocol` is a bug of ours.

    Attributes:
        reason: a short word for counters and for `Refused` answers, e.g. ``"too-large"``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
