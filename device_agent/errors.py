"""What the agent's errors have in common."""


class AgentError(Exception):
    """Something that a user can mend; the message is one line for people and says how."""
