"""Packages that bring representations, installed for a test and its processes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.representations.registry import ENTRY_POINTS

_ROOT = Path(__file__).parents[3]


def install_hostile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The representation `hostile`, which does all that a renderer must not do."""
    install(folder, monkeypatch, {"hostile": "tests.gateway.representations.hostile:HOSTILE"})


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, points: Mapping[str, str]) -> None:
    """Put a package with these entry points in `folder`.

    It is searched first, also by child processes.
    """
    package = folder / "brought-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
    lines = [f"{name} = {value}\n" for name, value in points.items()]
    (package / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{''.join(lines)}")
    monkeypatch.syspath_prepend(str(_ROOT))
    monkeypatch.syspath_prepend(str(folder))
