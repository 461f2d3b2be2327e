"""What all tests of the import need: a place to take things to, and the real input."""

from pathlib import Path

import pytest

from gateway.importing.identity import IdRegistry
from gateway.importing.taking import Taking

_SHARED_DATA = Path(__file__).parents[3].parent / "shared" / "data"


@pytest.fixture
def taking() -> Taking:
    return Taking("file", folder="folder", ids=IdRegistry())


@pytest.fixture
def shared_data() -> Path:
    if not _SHARED_DATA.is_dir():
        pytest.skip(f"the exported contacts, calendars and mails are expected in {_SHARED_DATA}")
    return _SHARED_DATA
