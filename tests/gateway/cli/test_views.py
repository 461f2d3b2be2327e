"""What devices may see and ask for: ``gateway device add``, ``limit`` and ``show``."""

import itertools

import pytest

from gateway.cli import views
from gateway.cli.common import day_text
from gateway.device import DAYS_MAX, Allowed
from gateway.rows import Put
from gateway.run import Running
from sync_protocol.views import ShownAs, View
from tests.gateway.cli.conftest import Command
from tests.gateway.cli.test_terminal import on_terminal
from tests.gateway.kept import begin_compact, synced
from tests.gateway.mqtt_probe import Probe

LIMITS = ["--kind", "contact", "--kind", "memo", "--folder", "", "--folder", "My Work"]
LIMITS += ["--days", "30", "--item-bytes-max", "1048576"]
IN_WORDS = (
    "contacts, memo items, folder '', folder 'My Work', from 30 days ago on, items up to 1 MiB"
)
DAY = 1_793_275_200  # noon of 2026-10-29 in UTC
VIEW = View(
    kinds=("contact", "mail"),
    folders=("Work",),
    since=DAY,
    shown_as=(ShownAs(kind="contact", representation="compact"),),
    portion_bytes=1024,
    item_bytes_max=100 * 1024,
)
VIEW_IN_WORDS = (
    f"contacts as compact, mails, folder Work, since {day_text(DAY)}, portions of 1024 B, items up"
    " to 100 KiB"
)
_NUMBERS = itertools.count(1)


@pytest.fixture
def device(gateway: Running, feed: str) -> str:
    name = f"viewer{next(_NUMBERS)}"
    gateway.service.devices.add(name, [feed])
    return name


def enrolled(gateway: Running, feed: str, allowed: Allowed) -> str:
    """The name of a device that synced with a view."""
    name = f"viewer{next(_NUMBERS)}"
    gateway.service.devices.add(name, [feed], allowed=allowed)
    synced(gateway.service, name, feed, VIEW, at=DAY)
    return name


def allowed(gateway: Running, device: str) -> Allowed:
    return gateway.service.devices.one(device).allowed


def test_the_bound_of_the_option_is_that_of_the_gateway() -> None:
    assert views.DAYS_MAX == DAYS_MAX


class TestAdd:
    def test_with_limits(self, ask: Command, gateway: Running, feed: str) -> None:
        assert ask("device", "add", "narrow", "--feed", feed, *LIMITS).code == 0
        assert allowed(gateway, "narrow") == Allowed(
            kinds=("contact", "memo"),
            folders=("", "My Work"),
            days_max=30,
            item_bytes_max=1_048_576,
        )
        assert f"may see: {IN_WORDS}\n" in ask("device", "show", "narrow").out

    def test_without(self, ask: Command, gateway: Running, feed: str) -> None:
        ask("device", "add", "wide", "--feed", feed)
        assert allowed(gateway, "wide") == Allowed()
        assert "may see: everything\n" in ask("device", "show", "wide").out

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (["--kind", "A"], "--kind: a kind is a word of"),
            (["--kind", ""], "--kind: a kind is a word of"),
            (["--folder", "a\nb"], "--folder: a folder has no control characters"),
            (["--folder", "x" * 256], "--folder: a folder is 0 to 255 bytes"),
            (["--folder", "\udcff"], "--folder: a folder is Unicode text"),
            ([f"--kind=a{n}" for n in range(17)], "--kind can be given 16 times at most"),
            ([f"--folder={n}" for n in range(65)], "--folder can be given 64 times at most"),
        ],
    )
    def test_what_cannot_be(
        self, ask: Command, gateway: Running, device: str, *, options: list[str], says: str
    ) -> None:
        (replica,) = gateway.service.devices.one(device).replicas
        for command in (["add", "never", "--feed", replica.feed], ["limit", device]):
            failed = ask("device", *command, *options)
            assert (failed.code, failed.out) == (1, "")
            assert failed.err.startswith(f"error: {says}")
        assert allowed(gateway, device) == Allowed()
        assert ask("device", "show", "never").code == 1


