"""A representation of the simulator's own, which forgets some, and fails at times."""

from typing import Final

from gateway.representations.representation import Problem, Rendered

HALF: Final = "half"
MEDIA_TYPE: Final = "text/plain"
# In front of each content; what is behind it may be that of another.
SERIAL_BYTES: Final = 3
_FAILS_EACH: Final = 11


def render(content: bytes, *, version: int) -> Rendered | Problem:
    """Half of what stands behind the serial number, less in later versions."""
    if content and not content[0] % _FAILS_EACH:
        return Problem("it is such a content")
    end = SERIAL_BYTES + len(content) // (version + 1)
    return Rendered(content[SERIAL_BYTES:end], MEDIA_TYPE)


def rendered_bytes(content: bytes, *, version: int) -> bytes | None:
    """The same for who keeps a record; None if it fails."""
    made = render(content, version=version)
    return made.content if isinstance(made, Rendered) else None
