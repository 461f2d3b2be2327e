"""A device that lies about what it holds and sees: it gets what is its own, and harms itself."""

import os
from typing import Any

import pytest

from gateway.device import Allowed
from gateway.rows import Put
from sync_protocol import digests, inventory, limits, wire
from sync_protocol.messages import Answer, Delta, Range, Wanted
from sync_protocol.token_set import TokenSet
from sync_protocol.views import View
from sync_protocol.wire import Format
from tests.abuse.devices import Liar, collected
from tests.abuse.worlds import (
    ABUSER,
    FEED,
    HONEST,
    HONEST_S_MAX,
    PRIVATE,
    SECRET,
    World,
    counted,
)

HIDDEN = b"in a folder that phone may not see"
LARGE = b"larger than what phone may see" * 100
FORGED_EPOCHS = (bytes(8), b"\xff" * 8)
# What a device may say that it holds.
FORGED_SETS = {
    "all that there may ever be": TokenSet.span(1 - limits.INTEGER_MAX, limits.INTEGER_MAX),
    "nothing": TokenSet(),
    "what no feed has": TokenSet.span(10**9, 2 * 10**9),
    "thousands of holes": TokenSet.of(range(-59_999, 60_000, 2)),
}
UNREADABLE_SETS = (
    b"\xff",
    b"\x80" * 9,
    b"\x00\x00\xc0",
    os.urandom(1000),
    b"\x01\x00\x3f" + bytes(1000),
)
BASES = (0, 1, 10**6, limits.INTEGER_MAX)


@pytest.fixture(autouse=True)
def harmless(world: World) -> None:
    """Some items that phone may not see; and after each test all is as if it had not been."""
    service = world.service
    service.apply(FEED, Put("hidden", HIDDEN, "contact", "text/vcard", folder="hidden"))
    service.apply(FEED, Put("large", LARGE, "contact", "text/vcard"))
    service.devices.limit(ABUSER, Allowed(folders=("",), item_bytes_max=1000))


def is_own(delta: Delta) -> bool:
    """Whether all in an answer is what phone may see.

    Of an item that is too large it hears that there is none (V3), and so the id.
    """
    puts = {change.item_id for change in delta.changes if change.put is not None}
    removes = {change.item_id for change in delta.changes if change.put is None}
    return puts | {it.id for it in delta.remainders} <= {"ada"} and removes <= {"large"}


def delta_of(answer: Answer) -> Delta:
    assert answer.delta is not None, answer
    return answer.delta


def assert_nothing_happened(world: World) -> None:
    """Nothing broke, tab gets all of its feed, and phone gets ada when it tells the truth."""
    assert counted(world, "errors in a handler") == 0
    assert world.honest_sync_s() < HONEST_S_MAX
    with Liar(world.door) as phone:
        compared = phone.compared()
        delta = delta_of(phone.ask(base=compared.base, collection=collected(compared)))
        contents = {it.put.id: it.put.content for it in delta.changes if it.put is not None}
        assert contents == {"ada": b"the card of ada", "news-0": b"news-0"}


