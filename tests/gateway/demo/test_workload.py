from random import Random

from gateway.demo.workload import Workload
from gateway.feed_memory import MemoryFeedStore
from gateway.rows import Alter, Delete, Put

FEED = "feed"


def _played(seed: int, changes: int) -> tuple[Workload, MemoryFeedStore, list[str]]:
    store = MemoryFeedStore()
    store.add_feed(FEED, epoch_id=b"demo-epo", now=0)
    workload = Workload(Random(seed), {})
    kinds = []
    for number in range(changes):
        kind, item_id = workload.draw()
        with store.snapshot(FEED) as snapshot:
            content = (
                snapshot.content(item_id, offset=0, bytes_max=10**6) if kind == "edit" else b""
            )
        mutation = workload.mutation(kind, item_id, content)
        workload.done(item_id, store.apply(FEED, mutation, now=number))
        kinds.append(kind)
    return workload, store, kinds


def test_all_kinds_of_changes_happen_and_never_more_deletes_than_additions() -> None:
    workload, _, kinds = _played(1, 500)
    assert set(kinds) == {"add", "edit", "delete", "flags", "move"}
    assert 0 < workload.deleted <= workload.added


def test_it_knows_which_items_are_live() -> None:
    workload, store, _ = _played(2, 500)
    with store.snapshot(FEED) as snapshot:
        live = {row.id: row for row in snapshot.items(after=None, limit=1000)}
    assert workload.live == live
    assert sorted(workload.ids) == sorted(live)


def test_the_same_seed_draws_the_same() -> None:
    assert _played(3, 200)[0].live == _played(3, 200)[0].live
    assert _played(3, 200)[0].live != _played(4, 200)[0].live


def test_an_edit_stays_inside_its_card_and_does_not_grow_for_ever() -> None:
    store = MemoryFeedStore()
    store.add_feed(FEED, epoch_id=b"demo-epo", now=0)
    card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\r\nEND:VCARD\r\n"
    row = store.apply(FEED, Put("a", card, "contact", "text/vcard"), now=0)
    assert row is not None
    workload = Workload(Random(5), {"a": row})
    sizes = set()
    for _ in range(5):
        edit = workload.mutation("edit", "a", card)
        assert isinstance(edit, Put)
        assert edit.content != card
        assert edit.content.startswith(b"BEGIN:VCARD\r\n")
        assert edit.content.endswith(b"END:VCARD\r\n")
        card = edit.content
        sizes.add(len(card))
    assert len(sizes) == 1


def test_each_kind_of_change_is_the_mutation_it_says() -> None:
    workload = Workload(Random(6), {})
    assert isinstance(workload.mutation("add", "new", b""), Put)
    assert isinstance(workload.mutation("flags", "a", b""), Alter)
    assert isinstance(workload.mutation("move", "a", b""), Alter)
    assert workload.mutation("delete", "a", b"") == Delete("a")
