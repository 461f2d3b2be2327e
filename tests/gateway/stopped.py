"""A restore that ends, as if it were killed, before one of its dealings with files."""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Final

from gateway.backup import restore
from tests.gateway.states import STATE

NOW: Final = 1_700_000_000.0
_STOPPED: Final = 77
_OF_FILES: Final = ("os.", "open", "shutil.", "sqlite3.")
_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload([__name__])


def _restore(directory: Path, data_dir: Path, dealings: int) -> None:
    left = dealings

    def count(event: str, _arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event.startswith(_OF_FILES):
            if not left:
                os._exit(_STOPPED)
            left -= 1

    sys.addaudithook(count)
    restore(directory, data_dir / STATE, data_dir / "ledger", unix_time=NOW)


def restore_until(directory: Path, data_dir: Path, dealings: int) -> bool:
    """Restore, but with so many dealings with files only; whether that was enough."""
    process = _START.Process(target=_restore, args=(directory, data_dir, dealings))
    process.start()
    process.join()
    code = process.exitcode
    process.close()
    assert code in (0, _STOPPED)
    return code == 0
