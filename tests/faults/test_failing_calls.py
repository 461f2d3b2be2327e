"""Each write, sync, rename, unlink and truncate fails once, and for good, and is the last one.

A disk that is full is one whose writes all fail, or a limit on the size of files.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.faults.disk import Fault, How, Kind, shimmed
from tests.faults.subjects import LAST, Subject, as_killed_after, expected, opened
from tests.faults.trials import Trial, trials

# With FAULTS=all in the environment every fault is tried with every kind of call.
_ALL: Final = os.environ.get("FAULTS") == "all"
_BEGUN: Final = 2


def _few() -> Iterator[Fault]:
    for kind in (Kind.WRITE, Kind.SYNC, Kind.RENAME, Kind.UNLINK, Kind.TRUNCATE):
        yield Fault(kind, error=errno.EIO)
        yield Fault(kind, How.KILL)
    yield Fault(Kind.WRITE, How.SHORT, errno.ENOSPC, lasting=True)
    yield Fault(Kind.SYNC, error=errno.EIO, lasting=True)
    yield Fault(Kind.SYNC, error=errno.EIO, ends=True)


def _all() -> Iterator[Fault]:
    yield from _few()
    yield Fault(Kind.WRITE, How.SHORT)
    for kind in (Kind.WRITE, Kind.SYNC, Kind.RENAME, Kind.UNLINK, Kind.TRUNCATE):
        for error in (errno.EIO, errno.ENOSPC):
            for lasting in (False, True):
                for ends in (False, True):
                    yield Fault(kind, How.FAIL, error, lasting, ends)


FAULTS: Final[Sequence[Fault]] = tuple(dict.fromkeys(_all() if _ALL else _few()))


def check(subject: Subject, changes: range, fault: Fault, trial: Trial) -> None:
    """What was acknowledged is there, the rest wholly or not at all, and work goes on."""
    assert trial.broken is None, trial.broken
    assert all(" " in message for message in trial.refused.values())
    done = len(trial.acknowledged)
    may_be = {done: expected(subject, done)}
    if trial.killed or (fault.ends and trial.refused):
        # Nobody was told what became of the one that was being made.
        if trial.tried == done:
            may_be[done + 1] = expected(subject, done + 1)
    else:
        assert done == changes.stop + 1
        assert trial.shown == may_be[done]
    if fault.how is How.SHORT and not fault.lasting:
        assert not trial.refused
    with opened(subject, Path(trial.folder)) as store:
        shown = store.look()
        assert shown in may_be.values()
        if trial.shown is None:
            (number,) = (number for number, state in may_be.items() if state == shown)
            store.change(number)
            assert store.look() == expected(subject, number + 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [range(_BEGUN), range(_BEGUN, LAST)], ids=["from nothing", "after a kill"]
)
def test_a_failing_call(tmp_path: Path, subject: Subject, changes: range) -> None:
    assert meet(FAULTS, subject, changes, tmp_path) > len(FAULTS)


def test_a_limit_on_the_size_of_files(tmp_path: Path, subject: Subject) -> None:
    faults = [Fault(Kind.SIZE), Fault(Kind.SIZE, ends=True)]
    assert meet(faults, subject, range(_BEGUN, LAST), tmp_path) > len(faults)


def meet(faults: Sequence[Fault], subject: Subject, changes: range, folder: Path) -> int:
    """Check trials of all `faults`; how many there were."""
    before = folder / "disk" / "files"
    before.mkdir(parents=True)
    env = shimmed(folder, before.parent)
    if changes.start:
        as_killed_after(subject, changes.start, before)
    count = 0
    for fault, trial in trials(subject, before, changes, faults, env):
        count += 1
        try:
            check(subject, changes, fault, trial)
        except Exception as error:
            raise AssertionError(f"{fault}, at {trial.nth}: {trial}") from error
    return count
