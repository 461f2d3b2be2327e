import pytest

from gateway.representations.counting import last_occurrence
from gateway.representations.occurrences import OCCURRENCES_MAX, CountedRule


@pytest.mark.parametrize(
    ("start", "rule", "expected"),
    [
        ("20250101T100000", "FREQ=DAILY;COUNT=3", "20250103T100000"),
        ("20250101T100000Z", "FREQ=WEEKLY;COUNT=2", "20250108T100000Z"),
        ("20250101", "FREQ=MONTHLY;COUNT=2;BYDAY=-1FR", "20250228"),
        ("20250101", "freq=yearly;count=2", "20260101"),
        ("20250101T100000", f"FREQ=DAILY;COUNT={OCCURRENCES_MAX + 1}", None),
        ("20250101T100000", "FREQ=DAILY;COUNT=x", None),
        ("20250101T100000", "FREQ=NEVER;COUNT=2", None),
        ("20250101T100000", "", None),
        ("2025", "FREQ=DAILY;COUNT=3", None),
        ("20251301", "FREQ=DAILY;COUNT=3", None),
        # Nothing but the start itself.
        ("99991231", "FREQ=DAILY;COUNT=3", "99991231"),
    ],
)
def test_the_last_occurrence(start: str, rule: str, expected: str | None) -> None:
    assert last_occurrence(CountedRule(start, rule)) == expected
