"""Renders contents in a process of their own, which is killed when one takes too long."""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from gateway.representations import frames, occurrences
from gateway.representations.occurrences import NO_END, CountedRule
from gateway.representations.patience import Patience
from gateway.representations.representation import Problem, Rendered
from sync_protocol import limits, names

__all__ = ["Problem", "Sandbox", "SandboxError"]

RENDER_S_MAX: Final = 5.0
MEMORY_BYTES_MAX: Final = 512 * limits.MIB
# Until the process has imported all that it needs, also on a slow machine under load.
START_S_MAX: Final = 60.0
END_S_MAX: Final = 5.0
# Calendars up to this size are read here, where nothing that is in them can take long.
READ_HERE_BYTES_MAX: Final = 16 * limits.KIB

_WORKER: Final = "gateway.representations.worker"
# All that it gets of the environment, beside LC_...: what others keep there is not for it.
_ENVIRONMENT: Final = frozenset({"LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "TZ"})
# The end of what it says before it is ready, of which the last line is told.
_COMPLAINT_BYTES_MAX: Final = 4 * limits.KIB


class SandboxError(Exception):
    """The process does not start. That is no item's fault, and the next call tries again."""


class _EndedError(Exception):
    """The process has ended, or says what it never would."""


class _SlowError(Exception):
    """The process took too long and was killed."""


class _FullError(Exception):
    """The process has no memory left."""


class _CountedError(Exception):
    """There is a rule to be counted."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the process found: some words, and the body."""

    words: list[bytes]
    body: bytes


class Sandbox:
    """The process, which the first call starts. Safe for threads: one call is answered at a time.

    A process that ends, or is out of memory, is replaced. What it was working on is tried once
    more, for it may have been ended by something else, and its memory taken by what came before; if
    the next one ends as well, that is a Problem.

    Args:
        render_s_max: seconds that one item may take.
        memory_bytes_max: address space of the process, of which it takes a part itself.
        representations: to have at hand from its start, so that no item has to wait for them.
    """

    def __init__(
        self,
        *,
        render_s_max: float = RENDER_S_MAX,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
        representations: Iterable[str] = (),
    ) -> None:
        self._render_s_max = render_s_max
        self._memory_bytes_max = memory_bytes_max
        self._representations = tuple(representations)
        self._lock = threading.Lock()
        # Held for moments only, so that `close` can end what is under way.
        self._changing = threading.Lock()
        self._child: _Child | None = None
        self._closed = False
        self._failure: str | None = None
        self._patience = Patience()

    @property
    def failure(self) -> str | None:
        """Why the process did not start the last time; None if it did."""
        return self._failure

    def render(self, representation: str, kind: str, content: bytes) -> Rendered | Problem:
        """The content in a representation, or why it cannot be. SandboxError if nothing starts."""
        renderer = f"{representation}/{kind}"
        if self._patience.is_over(renderer, now=time.monotonic()):
            return Problem("its renderer took too long time after time, and is left alone")
        head = frames.head(frames.RENDER, representation.encode(), kind.encode())
        try:
            answer = self._asked(head, content)
        except _SlowError:
            self._patience.hung(renderer, now=time.monotonic())
            return Problem(f"it took longer than {self._render_s_max:g} s")
        self._patience.answered(renderer)
        if isinstance(answer, Problem):
            return answer
        try:
            return Rendered(answer.body, names.media_type(b"".join(answer.words).decode()))
        except ValueError:
            return Problem("its renderer gives a media type that is none")

    def until(self, kind: str, content: bytes) -> int | None:
        """See `occurrences.until`. What is large or has rules with COUNT is read in the process.

        What takes too long there has no end. SandboxError if it is needed and does not start.
        """
        if kind not in occurrences.KINDS:
            return None
        if len(content) <= READ_HERE_BYTES_MAX:
            with contextlib.suppress(_CountedError):
                return occurrences.until(kind, content, last=_not_here)
        try:
            answer = self._asked(frames.head(frames.UNTIL, kind.encode()), content)
        except _SlowError:
            return NO_END
        if isinstance(answer, Problem):
            return NO_END
        try:
            return max(-NO_END, min(int(answer.body), NO_END)) if answer.body else None
        except ValueError:
            return NO_END

    def close(self) -> None:
        """End the process, with what is under way. Calls after this are SandboxErrors."""
        with self._changing:
            self._closed = True
            if self._child is not None:
                self._child.kill()
        with self._lock:
            self._end()

    def _asked(self, head: bytes, content: bytes) -> _Answer | Problem:
        """What the process says. _SlowError if it was ended because it took too long."""
        with self._lock:
            try:
                try:
                    answer = self._asked_once(head, content)
                except (_EndedError, _FullError):
                    answer = self._asked_once(head, content)
            except _FullError:
                return Problem("it takes too much memory to be rendered")
            except _EndedError:
                return Problem("its renderer ends the process that it runs in")
        if answer.words[0] == frames.DONE:
            return _Answer(answer.words[1:], answer.body)
        return Problem(frames.reason(answer.body.decode("utf-8", "replace")))

    def _asked_once(self, head: bytes, content: bytes) -> _Answer:
        child = self._started()
        try:
            return child.asked(head, content, seconds_max=self._render_s_max)
        except (_EndedError, _SlowError, _FullError) as error:
            self._end()
            self._refuse_when_closed(error)
            raise

    def _started(self) -> "_Child":
        with self._changing:
            self._refuse_when_closed()
            if self._child is not None:
                return self._child
            try:
                child = _Child(self._render_s_max, self._memory_bytes_max, self._representations)
            except SandboxError as error:
                self._failure = str(error)
                raise
            self._child = child
        try:
            child.wait_ready()
        except SandboxError as error:
            self._end()
            self._refuse_when_closed(error)
            self._failure = str(error)
            raise
        self._failure = None
        return child

    def _refuse_when_closed(self, error: Exception | None = None) -> None:
        if self._closed:
            raise SandboxError("it was ended, with what it was rendering") from error

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """The process and the connection to it. SandboxError if there cannot be one."""

    def __init__(
        self, render_s_max: float, memory_bytes_max: int, representations: Sequence[str]
    ) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        descriptor = theirs.fileno()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [
                        *(sys.executable, "-P", "-m", _WORKER),
                        *(str(descriptor), str(render_s_max), str(memory_bytes_max)),
                        *representations,
                    ],
                    env=_environment(),
                    cwd="/",
                    pass_fds=[descriptor],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                )
        except OSError as error:
            self._connection.close()
            raise SandboxError(f"the process that renders does not start: {error}") from error
        self._said = b""
        self._listener = threading.Thread(target=self._listen, name="sandbox output", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Keep the end of what it says until it is ready; after that it says nothing here."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 - it is a pipe
        with stream:
            while piece := stream.read(_COMPLAINT_BYTES_MAX):
                self._said = (self._said + piece)[-_COMPLAINT_BYTES_MAX:]

    def wait_ready(self) -> None:
        """Wait until it has started. SandboxError if it does not, and then it has to be ended."""
        try:
            with self._killed_after(START_S_MAX):
                self._connection.recv_bytes(frames.HEAD_BYTES_MAX)
        except (_EndedError, _SlowError) as error:
            self.end()
            self._listener.join(END_S_MAX)
            code = self._process.returncode
            complaint = self._said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise SandboxError(
                f"the process that renders ended before it was ready (exit status {code}):"
                f" {frames.reason(complaint) or 'it does not say why'}"
            ) from error

    def asked(self, head: bytes, content: bytes, *, seconds_max: float) -> _Answer:
        """Its answer.

        Raises:
            _EndedError: it has ended.
            _SlowError: it had to be ended.
            _FullError: it has no memory left, and ends.
        """
        with self._killed_after(seconds_max):
            self._connection.send_bytes(head)
            self._connection.send_bytes(content)
            answer = frames.words(self._connection.recv_bytes(frames.HEAD_BYTES_MAX))
            body = self._connection.recv_bytes(limits.CONTENT_BYTES_MAX)
        if answer[0] == frames.OUT_OF_MEMORY:
            raise _FullError
        return _Answer(answer, body)

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[None]:
        """The process is killed when what is done meanwhile takes longer, which ends that, too.

        Even sending may: a process that was stopped reads nothing.
        """
        slow = threading.Event()

        def kill() -> None:
            slow.set()
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.name = "sandbox timeout"
        timer.daemon = True
        timer.start()
        try:
            yield
        except (EOFError, OSError) as error:
            raise (_SlowError if slow.is_set() else _EndedError) from error
        finally:
            timer.cancel()

    def kill(self) -> None:
        """End what it does; `end` must follow. Any thread may."""
        self._process.kill()

    def end(self) -> None:
        """Kill it: it has nothing to lose."""
        self._connection.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S_MAX)


def _environment() -> Mapping[str, str]:
    """What the process is told of its surroundings."""
    known = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith("LC_")
    }
    # It finds what this process finds, and not what happens to be in the working directory.
    path = [str(Path(each).absolute()) for each in sys.path if each]
    return {**known, "PYTHONPATH": os.pathsep.join(path)}


def _not_here(asked: CountedRule) -> NoReturn:
    raise _CountedError(asked)
