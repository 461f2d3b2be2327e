"""Lets a store meet a fault at its first call, its second, and so on; a program and its results."""

import contextlib
import functools
import gc
import itertools
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults import disk
from tests.faults.disk import Fault, How
from tests.faults.subjects import CHANGES, REOPENED_BEFORE, SUBJECTS, Opened, Subject, expected

_MODULE: Final = "tests.faults.trials"
# A disk that still refuses the same change is mended, and then it must work.
TRIES: Final = 2


@dataclass(slots=True)
class Trial:
    """One run of the changes.

    Attributes:
        nth: at which call the fault came.
        folder: the store's files, as the process left them.
        acknowledged: the changes that the store took, in turn.
        tried: the change that the process did not come back from, if it was killed.
        refused: change -> what the store said.
        broken: an error that is not the store's own.
        shown: what the store held at the end.
        spoilt: how many calls failed.
        killed: whether the process was.
    """

    nth: int
    folder: str
    acknowledged: list[int] = field(default_factory=list)
    tried: int | None = None
    refused: dict[str, str] = field(default_factory=dict)
    broken: str | None = None
    shown: str | None = None
    spoilt: int = 0
    killed: bool = False


# Takes what happens in a trial, and its value: a field of `Trial`, or an entry of one.
Told = Callable[[str, Any], None]


def _note(trial: Trial, what: str, value: Any) -> None:  # noqa: ANN401 - JSON
    match what:
        case "acknowledged":
            trial.acknowledged.append(value)
        case "refused":
            trial.refused[value[0]] = value[1]
        case "spoilt":
            trial.spoilt += value
        case _:
            setattr(trial, what, value)


def _run(subject: Subject, trial: Trial, fault: Fault, changes: range, tell: Told) -> None:
    """Make the changes; what is refused is tried again, when the disk is well at the latest."""
    store: Opened | None = None
    disk.arm(fault, trial.nth)
    number, refusals = changes.start, 0
    while number <= changes.stop:
        if number == changes.stop or refusals == TRIES:
            tell("spoilt", disk.disarm())
        try:
            # Not after a refusal: what is reopened then may hold what was refused.
            if store is not None and number == REOPENED_BEFORE and not refusals:
                store.close()
                store = None
            if store is None:
                store = subject.open(Path(trial.folder))
            tell("tried", number)
            store.change(number)
            tell("acknowledged", number)
            number += 1
        except subject.errors as error:
            tell("refused", [str(number), str(error)])
            refusals += 1
            if fault.ends:
                os._exit(0)
            if refusals > TRIES:
                raise
            if store is not None:
                with contextlib.suppress(*subject.errors):
                    assert store.look() == expected(subject, number)
    if store is not None:
        tell("shown", store.look())
        store.close()


def _here(subject: Subject, trial: Trial, fault: Fault, changes: range, tell: Told) -> None:
    try:
        _run(subject, trial, fault, changes, tell)
    except Exception:
        tell("broken", traceback.format_exc())
    finally:
        disk.disarm()


def _in_a_process(subject: Subject, trial: Trial, fault: Fault, changes: range) -> None:
    """What happens comes through a pipe, so that a kill takes nothing of it back."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:

        def tell(what: str, value: object) -> None:
            os.write(writer, json.dumps([what, value]).encode() + b"\n")

        _here(subject, trial, fault, changes, tell)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        for line in lines:
            _note(trial, *json.loads(line))
    _, status = os.waitpid(child, 0)
    trial.killed = os.WIFSIGNALED(status)


def main() -> None:
    """Arguments: the store's name, its files, the changes to make (from, to), faults as JSON."""
    name, before, start, stop, faults = sys.argv[1:]
    changes = range(int(start), int(stop))
    (subject,) = (subject for subject in SUBJECTS if subject.name == name)
    for count in range(CHANGES + 1):
        expected(subject, count)  # once for all forks
    gc.freeze()  # or each fork copies all that it looks at
    for number, fields in enumerate(json.loads(faults)):
        fault = Fault(**fields)
        for nth in itertools.count(1):
            trial = Trial(nth, f"{before}-{number}-{nth}", list(range(changes.start)))
            shutil.copytree(before, trial.folder)
            if fault.how == How.KILL or fault.ends:
                _in_a_process(subject, trial, fault, changes)
            else:
                _here(subject, trial, fault, changes, functools.partial(_note, trial))
            print(json.dumps([number, asdict(trial)]), flush=True)  # noqa: T201 - the results
            if not (trial.spoilt or trial.refused or trial.killed):
                break


def trials(
    subject: Subject, before: Path, changes: range, faults: Sequence[Fault], env: Mapping[str, str]
) -> Iterator[tuple[Fault, Trial]]:
    """Meet each of `faults` at each call, until the changes are through before it comes.

    Args:
        before: the store's files; each trial has a copy.
        changes: those to make while the disk may fail; the ones before are in the files, and one
            more is made when the disk is well again.
        env: the environment, which says what the faults are made by.
    """
    asked = json.dumps([asdict(fault) for fault in faults])
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            _MODULE,
            subject.name,
            before,
            *map(str, (changes.start, changes.stop)),
            asked,
        ],
        stdout=subprocess.PIPE,
        env=env,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            number, fields = json.loads(line)
            trial = Trial(**fields)
            yield faults[number], trial
            shutil.rmtree(trial.folder)
    assert process.returncode == 0


if __name__ == "__main__":
    main()
