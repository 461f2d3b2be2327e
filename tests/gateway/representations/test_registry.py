import logging
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gateway.representations.registry import (
    ENTRY_POINTS,
    Representation,
    installed,
    installed_names,
    with_those_of,
)
from tests.gateway.representations.hostile import HOSTILE
from tests.gateway.representations.installing import install

_MODULE = "tests.gateway.representations"


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"{_MODULE}.{value}", ENTRY_POINTS)


def test_compact_is_always_there() -> None:
    assert installed()["compact"].renderers.keys() == {"contact", "event", "task", "mail"}
    assert installed() is installed()


def test_an_entry_point_brings_a_representation() -> None:
    found = with_those_of([_point("hostile", "hostile:HOSTILE")])
    assert found == {"compact": installed()["compact"], "hostile": HOSTILE}


ILL_NAMED = object()
COMPACT = Representation("compact", 7, {})
TWIN = Representation("hostile", 2, {})


@pytest.mark.parametrize(
    ("point", "why"),
    [
        (_point("hostile", "nowhere:HOSTILE"), "No module named"),
        (_point("hostile", "hostile:NOTHING"), "has no attribute"),
        (_point("hostile", "test_registry:ILL_NAMED"), "no Representation"),
        (_point("other", "hostile:HOSTILE"), "another name"),
        (_point("compact", "test_registry:COMPACT"), "already one"),
    ],
)
def test_one_that_is_broken_is_logged_and_left(
    point: EntryPoint, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert with_those_of([point]) == {"compact": installed()["compact"]}
    assert why in caplog.text
    assert point.value in caplog.text


def test_of_two_with_one_name_the_first_is_taken_in_any_order() -> None:
    points = [_point("hostile", "test_registry:TWIN"), _point("hostile", "hostile:HOSTILE")]
    for order in (points, points[::-1]):
        assert with_those_of(order)["hostile"] is HOSTILE


def test_entry_points_of_installed_packages_are_found(
    installed_hostile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert installed_hostile.is_dir()
    installed.cache_clear()
    try:
        assert installed("hostile").keys() == {"compact", "hostile"}
    finally:
        installed.cache_clear()
    assert not caplog.text
    assert installed_names() == ["compact", "hostile"]


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A representation whose module ends the process that imports it."""
    (tmp_path / "deadly.py").write_text("raise SystemExit('it needs another machine')\n")
    install(tmp_path, monkeypatch, {"deadly": "deadly:DEADLY"})
    installed.cache_clear()
    yield
    installed.cache_clear()


@pytest.mark.usefixtures("deadly")
def test_a_module_that_exits_is_logged_and_left(caplog: pytest.LogCaptureFixture) -> None:
    assert installed("deadly").keys() == {"compact"}
    assert "it needs another machine" in caplog.text


@pytest.mark.usefixtures("deadly")
def test_what_nobody_names_is_not_imported(caplog: pytest.LogCaptureFixture) -> None:
    assert installed("compact", "other").keys() == {"compact"}
    assert installed_names() == ["compact", "deadly"]
    assert not caplog.text


def test_the_gateway_does_not_load_what_reads_contents() -> None:
    program = (
        "import sys\n"
        "from gateway.representations import registry, sandbox\n"
        "registry.installed()\n"
        "content = b'BEGIN:VEVENT\\nDTSTART:20250101\\nRRULE:FREQ=DAILY\\nEND:VEVENT\\n'\n"
        "assert sandbox.Sandbox().until('event', content)\n"
        "print(*sorted({'vobject', 'icalendar', 'dateutil', 'pytz'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b""
