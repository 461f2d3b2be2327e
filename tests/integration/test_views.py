"""Views over real stores, a real broker and agents: what comes, what goes, and not a byte twice."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from device_agent.agent import DeviceAgent
from device_agent.agent_file import AgentFile
from device_agent.data_dir import STORE_FILE as AGENT_FILE
from device_agent.schedule import Waits
from device_agent.store import HeldItem
from device_agent.views import WantedView
from gateway.device import Allowed
from gateway.rows import Alter, Delete, Put
from gateway.run import Running, running
from gateway.service import LEDGER_DIR
from gateway.settings import load
from sync_protocol.views import ShownAs, View
from tests.eventually import eventually
from tests.gateway.representations.installing import install_hostile
from tests.integration.brokers import free_port
from tests.integration.edits import FEED, Held, held_by_device
from tests.integration.test_losses import Scales

DAY_S = 86_400
SYNC_S_MAX = 30.0
WAITS = Waits(
    debounce_s=0.02, period_s=60.0, request_timeout_s=2.0, backoff_s=0.05, backoff_s_max=0.2
)
COMPACT = View(shown_as=(ShownAs(kind="contact", representation="compact"),))
HEADS = WantedView(View(portion_bytes=1_000), remainder_bytes_max=2_000)


def card(name: str, *, photo_bytes: int = 0) -> bytes:
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"FN:{name}", "TEL:+49 170 1"]
    if photo_bytes:
        lines.append(f"PHOTO;ENCODING=b:{'QUJD' * (photo_bytes // 4)}")
    return "".join(f"{line}\r\n" for line in [*lines, "END:VCARD"]).encode()


def mail(subject: str, *, text_bytes: int = 20) -> bytes:
    # Text that does not repeat, so that bytes of a wrong place are noticed.
    text = Random(subject).randbytes(text_bytes // 2).hex()
    lines = (text[at : at + 70] for at in range(0, len(text), 70))
    return f"Subject: {subject}\r\n\r\n".encode() + b"\r\n".join(it.encode() for it in lines)


class Home:
    """A gateway that can be stopped and started, and its devices."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self._settings = {"broker_port": free_port(), "api_port": 0, **settings}
        self.days_later = 0.0
        self.devices: list[Device] = []
        self.start()
        self.gateway.service.add_feed(FEED)

    def start(self) -> None:
        settings = load(
            None, data_dir=self.folder / "gateway", ledger_flush_s=0.1, **self._settings
        )
        self._running = running(settings, unix_time=lambda: time.time() + self.days_later * DAY_S)
        self.gateway: Running = self._running.__enter__()

    def stop(self) -> None:
        self._running.__exit__(None, None, None)

    def end(self) -> None:
        for device in self.devices:
            device.off()
        self.stop()

    def device(self, name: str, wanted: WantedView, *, answer_bytes_max: int = 2**18) -> "Device":
        secret = self.gateway.service.devices.add(name, [FEED])
        device = Device(self, name, secret, wanted, answer_bytes_max=answer_bytes_max)
        self.devices.append(device)
        device.on()
        device.sync()
        return device

    def put(
        self,
        item_id: str,
        content: bytes,
        kind: str = "contact",
        *,
        folder: str | None = None,
        date: int | None = None,
    ) -> None:
        media_type = {"contact": "text/vcard", "mail": "message/rfc822", "event": "text/calendar"}
        put = Put(item_id, content, kind, media_type[kind], folder=folder, date=date)
        assert self.gateway.service.apply(FEED, put) is not None

    def online(self, device: "Device") -> None:
        """Wait until what is changed is pushed to it."""
        assert eventually(lambda: device.name in self.gateway.service.status()["online"])  # type: ignore[operator]


