"""What the agent's errors have in common."""


class AgentError(Exception):
    """Something that a user can mend; the message is for people, one line, and says how."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The message, or one for each thing to mend."""
        return (str(self),)


class NotFoundError(AgentError):
    """There is no such feed or item; the message says what there is."""


class SyncFailedError(AgentError):
    """A sync ended without success; the message says why."""


class SyncTimeoutError(SyncFailedError, TimeoutError):
    """A sync took too long; the agent goes on with it."""
