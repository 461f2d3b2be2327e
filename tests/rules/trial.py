"""A copy of the project in which one rule is broken, and the first test that notices."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.rules.guard import FAILURE_FILE
from tests.rules.rule import Edit

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("sync_protocol", "programs", "gateway", "device_agent")
STAGE_S_MAX: Final = 900.0
TEST_S_MAX: Final = 60
# What notices a break that lets pytest hang.
TIMEOUT: Final = "timeout"
# pytest's exit statuses: all passed, some failed, and nothing was there to run.
_PASSED, _FAILED, _NOTHING = 0, 1, 5


class TrialError(Exception):
    """A trial says nothing about the tests; the message says why."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The first test that failed, and how."""

    test: str
    why: str


@contextmanager
def copied(edits: Sequence[Edit] = ()) -> Iterator[Path]:
    """A copy of the project, with `edits`; gone after the `with`."""
    with tempfile.TemporaryDirectory(prefix="broken-rule-") as folder:
        copy = Path(folder, "project").resolve()
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
        )
        for edit in edits:
            apply(edit, copy)
        yield copy


def apply(edit: Edit, root: Path) -> None:
    """Make one edit. TrialError if its old text is not in its file exactly once."""
    file = root / edit.file
    text = file.read_text()
    if text.count(edit.old) != 1:
        raise TrialError(f"{edit.file} has {text.count(edit.old)} times, not once: {edit.old!r}")
    file.write_text(text.replace(edit.old, edit.new))


def first_failure(copy: Path, edits: Sequence[Edit]) -> Failure | None:
    """The first test that notices, or None: those nearest to what was edited are asked first."""
    for stage in stages(copy, edits):
        failure = run(copy, stage)
        if failure is not None:
            return failure
    return None


def stages(copy: Path, edits: Sequence[Edit]) -> Iterator[Sequence[str]]:
    """What to hand to pytest, one after the other."""
    near = list(dict.fromkeys(path for edit in edits for path in mirrors(copy, edit.file)))
    if near:
        yield near
    own = dict.fromkeys(edit.file.split("/")[0] for edit in edits)
    for package in dict.fromkeys((*own, *PACKAGES)):
        yield [f"tests/{package}", *(f"--ignore={path}" for path in near)]
    yield ["tests/simulation"]
    yield ["tests/integration", "tests/faults"]


def mirrors(copy: Path, file: str) -> Sequence[str]:
    """The test files that are named after a source file, or after the front of its name."""
    package, _, stem = file.removesuffix(".py").rpartition("/")
    folder = copy / "tests" / package
    found: list[Path] = []
    while stem:
        found += sorted(folder.glob(f"test_{stem}.py")) + sorted(folder.glob(f"test_{stem}_*.py"))
        stem = stem.rpartition("_")[0]
    return list(dict.fromkeys(str(path.relative_to(copy)) for path in found))


def run(copy: Path, arguments: Sequence[str]) -> Failure | None:
    """The first failure of one run of pytest in `copy`.

    Raises:
        TrialError: what failed is trivial, or pytest itself.
    """
    told = copy / FAILURE_FILE
    told.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *("-p", "tests.rules.guard", "-o", f"timeout={TEST_S_MAX}", "--hypothesis-seed=0"),
        *("-m", "not mosquitto"),
        *arguments,
    ]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=STAGE_S_MAX,
        )
    except subprocess.TimeoutExpired:
        return Failure(TIMEOUT, f"pytest took longer than {STAGE_S_MAX:g} s")
    if done.returncode in (_PASSED, _NOTHING):
        return None
    if done.returncode != _FAILED or not told.exists():
        raise TrialError(f"pytest {' '.join(arguments)}: {(done.stdout + done.stderr)[-2000:]}")
    failure = json.loads(told.read_text())
    if failure["trivial"]:
        raise TrialError(f"trivial, in {failure['test']}: {failure['why']}")
    return Failure(failure["test"], failure["why"])
