import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.representations.occurrences import LINES_MAX
from gateway.representations.patience import HANGS_MAX
from gateway.representations.representation import Rendered
from gateway.representations.sandbox import (
    READ_HERE_BYTES_MAX,
    Problem,
    Sandbox,
    SandboxError,
)
from sync_protocol import limits
from tests.eventually import PATIENCE_S, eventually
from tests.gateway.representations.installing import install

_CARD = b"BEGIN:VCARD\nVERSION:3.0\nFN:Ann\nEND:VCARD\n"
_EVENT = (
    b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20250101T100000Z\nDURATION:PT1H\nRRULE:%s\n"
    b"END:VEVENT\nEND:VCALENDAR\n"
)
_JANUARY_1 = 1_735_725_600  # 10:00
_DAY = 86_400
_TOO_LITTLE_BYTES = 8 * limits.MIB
pytestmark = pytest.mark.usefixtures("installed_hostile")


def _pid(sandbox: Sandbox) -> int:
    rendered = sandbox.render("hostile", "process", b"")
    assert isinstance(rendered, Rendered)
    return int(rendered.content)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_renders_as_the_renderer_does(sandbox: Sandbox) -> None:
    assert sandbox.render("compact", "contact", _CARD) == Rendered(
        b'{\n"@type":"Card",\n"version":"1.0",\n"name":{"full":"Ann"}\n}',
        "application/jscontact+json",
    )


def test_one_process_renders_all(sandbox: Sandbox) -> None:
    assert _pid(sandbox) == _pid(sandbox)


def test_close_ends_the_process_and_no_call_starts_a_new_one(sandbox: Sandbox) -> None:
    first = _pid(sandbox)
    sandbox.close()
    assert not _exists(first)
    with pytest.raises(SandboxError, match="was ended"):
        _pid(sandbox)
    sandbox.close()
    assert sandbox.failure is None


@pytest.mark.parametrize("kind", ["begins", "begins-anew"])
def test_close_ends_what_is_under_way_and_that_is_no_problem_of_the_item(
    tmp_path: Path, kind: str
) -> None:
    sandbox = Sandbox(render_s_max=60)
    begun = tmp_path / "begun"
    with ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(sandbox.render, "hostile", kind, os.fsencode(begun))
        assert eventually(begun.exists)
        sandbox.close()
        with pytest.raises(SandboxError, match="was ended"):
            under_way.result(PATIENCE_S)


def test_close_ends_a_process_that_is_not_ready_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "sleeps.py").write_text(
        f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(60)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("gateway.representations.sandbox._WORKER", "sleeps")
    sandbox = Sandbox()
    with ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(sandbox.render, "compact", "contact", _CARD)
        assert eventually(begun.exists)
        sandbox.close()
        with pytest.raises(SandboxError, match="was ended"):
            under_way.result(PATIENCE_S)


def test_memory_that_others_took_is_no_problem_of_the_item(sandbox: Sandbox) -> None:
    for _ in range(8):
        made = sandbox.render("hostile", "leaks", b"100")
        assert made == Rendered(b"", "text/plain")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("refuses", "no name"),
        ("fails", "its renderer fails (ZeroDivisionError)"),
        ("eats", "it takes too much memory to be rendered"),
        ("dies", "its renderer ends the process that it runs in"),
        ("bursts", "it is larger than 25 MiB when it is rendered"),
        ("mislabels", "its renderer fails (ValueError)"),
        ("journal", "hostile has no form for the kind journal"),
    ],
)
def test_what_goes_wrong_is_a_problem_and_the_next_item_is_rendered(
    sandbox: Sandbox, kind: str, why: str
) -> None:
    assert sandbox.render("hostile", kind, b"no name") == Problem(why)
    assert sandbox.render("hostile", "well", b"a") == Rendered(b"A", "text/plain")


def test_a_representation_that_is_gone_is_a_problem(sandbox: Sandbox) -> None:
    assert sandbox.render("other", "contact", _CARD) == Problem(
        "there is no representation other any more"
    )


def test_what_hangs_is_killed() -> None:
    sandbox = Sandbox(render_s_max=0.2)
    first = _pid(sandbox)
    assert sandbox.render("hostile", "hangs", b"1") == Problem("it took longer than 0.2 s")
    assert not _exists(first)
    assert sandbox.render("hostile", "well", b"a") == Rendered(b"A", "text/plain")
    sandbox.close()


