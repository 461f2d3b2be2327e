"""The table in docs/testing.md: which test noticed which break."""

from collections.abc import Mapping
from typing import Final

from tests.rules.table import BREAKS, EXCUSED
from tests.rules.trial import ROOT

PAGE: Final = ROOT / "docs" / "testing.md"
_BEGIN: Final = "<!-- rules: python -m tests.rules --write -->\n"
_END: Final = "<!-- end of rules -->"
_HEAD: Final = "| | what is done wrong | noticed by |\n|---|---|---|\n"


def _parts() -> tuple[str, str, str]:
    before, found, behind = PAGE.read_text().partition(_BEGIN)
    table, ended, after = behind.partition(_END)
    if not (found and ended):
        raise ValueError(f"{PAGE} lost its two lines {_BEGIN.strip()} and {_END}")
    return before + found, table, ended + after


def read() -> Mapping[str, tuple[str, str]]:
    """Name of a break -> what it does wrong, and the test that noticed, as the page has them."""
    rows = (line.split(" | ") for line in _parts()[1].splitlines() if line.startswith("| **"))
    return {
        name.removeprefix("| **").removesuffix("**"): (wrong, test.removesuffix(" |").strip("`"))
        for name, wrong, test in rows
    }


def write(noticed: Mapping[str, str]) -> None:
    """Put `noticed`, name of a break -> test, into the table; what was not tried stays."""
    before, _, after = _parts()
    known = {name: test for name, (_, test) in read().items()}
    known.update(noticed)
    rows = [
        f"| **{name}** | {it.wrong} | `{known[name]}` |\n"
        for name, it in BREAKS.items()
        if name in known
    ]
    excused = [f"- **{clause}**: {why}\n" for clause, why in EXCUSED.items()]
    table = "\n" + _HEAD + "".join(rows) + "\nNot broken:\n\n" + "".join(excused) + "\n"
    PAGE.write_text(before + table + after)
