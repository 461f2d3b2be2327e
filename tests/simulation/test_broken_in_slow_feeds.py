"""What the simulator notices when a rule is broken that matters where little is changed.

A change of the item, or the next void, soon mends what these do.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final

import pytest

from device_agent import inventory as device_inventory
from device_agent.replica import Replica
from device_agent.schedule import Schedule
from device_agent.store import Begun, Inventory
from gateway import responder
from gateway.feed_memory import MemoryFeedStore
from sync_protocol.messages import Compared
from tests.simulation import world
from tests.simulation.chronicle import Chronicle
from tests.simulation.test_broken_rules import SEEDS_TO_NOTICE, Patch, breaks, on_push
from tests.simulation.weather import TOGETHER, Weather, draw

HELD_BACK, SET_BACK, IN_AN_INVENTORY, *_ = TOGETHER


def _slowly(patch: Patch, faults: Mapping[str, float]) -> None:
    """Runs of slow feeds that have these faults."""

    def drawn(random: Random) -> Weather:
        return replace(
            draw(random),
            kinds=faults,
            edits=0.05,
            timers=0.3,
            faults=0.3,
            loss=0.1,
            straight=0.0,
            late=0.9 * random.randrange(2),
            slow=True,
        )

    patch.setattr(world, "draw", drawn)


def f7_quarantine_takes_no_seq(patch: Patch) -> None:
    _slowly(patch, HELD_BACK)
    right = MemoryFeedStore.quarantine

    def quarantine(self: MemoryFeedStore, feed: str, item_id: str, *, seq: int, why: str) -> bool:
        done = right(self, feed, item_id, seq=seq, why=why)
        self._feeds[feed].head -= done
        return done

    patch.setattr(MemoryFeedStore, "quarantine", quarantine)
    patch.setattr(Chronicle, "quarantine", lambda self, item_id: self.quarantined.add(item_id))


def p3_asof_is_n(patch: Patch) -> None:
    _slowly(patch, SET_BACK)
    on_push(patch, lambda _, push: push.model_copy(update={"asof": push.n}))


def a1_no_answer_is_discarded(patch: Patch) -> None:
    _slowly(patch, SET_BACK)
    right = Replica._on_delta  # noqa: SLF001 - the rule that is broken stands there

    def on_delta(self: Replica, *args: Any) -> Any:  # noqa: ANN401 - passed on
        self._stored_since_request = False
        return right(self, *args)

    patch.setattr(Replica, "_on_delta", on_delta)


def _begun(patch: Patch, broken: Callable[[Begun, Compared], Begun]) -> None:
    """`broken` makes something else of what the answers to an inventory told so far."""
    right = device_inventory.after

    def after(inventory: Inventory, asked: Any, answer: Compared) -> Any:  # noqa: ANN401 - passed on
        left, held = right(inventory, asked, answer)
        assert left.begun is not None
        return replace(left, begun=broken(left.begun, answer)), held

    _slowly(patch, IN_AN_INVENTORY)
    patch.setattr(device_inventory, "after", after)


def a4_p0_is_that_of_the_last_answer(patch: Patch) -> None:
    _begun(patch, lambda begun, answer: replace(begun, p0=answer.p0))


def a4_floor_and_asof_are_the_first_head(patch: Patch) -> None:
    _begun(patch, lambda begun, _: replace(begun, head=begun.upto))


def a4_floor_is_the_first_head(patch: Patch) -> None:
    _slowly(patch, IN_AN_INVENTORY)
    right = Replica._on_inventory  # noqa: SLF001 - the rule that is broken stands there

    def on_inventory(self: Replica, answer: Compared, before: Inventory) -> Any:  # noqa: ANN401
        result = right(self, answer, before)
        if self._state.collection is not None:
            upto = answer.head if before.begun is None else before.begun.upto
            self._state = replace(self._state, floor=upto)
        return result

    patch.setattr(Replica, "_on_inventory", on_inventory)


def a5_asks_at_once_for_what_cannot_be_had(patch: Patch) -> None:
    _slowly(patch, HELD_BACK)
    right = Schedule.answered

    def answered(self: Schedule, *args: Any, **known: Any) -> Schedule:  # noqa: ANN401 - passed on
        return right(self, *args, **{**known, "progress": True})

    patch.setattr(Replica, "_leave_alone", lambda _self, _item_id, _head: False)
    patch.setattr(Schedule, "answered", answered)


def g1_a_feed_restored_by_one_change_is_not(patch: Patch) -> None:
    _slowly(patch, SET_BACK)
    right = responder._is_beyond  # noqa: SLF001 - the rule that is broken stands there
    patch.setattr(responder, "_is_beyond", lambda asof, epoch, base: right(asof - 1, epoch, base))


# Where a seed is that brings them about.
NOTICED: Final[Mapping[Callable[[Patch], None], int]] = {
    f7_quarantine_takes_no_seq: 8,
    p3_asof_is_n: 8,
    a1_no_answer_is_discarded: 1,
    a4_p0_is_that_of_the_last_answer: 9,
    a4_floor_and_asof_are_the_first_head: 5,
    a4_floor_is_the_first_head: 5,
    a5_asks_at_once_for_what_cannot_be_had: 15,
    g1_a_feed_restored_by_one_change_is_not: 0,
}


@pytest.mark.parametrize(
    ("broken", "first"), NOTICED.items(), ids=[broken.__name__ for broken in NOTICED]
)
def test_a_broken_rule_is_noticed(
    broken: Callable[[Patch], None], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    assert any(breaks(seed) for seed in range(first, first + SEEDS_TO_NOTICE))
