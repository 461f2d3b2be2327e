"""The table of breaks fits the source, the protocol's page and the page of tests."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.rules import page
from tests.rules.table import BREAKS, EXCUSED
from tests.rules.trial import ROOT

# A numbered clause, a message; C and L stand for the coding of a token set and the limits.
_CLAUSE = re.compile(r"\*\*([A-Z]\d+)\*\*|^### (M\d+) ", re.MULTILINE)


def test_every_old_text_is_in_its_file_once() -> None:
    wrong = [
        f"{name}: {edit.file} has {count} times {edit.old!r}"
        for name, it in BREAKS.items()
        for edit in it.edits
        if (count := (ROOT / edit.file).read_text().count(edit.old)) != 1
    ]
    assert not wrong, "\n".join(wrong)


def test_every_break_is_python() -> None:
    for it in BREAKS.values():
        changed: dict[str, str] = defaultdict(str)
        for edit in it.edits:
            text = changed[edit.file] or (ROOT / edit.file).read_text()
            changed[edit.file] = text.replace(edit.old, edit.new)
        for file, text in changed.items():
            compile(text, file, "exec")


def test_every_clause_is_broken_or_excused() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    clauses = {clause or message for clause, message in _CLAUSE.findall(text)} | {"C", "L"}
    broken = {it.clause for it in BREAKS.values()}
    assert clauses == broken | set(EXCUSED)
    assert not broken & set(EXCUSED)


def test_the_page_lists_every_break() -> None:
    listed = {name: wrong for name, (wrong, _) in page.read().items()}
    assert listed == {name: it.wrong for name, it in BREAKS.items()}, (
        "python -m tests.rules --write CLAUSE ... tries breaks, and lists them"
    )


@pytest.mark.parametrize("test", sorted({test for _, test in page.read().values()}))
def test_a_test_that_the_page_names_is_there(test: str) -> None:
    path, *names = test.split("::")
    text = Path(ROOT, path).read_text() if path != "timeout" else ""
    assert all(re.search(rf"\b(def|class) {name}\b", text) for name in names)
