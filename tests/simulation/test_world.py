"""The protocol's rules under loss, doubling, reordering, restarts and restores; and what of them
the simulator notices when it is broken.

To break a rule is the one reason for which a test here replaces parts of the code.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from device_agent.replica import Replica
from device_agent.store_memory import MemoryReplicaStore
from gateway import notifier, responder, view
from gateway.feed import FeedSnapshot
from gateway.feed_memory import MemoryFeedStore
from gateway.notifier import Push, Target
from sync_protocol import tokens
from sync_protocol.messages import Notification
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format
from tests.simulation.world import FEED, Broken, World, run

FRESH_RUNS = 60
# Seeds of which each once found something, or reaches what few do.
SEEDS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)
SEEDS_TO_NOTICE = 60

Patch = pytest.MonkeyPatch


def test_fresh_seeds_break_no_promise() -> None:
    first = random.SystemRandom().getrandbits(48)
    print(f"python -m tests.simulation --first {first} --seeds {FRESH_RUNS}")  # noqa: T201
    for seed in range(first, first + FRESH_RUNS):
        _run(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_known_seeds_break_no_promise(seed: int) -> None:
    _run(seed)


def _run(seed: int) -> None:
    try:
        run(seed)
    except Exception as error:
        raise AssertionError(f"python -m tests.simulation --seed {seed}") from error


def test_a_seed_is_the_same_run_each_time() -> None:
    assert run(7) == run(7)


def test_all_that_can_happen_happens() -> None:
    total = sum((run(seed) for seed in range(40)), start=run(40))
    rare = (
        *("agent restarts", "gateway restarts", "restored backups", "purges", "timeout"),
        *("answers not-awaited", "answers overtaken", "answers void", "remainders"),
        *("push gap", "push held-already", "push old", "push stored", "push strange"),
        *("pushes lost", "pushes doubled", "answers lost", "online or offline"),
    )
    assert not [name for name in rare if not total[name]]


def test_a_feed_that_begins_anew_and_empty_settles() -> None:
    world = World(2)
    world.settle(rounds_max=120)
    world.feeds = MemoryFeedStore()
    world.feeds.add_feed(FEED, epoch_id=bytes(8), now=world.now)
    world.identities.clear()
    world.settle(rounds_max=20)
    world.check_equal()


# Broken rules


def _on_push(patch: Patch, broken: Callable[[Replica, Notification], Notification]) -> None:
    right = Replica.on_push
    patch.setattr(Replica, "on_push", lambda self, push: right(self, broken(self, push)))


def p2_content_that_was_pushed_before(patch: Patch) -> None:
    right = notifier.pushes

    def again(
        snapshot: FeedSnapshot,
        *,
        cursor: int,
        targets: Sequence[Target],
        notification_content_bytes_max: int,
    ) -> Iterator[Push]:
        everything = right(
            snapshot,
            cursor=0,
            targets=targets,
            notification_content_bytes_max=notification_content_bytes_max,
        )
        return (push for push in everything if push.seq > cursor)

    patch.setattr("tests.simulation.world.pushes", again)


def p2_c_is_not_told(patch: Patch) -> None:
    _on_push(patch, lambda _, push: push.model_copy(update={"c": None}))


def p3_prev_is_n_minus_1(patch: Patch) -> None:
    patch.setattr(view, "previous", lambda _snapshot, seq: seq - 1 or None)


def p3_purges_do_not_count(patch: Patch) -> None:
    patch.setattr(view, "previous", lambda snapshot, seq: snapshot.newest_below(seq))


def p4_lineage_without_the_epoch(patch: Patch) -> None:
    right = tokens.lineage

    def without(_epoch: bytes, *, base: int, view_id: int) -> int:
        return right(bytes(8), base=base, view_id=view_id, renderer_version=1)

    patch.setattr(view, "lineage", without)


def d3_prev_does_not_count(patch: Patch) -> None:
    _on_push(patch, lambda _, push: push.model_copy(update={"prev": None}))


def d4_interval_is_not_added(patch: Patch) -> None:
    _on_push(patch, lambda _, push: push.model_copy(update={"prev": push.n - 1}))


def d5_older_changes_are_applied(patch: Patch) -> None:
    right = Replica._apply  # noqa: SLF001 - the rule that is broken stands there

    def apply(self: Replica, item_id: str, put: Any, n: int) -> Any:  # noqa: ANN401 - passed on
        store = self._store
        held = store.item(item_id)
        if held is not None:
            store.set_item(replace(held, n=None))
        return right(self, item_id, put, n)

    patch.setattr(Replica, "_apply", apply)


def d5_removes_are_not_remembered(patch: Patch) -> None:
    patch.setattr(MemoryReplicaStore, "remember", lambda _self, _item_id, _n: None)


def a1_any_answer_is_taken(patch: Patch) -> None:
    right = Replica.on_answer

    def on_answer(self: Replica, answer: Any) -> Any:  # noqa: ANN401 - passed on
        self._outstanding = answer.id
        return right(self, answer)

    patch.setattr(Replica, "on_answer", on_answer)


def a2_removes_are_forgotten_while_more_is_pending(patch: Patch) -> None:
    right = MemoryReplicaStore.set_state

    def set_state(self: MemoryReplicaStore, state: Any) -> None:  # noqa: ANN401 - passed on
        self.forget_removed(None)
        right(self, state)

    patch.setattr(MemoryReplicaStore, "set_state", set_state)


def _void_never(patch: Patch, *whys: str) -> None:
    right = responder._presented  # noqa: SLF001 - the rule that is broken stands there

    def presented(request: Any, snapshot: Any, base: int) -> Any:  # noqa: ANN401 - passed on
        found = right(request, snapshot, base)
        if isinstance(found, TokenSet) or found.why not in whys:
            return found
        return TokenSet.decode(request.collection.tokens)

    patch.setattr(responder, "_presented", presented)


def g1_no_void_for_an_unknown_epoch(patch: Patch) -> None:
    _void_never(patch, "epoch")


def g1_no_void_for_a_restored_feed(patch: Patch) -> None:
    _void_never(patch, "restored")


def g1_no_void_for_purged_markers(patch: Patch) -> None:
    _void_never(patch, "purged")


class _Forgetful(TokenSet):
    """A presented set that holds no c."""

    __slots__ = ()

    def __contains__(self, token: int) -> bool:
        return False


def g3_content_though_c_is_presented(patch: Patch) -> None:
    right = responder._presented  # noqa: SLF001 - the rule that is broken stands there

    def presented(request: Any, snapshot: Any, base: int) -> Any:  # noqa: ANN401 - passed on
        found = right(request, snapshot, base)
        return _Forgetful.of_ranges(found) if isinstance(found, TokenSet) else found

    patch.setattr(responder, "_presented", presented)


def _new_set(patch: Patch, broken: Callable[[Any, int | None], TokenSet]) -> None:
    patch.setattr(responder._Page, "_new_set", broken)  # noqa: SLF001 - the rule stands there


def g3_what_is_pending_counts_as_held(patch: Patch) -> None:
    right = responder._Page._new_set  # noqa: SLF001
    _new_set(patch, lambda page, _pending: right(page, None))


def g3_c_of_what_was_sent_is_not_held(patch: Patch) -> None:
    right = responder._Page._new_set  # noqa: SLF001

    def without(page: Any, pending: int | None) -> TokenSet:  # noqa: ANN401 - passed on
        page._added = [replace(added, c=None) for added in page._added]  # noqa: SLF001
        return right(page, pending)

    _new_set(patch, without)


def g3_all_changes_again(patch: Patch) -> None:
    right = responder._presented  # noqa: SLF001 - the rule that is broken stands there

    def forgotten(*args: Any) -> Any:  # noqa: ANN401 - passed on
        held = right(*args)
        return TokenSet() if isinstance(held, TokenSet) else held

    patch.setattr(responder, "_presented", forgotten)


def g3_a_page_larger_than_asked(patch: Patch) -> None:
    patch.setattr(responder, "_CHANGE_OVERHEAD_BYTES", dict.fromkeys(Format, 0))


def g4_remainders_from_the_beginning(patch: Patch) -> None:
    right = responder._Page._remainders  # noqa: SLF001 - the rule that is broken stands there
    patch.setattr(
        responder._Page,  # noqa: SLF001
        "_remainders",
        lambda page: (it.model_copy(update={"offset": 0}) for it in right(page)),
    )


# Some take rare coincidences to do harm: for them, where a seed is that brings those about.
NOTICED: Mapping[Callable[[Patch], None], int] = {
    p2_content_that_was_pushed_before: 0,
    p2_c_is_not_told: 235,
    p3_prev_is_n_minus_1: 0,
    p3_purges_do_not_count: 557,
    p4_lineage_without_the_epoch: 72,
    d3_prev_does_not_count: 0,
    d4_interval_is_not_added: 0,
    d5_older_changes_are_applied: 0,
    d5_removes_are_not_remembered: 0,
    a1_any_answer_is_taken: 0,
    a2_removes_are_forgotten_while_more_is_pending: 0,
    g1_no_void_for_an_unknown_epoch: 0,
    g1_no_void_for_a_restored_feed: 0,
    g1_no_void_for_purged_markers: 0,
    g3_content_though_c_is_presented: 0,
    g3_what_is_pending_counts_as_held: 0,
    g3_c_of_what_was_sent_is_not_held: 31,
    g3_all_changes_again: 0,
    g3_a_page_larger_than_asked: 0,
    g4_remainders_from_the_beginning: 0,
}


@pytest.mark.parametrize(
    ("broken", "first"), NOTICED.items(), ids=[broken.__name__ for broken in NOTICED]
)
def test_a_broken_rule_is_noticed(
    broken: Callable[[Patch], None], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    assert any(_breaks(seed) for seed in range(first, first + SEEDS_TO_NOTICE))


def _breaks(seed: int) -> bool:
    world = World(seed)
    try:
        for _ in range(600):
            world.step()
        world.settle(rounds_max=120)
        world.check_equal()
    except Broken:
        return True
    return False