class TestLies:
    def test_of_a_set(self, world: World) -> None:
        with Liar(world.door) as phone:
            compared = phone.compared()
            for lie, held in FORGED_SETS.items():
                collection = collected(compared, tokens=held.encode())
                delta = delta_of(phone.ask(base=compared.base, collection=collection))
                assert is_own(delta), lie
                assert bool(delta.changes) == (not lie.startswith("all")), lie
            for unreadable in UNREADABLE_SETS:
                collection = collected(compared, tokens=unreadable)
                answer = phone.ask(base=compared.base, collection=collection)
                assert answer.void is not None or is_own(delta_of(answer)), unreadable
        assert_nothing_happened(world)

    def test_of_epoch_lineage_and_base(self, world: World) -> None:
        with Liar(world.door) as phone:
            compared = phone.compared()
            lies: list[dict[str, Any]] = [{"epoch": epoch} for epoch in FORGED_EPOCHS]
            lies += [{"lineage": it} for it in (0, 2**32 - 1, compared.lineage ^ 1)]
            for lie in lies:
                answer = phone.ask(base=compared.base, collection=collected(compared, **lie))
                assert answer.void is not None, lie
            for base in BASES:
                answer = phone.ask(base=base, collection=collected(compared))
                assert answer.void is not None or base == compared.base, base
                assert phone.compared(base=base).base == base
            for asof in (-limits.INTEGER_MAX, limits.INTEGER_MAX):
                collection = collected(compared, asof=asof, p0=limits.INTEGER_MAX)
                assert is_own(delta_of(phone.ask(base=compared.base, collection=collection)))
        assert_nothing_happened(world)

    def test_that_it_is_another_devices_replica(self, world: World) -> None:
        with Liar(world.door, HONEST) as tab:
            view_id = 7
            compared = tab.compared(view_id=view_id)
            theirs = collected(compared)
            assert tab.ask(base=compared.base, view_id=view_id, collection=theirs).delta
        with Liar(world.door) as phone:
            answer = phone.ask(base=compared.base, view_id=view_id, collection=theirs)
            assert answer.void is not None
            assert answer.void.why == "lineage"
        assert_nothing_happened(world)

    def test_that_it_may_have_contents(self, world: World) -> None:
        contents = {"secret": SECRET, "hidden": HIDDEN, "large": LARGE, "ada": SECRET}
        wanted = [
            Wanted(id=item, digest=digests.digest_of([content]))
            for item, content in contents.items()
        ]
        with Liar(world.door) as phone:
            compared = phone.compared()
            for offset in (0, 1, limits.INTEGER_MAX):
                asked = tuple(each.model_copy(update={"offset": offset}) for each in wanted)
                answer = phone.ask(base=compared.base, collection=collected(compared), wanted=asked)
                assert delta_of(answer).remainders == ()
                assert delta_of(answer).withheld == ()
                assert is_own(delta_of(answer))
        assert_nothing_happened(world)

    def test_that_it_may_see_more(self, world: World) -> None:
        views = (
            View(folders=("hidden",)),
            View(folders=("", "hidden"), item_bytes_max=limits.INTEGER_MAX),
            View(kinds=("contact",), portion_bytes=limits.INTEGER_MAX),
        )
        for view in views:
            with Liar(world.door) as phone:
                compared = phone.compared(view=view)
                answer = phone.ask(base=compared.base, view=view, collection=collected(compared))
                assert is_own(delta_of(answer)), view
        assert_nothing_happened(world)

    def test_that_it_may_hold_a_feed(self, world: World) -> None:
        with Liar(world.door) as phone:
            request = phone.request()
            payload = wire.encode(request, Format.CBOR)
            feeds = (PRIVATE, "invented")
            for feed in feeds:
                phone.probe.subscribe(f"sync/v1/{ABUSER}/{feed}/response")
                phone.send(payload, feed=feed)
            assert phone.ask().inventory is not None
            # A broker that knows who holds what keeps it from the gateway. Else it is told the
            # same of a feed that there is and of one that there is not.
            refused = [refusal(heard.payload) for heard in phone.others]
            expected = [] if world.door.knows_feeds else [("feed", feed) for feed in feeds]
            assert [
                (reason, feed) for reason, message in refused for feed in feeds if feed in message
            ] == expected
            if refused:
                assert (
                    len(
                        {
                            message.replace(feed, "")
                            for (_, message), feed in zip(refused, feeds, strict=True)
                        }
                    )
                    == 1
                )
        assert_nothing_happened(world)


def refusal(payload: bytes) -> tuple[str, str]:
    refused = wire.decode(Answer, payload, bytes_max=limits.ANSWER_BYTES_MAX).refused
    assert refused is not None
    return refused.reason, refused.message


class TestInventory:
    def entry(self, item: str, content: bytes, *, folder: str = "") -> bytes:
        etag = inventory.etag(
            digests.digest_of([content]),
            kind="contact",
            folder=folder,
            flags=(),
            date=None,
            until=None,
            media_type="text/vcard",
        )
        return inventory.id_hash(item) + etag

    def test_tells_nothing_of_what_is_not_shown(self, world: World) -> None:
        """Whoever guesses an item right, to the last bit, hears the same as of what is not."""
        guesses = {
            "secret": self.entry("secret", SECRET),
            "hidden": self.entry("hidden", HIDDEN, folder="hidden"),
            "large": self.entry("large", LARGE),
            "nothing": self.entry("nothing", b"never put"),
        }
        with Liar(world.door) as phone:
            plain = phone.compared(base=0)
            for item, entry in guesses.items():
                compared = phone.compared(base=0, inventory=(Range(entries=entry),))
                assert compared.drops == inventory.id_hash(item)
                assert compared.missing == plain.missing
                assert compared.puts == ()
        assert_nothing_happened(world)

    def test_of_lies_moves_no_content(self, world: World) -> None:
        lies: list[tuple[Range, ...]] = [
            (Range(fingerprints=bytes(6)),),
            (Range(fingerprints=os.urandom(96)),),
            (Range(entries=b"".join(sorted(os.urandom(14) for _ in range(5_000)))),),
            tuple(Range(prefix=f"{n:02x}", fingerprints=os.urandom(96)) for n in range(256)),
            tuple(Range(prefix=f"{n:012x}", fingerprints=bytes(6)) for n in range(256)),
        ]
        with Liar(world.door) as phone:
            for lie in lies:
                for answer_bytes_max in (0, limits.INTEGER_MAX):
                    compared = phone.compared(inventory=lie, answer_bytes_max=answer_bytes_max)
                    assert all(put.content is None for put in compared.puts)
        assert_nothing_happened(world)
