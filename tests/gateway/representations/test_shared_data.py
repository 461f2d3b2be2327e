"""The real input: how much of it `compact` has a form for, and why it has none for the rest."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.importing.found import FoundItem
from gateway.importing.identity import IdRegistry
from gateway.importing.sources import SourceFile, read_source, source_files
from gateway.representations.compact import read_beginning
from gateway.representations.representation import Rendered
from gateway.representations.sandbox import Problem, Sandbox
from sync_protocol import limits

_RENDERED_KINDS = {"contact", "event", "task", "mail"}


def _items(root: Path) -> list[tuple[str, FoundItem]]:
    """All items that have a form, each with the name of its file."""
    ids = IdRegistry()
    return [
        (source.path.name, found)
        for source in source_files([root])
        if isinstance(source, SourceFile)
        for found in read_source(source, ids)
        if isinstance(found, FoundItem) and found.kind in _RENDERED_KINDS
    ]


def test_everything_renders_or_is_a_problem_with_a_reason(
    shared_data: Path, sandbox: Sandbox
) -> None:
    rendered: Counter[str] = Counter()
    problems: Counter[tuple[str, str]] = Counter()
    for _, item in _items(shared_data):
        match sandbox.render("compact", item.kind, item.content):
            case Rendered(content, _):
                rendered[item.kind] += 1
                assert read_beginning(content) == json.loads(content.decode())
            case Problem(why):
                problems[item.kind, why] += 1
    assert rendered == {"contact": 26, "event": 108, "task": 4, "mail": 72}
    assert problems == {
        ("event", "there is nothing to be shown of an event in it"): 12,
        ("task", "there is nothing to be shown of a task in it"): 2,
    }


def test_the_windows_of_events_and_tasks(shared_data: Path, sandbox: Sandbox) -> None:
    ends = [
        (item.kind, sandbox.until(item.kind, item.content))
        for _, item in _items(shared_data / "calendar")
    ]
    assert Counter(
        (kind, "unknown" if end is None else "open" if end == limits.INTEGER_MAX else "ends")
        for kind, end in ends
    ) == {
        ("event", "ends"): 75,
        ("event", "open"): 7,
        ("event", "unknown"): 38,
        ("task", "open"): 6,
    }


def _shown(root: Path, sandbox: Sandbox, name: str) -> list[dict[str, Any]]:
    """What is shown of the items in a file."""
    return [
        read_beginning(rendered.content)
        for file, item in _items(root)
        if file == name
        and isinstance(rendered := sandbox.render("compact", item.kind, item.content), Rendered)
    ]


def test_quoted_printable_names_are_readable(shared_data: Path, sandbox: Sandbox) -> None:
    cards = _shown(shared_data / "contacts", sandbox, "John_Doe_ANDROID.vcf")
    assert [card.get("name", {}).get("full") for card in cards] == [
        None,
        None,
        "\u00d1 \u00d1 \u00d1 \u00d1 \u00d1",
        " ".join("\u00d1" * 11),
        "\u00d1 \u00d1 \u00d1 \u00d1",
        "\u00d1" * 4,
    ]


def test_labels_of_groups_and_texts_with_commas(shared_data: Path, sandbox: Sandbox) -> None:
    (card,) = _shown(shared_data / "contacts", sandbox, "John_Doe_IPHONE.vcf")
    assert card["phones"]["7"] == {"number": "905-222-1234", "label": "AssistantPhone"}
    (card,) = _shown(shared_data / "contacts", sandbox, "John_Doe_GMAIL.vcf")
    assert card["name"]["full"] == "Mr. John Richter, James Doe Sr."
    assert card["notes"]["1"]["note"].endswith("Favotire Color: Blue")


def test_japanese_is_readable(shared_data: Path, sandbox: Sandbox) -> None:
    (mail,) = _shown(shared_data / "mail", sandbox, "japanese_iso_2022.eml")
    assert mail["subject"] == "\u307e\u307f\u3080\u3081\u3082"
    assert mail["preview"] == "\u3059\u307f\u307e\u305b\u3093\u3002"
    (mail,) = _shown(shared_data / "mail", sandbox, "japanese_attachment.eml")
    assert mail["attachments"] == [
        {"name": "\u3066\u3059\u3068.txt", "type": "text/plain", "size": 33}
    ]


def test_an_event_that_recurs_with_an_exception(shared_data: Path, sandbox: Sandbox) -> None:
    name = "rfc_7265_appendix_example_2_ical.ics"
    (event,) = _shown(shared_data / "calendar", sandbox, name)
    assert event["start"] == "2006-01-02T12:00:00"
    assert event["recurrenceRules"] == [{"frequency": "daily", "count": 5}]
    assert event["recurrenceOverrides"] == {
        "2006-01-02T15:00:00": {},
        "2006-01-04T12:00:00": {"start": "2006-01-04T14:00:00"},
    }
