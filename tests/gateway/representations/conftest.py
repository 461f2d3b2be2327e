"""The real input, and a representation that does all that a renderer must not do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.representations.sandbox import Sandbox
from tests.gateway.representations.installing import install_hostile

_ROOT = Path(__file__).parents[3]
_SHARED_DATA = _ROOT.parent / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    if not _SHARED_DATA.is_dir():
        pytest.skip(f"the exported contacts, calendars and mails are expected in {_SHARED_DATA}")
    return _SHARED_DATA


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture
def installed_hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that brings the representation `hostile`, installed for child processes."""
    install_hostile(tmp_path, monkeypatch)
    return tmp_path
