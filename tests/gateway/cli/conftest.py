"""A running gateway, and its commands as functions."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from gateway.cli import main
from gateway.run import Running, running
from gateway.settings import load
from tests.gateway.serving import SHARED_DATA

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit status."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command prints
        assert (self.code, self.err) == (0, "")
        return json.loads(self.out)


Command: TypeAlias = Callable[..., Outcome]


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = load(data_dir=tmp_path_factory.mktemp("gateway"), broker_port=0, api_port=0)
    with running(settings) as gateway:
        yield gateway


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command, whatever gateway it is for."""
    monkeypatch.delenv("TALLYSYNC_GATEWAY_DATA_DIR", raising=False)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        # Whatever goes wrong is told in lines of one form, and never by a traceback.
        assert all(
            line.startswith(("error: ", "warning: ", "There are more")) for line in err.splitlines()
        )
        return Outcome(caught.value.code, out, err)

    return run


@pytest.fixture
def ask(command: Command, gateway: Running, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command of the running gateway."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setenv("TALLYSYNC_GATEWAY_DATA_DIR", str(gateway.service.settings.data_dir))
        return command(*arguments)

    return run


@pytest.fixture
def feed(gateway: Running) -> str:
    name = f"feed{next(_NUMBERS)}"
    gateway.service.add_feed(name)
    return name


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real input is not there: {SHARED_DATA}")
    return SHARED_DATA
