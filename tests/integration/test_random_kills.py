"""Kills at random moments, a few of them; ``python -m tests.integration.kills`` does many."""

import random
from pathlib import Path

import pytest

from tests.integration.kills import Broker, run

KILLS = 20


@pytest.mark.parametrize(
    "broker", ["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)]
)
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_acknowledged_is_lost(broker: Broker, tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"python -m tests.integration.kills --count {KILLS} --broker {broker} --seed {seed}")  # noqa: T201 - pytest shows it if the test fails
    figures = run(tmp_path, count=KILLS, broker=broker, seed=seed)
    assert sum(figures.kills.values()) == KILLS
    assert figures.acknowledged > KILLS
