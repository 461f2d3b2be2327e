"""The demo itself, small, over its real broker: what it says must hold, and must be able not to."""

import json
from pathlib import Path

import pytest

from device_agent.replica import Replica
from gateway import responder
from gateway.demo.main import DemoError, Options, run_demo
from sync_protocol.token_set import TokenSet

SHARED_DATA = Path(__file__).parents[4] / "shared" / "data"
SMALL = Options(devices=3, loss=0.4, away=0.3, changes=60, seed=1)


def _summary(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    summary: dict[str, object] = json.loads(capsys.readouterr().out)
    return summary


def test_it_prints_one_json_object_and_proves_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo(SMALL, None, as_json=True) == 0
    summary = _summary(capsys)
    assert list(summary) == [
        "seed", "loss", "away", "changes", "feed", "devices", "converged", "exact",
    ]  # fmt: skip
    assert summary["converged"] is True
    assert summary["exact"] is True
    devices = summary["devices"]
    assert isinstance(devices, list)
    assert list(devices[0]) == [
        "id", "items", "digest", "pushes_sent", "pushes_received", "sync_requests",
        "changes_first", "changes_resent", "changes_missing", "remainders", "bytes_pushed",
        "bytes_requests", "bytes_responses",
    ]  # fmt: skip
    assert all(device["changes_resent"] > 0 for device in devices)


def test_without_loss_and_absence_nothing_is_resent(capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(devices=3, loss=0, away=0, changes=60, seed=2)
    assert run_demo(options, None, as_json=True) == 0
    devices = _summary(capsys)["devices"]
    assert isinstance(devices, list)
    assert [device["changes_resent"] for device in devices] == [0, 0, 0]
    assert all(device["pushes_received"] == device["pushes_sent"] > 0 for device in devices)


def test_real_input_converges(capsys: pytest.CaptureFixture[str]) -> None:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real contacts, calendars and mails are expected in {SHARED_DATA}")
    assert run_demo(SMALL, SHARED_DATA, as_json=True) == 0
    feed = _summary(capsys)["feed"]
    assert isinstance(feed, dict)
    assert feed["items"] > 200


def test_a_gateway_that_resends_what_is_held_is_not_exact(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broken rule is the point here: the demo must be able to say no.
    presented = responder._presented  # noqa: SLF001

    def forgetful(*args: object) -> object:
        held = presented(*args)  # type: ignore[arg-type]
        return held - TokenSet.span(1, 10) if isinstance(held, TokenSet) else held

    monkeypatch.setattr(responder, "_presented", forgetful)
    assert run_demo(SMALL, None, as_json=True) == 1
    assert _summary(capsys)["exact"] is False


def test_a_device_that_skips_changes_does_not_converge(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = Replica._apply  # noqa: SLF001

    def lazy(self: Replica, item_id: str, put: object, n: int) -> object:
        return [] if n % 7 == 0 else apply(self, item_id, put, n)  # type: ignore[arg-type]

    monkeypatch.setattr(Replica, "_apply", lazy)
    assert run_demo(SMALL, None, as_json=True) == 1
    assert _summary(capsys)["converged"] is False


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(DemoError, match="no/such/folder"):
        run_demo(SMALL, Path("no/such/folder"), as_json=True)


def test_a_folder_without_items_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DemoError, match=r"has no \.vcf, \.ics or \.eml items"):
        run_demo(SMALL, tmp_path, as_json=True)


def test_another_broker_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSYNC_GATEWAY_BROKER_HOST", "127.0.0.1")
    with pytest.raises(DemoError, match="unset TALLYSYNC_GATEWAY_BROKER_HOST"):
        run_demo(SMALL, None, as_json=True)


def test_what_was_skipped_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.vcf").write_bytes(b"BEGIN:VCARD\nFN:A\nEND:VCARD\n" * 2)
    (tmp_path / "b.txt").write_text("x")
    assert (
        run_demo(Options(devices=1, loss=0, away=0, changes=1, seed=1), tmp_path, as_json=True) == 0
    )
    err = " ".join(capsys.readouterr().err.split())
    assert err.startswith("imported 1 items from ")
    assert err.endswith(", 2 skipped")
