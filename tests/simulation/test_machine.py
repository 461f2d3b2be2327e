"""Programs of few steps break no promise, and where a rule is broken, one of them tells."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation import test_broken_rules as broken
from tests.simulation.chronicle import Broken
from tests.simulation.machine import Machine

STEPS_MAX: Final = 40
EXAMPLES_TO_NOTICE: Final = 1_000
# How many examples, of how many steps, is up to the profile.
UNHURRIED: Final = settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# Such a rule takes some 100 examples, or less. They are the same ones each time, and the first that
# fails stays as it is: to cut it down takes a while.
FIRST: Final = settings(
    UNHURRIED,
    database=None,
    max_examples=EXAMPLES_TO_NOTICE,
    stateful_step_count=STEPS_MAX,
    derandomize=True,
    phases=[Phase.generate],
)


@pytest.mark.timeout(3_600)  # a deep search, or cutting down what failed, takes minutes
def test_no_program_breaks_a_promise() -> None:
    run_state_machine_as_test(Machine, settings=UNHURRIED)


@pytest.mark.parametrize(
    "rule",
    [
        broken.d3_prev_does_not_count,
        broken.a3_a_void_changes_nothing,
        broken.a4_drops_are_ignored,
        broken.g3_content_though_c_is_presented,
        broken.g4_remainders_from_the_beginning,
    ],
)
def test_a_broken_rule_is_noticed(
    rule: Callable[[broken.Patch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule(monkeypatch)
    with pytest.raises(Broken) as failed:
        run_state_machine_as_test(Machine, settings=FIRST)
    program = "\n".join(failed.value.__notes__)
    steps = program.count("state.") - 1  # the last is the end
    print(f"{rule.__name__}: {steps} steps\n{program}")  # noqa: T201
    assert 0 < steps <= STEPS_MAX
