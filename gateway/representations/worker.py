"""The process in which contents are rendered: ``python -m gateway.representations.worker``.

Whatever a content does to a renderer, it does it here: to a process that holds nothing, whose
memory is bounded and which may be killed at any time.
"""

import contextlib
import importlib
import logging
import os
import resource
import signal
import sys
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Final

from gateway.representations import frames, occurrences
from gateway.representations.counting import last_occurrence
from gateway.representations.registry import RenderError, installed
from sync_protocol import limits, names

# The gateway kills a process that takes too long; this is for one whose gateway is gone.
ALONE_TIMES: Final = 2


def main(arguments: Sequence[str]) -> None:
    """Answer requests until there is no more gateway.

    Args:
        arguments: the descriptor to talk over, seconds that a request may take, bytes of memory,
            and the names of representations to have at hand from the start.
    """
    descriptor, seconds, memory_bytes, *wanted = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _confine(int(memory_bytes))
    with Connection(int(descriptor)) as connection:
        _warm_up(wanted)
        connection.send_bytes(frames.READY)
        _silence()
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = connection.recv_bytes(frames.HEAD_BYTES_MAX)
                content = connection.recv_bytes(limits.CONTENT_BYTES_MAX)
                signal.setitimer(signal.ITIMER_REAL, ALONE_TIMES * float(seconds))
                answer, is_sound = _answer(head, content)
                for frame in answer:
                    connection.send_bytes(frame)
                signal.setitimer(signal.ITIMER_REAL, 0)
                if not is_sound:
                    return


def _confine(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Some systems know no such limit; there the timeout is what is left.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _warm_up(wanted: Sequence[str]) -> None:
    """Import what is slow to import, so that no item has to wait for it."""
    logging.disable(logging.CRITICAL)  # the gateway logs what is wrong with a representation
    for name in wanted:
        installed(name)
    for module in ("contacts", "calendars", "mails"):
        importlib.import_module(f"gateway.representations.{module}")


def _silence() -> None:
    """Keep what libraries say of contents to this process; until now the gateway listened."""
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)


def _answer(head: bytes, content: bytes) -> tuple[tuple[bytes, bytes], bool]:
    """Two frames, and whether this process can go on."""
    try:
        match frames.words(head):
            case [frames.RENDER, representation, kind]:
                return _render(representation.decode(), kind.decode(), content), True
            case [frames.UNTIL, kind]:
                end = occurrences.until(kind.decode(), content, last=last_occurrence)
                return (frames.head(frames.DONE), b"" if end is None else b"%d" % end), True
            case _:
                return _failed("the sandbox was asked something that it does not know"), True
    except RenderError as error:
        return _failed(str(error)), True
    except MemoryError:
        # Those before may have taken it; and what is left of this process may be of no more use.
        return (frames.head(frames.OUT_OF_MEMORY), b""), False
    except Exception as error:
        return _failed(f"its renderer fails ({type(error).__name__})"), True


def _render(name: str, kind: str, content: bytes) -> tuple[bytes, bytes]:
    representation = installed(name).get(name)
    if representation is None:
        return _failed(f"there is no representation {name} any more")
    renderer = representation.renderers.get(kind)
    if renderer is None:
        return _failed(f"{name} has no form for the kind {kind}")
    rendered = renderer(content)
    size_bytes = len(rendered.content)
    if size_bytes > limits.CONTENT_BYTES_MAX:
        mib = limits.CONTENT_BYTES_MAX // limits.MIB
        return _failed(f"it is larger than {mib} MiB when it is rendered")
    media_type = names.media_type(rendered.media_type)
    return frames.head(frames.DONE, media_type.encode()), bytes(rendered.content)


def _failed(why: str) -> tuple[bytes, bytes]:
    return frames.head(frames.FAILED), frames.reason(why).encode("utf-8", "replace")


if __name__ == "__main__":
    main(sys.argv[1:])
