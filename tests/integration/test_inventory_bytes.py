"""What an inventory costs, and that what was missing comes after it once: Q3, G6, A4 and A5.

A gateway's rules and a device's, without a link between them, but with every message encoded.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from device_agent.agent_file import AgentFile
from device_agent.replica import Replica
from device_agent.results import AnswerFate
from device_agent.store import HeldItem
from device_agent.store_sqlite import SqliteReplicaStore
from gateway.feed import digest_rows, feed_items
from gateway.responder import AnswerLimits, respond
from gateway.rows import Delete, Mutation, Put
from gateway.state_file import SqliteStore
from sync_protocol import inventory, limits, messages, wire
from sync_protocol.digests import digest_of, replica_digest
from sync_protocol.messages import Answer, Request
from sync_protocol.wire import Format

FEED = "contacts"
GENERATION = b"one-time"
BYTES_PER_ITEM_MAX = 24
REQUESTS_MAX = 500


@dataclass(slots=True)
class Cost:
    """What went over the wire until all was there.

    Attributes:
        inventory_up, delta_up: bytes of the requests of each kind.
        down: bytes of all answers.
        changes: how often each item came by a delta.
        contents: and how often with bytes of its content.
    """

    inventory_up: int = 0
    delta_up: int = 0
    down: int = 0
    inventories: int = 0
    deltas: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    contents: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Pair:
    """A feed, and a device that holds items of which no token says what they are."""

    feed: SqliteStore
    store: SqliteReplicaStore
    form: Format = Format.CBOR
    answer_bytes_max: int = limits.ANSWER_BYTES_DEFAULT

    def change(self, *mutations: Mutation) -> None:
        with self.feed.transaction() as transaction:
            for mutation in mutations:
                transaction.apply(FEED, mutation, now=1)

    def hold_all(self) -> None:
        """The device holds just what the feed has."""
        with self.feed.snapshot(FEED) as snapshot, self.store.transaction():
            for row in feed_items(snapshot):
                self.hold(row.id, snapshot.content(row.id, offset=0, bytes_max=row.size))

    def hold(self, item_id: str, content: bytes, *, flags: tuple[str, ...] = ()) -> None:
        self.store.clear_content(item_id)
        self.store.append_content(item_id, 0, content)
        self.store.set_item(
            HeldItem(
                id=item_id,
                n=None,
                kind="contact",
                folder="",
                flags=flags,
                date=None,
                media_type="text/vcard",
                digest=digest_of([content]),
                size=len(content),
                held_bytes=len(content),
                whole=True,
            )
        )

    def sync(self) -> Cost:
        """Until nothing is missing."""
        replica = Replica(self.store, make_view_id=lambda: 7)
        cost = Cost()
        for number in range(REQUESTS_MAX):
            request = replica.request(number.to_bytes(8), answer_bytes_max=self.answer_bytes_max)
            up = wire.encode(request, self.form)
            assert len(up) <= limits.REQUEST_BYTES_MAX
            if request.inventory:
                cost.inventory_up += len(up)
                cost.inventories += 1
            else:
                cost.delta_up += len(up)
                cost.deltas += 1
            answer = self._answer(messages.decode_request(up), cost)
            assert replica.on_answer(answer).fate is AnswerFate.TAKEN
            if not replica.needs_sync():
                return cost
        raise AssertionError(f"not all was there after {REQUESTS_MAX} requests")

    def _answer(self, request: Request, cost: Cost) -> Answer:
        with self.feed.snapshot(FEED) as snapshot:
            answer = respond(
                request,
                snapshot,
                view=request.view,
                generation=GENERATION,
                form=self.form,
                bounds=AnswerLimits(),
            ).answer
        down = wire.encode(answer, self.form)
        assert len(down) <= max(self.answer_bytes_max, limits.ANSWER_BYTES_MIN)
        cost.down += len(down)
        if answer.inventory is not None:
            assert not any(put.content for put in answer.inventory.puts), "no content moves by it"
        if answer.delta is not None:
            for change in answer.delta.changes:
                cost.changes[change.item_id] += 1
                if change.put is not None and change.put.content:
                    cost.contents[change.item_id] += 1
        return wire.decode(Answer, down, bytes_max=limits.ANSWER_BYTES_MAX)

    def assert_equal(self) -> None:
        with self.feed.snapshot(FEED) as snapshot:
            feed = replica_digest(
                (item_id, digest[:16], folder, flags)
                for item_id, digest, folder, flags in digest_rows(feed_items(snapshot))
            )
        held = list(self.store.items())
        assert replica_digest((it.id, it.digest, it.folder, it.flags) for it in held) == feed
        assert all(it.whole for it in held)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    feed = SqliteStore(tmp_path / "gateway.sqlite3")
    with contextlib.closing(AgentFile(tmp_path / "agent.sqlite3")) as file:
        with feed.transaction() as transaction:
            transaction.add_feed(FEED, epoch_id=b"epoch--1", now=1)
        yield Pair(feed, file.replica(FEED))
    feed.close()


def fill(pair: Pair, items: int) -> list[str]:
    """Both sides hold the same."""
    ids = [f"uid-{number}@example.org" for number in range(items)]
    pair.change(*(card(item_id, 0) for item_id in ids))
    pair.hold_all()
    return ids


def card(item_id: str, version: int) -> Put:
    content = f"BEGIN:VCARD\r\nUID:{item_id}\r\nREV:{version}\r\nEND:VCARD\r\n".encode()
    return Put(item_id, content, "contact", "text/vcard")


def in_order_of_hash(ids: list[str]) -> list[str]:
    return sorted(ids, key=inventory.id_hash)


@pytest.mark.parametrize("form", Format)
def test_5000_equal_items_take_100_bytes(pair: Pair, form: Format) -> None:
    pair.form = form
    fill(pair, 5_000)
    cost = pair.sync()
    print(f"{form}: {cost}")  # noqa: T201 - the figures, with pytest -s
    assert (cost.inventories, cost.deltas) == (1, 1)
    assert cost.changes.total() == 0
    if form is Format.CBOR:
        assert cost.inventory_up + cost.delta_up <= 100
    pair.assert_equal()


@pytest.mark.parametrize("clustered", [False, True], ids=["spread", "clustered"])
def test_10_of_5000_that_differ_take_4096_bytes(pair: Pair, *, clustered: bool) -> None:
    ids = fill(pair, 5_000)
    chosen = in_order_of_hash(ids)[700:710] if clustered else random.Random(1).sample(ids, 10)
    pair.change(*(card(item_id, 1) for item_id in chosen))
    cost = pair.sync()
    print(cost)  # noqa: T201 - the figures, with pytest -s
    assert cost.inventory_up + cost.delta_up <= 4_096
    assert cost.contents == Counter(chosen)
    pair.assert_equal()


def differ(pair: Pair, ids: list[str]) -> Counter[str]:
    """Make `ids` differ in every way there is; whose content the device will lack."""
    changed, flagged, lost, deleted = ids[::5] + ids[1::5], ids[2::5], ids[3::5], ids[4::5]
    pair.change(*(card(item_id, 1) for item_id in changed), *map(Delete, deleted))
    with pair.store.transaction():
        for item_id in flagged:
            pair.hold(item_id, card(item_id, 0).content, flags=("$seen",))
        for item_id in lost:
            pair.store.delete_item(item_id)
    return Counter(changed + lost)


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True], ids=["spread", "clustered"])
@pytest.mark.parametrize(
    ("items", "percent"),
    [
        *((items, percent) for items in (100, 1_000) for percent in (0, 1, 5, 20, 50, 80, 100)),
        # The most of all that were tried: parts of few items, and not enough of them differ to
        # list more of these at once.
        (335, 78),
        (5_000, 20),
        (20_000, 12),
        (20_000, 100),
    ],
)
def test_nothing_takes_more_than_24_bytes_an_item(
    pair: Pair, items: int, percent: int, *, clustered: bool
) -> None:
    ids = in_order_of_hash(fill(pair, items))
    count = items * percent // 100
    chosen = ids[:count] if clustered else random.Random(percent).sample(ids, count)
    missing = differ(pair, chosen)
    held = pair.store.item_count()
    cost = pair.sync()
    print(f"{cost.inventory_up / held:.1f} bytes an item", cost)  # noqa: T201 - with pytest -s
    assert cost.inventory_up <= BYTES_PER_ITEM_MAX * held
    assert cost.contents == missing, "exactly what was missing, and once"
    assert cost.changes == missing
    pair.assert_equal()


def test_a_device_that_holds_nothing_says_so_in_one_request(pair: Pair) -> None:
    ids = fill(pair, 300)
    with pair.store.transaction():
        for item_id in ids:
            pair.store.delete_item(item_id)
    cost = pair.sync()
    assert (cost.inventories, cost.contents) == (1, Counter(ids))
    assert cost.inventory_up <= 32
    pair.assert_equal()


@pytest.mark.parametrize("answer_bytes_max", [limits.ANSWER_BYTES_MIN, 16 * limits.KIB])
def test_small_answers_do_not_make_a_device_present_its_items_again_and_again(
    pair: Pair, answer_bytes_max: int
) -> None:
    pair.answer_bytes_max = answer_bytes_max
    ids = fill(pair, 1_000)
    with pair.store.transaction():
        for item_id in ids:
            pair.hold(item_id, card(item_id, 0).content, flags=("$seen",))
    cost = pair.sync()
    print(f"{cost.inventory_up / len(ids):.1f} bytes an item", cost)  # noqa: T201 - with pytest -s
    assert cost.inventory_up <= BYTES_PER_ITEM_MAX * len(ids)
    assert cost.contents.total() == 0
    pair.assert_equal()