class Device:
    """A device that can be configured anew, and weighs what comes."""

    def __init__(
        self, home: Home, name: str, secret: str, wanted: WantedView, *, answer_bytes_max: int
    ) -> None:
        self.name = name
        self.wanted = wanted
        self.scales = Scales()
        self.answers_max: int | None = None
        self._home = home
        self._secret = secret
        self._answer_bytes_max = answer_bytes_max
        self._agent: DeviceAgent | None = None

    def on(self, wanted: WantedView | None = None) -> None:
        self.wanted = wanted or self.wanted
        self.scales.content_bytes = 0
        self._agent = DeviceAgent(
            self.name,
            feeds=[FEED],
            views={FEED: self.wanted},
            host=self._home.gateway.broker_host,
            port=self._home.gateway.broker_port,
            password=self._secret,
            data_dir=self._home.folder / self.name,
            observer=self.scales,
            waits=WAITS,
            answer_bytes_max=self._answer_bytes_max,
            unix_time=lambda: time.time() + self._home.days_later * DAY_S,
        )
        self._agent.start()

    def off(self) -> None:
        if self._agent is not None:
            self._agent.stop()
            self._agent = None

    def changes_view(self, view: View, **wanted: int | None) -> int:
        """How many bytes of contents come if the device is configured so."""
        self.off()
        self.on(WantedView(view, **wanted))
        self.sync()
        return self.scales.content_bytes

    def sync(self) -> None:
        assert self._agent is not None
        self._agent.sync(SYNC_S_MAX)

    def fetch(self, item_id: str) -> None:
        assert self._agent is not None
        self._agent.fetch(FEED, item_id)

    def held(self) -> Held:
        return held_by_device(self._home.folder / self.name)

    def contents(self) -> dict[str, bytes]:
        return {item_id: content for item_id, (content, *_) in self.held().items()}

    def item(self, item_id: str) -> HeldItem | None:
        file = AgentFile(self._home.folder / self.name / AGENT_FILE, readonly=True)
        try:
            return file.replica(FEED).item(item_id)
        finally:
            file.close()

    def becomes(self, items: set[str]) -> None:
        """Wait until it holds these, and nothing else; no sync is asked for."""
        assert eventually(lambda: self.held().keys() == items)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.end()


def test_only_the_beginning_comes_and_the_rest_on_demand_and_no_byte_twice(home: Home) -> None:
    """Over disconnects, and restarts of agent and gateway."""
    small, large = mail("small", text_bytes=1_800), mail("large", text_bytes=300_000)
    home.put("small", small, "mail")
    home.put("large", large, "mail")
    device = home.device("phone", HEADS, answer_bytes_max=16_384)
    assert device.contents()["small"] == small
    beginning = device.contents()["large"]
    assert beginning == large[: len(beginning)]
    assert 0 < len(beginning) <= 1_000
    assert beginning.endswith(b"\r\n")
    item = device.item("large")
    assert item is not None
    assert (item.held_bytes, item.size, item.whole) == (len(beginning), len(large), False)

    received = 0
    device.fetch("large")
    for restarted in ("agent", "gateway", "agent"):
        held = len(device.contents()["large"])
        assert eventually(lambda held=held: len(device.contents()["large"]) > held)  # type: ignore[misc]
        device.off()  # the mark is kept, and what came
        received += device.scales.content_bytes
        if restarted == "gateway":
            home.stop()
            home.start()
        device.on()
    assert eventually(lambda: device.contents()["large"] == large, within_s=SYNC_S_MAX)
    received += device.scales.content_bytes
    assert received == len(small) + len(large)
    device.sync()
    assert received == len(small) + len(large)


def test_what_is_superseded_while_it_is_fetched_is_dropped(home: Home) -> None:
    home.put("large", mail("old", text_bytes=200_000), "mail")
    device = home.device("phone", HEADS, answer_bytes_max=16_384)
    device.fetch("large")
    assert eventually(lambda: len(device.contents()["large"]) > 20_000)
    newer = mail("new", text_bytes=200_000)
    home.put("large", newer, "mail")
    device.sync()
    held = device.contents()["large"]
    assert held == newer[: len(held)]
    assert len(held) <= 1_000


