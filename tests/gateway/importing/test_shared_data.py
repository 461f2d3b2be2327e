"""The real input. The totals were counted without this code, by reading the files."""

import re
from collections import Counter
from pathlib import Path

import pytest

from gateway.importing.found import Found, FoundItem, Left
from gateway.importing.icalendars import read_calendars
from gateway.importing.identity import IdRegistry
from gateway.importing.sources import SourceFile, read_source, source_files
from gateway.importing.taking import Taking


def _import(root: Path) -> dict[str, list[Found]]:
    """What each file gave, by its path below `root`."""
    ids = IdRegistry()
    return {
        str(Path(source.where).relative_to(root)): [source]
        if isinstance(source, Left)
        else list(read_source(source, ids))
        for source in source_files([root])
    }


def _items(found: dict[str, list[Found]]) -> list[FoundItem]:
    return [item for of_file in found.values() for item in of_file if isinstance(item, FoundItem)]


def _reasons(found: dict[str, list[Found]]) -> Counter[str]:
    """How often what was left, without the places that differ."""
    lefts = [left for of_file in found.values() for left in of_file if isinstance(left, Left)]
    return Counter(
        re.sub(r"(duplicate of|already that of) [^ ,]+", r"\1", left.reason) for left in lefts
    )


def test_contacts(shared_data: Path) -> None:
    found = _import(shared_data / "contacts")
    assert len(found) == 18
    assert Counter(item.kind for item in _items(found)) == {"contact": 26}
    assert not _reasons(found)
    assert {name: len(of_file) for name, of_file in found.items() if len(of_file) > 1} == {
        "John_Doe_ANDROID.vcf": 6,
        "gmail-list.vcf": 3,
        "rfc2426-example.vcf": 2,
    }
    assert [item.id for item in _items(found) if not item.id.startswith("sha256-")] == [
        "477343c8e6bf375a9bac1f96a5000837",
        "0e7602cc-443e-4b82-b4b1-90f62f99a199",
        "8b574c60-fd7f-4e99-b584-c5db131ae687",
    ]


def test_calendars(shared_data: Path) -> None:
    found = _import(shared_data / "calendar")
    assert len(found) == 163
    # 197 events, tasks and journal entries: one is an exception to another, 65 are left.
    assert Counter(item.kind for item in _items(found)) == {"event": 120, "task": 6, "journal": 5}
    assert _reasons(found) == {
        "its id is already that of, which has other content": 41,
        "duplicate of": 24,
        "no event, task or journal entry in it": 15,
        "VFREEBUSY is no event, task or journal entry": 9,
        "VAVAILABILITY is no event, task or journal entry": 6,
        "VALARM is no event, task or journal entry": 4,
        "BEGIN:VCALENDAR without its END: only what is whole in it is taken": 4,
        "DAYLIGHT is no event, task or journal entry": 1,
        "MYCOMP is no event, task or journal entry": 1,
        "MYCOMPTOO is no event, task or journal entry": 1,
        "UNKNOWN is no event, task or journal entry": 1,
        "BEGIN:V without its END: cut off": 1,
        "BEGIN:\\x00 without its END: cut off": 1,
        "text outside of the calendar": 1,
    }


def test_mails(shared_data: Path) -> None:
    found = _import(shared_data / "mail")
    assert len(found) == 104
    assert Counter(item.kind for item in _items(found)) == {"mail": 72}
    assert _reasons(found) == {
        "its id is already that of, which has other content": 29,
        "duplicate of": 3,
    }
    assert sum(item.id.startswith("sha256-") for item in _items(found)) == 9
    assert sum(item.date is None for item in _items(found)) == 11


def test_all_at_once(shared_data: Path) -> None:
    found = _import(shared_data)
    assert found.pop("README.md") == [
        Left(str(shared_data / "README.md"), "not one of .eml .ics .vcf")
    ]
    assert len(found) == 18 + 163 + 104
    assert all(found.values())
    items = _items(found)
    assert Counter(item.folder for item in items) == {"contacts": 26, "calendar": 131, "mail": 72}
    assert len({item.id for item in items}) == len(items)


def test_the_same_again_is_the_same(shared_data: Path) -> None:
    assert _import(shared_data) == _import(shared_data)


def test_contents_are_byte_for_byte(shared_data: Path) -> None:
    for name, found in _import(shared_data).items():
        content = (shared_data / name).read_bytes()
        items = [item for item in found if isinstance(item, FoundItem)]
        if len(found) == 1 and items and b"VCALENDAR" in content[:20]:
            assert items[0].content == content, name
        for item in items:
            if item.kind == "mail":
                assert item.content == content, name
            elif item.kind == "contact":
                assert item.content in content, name
            else:
                begin = item.content.index(b"BEGIN:V", 1)
                end = item.content.rindex(b"END:VCALENDAR")
                lines = item.content[begin:end].splitlines()
                assert set(lines) <= set(content.splitlines()), name


def test_every_wrapped_calendar_is_a_file_with_that_one_item(shared_data: Path) -> None:
    for item in _items(_import(shared_data / "calendar")):
        taking = Taking("wrapped", folder="", ids=IdRegistry())
        assert list(read_calendars(item.content, taking)) == [item]


def _items_of(path: Path) -> list[FoundItem]:
    (source,) = source_files([path])
    assert isinstance(source, SourceFile)
    return [item for item in read_source(source, IdRegistry()) if isinstance(item, FoundItem)]


def test_a_recurring_event_and_its_exception_are_one_item(shared_data: Path) -> None:
    path = shared_data / "calendar/rfc_7265_appendix_example_2_ical.ics"
    assert [item.content for item in _items_of(path)] == [path.read_bytes()]


@pytest.mark.parametrize(
    ("name", "id_", "date"),
    [
        ("calendar/issue_1050_simple_calendar.ics", "simple-event@example.com", 1_735_725_600),
        ("mail/example01.eml", "1234@local.machine.example", 880_127_706),
        (
            "mail/raw_email_bad_time.eml",
            "86a2019dbec6$caa86cc0$390b0485@auracom.net",
            51_737_477_630,
        ),
    ],
)
def test_ids_and_dates(shared_data: Path, name: str, id_: str, date: int) -> None:
    (item,) = _items_of(shared_data / name)
    assert (item.id, item.date) == (id_, date)
