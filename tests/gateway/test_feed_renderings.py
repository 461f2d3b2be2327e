"""Every feed store keeps contents in other representations (docs/protocol.md, F1, F7 and V4)."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.feed import (
    FeedError,
    FeedRepresentation,
    FeedStore,
    FeedTransaction,
    NoSuchFeedError,
    NoSuchItemError,
    NotRenderedError,
)
from gateway.representations.representation import Problem, Rendered
from gateway.rows import Alter, Delete, Rendering
from tests.gateway.damage import hold_back, retry
from tests.gateway.feed_contract import FeedContract, InMemory, InSqlite
from tests.gateway.rendered_feeds import (
    BROKEN,
    HALF,
    HALF_TYPE,
    WHY_BROKEN,
    begin,
    begun,
    change_halved,
    end,
    half,
    halved,
    halves,
    kept,
    problems,
    rendered,
    row_of,
    set_rendering,
    stop,
    unrendered,
    with_half,
)
from tests.gateway.sample_feeds import EPOCH, FEED, NOW, change, changed, contents, head, put

SHORT = FeedRepresentation("short", 7, frozenset({"contact", "mail"}))


class RenderingsContract(FeedContract):
    """What every store of feeds must do with renderings."""

    # What a feed is rendered in

    def test_v4_a_feed_is_shown_once_all_of_it_is_rendered(self, store: FeedStore) -> None:
        change(store, put("ada", b"12345678"), put("pad", kind="note"))
        assert begun(store) == {}
        begin(store)
        assert begun(store) == {"half": HALF}
        assert not end(store)
        assert begun(store) == {"half": HALF}
        set_rendering(store, row_of(store), half(b"12345678"))
        assert end(store)
        assert begun(store) == {"half": replace(HALF, is_complete=True)}

    def test_v4_a_feed_that_is_empty_is_all_rendered(self, store: FeedStore) -> None:
        begin(store)
        assert end(store)

    def test_v4_representations_in_order_of_their_names(self, store: FeedStore) -> None:
        begin(store, SHORT)
        begin(store)
        assert list(begun(store)) == ["half", "short"]
        assert begun(store)["short"] == SHORT
        stop(store, "short")
        assert begun(store) == {"half": HALF}
        stop(store, "short")

    def test_v4_begun_anew_a_feed_is_rendered_anew(self, store: FeedStore) -> None:
        begin(store)
        change_halved(store, put("ada"), put("bob", BROKEN))
        assert end(store)
        newer = replace(HALF, version=2)
        begin(store, newer)
        assert begun(store) == {"half": newer}
        assert (kept(store), kept(store, "bob")) == (None, None)
        assert (unrendered(store), problems(store)) == (["ada", "bob"], [])
        assert not end(store)

    def test_v4_stopped_nothing_of_it_is_kept_or_needed(self, store: FeedStore) -> None:
        begin(store)
        begin(store, replace(HALF, name="other"))
        made = {"half": half(b"x"), "other": Rendered(b"other", HALF_TYPE)}
        change(store, replace(put("ada", b"x"), renderings=made))
        stop(store)
        assert kept(store) is None
        assert kept(store, name="other") == Rendering(
            1, hashlib.sha256(b"other").digest(), 5, HALF_TYPE
        )
        stop(store, "other")
        assert changed(store, put("ada", b"y")).seq == 2

    def test_v4_a_version_and_kinds_are_kept(self, store: FeedStore) -> None:
        begin(store, SHORT)
        assert begun(store)["short"] == FeedRepresentation(
            "short", 7, frozenset({"contact", "mail"}), is_complete=False
        )

    # What is kept of a put

    def test_f1_a_rendering_has_its_own_bytes(self, store: FeedStore) -> None:
        begin(store)
        row = halved(store, put("ada", b"12345678"))
        assert rendered(store) == Rendering(1, hashlib.sha256(b"1234").digest(), 4, HALF_TYPE)
        assert (row.size, row.media_type) == (8, "text/vcard")
        with store.snapshot(FEED) as snapshot:
            content = [
                snapshot.content("ada", offset=offset, bytes_max=most, representation="half")
                for offset, most in ((0, 9), (0, 2), (1, 2), (3, 9), (4, 9), (9, 9), (0, 0))
            ]
            assert contents(snapshot) == {"ada": b"12345678"}
        assert content == [b"1234", b"12", b"23", b"4", b"", b"", b""]

    def test_f1_a_new_content_needs_its_renderings(self, store: FeedStore) -> None:
        begin(store)
        begin(store, SHORT)
        with pytest.raises(NotRenderedError, match="as half, short") as caught:
            change(store, put())
        assert caught.value.representations == ("half", "short")
        with pytest.raises(NotRenderedError, match="as short"):
            change_halved(store, put())
        assert head(store) == 0
        made = {**halves(b"x"), "short": Rendered(b"", HALF_TYPE), "unknown": half(b"x")}
        changed(store, replace(put("ada", b"x"), renderings=made))
        assert kept(store, name="unknown") is None
        with pytest.raises(NotRenderedError):
            change(store, put("ada", b"y"))
        with store.snapshot(FEED) as snapshot:
            assert contents(snapshot) == {"ada": b"x"}

    def test_f1_a_kind_that_is_not_rendered_needs_none(self, store: FeedStore) -> None:
        begin(store)
        changed(store, put("pad", kind="note"))
        change_halved(store, put("pod", kind="note"))
        assert (kept(store, "pad"), kept(store, "pod"), unrendered(store)) == (None, None, [])
        assert end(store)

    def test_f1_the_same_content_keeps_its_renderings(self, store: FeedStore) -> None:
        begin(store)
        halved(store, put("ada", b"12345678"))
        before = rendered(store)
        assert change(store, put("ada", b"12345678")) == [None]
        rows = change(
            store,
            put("ada", b"12345678", date=5),
            Alter("ada", flags=("x",)),
            Alter("ada", folder="Work"),
            replace(put("ada", b"12345678", flags=("y",)), renderings=halves(b"other")),
        )
        assert [row and row.seq for row in rows] == [2, 3, 4, 5]
        assert rendered(store) == before

    @pytest.mark.parametrize("other", [{"kind": "event"}, {"media_type": "text/x"}])
    def test_f1_another_kind_or_media_type_is_rendered_anew(
        self, store: FeedStore, other: dict[str, str]
    ) -> None:
        begin(store)
        halved(store, put("ada", b"12345678"))
        with pytest.raises(NotRenderedError):
            change(store, put("ada", b"12345678", **other))  # type: ignore[arg-type]  # texts only
        made = {"half": Rendered(b"another", HALF_TYPE)}
        row = changed(store, replace(put("ada", b"12345678", **other), renderings=made))  # type: ignore[arg-type]  # texts only
        assert (row.c, rendered(store).c, rendered(store).size) == (1, 2, 7)

    def test_f1_a_kind_that_is_not_rendered_any_more_drops_what_was(self, store: FeedStore) -> None:
        begin(store)
        halved(store, put("ada"))
        changed(store, put("ada", kind="note"))
        assert kept(store) is None

    def test_f1_c_moves_with_the_rendered_bytes_only(self, store: FeedStore) -> None:
        begin(store)
        seen = []
        for content in (b"1234xxxx", b"1234yyyy", b"123456yyyyyy", b"1234xxxx"):
            row = halved(store, put("ada", content))
            seen.append((row.c, rendered(store).c))
        assert seen == [(1, 1), (2, 1), (3, 3), (4, 4)]

    def test_f1_deleted_an_item_has_no_renderings(self, store: FeedStore) -> None:
        begin(store)
        change_halved(store, put("ada", b"1234"), put("bob", BROKEN), Delete("ada"), Delete("bob"))
        assert (kept(store), kept(store, "bob"), problems(store)) == (None, None, [])
        # Nobody who has the rendering of old can be sure of it.
        halved(store, put("ada", b"1234"))
        assert rendered(store).c == 5

    def test_a_large_rendering_of_a_small_content(self, store: FeedStore) -> None:
        begin(store)
        large = bytes(range(256)) * 300
        changed(store, replace(put(), renderings={"half": Rendered(large, HALF_TYPE)}))
        with store.snapshot(FEED) as snapshot:
            content = snapshot.content("ada", offset=0, bytes_max=99_999, representation="half")
        assert content == large

    # What cannot be rendered

    def test_v4_why_a_content_could_not_be_rendered(self, store: FeedStore) -> None:
        begin(store)
        change_halved(store, put("cyd"), put("bob", BROKEN), put("ada", BROKEN))
        assert problems(store) == [("ada", "half", WHY_BROKEN), ("bob", "half", WHY_BROKEN)]
        assert (rendered(store).problem, rendered(store).c) == (WHY_BROKEN, 3)
        assert unrendered(store) == []
        assert end(store)
        halved(store, put("ada", b"1234"))
        assert problems(store) == [("bob", "half", WHY_BROKEN)]
        assert (rendered(store).problem, rendered(store).c) == (None, 4)

    def test_f1_bytes_that_come_back_after_a_problem_are_new(self, store: FeedStore) -> None:
        begin(store)
        halved(store, put("ada", b"1234"))
        halved(store, put("ada", BROKEN))
        halved(store, put("ada", b"1234"))
        assert rendered(store).c == 3

    def test_f1_no_bytes_are_not_the_bytes_of_a_problem(self, store: FeedStore) -> None:
        begin(store)
        halved(store, put("ada", BROKEN))
        halved(store, put("ada", b""))
        assert rendered(store) == Rendering(2, hashlib.sha256().digest(), 0, HALF_TYPE)

    def test_f7_what_failed_is_rendered_once_more_as_a_new_change(self, store: FeedStore) -> None:
        begin(store)
        begin(store, replace(HALF, name="other"))
        made = {"half": Problem("too slow"), "other": half(b"1234")}
        before = changed(store, replace(put("ada", b"1234"), renderings=made))
        row = retry(store, now=NOW + 5, renderings={"half": half(b"1234"), "other": half(b"1234")})
        assert row == replace(before, seq=2, at=NOW + 5)
        assert row_of(store) == row
        assert head(store) == 2
        assert problems(store) == []
        assert rendered(store).c == 2
        other = kept(store, name="other")
        assert other is not None
        assert other.c == 1
        with pytest.raises(FeedError, match="not in quarantine"):
            retry(store, renderings={"half": half(b"1234"), "other": half(b"1234")})
        assert head(store) == 2

    def test_f7_what_fails_again_is_a_change_all_the_same(self, store: FeedStore) -> None:
        begin(store)
        halved(store, put("ada", BROKEN))
        assert retry(store, renderings=halves(BROKEN)).seq == 2
        assert problems(store) == [("ada", "half", WHY_BROKEN)]

    def test_a_retry_whose_renderings_are_of_an_older_content_is_made_again(
        self, store: FeedStore
    ) -> None:
        begin(store)
        halved(store, put("ada", BROKEN))
        halved(store, put("ada", BROKEN + BROKEN))
        with (
            pytest.raises(NotRenderedError),
            store.transaction() as transaction,
        ):
            transaction.retry(FEED, "ada", seq=1, now=NOW, renderings=halves(BROKEN))
        assert retry(store, renderings=halves(BROKEN)).seq == 3

    def test_f7_let_out_of_quarantine_an_item_is_rendered_anew(self, store: FeedStore) -> None:
        begin(store)
        halved(store, put("ada", b"1234"))
        hold_back(store)
        with pytest.raises(NotRenderedError):
            retry(store)
        assert row_of(store).quarantined
        retry(store, renderings={"half": Rendered(b"mended", HALF_TYPE)})
        assert (rendered(store).size, rendered(store).c) == (6, 3)

    def test_f7_put_again_a_quarantined_item_is_rendered_anew(self, store: FeedStore) -> None:
        # What is damaged may be the rendering.
        begin(store)
        halved(store, put("ada", b"1234"))
        hold_back(store)
        with pytest.raises(NotRenderedError):
            change(store, put("ada", b"1234"))
        made = {"half": Rendered(b"mended", HALF_TYPE)}
        row = changed(store, replace(put("ada", b"1234"), renderings=made))
        assert (row.seq, row.c, row.quarantined) == (3, 1, None)
        assert (rendered(store).size, rendered(store).c) == (6, 3)

    # Feeds, and transactions

    def test_feeds_are_rendered_apart(self, store: FeedStore) -> None:
        with store.transaction() as transaction:
            transaction.add_feed("other", epoch_id=EPOCH, now=NOW)
            transaction.begin_rendering("other", HALF)
            transaction.apply("other", with_half(put("ada", BROKEN)), now=NOW)
        changed(store, put("ada"))
        assert (begun(store), kept(store), problems(store)) == ({}, None, [])
        begin(store)
        assert unrendered(store) == ["ada"]
        set_rendering(store, row_of(store), half(b"1234"))
        with store.transaction() as transaction:
            assert transaction.end_rendering("other", "half")
        with store.snapshot("other") as snapshot:
            assert [why for *_, why in snapshot.problems()] == [WHY_BROKEN]
            assert snapshot.representations()["half"].is_complete
        assert not begun(store)["half"].is_complete
        with store.transaction() as transaction:
            transaction.remove_feed("other")
            transaction.add_feed("other", epoch_id=EPOCH, now=NOW)
        with store.snapshot("other") as snapshot:
            assert (snapshot.problems(), dict(snapshot.representations())) == ([], {})
            assert snapshot.rendering("ada", "half") is None
        assert rendered(store).size == 2

    def test_a_transaction_that_fails_renders_nothing(self, store: FeedStore) -> None:
        begin(store)
        halved(store, put("ada", b"1234"))
        with pytest.raises(NoSuchItemError):
            change_halved(store, put("ada", b"56789a"), put("bob"), Delete("eve"))
        assert (rendered(store).size, kept(store, "bob")) == (2, None)
        with store.transaction() as transaction, pytest.raises(NoSuchItemError):
            undone(transaction)
        assert (rendered(store).size, kept(store, "bob")) == (2, None)
        assert begun(store) == {"half": HALF}

    @pytest.mark.parametrize(
        "use",
        [
            lambda it: it.begin_rendering("none", HALF),
            lambda it: it.end_rendering("none", "half"),
            lambda it: it.stop_rendering("none", "half"),
        ],
        ids=["begin", "end", "stop"],
    )
    def test_a_feed_that_is_not_there(
        self, store: FeedStore, use: Callable[[object], object]
    ) -> None:
        with pytest.raises(NoSuchFeedError), store.transaction() as transaction:
            use(transaction)


def undone(transaction: FeedTransaction) -> None:
    with transaction.savepoint():
        transaction.apply(FEED, with_half(put("ada", b"56789a")), now=NOW)
        transaction.apply(FEED, with_half(put("bob")), now=NOW)
        transaction.end_rendering(FEED, "half")
        transaction.begin_rendering(FEED, SHORT)
        transaction.apply(FEED, Delete("eve"), now=NOW)


class TestMemoryFeedStore(InMemory, RenderingsContract):
    pass


class TestSqliteStore(InSqlite, RenderingsContract):
    pass
