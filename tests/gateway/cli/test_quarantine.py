"""``gateway quarantine`` and ``gateway device resync``."""

from collections.abc import Iterator

import pytest

from gateway.rows import Put
from gateway.run import Running
from tests.gateway.cli.conftest import Command
from tests.gateway.cli.test_terminal import on_terminal
from tests.gateway.damage import WHY, hold_back_in
from tests.gateway.kept import SLOW, begin_compact, fail_compact

CARD = b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ada\r\nEND:VCARD\r\n"
LOST = "has lost its content: put it again"
LONG_ID = "a-part-of-an-id-" * 8


@pytest.fixture
def filled(gateway: Running, feed: str) -> Iterator[str]:
    gateway.service.apply_many(
        feed,
        [Put(item_id, b"card", "contact", "text/vcard") for item_id in ("ada", "b [ob]", LONG_ID)],
    )
    yield feed
    gateway.service.remove_feed(feed)


def hold_back(gateway: Running, feed: str, *item_ids: str, why: str = WHY) -> None:
    for item_id in item_ids:
        hold_back_in(gateway.service, feed, item_id, why=why)


class TestList:
    def test_nothing(self, ask: Command, filled: str) -> None:
        assert ask("quarantine", "list").out == (
            "Nothing is in quarantine: no item is held back.\n"
        )
        assert f"Nothing of {filled} is in" in ask("quarantine", "list", filled).out
        assert ask("quarantine", "list", "--json").json == []

    def test_of_all_feeds_and_of_one(self, ask: Command, gateway: Running, filled: str) -> None:
        gateway.service.add_feed("another")
        gateway.service.apply("another", Put("eve", b"", "note", "text/plain"))
        hold_back(gateway, "another", "eve")
        hold_back(gateway, filled, "b [ob]", why=LOST)
        listed = ask("quarantine", "list")
        assert listed.code == 0
        for text in ("another", "eve", WHY, filled, "b [ob]", LOST):
            assert text in listed.out
        assert "'gateway quarantine retry FEED ID --data " in listed.out
        assert ask("quarantine", "list", "--json").json == [
            {
                "feed": "another",
                "id": "eve",
                "seq": 1,
                "kind": "note",
                "folder": "",
                "why": WHY,
                "representation": None,
            },
            {
                "feed": filled,
                "id": "b [ob]",
                "seq": 2,
                "kind": "contact",
                "folder": "",
                "why": LOST,
                "representation": None,
            },
        ]
        assert "eve" not in ask("quarantine", "list", filled).out
        gateway.service.remove_feed("another")

    def test_of_a_feed_that_is_not_there(self, ask: Command) -> None:
        gone = ask("quarantine", "list", "nofeed")
        assert (gone.code, gone.out) == (1, "")
        assert "gateway feed add nofeed" in gone.err

    @pytest.mark.parametrize("columns", [50, 80, 200])
    def test_on_a_terminal(self, gateway: Running, filled: str, columns: int) -> None:
        hold_back(gateway, filled, "ada", LONG_ID, why=LOST)
        code, lines = on_terminal(gateway, columns, "quarantine", "list")
        assert code == 0
        table = lines[: lines.index("")]
        assert max(map(len, table)) <= columns
        assert table[0].split() == ["feed", "id", "why"]
        # An id is shown whole: somebody will copy it.
        start, end = table[0].index("id"), table[0].index("why")
        shown = "".join(line[start:end].strip() for line in table[1:])
        assert LONG_ID in shown

    def test_the_status_tells_of_it(self, ask: Command, gateway: Running, filled: str) -> None:
        assert "PROBLEM" not in ask("status").out
        hold_back(gateway, filled, "ada")
        assert "PROBLEM   1 item is held back" in ask("status").out
        hold_back(gateway, filled, "b [ob]")
        assert "PROBLEM   2 items are held back" in ask("status").out
        (problem,) = ask("status", "--json").json["problems"]
        assert "'gateway quarantine list'" in problem


