"""Every feed store renders contents that were put before that began (docs/protocol.md, F1, V4)."""

import hashlib

import pytest

from gateway.feed import FeedStore
from gateway.representations.representation import Problem, Rendered
from gateway.rows import Alter, Delete, Mutation, Rendering
from tests.gateway.damage import hold_back
from tests.gateway.feed_contract import FeedContract, InMemory, InSqlite
from tests.gateway.rendered_feeds import (
    HALF_TYPE,
    begin,
    end,
    half,
    halved,
    kept,
    problems,
    rendered,
    row_of,
    set_rendering,
    stop,
    unrendered,
    with_half,
)
from tests.gateway.sample_feeds import change, changed, head, put


class BackfillContract(FeedContract):
    """What every store of feeds must do with contents of old."""

    def test_f1_a_content_of_old_is_rendered_as_old_as_it_is(self, store: FeedStore) -> None:
        change(store, put("ada", b"1234"), put("bob"), Alter("ada", flags=("x",)))
        begin(store)
        set_rendering(store, row_of(store), half(b"1234"))
        assert rendered(store) == Rendering(1, hashlib.sha256(b"12").digest(), 2, HALF_TYPE)
        assert head(store) == 3
        set_rendering(store, row_of(store, "bob"), Problem("too slow"))
        assert problems(store) == [("bob", "half", "too slow")]
        assert end(store)

    def test_v4_what_is_still_to_be_rendered(self, store: FeedStore) -> None:
        change(
            store,
            *(put("ada"), put("bob", kind="event"), put("cyd", kind="note"), put("dan")),
            *(put("gone"), Delete("gone")),
        )
        begin(store)
        hold_back(store, "dan")
        assert unrendered(store) == ["ada", "bob", "dan"]
        assert len(unrendered(store, limit=2)) == 2
        set_rendering(store, row_of(store), half(b"x"))
        assert unrendered(store) == ["bob", "dan"]
        halved(store, put("bob", b"new", kind="event"))
        assert unrendered(store) == ["dan"]

    @pytest.mark.parametrize(
        "meanwhile",
        [
            with_half(put("ada", b"56789abc")),
            with_half(put("ada", b"1234", kind="event")),
            with_half(put("ada", b"1234", media_type="text/x")),
            Delete("ada"),
        ],
        ids=["another content", "another kind", "another media type", "deleted"],
    )
    def test_f1_what_changed_meanwhile_is_not_taken_for_what_was_rendered(
        self, store: FeedStore, meanwhile: Mutation
    ) -> None:
        changed(store, put("ada", b"1234"))
        begin(store)
        before = row_of(store)
        change(store, meanwhile)
        after = kept(store)
        set_rendering(store, before, Rendered(b"of old", HALF_TYPE))
        assert kept(store) == after

    def test_f1_what_was_only_moved_meanwhile_is_rendered(self, store: FeedStore) -> None:
        changed(store, put("ada", b"1234"))
        begin(store)
        before = row_of(store)
        changed(store, Alter("ada", folder="Work"))
        set_rendering(store, before, half(b"1234"))
        assert rendered(store).c == 1

    def test_v4_what_nobody_wants_any_more_is_not_kept(self, store: FeedStore) -> None:
        changed(store, put())
        begin(store)
        stop(store)
        set_rendering(store, row_of(store), half(b"x"))
        assert kept(store) is None


class TestMemoryFeedStore(InMemory, BackfillContract):
    pass


class TestSqliteStore(InSqlite, BackfillContract):
    pass
