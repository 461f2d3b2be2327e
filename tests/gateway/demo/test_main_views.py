"""The demo with views: what it says must hold, and must be able not to."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from device_agent.replica import Replica
from device_agent.results import Happened
from gateway import rendering
from gateway.cli.demo import VIEWS_DEVICES, demo
from gateway.demo.main import DemoError, Options, run_demo
from gateway.demo.views import VIEWERS
from gateway.representations.representation import Problem
from gateway.service import Service
from gateway.snapshot_sqlite import SqliteSnapshot
from sync_protocol.messages import Put
from sync_protocol.views import View

SHARED_DATA = Path(__file__).parents[4] / "shared" / "data"
Break = Callable[[pytest.MonkeyPatch], None]


def _options(*, loss: float = 0.0, away: float = 0.0, changes: int = 80, seed: int = 1) -> Options:
    return Options(devices=5, loss=loss, away=away, changes=changes, seed=seed, views=True)


def _devices(summary: dict[str, object]) -> dict[str, dict[str, object]]:
    devices = summary["devices"]
    assert isinstance(devices, list)
    return {device["id"]: device for device in devices}


def _run(
    capsys: pytest.CaptureFixture[str], options: Options, data: Path | None = None
) -> dict[str, object]:
    code = run_demo(options, data, as_json=True)
    summary: dict[str, object] = json.loads(capsys.readouterr().out)
    assert code == (0 if summary["converged"] and summary["exact"] else 1)
    return summary


def _differ(summary: dict[str, object]) -> set[str]:
    return {
        name
        for name, device in _devices(summary).items()
        if device["digest"] != device["expected_digest"]
    }


def test_each_device_holds_exactly_what_its_view_shows(capsys: pytest.CaptureFixture[str]) -> None:
    summary = _run(capsys, _options(loss=0.5, away=0.3))
    assert summary["converged"] is True
    assert summary["exact"] is True
    assert _differ(summary) == set()
    devices = _devices(summary)
    assert list(devices) == ["pager", "heads", "recent", "inbox", "pc"]
    assert list(devices["pager"]) == [
        "id", "items", "digest", "expected_digest", "view", "pushes_sent", "pushes_received",
        "sync_requests", "changes_first", "changes_resent", "changes_missing", "remainders",
        "bytes_pushed", "bytes_requests", "bytes_responses",
    ]  # fmt: skip
    feed = summary["feed"]
    assert isinstance(feed, dict)
    assert devices["pc"]["digest"] == feed["digest"]
    assert len({device["digest"] for device in devices.values()}) == VIEWS_DEVICES


def test_without_loss_and_absence_nothing_is_resent(capsys: pytest.CaptureFixture[str]) -> None:
    summary = _run(capsys, _options(seed=2))
    assert summary["converged"] is True
    assert [device["changes_resent"] for device in _devices(summary).values()] == [0] * 5


def test_real_input_converges(capsys: pytest.CaptureFixture[str]) -> None:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real contacts, calendars and mails are expected in {SHARED_DATA}")
    summary = _run(capsys, _options(loss=0.5, away=0.3), SHARED_DATA)
    assert summary["converged"] is True
    assert summary["exact"] is True


# What follows breaks rules, since the demo must be able to say no.


def _folders_do_not_matter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "wants", lambda it, kind, _: it.kinds is None or kind in it.kinds)
    patch.setattr(View, "wants_all_places", property(lambda it: it.kinds is None))


def _all_is_in_the_window(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "has_in_window", lambda *_: True)


def _events_end_with_their_date(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rendering, "_DATED", "no media type")


def _nothing_leaves(patch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> Iterator[object]:
        return iter(())

    patch.setattr(SqliteSnapshot, "leavings", none)


def _nothing_is_rendered_when_it_is_put(patch: pytest.MonkeyPatch) -> None:
    def failed(*_: object) -> dict[str, object]:
        return {"compact": Problem("it is a test")}

    patch.setattr(rendering.Rendering, "rendered", failed)


def _a_device_skips_flags(patch: pytest.MonkeyPatch) -> None:
    apply = Replica._apply  # noqa: SLF001

    def lazy(self: Replica, item_id: str, put: Put | None, n: int) -> list[Happened]:
        return apply(self, item_id, put and put.model_copy(update={"flags": ()}), n)

    patch.setattr(Replica, "_apply", lazy)


@pytest.mark.parametrize(
    ("breaks", "wrong"),
    [
        (_folders_do_not_matter, {"inbox"}),
        (_all_is_in_the_window, {"recent"}),
        (_events_end_with_their_date, {"recent"}),
        (_nothing_leaves, {"inbox"}),
        (_nothing_is_rendered_when_it_is_put, {"pager"}),
        (_a_device_skips_flags, {"pager", "heads", "recent", "inbox", "pc"}),
    ],
)
def test_what_is_wrong_about_views_is_found_out(
    breaks: Break,
    wrong: set[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaks(monkeypatch)
    summary = _run(capsys, _options())
    assert summary["converged"] is False
    assert wrong <= _differ(summary)


def test_a_feed_that_cannot_be_rendered_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "render", lambda *_, **__: False)
    with pytest.raises(DemoError, match="not rendered as compact in 120 s"):
        run_demo(_options(), None, as_json=True)


def test_the_command_has_as_many_devices_as_there_are_views() -> None:
    assert len(VIEWERS) == VIEWS_DEVICES
    with pytest.raises(typer.BadParameter, match="--views has 5 devices: leave out --devices"):
        demo(views=True, devices=3)