class TestLimit:
    def test_limits_and_everything(self, ask: Command, gateway: Running, device: str) -> None:
        done = ask("device", "limit", device, *LIMITS)
        assert (done.code, done.err) == (0, "")
        assert done.out == (
            f"The device {device} may see: {IN_WORDS}.\n"
            "It drops what else it holds, and gets what it lacks of that, when it is back online.\n"
        )
        assert allowed(gateway, device).days_max == 30
        # What is not named is no limit any more.
        ask("device", "limit", device, "--kind", "task", "--kind", "task")
        assert allowed(gateway, device) == Allowed(kinds=("task",))
        assert "may see: everything.\n" in ask("device", "limit", device, "--all").out
        assert allowed(gateway, device) == Allowed()

    def test_one_that_is_online_does_so_at_once(
        self, ask: Command, gateway: Running, feed: str
    ) -> None:
        gateway.service.apply(feed, Put("ada", b"card", "contact", "text/vcard"))
        password = ask("device", "add", "present", "--feed", feed, "--json").json["credential"]
        with Probe(gateway.broker_port, "present", password) as probe:
            probe.subscribe(f"sync/v1/present/{feed}/response")
            probe.publish("sync/v1/present/status", b"online")

            def compared() -> str:
                asked = b'{"v":1,"id":"AAAAAAAAAAA=","view_id":1,"inventory":[{"entries":""}]}'
                probe.publish(f"sync/v1/present/{feed}/request", asked)
                return probe.hear().payload.decode()

            assert '"missing":' in compared()
            done = ask("device", "limit", "present", "--kind", "task")
            assert done.out.endswith(
                "It drops what else it holds, and gets what it lacks of that, now.\n"
            )
            assert '"missing":' not in compared()

    @pytest.mark.parametrize("options", [[], ["--all", "--kind", "task"], ["--all", "--days", "0"]])
    def test_neither_or_both(
        self, ask: Command, gateway: Running, device: str, options: list[str]
    ) -> None:
        gateway.service.devices.limit(device, Allowed(kinds=("mail",)))
        failed = ask("device", "limit", device, *options)
        assert (failed.code, failed.out) == (2, "")
        assert "say what it may see, by --kind, --folder, --days or --item-bytes-max, or --all" in (
            failed.err
        )
        assert allowed(gateway, device) == Allowed(kinds=("mail",))

    def test_one_that_is_not_there(self, ask: Command) -> None:
        failed = ask("device", "limit", "nobody", "--all")
        assert (failed.code, failed.out) == (1, "")
        assert "no device 'nobody'" in failed.err

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (["--days", "0"], "from today on"),
            (["--days", "1"], "from 1 day ago on"),
            (["--item-bytes-max", "0"], "items up to 0 B"),
            (["--item-bytes-max", "1025"], "items up to 1025 B"),
            (["--item-bytes-max", "10240"], "items up to 10 KiB"),
            (["--folder", "a,b"], "folder a,b"),
            (["--folder", "[bold]"], "folder '[bold]'"),
        ],
    )
    def test_in_words(self, ask: Command, device: str, options: list[str], says: str) -> None:
        assert f"may see: {says}.\n" in ask("device", "limit", device, *options).out


class TestShow:
    @pytest.fixture
    def viewer(self, gateway: Running, feed: str) -> str:
        return enrolled(gateway, feed, Allowed(folders=("Work", "Home"), days_max=30))

    def test_what_it_asks_for(self, ask: Command, feed: str, viewer: str) -> None:
        lines = ask("device", "show", viewer).out.splitlines()
        assert lines[1] == "may see: folder Work, folder Home, from 30 days ago on"
        assert lines[-1] == f"{feed} sees: {VIEW_IN_WORDS}"

    @pytest.mark.parametrize(
        ("view", "says"),
        [
            (View(), "everything"),
            (View(shown_as=VIEW.shown_as), "all kinds, contacts as compact"),
            (View(kinds=("mail",), shown_as=VIEW.shown_as), "mails"),
            (View(folders=("", "a b")), "folder '', folder 'a b'"),
            (View(portion_bytes=0), "portions of 0 B"),
            (View(kinds=()), "nothing: it may see nothing of what it asks for"),
            (View(folders=()), "nothing: it may see nothing of what it asks for"),
        ],
    )
    def test_in_words(
        self, ask: Command, gateway: Running, device: str, *, view: View, says: str
    ) -> None:
        (replica,) = gateway.service.devices.one(device).replicas
        synced(gateway.service, device, replica.feed, view)
        assert ask("device", "show", device).out.endswith(f"{replica.feed} sees: {says}\n")

    def test_a_feed_that_is_still_being_rendered(
        self, ask: Command, gateway: Running, feed: str, viewer: str
    ) -> None:
        gateway.service.apply(feed, Put("a", b"", "contact", "text/vcard", folder="Work"))
        begin_compact(gateway.service, feed)
        for arguments in (["device", "show", viewer], ["status"]):
            lines = [line.split() for line in ask(*arguments).out.splitlines()]
            assert [words[-1] for words in lines if feed in words[:2]].count("unknown") == 1

    def test_for_programs(self, ask: Command, feed: str, viewer: str) -> None:
        shown = ask("device", "show", viewer, "--json").json
        assert shown["allowed"] == {
            "kinds": None,
            "folders": ["Work", "Home"],
            "days_max": 30,
            "item_bytes_max": None,
        }
        (replica,) = shown["replicas"]
        assert replica["feed"] == feed
        assert replica["view"] == {
            "kinds": ["contact", "mail"],
            "folders": ["Work"],
            "since": DAY,
            "shown_as": {"contact": "compact"},
            "portion_bytes": 1024,
            "item_bytes_max": 102_400,
        }
        assert shown in ask("device", "list", "--json").json

    @pytest.mark.parametrize("columns", [30, 60, 200])
    def test_on_a_terminal(self, gateway: Running, feed: str, columns: int) -> None:
        long = "a-folder-without-a-blank-" * 10
        viewer = enrolled(gateway, feed, Allowed(folders=(long,)))
        code, lines = on_terminal(gateway, columns, "device", "show", viewer)
        assert code == 0
        assert max(map(len, lines[1:])) <= columns
        (may,) = [number for number, line in enumerate(lines) if line.startswith("may see: ")]
        (sees,) = [number for number, line in enumerate(lines) if line.startswith(f"{feed} sees: ")]
        table = next(number for number, line in enumerate(lines) if line.startswith("feed  "))
        assert may < table < sees
        assert all(line.startswith("    ") for line in lines[may + 1 : table])
        assert long in "".join(line.strip() for line in lines[may:table])
        assert all(line.startswith("    ") for line in lines[sees + 1 : -1])
        assert " ".join(line.strip() for line in lines[sees:-1]) == f"{feed} sees: {VIEW_IN_WORDS}"
        assert len(lines) > sees + 2 or columns == 200
