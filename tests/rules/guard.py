"""A plugin for pytest, loaded in a broken copy: is it the copy that is tested, and what failed?"""

import json
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

import device_agent
import gateway
import sync_protocol

# Where the first failure is told, in the copy.
FAILURE_FILE: Final = "first-failure.json"
# What every test would notice, and so none guards.
_TRIVIAL: Final = (ImportError, NameError, SyntaxError)


# On a busy machine examples are slow, and that is no break.
settings.register_profile("rules", deadline=None, suppress_health_check=list(HealthCheck))


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("rules")
    for package in (sync_protocol, gateway, device_agent):
        assert package.__file__ is not None
        if not Path(package.__file__).is_relative_to(config.rootpath):
            raise pytest.UsageError(f"{package.__file__} is not of the copy {config.rootpath}")


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector,
    call: pytest.CallInfo[object],
    report: pytest.CollectReport | pytest.TestReport,
) -> None:
    told = Path(node.config.rootpath, FAILURE_FILE)
    if call.excinfo is None or told.exists():
        return
    trivial = isinstance(report, pytest.CollectReport) or call.excinfo.errisinstance(_TRIVIAL)
    failure = {
        "test": node.nodeid,
        "why": call.excinfo.exconly(tryshort=True)[:500],
        "trivial": trivial,
    }
    told.write_text(json.dumps(failure))
