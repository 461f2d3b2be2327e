"""Bits that flip in the files: the store tells it, and never shows one content as another."""

import os
import secrets
from pathlib import Path
from typing import Final

import pytest

from tests.faults.flips import flips
from tests.faults.subjects import (
    LAST,
    REOPENED_BEFORE,
    Subject,
    as_killed_after,
    expected,
    opened,
)

_TIMES: Final = 2_000 if os.environ.get("FAULTS") == "all" else 80


@pytest.fixture
def seed() -> int:
    """It is new in each run, and told with what goes wrong; FAULTS_SEED=N repeats one."""
    return int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))


def test_in_closed_files(tmp_path: Path, subject: Subject, seed: int) -> None:
    files = tmp_path / "files"
    files.mkdir()
    with opened(subject, files) as store:
        for number in range(LAST + 1):
            store.change(number)
    for flip in flips(subject, files, seed=seed, times=_TIMES):
        what = f"FAULTS_SEED={seed}: {flip}"
        assert flip.broken is None, f"{what}\n{flip.broken}"
        # A bit of a folder's name, say, is seen by nobody; but never is a content another one.
        assert subject.told_in_log or flip.shown != expected(subject, 0), what


def test_in_files_with_a_journal(tmp_path: Path, subject: Subject, seed: int) -> None:
    """SQLite takes a journal for torn where it is damaged: an earlier change is then the last."""
    files = tmp_path / "files"
    as_killed_after(subject, LAST + 1, files)
    states = [expected(subject, count) for count in range(REOPENED_BEFORE, LAST + 2)]
    for flip in flips(subject, files, seed=seed, times=_TIMES):
        what = f"FAULTS_SEED={seed}: {flip}"
        assert flip.broken is None, f"{what}\n{flip.broken}"
        if flip.file.endswith("-wal"):
            assert flip.shown in states, what
