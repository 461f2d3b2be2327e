"""Whether another agent uses the id, on a clock that the test turns."""

from hypothesis import given
from hypothesis import strategies as st

from device_agent.rival import (
    BACKOFF_S,
    BACKOFF_S_MAX,
    RECONNECT_WAIT_S,
    SHORT_CONNECTION_S_MAX,
    SHORT_CONNECTIONS_IN_A_ROW,
    UNDISTURBED_S,
    Rival,
    explanation,
)

NOW = 1000.0


def lasting(rival: Rival, *lasted_s: float) -> Rival:
    """After connections that the broker closed when they had lasted that long."""
    for each_s in lasted_s:
        rival = rival.connected(NOW).closed(NOW + each_s)
    return rival


SUSPECTED = lasting(Rival(), *[1.0] * SHORT_CONNECTIONS_IN_A_ROW)


def test_short_connections_in_a_row_are_another_agent() -> None:
    almost = lasting(Rival(), *[1.0] * (SHORT_CONNECTIONS_IN_A_ROW - 1))
    assert not almost.suspected
    assert lasting(almost, SHORT_CONNECTION_S_MAX - 0.1).suspected


def test_a_long_connection_begins_the_row_anew() -> None:
    almost = lasting(Rival(), *[1.0] * (SHORT_CONNECTIONS_IN_A_ROW - 1))
    assert lasting(almost, SHORT_CONNECTION_S_MAX) == Rival()


def test_what_was_away_is_no_agent() -> None:
    almost = lasting(Rival(), *[1.0] * (SHORT_CONNECTIONS_IN_A_ROW - 1))
    assert not lasting(almost.excused(), 1.0).suspected
    assert not SUSPECTED.excused().suspected


def test_a_message_that_excuses_leaves_the_connection_its_age() -> None:
    young = Rival().connected(NOW).excused().closed(NOW + 1)
    assert young.short_connections == 1


def test_once_suspected_only_a_long_peace_ends_it() -> None:
    assert lasting(SUSPECTED, UNDISTURBED_S - 1).suspected
    assert lasting(SUSPECTED, UNDISTURBED_S) == Rival()


def test_a_single_loss_costs_one_second() -> None:
    assert Rival().wait_s(0.999) == RECONNECT_WAIT_S
    assert lasting(Rival(), 1.0).wait_s(0.999) == RECONNECT_WAIT_S


@given(st.integers(0, 2_000), st.floats(0, 1))
def test_the_wait_has_full_jitter_and_a_bound(more: int, chance: float) -> None:
    wait_s = lasting(SUSPECTED, *[1.0] * more).wait_s(chance)
    assert RECONNECT_WAIT_S <= wait_s <= max(1, chance * BACKOFF_S_MAX + 0.5)


def test_the_bound_doubles() -> None:
    bounds = [lasting(SUSPECTED, *[1.0] * more).wait_s(1.0) for more in range(8)]
    assert bounds == [5, 10, 20, 40, 80, 160, 300, 300]


def test_the_other_agent_notices_too() -> None:
    # It is one behind in counting, and is put out after this one's first wait.
    assert BACKOFF_S < SHORT_CONNECTION_S_MAX


def test_the_explanation_says_how_to_mend_it() -> None:
    assert "phone" in explanation("phone")
    assert explanation("phone").endswith("gateway device add")
