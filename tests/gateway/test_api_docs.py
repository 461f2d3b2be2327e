"""``docs/api.md``: its examples work, and it leaves no path out."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import api_models as models
from gateway.api import BODY_SECONDS_MAX
from gateway.api_server import CONNECTIONS_MAX
from gateway.api_values import QUERY_FIELDS_MAX, REFUSALS
from gateway.run import running
from gateway.settings import load
from sync_protocol import limits

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
def test_the_examples_work(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    script = 'set -eu\ncurl() { command curl --fail-with-body "$@"; echo; }\n' + "".join(blocks)
    settings = load(data_dir=tmp_path / "data", broker_port=0, api_port=0)
    with running(settings) as gateway:
        done = subprocess.run(
            ["bash", "-c", script],  # noqa: S607 - the user's own shell
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "TALLYSYNC_GATEWAY_DATA_DIR": str(settings.data_dir),
                "TMPDIR": str(tmp_path),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert gateway.service.feeds() == []
    answers = [line for line in done.stdout.splitlines() if line]
    shown = [_shown(lines) for lines in re.findall(r"(?m)^# {.*\n(?:#  .*\n)*", TEXT)]
    assert len(shown) >= 17
    assert [it for it in shown if not any(map(re.compile(it).fullmatch, answers))] == []


def _shown(lines: str) -> str:
    """A pattern for an answer that is shown: an ellipsis is what differs, or would be too much."""
    text = re.sub(r"\n#? *", "", lines.removeprefix("# "))
    return re.escape(text).replace("…", ".*").replace("\\ .*", ".*")


def test_every_path_is_there() -> None:
    documented = set(re.findall(r"^### `([A-Z]+ /v1[^?`]*)", TEXT, re.MULTILINE))
    source = (ROOT / "gateway" / "api.py").read_text(encoding="utf-8")
    routes = re.findall(
        r'Route\((?:"([^"]+)"|HEALTH_PATH), [a-z_.]+(?:, methods=\["(\w+)"\])?', source
    )
    assert len(routes) == source.count(" Route(")
    served = {f"{method or 'GET'} {path or '/v1/health'}" for path, method in routes}
    assert documented == served


def test_every_reason_is_there() -> None:
    for _, status, reason in REFUSALS:
        assert re.search(rf"^\| {status} \|.*`{reason}`", TEXT, re.MULTILINE), reason


def test_the_limits_are_those_of_the_code() -> None:
    assert re.findall(r"^\| .* \| (.*) \|$", TEXT.partition("## Limits")[2], re.MULTILINE)[1:] == [
        f"{limits.CONTENT_BYTES_MAX // limits.MIB} MiB",
        f"{models.BULK_BYTES_MAX // limits.MIB} MiB, {models.BULK_MUTATIONS_MAX:,} mutations",
        f"{models.JSON_BYTES_MAX // limits.KIB} KiB",
        f"{BODY_SECONDS_MAX:.0f} seconds",
        str(QUERY_FIELDS_MAX),
        f"{models.PAGE_ITEMS_MAX:,}",
        str(CONNECTIONS_MAX),
    ]
