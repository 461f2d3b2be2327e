"""A disk that fails at a chosen call: the other side of shim.c, for the process it is loaded in."""

import ctypes
import enum
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

_SOURCE: Final = Path(__file__).with_name("shim.c")
_FLAGS: Final = ("-shared", "-fPIC", "-Wall", "-Wextra", "-Werror")
_ROOT: Final = Path(__file__).parents[2]
_SIZE_STEP_BYTES: Final = 250


class Kind(enum.IntEnum):
    """Which calls are counted; the numbers are those of shim.c, but for the last."""

    WRITE = 0
    SYNC = 1
    RENAME = 2
    UNLINK = 3
    TRUNCATE = 4
    # No call: the n-th limit on the size of files (RLIMIT_FSIZE), each further from the last.
    SIZE = 5


class How(enum.IntEnum):
    """What the call does; the numbers are those of shim.c."""

    FAIL = 0
    SHORT = 1
    KILL = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    Attributes:
        error: the errno of a call that fails.
        lasting: all calls of the kind from that one on; behind a short one they fail.
        ends: the process ends, without closing anything, at the first change it was refused.
    """

    kind: Kind
    how: How = How.FAIL
    error: int = 0
    lasting: bool = False
    ends: bool = False

    def __str__(self) -> str:
        words = [self.how.name.lower(), self.kind.name.lower()]
        if self.error:
            words.append(os.strerror(self.error))
        return ", ".join(words + ["lasting"] * self.lasting + ["ends"] * self.ends)


def arm(fault: Fault, nth: int) -> None:
    """Let the `nth` call of the fault's kind fail, counting from now."""
    if fault.kind == Kind.SIZE:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (_SIZE_STEP_BYTES * nth**2, hard))
    else:
        shim = ctypes.CDLL(None)
        shim.faults_arm(fault.kind, nth, fault.how, fault.error, fault.lasting)


def disarm() -> int:
    """Let all calls work again; how many were spoilt."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    shim = ctypes.CDLL(None)
    fired: int = shim.faults_fired()
    shim.faults_arm(-1, 0, 0, 0, 0)
    return fired


def shimmed(folder: Path, below: Path) -> dict[str, str]:
    """The environment of a process whose files below `below` are on such a disk.

    Skips the test if there is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    library = folder / "shim.so"
    subprocess.run([compiler, *_FLAGS, "-o", library, _SOURCE, "-ldl"], check=True)
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAULTS_BELOW": f"{below}{os.sep}",
        "PYTHONPATH": str(_ROOT),
    }
