"""Every test of abuse runs against both brokers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.abuse import worlds
from tests.abuse.worlds import Door, World

BOTH = [worlds.EMBEDDED, pytest.param(worlds.MOSQUITTO, marks=pytest.mark.mosquitto)]


@pytest.fixture(params=BOTH)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A gateway that runs, with its people."""
    with worlds.WORLDS[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=BOTH)
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    """A broker with the same accounts and no gateway at it, so that a test can be the gateway."""
    with worlds.DOORS[request.param](tmp_path) as made:
        yield made