def test_a_process_that_was_stopped_hangs_too() -> None:
    sandbox = Sandbox(render_s_max=0.2)
    os.kill(_pid(sandbox), signal.SIGSTOP)
    large = bytes(4 * limits.MIB)
    assert sandbox.render("hostile", "well", large) == Problem("it took longer than 0.2 s")
    sandbox.close()


def test_a_process_that_was_killed_while_idle_is_replaced(sandbox: Sandbox) -> None:
    first = _pid(sandbox)
    os.kill(first, signal.SIGKILL)
    assert _pid(sandbox) != first


def test_ctrl_c_does_not_end_it(sandbox: Sandbox) -> None:
    first = _pid(sandbox)
    os.kill(first, signal.SIGINT)
    assert _pid(sandbox) == first


def test_it_ends_when_the_gateway_is_gone(tmp_path: Path) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    program = (
        "import os, sys\n"
        "from gateway.representations.sandbox import Sandbox\n"
        "Sandbox().render('hostile', 'holds', os.fsencode(sys.argv[1]))\n"
        "os._exit(0)\n"
    )
    gateway = subprocess.Popen(
        [sys.executable, "-c", program, held],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with gateway, held.open("rb") as file:
        # It ends when nobody holds the other end any more.
        assert file.read() == b""


def test_reasons_are_one_short_line(sandbox: Sandbox) -> None:
    problem = sandbox.render("hostile", "refuses", b"a\n\x1bb" + b"c" * 1_000)
    assert isinstance(problem, Problem)
    assert problem.why.startswith("a bc")
    assert len(problem.why) == 200


def test_it_learns_nothing_of_its_surroundings(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSYNC_SECRET", "x")
    monkeypatch.setenv("HOME", "/home/somebody")
    for name, value in {"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, value)
    made = sandbox.render("hostile", "surroundings", b"")
    assert isinstance(made, Rendered)
    directory, *environment = made.content.decode().splitlines()
    assert directory == "/"
    assert {"LANG", "LC_CTYPE", "PATH", "PYTHONPATH", "TZ"} <= set(environment)
    assert not {"TALLYSYNC_SECRET", "HOME"} & set(environment)


def test_what_it_is_to_have_at_hand_says_nothing_in_the_gateways_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "loud"
    folder.mkdir()
    (folder / "loud.py").write_text(
        "import sys\n"
        "from gateway.representations.registry import Rendered, Representation\n"
        "print('out', flush=True)\n"
        "print('error' * 50_000, file=sys.stderr)\n"
        "LOUD = Representation('loud', 1, {'contact': lambda _: Rendered(b'', 'text/plain')})\n"
    )
    install(folder, monkeypatch, {"loud": "loud:LOUD"})
    with contextlib.closing(Sandbox(representations=["loud"])) as sandbox:
        assert sandbox.render("loud", "contact", b"") == Rendered(b"", "text/plain")
    assert capfd.readouterr() == ("", "")


def test_what_renderers_print_goes_nowhere(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    assert sandbox.render("hostile", "talks", b"secret") == Rendered(b"", "text/plain")
    assert capfd.readouterr() == ("", "")


def test_the_largest_contents_go_through(sandbox: Sandbox) -> None:
    content = b"a" * limits.CONTENT_BYTES_MAX
    assert sandbox.render("hostile", "well", content) == Rendered(content.upper(), "text/plain")


def test_a_process_that_cannot_start_is_no_problem_of_the_item() -> None:
    sandbox = Sandbox(memory_bytes_max=_TOO_LITTLE_BYTES)
    with pytest.raises(SandboxError, match="ended before it was ready"):
        sandbox.render("compact", "contact", _CARD)
    assert sandbox.failure is not None
    assert "ended before it was ready" in sandbox.failure
    sandbox.close()


def test_a_process_that_cannot_start_says_why_and_the_next_one_may(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("gateway.representations.sandbox._WORKER", "gateway.nowhere")
        with pytest.raises(SandboxError, match=r"exit status 1.*No module named gateway\.nowhere"):
            sandbox.render("compact", "contact", _CARD)
    failed = sandbox.failure
    assert failed is not None
    assert isinstance(sandbox.render("compact", "contact", _CARD), Rendered)
    assert sandbox.failure is None
    assert capfd.readouterr() == ("", "")


def test_an_interpreter_that_is_not_there_is_no_problem_of_the_item(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SandboxError, match="does not start"):
        Sandbox().render("compact", "contact", _CARD)


def test_threads_may_share_it(sandbox: Sandbox) -> None:
    begin = threading.Barrier(4)

    def render(number: int) -> Rendered | Problem:
        begin.wait()
        return sandbox.render("hostile", "well", f"a{number}".encode())

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(render, range(4))) == [
            Rendered(f"A{number}".encode(), "text/plain") for number in range(4)
        ]


def test_the_last_of_counted_occurrences_is_found(sandbox: Sandbox) -> None:
    end = sandbox.until("event", _EVENT % b"FREQ=DAILY;COUNT=3")
    assert end == _JANUARY_1 + 2 * _DAY + 3600


def test_a_rule_that_nothing_fits_has_no_end() -> None:
    sandbox = Sandbox(render_s_max=0.2)
    rule = b"FREQ=SECONDLY;COUNT=3;BYMONTH=2;BYMONTHDAY=30"
    assert sandbox.until("event", _EVENT % rule) == limits.INTEGER_MAX
    sandbox.close()


def test_all_rules_of_an_item_together_may_take_so_long() -> None:
    asked = []

    class Counting(Sandbox):
        def _asked_once(self, head: bytes, content: bytes) -> Any:  # noqa: ANN401 - of the sandbox's own
            asked.append(head)
            return super()._asked_once(head, content)

    rules = b"\nRRULE:".join([b"FREQ=SECONDLY;COUNT=3;BYMONTH=2;BYMONTHDAY=30"] * 5)
    with contextlib.closing(Counting(render_s_max=0.2)) as sandbox:
        assert sandbox.until("event", _EVENT % rules) == limits.INTEGER_MAX
    assert len(asked) == 1


def test_a_large_calendar_is_read_in_the_process(sandbox: Sandbox) -> None:
    large = b"FREQ=DAILY;UNTIL=20250110T100000Z\nSUMMARY:" + b"a" * READ_HERE_BYTES_MAX
    assert sandbox.until("event", _EVENT % large) == _JANUARY_1 + 9 * _DAY + 3600
    assert sandbox.until("event", b"x" * READ_HERE_BYTES_MAX * 2) is None
    with contextlib.closing(Sandbox(memory_bytes_max=_TOO_LITTLE_BYTES)) as other:
        assert other.until("mail", _EVENT % large) is None
        with pytest.raises(SandboxError):
            other.until("event", _EVENT % large)


def test_a_calendar_that_takes_too_long_to_read_has_no_end() -> None:
    zones = b"".join(
        b"BEGIN:VEVENT\nDTSTART;TZID=zone%d:20250101T100000\nEND:VEVENT\n" % number
        for number in range(LINES_MAX // 3)
    )
    with contextlib.closing(Sandbox(render_s_max=0.1)) as sandbox:
        assert sandbox.until("event", zones) == limits.INTEGER_MAX


def test_only_counted_rules_need_the_process() -> None:
    sandbox = Sandbox(memory_bytes_max=_TOO_LITTLE_BYTES)
    for rule in (b"FREQ=DAILY", b"FREQ=DAILY;UNTIL=20250110T100000Z", b"FREQ=DAILY;COUNT=1000000"):
        assert sandbox.until("event", _EVENT % rule)
    with pytest.raises(SandboxError):
        sandbox.until("event", _EVENT % b"FREQ=DAILY;COUNT=3")


def test_a_renderer_that_hangs_time_after_time_is_left_alone() -> None:
    sandbox = Sandbox(render_s_max=0.2, representations=("hostile",))
    try:
        whys = [sandbox.render("hostile", "hangs", b"x") for _ in range(HANGS_MAX + 1)]
        *slow, left_alone = [it.why for it in whys if isinstance(it, Problem)]
        assert slow == ["it took longer than 0.2 s"] * HANGS_MAX
        assert "left alone" in left_alone
        assert isinstance(sandbox.render("hostile", "well", b"x"), Rendered)
    finally:
        sandbox.close()