def test_what_enters_a_view_arrives_and_what_leaves_it_goes(home: Home) -> None:
    now = int(time.time())
    home.put("in", mail("in"), "mail", folder="Inbox", date=now)
    home.put("out", mail("out"), "mail", folder="Archive", date=now)
    home.put("old", mail("old"), "mail", folder="Inbox", date=now - 40 * DAY_S)
    home.put("card", card("Ada"), folder="Inbox")
    wanted = WantedView(View(kinds=("mail",), folders=("Inbox",)), days=30)
    device = home.device("phone", wanted)
    home.online(device)
    assert device.held().keys() == {"in"}
    service = home.gateway.service
    service.apply(FEED, Alter("out", folder="Inbox"))
    device.becomes({"in", "out"})
    assert eventually(lambda: device.contents()["out"] == mail("out"))
    service.apply(FEED, Alter("in", folder="Archive"))
    device.becomes({"out"})
    home.put("in", mail("in", text_bytes=50), "mail")  # nobody who sees the inbox hears of it
    home.put("old", mail("old"), "mail", date=now)
    device.becomes({"out", "old"})
    home.put("out", mail("out"), "mail", date=now - 31 * DAY_S)
    device.becomes({"old"})
    service.apply(FEED, Delete("old"))
    device.becomes(set())


def test_a_time_window_moves_on_and_drops_what_is_over(home: Home) -> None:
    now = int(time.time())
    home.put("fresh", mail("fresh"), "mail", date=now)
    home.put("older", mail("older"), "mail", date=now - 5 * DAY_S)
    home.put(
        "weekly",
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:weekly\r\n"
        b"DTSTART:20200101T090000Z\r\nRRULE:FREQ=WEEKLY\r\nSUMMARY:Meet\r\n"
        b"END:VEVENT\r\nEND:VCALENDAR\r\n",
        "event",
        date=1_577_869_200,
    )
    device = home.device("phone", WantedView(days=7))
    assert device.held().keys() == {"fresh", "older", "weekly"}
    home.days_later = 4
    device.sync()
    assert device.held().keys() == {"fresh", "weekly"}
    home.days_later = 0  # the clock was wrong
    device.sync()
    assert device.held().keys() == {"fresh", "older", "weekly"}


def test_changes_that_a_view_cannot_see_are_not_pushed(home: Home) -> None:
    home.put("a", card("Ada"))
    device = home.device("pager", WantedView(COMPACT.model_copy(update={"kinds": ("contact",)})))
    home.online(device)
    service = home.gateway.service
    before = _counter(home, "pushes")
    home.put("m", mail("m"), "mail")
    home.put("b", card("Ben"))
    device.becomes({"a", "b"})
    assert eventually(lambda: _counter(home, "pushes") == before + 1)  # counted once it is sent
    # What compact does not show makes no other bytes, and none come for it.
    device.scales.content_bytes = 0
    home.put("b", card("Ben").replace(b"VERSION", b"X-A:1\r\nVERSION"))
    assert eventually(lambda: _counter(home, "pushes") == before + 2)
    device.sync()
    assert device.scales.content_bytes == 0
    assert b"Ben" in device.contents()["b"]
    assert service.row(FEED, "b").seq == 4


def _counter(home: Home, name: str) -> int:
    counters = home.gateway.service.counters.read()
    return sum(count for known, count in counters.items() if known.startswith(name))


def test_another_view_sends_only_what_is_new_to_the_device(home: Home) -> None:
    cards = {name: card(name, photo_bytes=3_000) for name in ("ada", "ben")}
    mails = {name: mail(name, text_bytes=5_000) for name in ("m1", "m2")}
    for item_id, content in cards.items():
        home.put(item_id, content)
    for item_id, content in mails.items():
        home.put(item_id, content, "mail", folder="Inbox")
    device = home.device("phone", WantedView(View(kinds=("contact",))))
    assert device.contents() == cards
    assert device.changes_view(View()) == sum(map(len, mails.values()))
    assert device.contents() == cards | mails
    assert device.changes_view(View(folders=("Inbox",))) == 0
    assert device.contents() == mails
    assert device.changes_view(COMPACT) == sum(
        len(content) for name, content in device.contents().items() if name in cards
    )
    compact = {name: device.contents()[name] for name in cards}
    assert all(name.encode() in content for name, content in compact.items())
    assert device.changes_view(COMPACT, days=30) == 0
    assert device.contents() == compact | mails
    assert device.changes_view(View()) == sum(map(len, cards.values()))
    assert device.contents() == cards | mails


