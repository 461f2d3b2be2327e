"""Files that end too soon: what the last write left of itself, and what is left of a whole file."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.faults.subjects import LAST, Subject, as_killed_after, expected, opened

# With FAULTS=all in the environment the last frame of a journal is cut at every byte.
_ALL: Final = os.environ.get("FAULTS") == "all"
_STEP_BYTES: Final = 1_013
_HEADER_BYTES: Final = 24
_FRAME_BYTES: Final = _HEADER_BYTES + 4_096


def _cuts(start: int, stop: int) -> Iterator[int]:
    """Where to cut what was written from `start` to `stop`: where frames begin, and some others."""
    last = stop - _FRAME_BYTES
    for place in range(start, stop):
        near = place < start + 3 or last < place <= last + _HEADER_BYTES or place > stop - 9
        begins = (place - start) % _FRAME_BYTES in (0, 1)
        if near or begins or place % _STEP_BYTES == 0 or (_ALL and place > last):
            yield place


def _files(folder: Path) -> dict[str, bytes]:
    """The files of a store, but for the index of the journal, which is made anew."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if not path.name.endswith("-shm")
    }


def _look(subject: Subject, folder: Path, files: dict[str, bytes]) -> str:
    """What a store of these files shows."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with opened(subject, folder) as store:
        return store.look()


@pytest.mark.timeout(600)  # with FAULTS=all
def test_the_last_write_cut_short(tmp_path: Path, subject: Subject) -> None:
    """The change before it is there, and it is not, until its last byte is."""
    folders = (tmp_path / "old", tmp_path / "new")
    for folder, changes in zip(folders, (LAST, LAST + 1), strict=True):
        as_killed_after(subject, changes, folder)
    old, new = map(_files, folders)
    (name,) = (name for name in old if name.endswith(("-wal", ".json")))
    if name.endswith("-wal"):
        # The salt of a journal is random: of the second one, the first is a part.
        length = len(old[name])
        before, cut_at = new | {name: new[name][:length]}, name
    else:
        length, before, cut_at = 0, old, Path(name).with_suffix(".tmp").name
    assert _look(subject, tmp_path / "use", before) == expected(subject, LAST)
    count = 0
    for place in _cuts(length, len(new[name])):
        shown = _look(subject, tmp_path / "use", before | {cut_at: new[name][:place]})
        assert shown == expected(subject, LAST), f"cut at {place}"
        count += 1
    assert count > 10
    assert _look(subject, tmp_path / "use", new) == expected(subject, LAST + 1)


def test_a_whole_file_cut_short(
    tmp_path: Path, subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused or told in the log, and never taken for an empty one in silence."""
    with opened(subject, tmp_path) as store:
        for number in range(LAST):
            store.change(number)
    ((name, data),) = _files(tmp_path).items()
    # Without a byte it may be what a killed start made: the store begins anew, and says so.
    places = {0, 1, 99, 100, 101, *range(499, len(data), 499), *range(4_096, len(data), 4_096)}
    for place in sorted(places):
        with contextlib.suppress(*subject.errors):
            shown = _look(subject, tmp_path / "use", {name: data[:place]})
            if subject.told_in_log or place <= 1:
                assert "is damaged" in caplog.text or "was empty" in caplog.text
                caplog.clear()
            else:
                assert shown == expected(subject, LAST), f"cut at {place}: {shown}"