class TestRetry:
    def test_one(self, ask: Command, gateway: Running, filled: str) -> None:
        hold_back(gateway, filled, "ada", "b [ob]")
        done = ask("quarantine", "retry", filled, "b [ob]")
        assert (done.code, done.out) == (0, f"1 item of {filled} may go to devices again.\n")
        assert [it.row.id for it in gateway.service.quarantined(filled)] == ["ada"]

    def test_all(self, ask: Command, gateway: Running, filled: str) -> None:
        hold_back(gateway, filled, "ada", "b [ob]")
        assert ask("quarantine", "retry", filled, "--all").out.startswith("2 items of ")
        assert gateway.service.quarantined(filled) == []
        assert ask("quarantine", "retry", filled, "--all").out.startswith("Nothing of ")

    @pytest.mark.parametrize("item_id", ["ada", "nobody", ""])
    def test_what_is_not_held_back(self, ask: Command, filled: str, item_id: str) -> None:
        failed = ask("quarantine", "retry", filled, item_id)
        assert (failed.code, failed.out) == (1, "")
        assert failed.err

    @pytest.mark.parametrize("arguments", [[], ["ada", "--all"]])
    def test_neither_or_both(self, ask: Command, filled: str, arguments: list[str]) -> None:
        failed = ask("quarantine", "retry", filled, *arguments)
        assert (failed.code, failed.out) == (2, "")
        assert "name the item by its ID, or say --all" in failed.err


class TestNotRendered:
    @pytest.fixture
    def some(self, gateway: Running, feed: str) -> Iterator[str]:
        """A feed with a contact that failed once, one that always will, and one held from all."""
        gateway.service.apply_many(
            feed, [Put(item_id, CARD, "contact", "text/vcard") for item_id in ("ada", "eve")]
        )
        begin_compact(gateway.service, feed)
        fail_compact(gateway.service, feed, "ada")
        gateway.service.apply(feed, Put("bob", b"no card", "contact", "text/vcard"))
        hold_back(gateway, feed, "eve")
        yield feed
        gateway.service.remove_feed(feed)

    @pytest.mark.parametrize("columns", [60, 80, 200])
    def test_from_whom(self, gateway: Running, some: str, columns: int) -> None:
        code, lines = on_terminal(gateway, columns, "quarantine", "list", some)
        assert code == 0
        table, rest = lines[: lines.index("")], lines[lines.index("") + 1 :]
        assert max(map(len, table)) <= columns
        assert table[0].split() == ["feed", "id", "from", "why"]
        start, end = table[0].index("from"), table[0].index("why")
        words = " ".join(line[start:end].strip() for line in table[1:]).split()
        wanted = "those that want compact those that want compact all devices"
        assert words == wanted.split()
        text = " ".join(line.strip() for line in rest)
        assert text.startswith(
            "An item that is put again or deleted leaves the quarantine; one that cannot be"
            " rendered has to be put with another content. 'gateway quarantine retry FEED ID"
        )

    def test_for_programs(self, ask: Command, some: str) -> None:
        listed = ask("quarantine", "list", some, "--json").json
        assert [(it["id"], it["representation"]) for it in listed] == [
            ("ada", "compact"),
            ("bob", "compact"),
            ("eve", None),
        ]
        assert listed[0]["why"] == SLOW

    def test_rendered_once_more(self, ask: Command, some: str) -> None:
        done = ask("quarantine", "retry", some, "ada")
        assert (done.code, done.out) == (0, f"1 item of {some} may go to devices again.\n")
        failed = ask("quarantine", "retry", some, "bob")
        assert (failed.code, failed.out) == (1, "")
        assert "item 'bob' cannot be rendered as compact (" in failed.err
        assert "put it with another content" in failed.err

    def test_all(self, ask: Command, gateway: Running, some: str) -> None:
        hold_back(gateway, some, "bob")  # it is there twice now, and let out for some
        done = ask("quarantine", "retry", some, "--all")
        assert (done.code, done.out) == (0, f"3 items of {some} may go to devices again.\n")
        failed = ask("quarantine", "retry", some, "--all")
        assert (failed.code, failed.out) == (1, f"0 items of {some} may go to devices again.\n")
        assert failed.err.startswith("warning: it stays in quarantine: item 'bob' cannot be")


def test_a_device_that_is_offline_compares_later(ask: Command, gateway: Running, feed: str) -> None:
    gateway.service.devices.add("resyncphone", [feed])
    done = ask("device", "resync", "resyncphone")
    assert done.code == 0
    assert "resyncphone" in done.out
    assert "when it is back online" in done.out
    failed = ask("device", "resync", "nobody")
    assert (failed.code, failed.out) == (1, "")
    assert "no device 'nobody'" in failed.err