def test_what_an_operator_no_longer_allows_goes_and_is_not_pushed(home: Home) -> None:
    home.put("work", card("Ada"), folder="Work")
    home.put("home", card("Ben"), folder="Home")
    device = home.device("phone", WantedView())
    home.online(device)
    service = home.gateway.service
    service.devices.limit("phone", Allowed(folders=("Work",)))
    device.becomes({"work"})  # it is told at once
    device.sync()  # so that no answer crosses the push of what comes now
    home.put("home", card("Ben", photo_bytes=40), folder="Home")
    home.put("new", card("Cleo"), folder="Work")
    device.becomes({"work", "new"})
    device.sync()
    device.scales.content_bytes = 0
    service.devices.limit("phone", Allowed())
    device.becomes({"work", "new", "home"})
    assert eventually(lambda: device.contents()["home"] == card("Ben", photo_bytes=40))
    assert device.scales.content_bytes == len(card("Ben", photo_bytes=40))
    service.devices.limit("phone", Allowed(kinds=("mail",)))
    device.becomes(set())


def test_a_gateway_that_lost_its_ledger_goes_on_with_each_view(home: Home) -> None:
    home.put("a", card("Ada"))
    home.put("m", mail("m"), "mail")
    device = home.device("pager", WantedView(COMPACT.model_copy(update={"kinds": ("contact",)})))
    home.stop()
    for file in (home.folder / "gateway" / LEDGER_DIR).iterdir():
        file.unlink()
    home.start()
    device.sync()
    assert device.scales.content_bytes == len(device.contents()["a"])
    home.put("b", card("Ben"))
    home.put("m", mail("m", text_bytes=99), "mail")
    device.becomes({"a", "b"})


HOSTILE_KINDS = ("hangs", "eats", "dies", "fails")


def test_a_renderer_that_hangs_or_eats_memory_or_dies_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_hostile(tmp_path, monkeypatch)
    from gateway.representations import registry  # noqa: PLC0415 - once it can be found

    registry.installed.cache_clear()
    home = Home(tmp_path, representations=("hostile",), render_s_max=0.5)
    try:
        _nothing_stops(home)
    finally:
        home.end()
        registry.installed.cache_clear()


def _nothing_stops(home: Home) -> None:
    put: Callable[[str, str], object] = lambda item_id, kind: home.gateway.service.apply(  # noqa: E731
        FEED, Put(item_id, b"x", kind, "text/plain")
    )
    for kind in HOSTILE_KINDS:
        put(kind, kind)
    put("sound", "well")
    plain = home.device("plain", WantedView())
    home.online(plain)
    shown_as = tuple(
        ShownAs(kind=kind, representation="hostile") for kind in sorted({*HOSTILE_KINDS, "well"})
    )
    strange = home.device("strange", WantedView(View(shown_as=shown_as)))
    assert strange.contents() == {"sound": b"X"}
    for kind in HOSTILE_KINDS:
        put(f"{kind} again", kind)
    put("sound again", "well")
    strange.becomes({"sound", "sound again"})
    plain.becomes(
        {*HOSTILE_KINDS, "sound", *(f"{kind} again" for kind in (*HOSTILE_KINDS, "sound"))}
    )
    held_back = home.gateway.service.quarantined(FEED)
    assert {it.row.id for it in held_back} == plain.held().keys() - strange.held().keys()
    assert {it.representation for it in held_back} == {"hostile"}
    assert all(it.why for it in held_back)
