"""A feed that is rendered before a device wants it so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.feed import NoSuchFeedError
from gateway.run import running
from gateway.service import Service
from gateway.settings import load
from tests.eventually import PATIENCE_S, eventually
from tests.gateway.representations.installing import install
from tests.gateway.sample_feeds import put

FEED = "contacts"
CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada\r\nEND:VCARD\r\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(load(data_dir=tmp_path, broker_port=0, api_port=0)) as gateway:
        gateway.service.add_feed(FEED)
        yield gateway.service


def test_v4_it_is_rendered_once_that_returns(service: Service) -> None:
    service.apply(FEED, put("broken", b"no card"))
    service.apply(FEED, put("ada", CARD))
    assert service.quarantined(FEED) == []
    for _ in range(2):
        assert service.render(FEED, "compact", timeout_s=PATIENCE_S)
        (held_back,) = service.quarantined(FEED)
        assert (held_back.row.id, held_back.representation) == ("broken", "compact")


def test_v4_what_is_not_installed_is_never_rendered(service: Service) -> None:
    assert not service.render(FEED, "short", timeout_s=0)


def test_v4_a_feed_that_is_not_there_is_not_waited_for(service: Service) -> None:
    with pytest.raises(NoSuchFeedError):
        service.render("tasks", "compact", timeout_s=PATIENCE_S)


def test_that_nothing_can_be_rendered_is_a_problem_until_it_can(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.apply(FEED, put("ada", CARD))
    with monkeypatch.context() as patch:
        patch.setattr("gateway.representations.sandbox._WORKER", "gateway.nowhere")
        service.render(FEED, "compact", timeout_s=0)
        # Of the process first, and of the feed once its thread has seen that.
        assert eventually(
            lambda: [it for it in service.problems() if it.startswith(f"feed {FEED} cannot be")]
        )
        (problem,) = service.problems()
    assert "No module named gateway.nowhere" in problem
    assert service.render(FEED, "compact", timeout_s=PATIENCE_S)
    assert eventually(lambda: not service.problems())


def test_a_representation_that_cannot_be_imported_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text("raise SystemExit\n")
    install(tmp_path, monkeypatch, {"deadly": "deadly:DEADLY"})
    settings = load(
        data_dir=tmp_path / "data", broker_port=0, api_port=0, representations=("deadly",)
    )
    with running(settings) as gateway:
        assert gateway.service.problems() == [
            "the representation deadly cannot be used: the log of the gateway's start says why"
        ]
