from gateway.importing.found import FoundItem, Left, Missing
from gateway.importing.identity import IdRegistry
from gateway.importing.taking import Taking
from sync_protocol import limits


def test_an_item_gets_the_folder_of_its_file() -> None:
    taking = Taking("a.eml", folder="Work/2025", ids=IdRegistry())
    found = taking.item(b"x", kind="mail", media_type="message/rfc822", claimed_id=b"1", date=5)
    assert found == FoundItem("1", "mail", "Work/2025", 5, "message/rfc822", b"x")


def test_the_limit_is_the_last_size_to_be_taken() -> None:
    taking = Taking("a.eml", folder="", ids=IdRegistry())
    content = bytes(limits.CONTENT_BYTES_MAX)
    found = taking.item(content, kind="mail", media_type="message/rfc822", claimed_id=b"1")
    assert isinstance(found, FoundItem)
    found = taking.item(content + b"x", kind="mail", media_type="message/rfc822", claimed_id=b"2")
    assert found == Left(
        "a.eml", "larger than 25 MiB, which is the limit for one item", Missing.DAMAGED
    )


def test_items_of_two_files_do_not_share_an_id() -> None:
    ids = IdRegistry()
    for where, content, expected in (
        ("a.vcf", b"x", None),
        ("b.vcf", b"x", Left("b.vcf:3", "duplicate of a.vcf:3")),
        (
            "c.ics",
            b"y",
            Left("c.ics:3", "its id is already that of a.vcf:3, which has other content"),
        ),
    ):
        taking = Taking(where, folder="", ids=ids)
        found = taking.item(
            content, kind="event", media_type="text/calendar", claimed_id=b"1", line=3
        )
        assert isinstance(found, FoundItem) if expected is None else found == expected


def test_what_is_left_is_named() -> None:
    taking = Taking("a.vcf", folder="", ids=IdRegistry())
    assert taking.left("why") == Left("a.vcf", "why")
    assert taking.left("why", line=2) == Left("a.vcf:2", "why")
