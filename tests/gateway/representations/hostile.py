"""A representation whose renderers do what a renderer must not do."""

import os
import sys
import time
from pathlib import Path

from gateway.representations.representation import Rendered, RenderError, Representation
from sync_protocol import limits

_LEAKED: list[bytes] = []


def _well(content: bytes) -> Rendered:
    return Rendered(content.upper(), "text/plain")


def _refuses(content: bytes) -> Rendered:
    raise RenderError(content.decode())


def _fails(content: bytes) -> Rendered:
    raise ZeroDivisionError(content)


def _hangs(content: bytes) -> Rendered:
    while True:
        time.sleep(len(content))


def _begins(content: bytes) -> Rendered:
    """Say so by a file of that name, and hang."""
    Path(os.fsdecode(content)).touch()
    return _hangs(b"1")


def _begins_anew(content: bytes) -> Rendered:
    """The same, but only after this process's forerunner died of it."""
    before = Path(os.fsdecode(content + b"-before"))
    if not before.exists():
        before.touch()
        return _dies(b"1")
    return _begins(content)


def _eats(content: bytes) -> Rendered:
    return Rendered(content * 2**40, "text/plain")


def _dies(content: bytes) -> Rendered:
    os._exit(len(content))


def _bursts(content: bytes) -> Rendered:
    return Rendered(content * (limits.CONTENT_BYTES_MAX + 1), "text/plain")


def _mislabels(content: bytes) -> Rendered:
    return Rendered(content, "Text/Plain; charset=utf-8")


def _talks(content: bytes) -> Rendered:
    for stream in (sys.stdout, sys.stderr):
        print(content.decode(), file=stream, flush=True)
    return Rendered(b"", "text/plain")


def _holds(content: bytes) -> Rendered:
    """Keep a file open for as long as this process lives."""
    return Rendered(str(os.open(content, os.O_WRONLY)).encode(), "text/plain")


def _leaks(content: bytes) -> Rendered:
    """Keep some memory for as long as this process lives."""
    _LEAKED.append(bytes(int(content) * limits.MIB))
    return Rendered(b"", "text/plain")


def _tells_its_surroundings(content: bytes) -> Rendered:
    del content
    return Rendered("\n".join([str(Path.cwd()), *sorted(os.environ)]).encode(), "text/plain")


def _tells_its_process(content: bytes) -> Rendered:
    del content
    return Rendered(str(os.getpid()).encode(), "text/plain")


HOSTILE = Representation(
    "hostile",
    1,
    {
        "well": _well,
        "refuses": _refuses,
        "fails": _fails,
        "hangs": _hangs,
        "begins": _begins,
        "begins-anew": _begins_anew,
        "eats": _eats,
        "dies": _dies,
        "bursts": _bursts,
        "mislabels": _mislabels,
        "talks": _talks,
        "holds": _holds,
        "leaks": _leaks,
        "surroundings": _tells_its_surroundings,
        "process": _tells_its_process,
    },
)
