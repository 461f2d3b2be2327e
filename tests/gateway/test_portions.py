import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.importing import content_lines
from gateway.importing.found import ICALENDAR, MESSAGE, VCARD, FoundItem
from gateway.importing.identity import IdRegistry
from gateway.importing.sources import SourceFile, read_source, source_files
from gateway.portions import portion_bytes
from sync_protocol.limits import CONTENT_BYTES_MAX, MIB

JSON = "application/json"
JSCONTACT = "application/jscontact+json"
PLAIN = "text/plain"
UNKNOWN = "application/octet-stream"
MEDIA_TYPES = (VCARD, ICALENDAR, MESSAGE, JSON, JSCONTACT, PLAIN, UNKNOWN)

SHARED_DATA = Path(__file__).parents[2].parent / "shared" / "data"

# The rest of a content, of which only so much matters that it is beyond a portion.
BEYOND = CONTENT_BYTES_MAX


def portion(content: bytes, media_type: str, bytes_max: int) -> bytes:
    size = portion_bytes(
        content[:bytes_max], media_type=media_type, size=len(content), bytes_max=bytes_max
    )
    return content[:size]


def cut(beginning: bytes, media_type: str) -> bytes:
    """The portion of a content of which just `beginning` would fit."""
    bytes_max = len(beginning)
    size = portion_bytes(beginning, media_type=media_type, size=BEYOND, bytes_max=bytes_max)
    return beginning[:size]


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the exported contacts, calendars and mails are expected in {SHARED_DATA}")
    return SHARED_DATA


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_what_fits_is_whole(media_type: str) -> None:
    content = b"BEGIN:X\nFN:a\nPHOTO:b\nno line end"
    assert portion(content, media_type, len(content)) == content
    assert portion(content, media_type, len(content) + 1) == content
    assert portion(b"", media_type, 10) == b""


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_no_room_is_no_portion(media_type: str) -> None:
    assert portion(b"FN:a\n", media_type, 0) == b""
    assert portion(b"", media_type, 0) == b""


def test_the_caller_reads_as_much_as_may_be_sent() -> None:
    with pytest.raises(AssertionError):
        portion_bytes(b"FN:a\n", media_type=VCARD, size=10, bytes_max=6)


# Cards and calendars: whole content lines


@pytest.mark.parametrize("media_type", [VCARD, ICALENDAR])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_a_card_or_calendar_ends_at_a_content_line(media_type: str, end: bytes) -> None:
    whole = b"BEGIN:A" + end + b"FN:b" + end + b" c" + end
    assert cut(whole + b"T", media_type) == whole
    assert cut(whole + b"TEL:1" + end, media_type) == whole
    assert cut(whole + b"TEL:1" + end + b" 2" + end + b"\t3" + end, media_type) == whole


@pytest.mark.parametrize("beyond", [b"", b"\r", b"\r\n", b"\r\r", b"\r\n\r", b"\r\n\r\n", b"\r\n "])
def test_a_line_is_whole_only_where_another_is_known_to_begin(beyond: bytes) -> None:
    assert cut(b"FN:a\r\nTEL:1" + beyond, VCARD) == b"FN:a\r\n"


def test_empty_lines_do_not_end_a_content_line() -> None:
    assert cut(b"FN:a\n\nTEL:1\n\n 2\n", VCARD) == b"FN:a\n\n"
    assert cut(b"\n\nFN:a\n\nT", VCARD) == b"\n\nFN:a\n\n"


QUOTED = b"NOTE;ENCODING=QUOTED-PRINTABLE:"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_a_soft_line_break_does_not_end_a_content_line(end: bytes) -> None:
    name = b"FN:a" + end
    note = QUOTED + b"b=" + end + b"c:=" + end + b"d" + end
    assert cut(name + note[:-1], VCARD) == name
    assert cut(name + note + b"T", VCARD) == name + note


def test_an_equals_sign_elsewhere_is_no_soft_line_break() -> None:
    photo = b"PHOTO;ENCODING=B:aaa=\n"
    assert cut(photo + b"FN:a\n", VCARD) == photo
    assert cut(QUOTED + b"b=\n\nFN:a\n", VCARD) == QUOTED + b"b=\n\n"


@pytest.mark.parametrize("media_type", [VCARD, ICALENDAR])
def test_without_a_whole_content_line_it_ends_at_a_character(media_type: str) -> None:
    assert cut(b"NOTE:abc\n def\n g", media_type) == b"NOTE:abc\n def\n g"
    assert cut("NOTE:\u00e4".encode(), media_type) == "NOTE:\u00e4".encode()
    assert cut("NOTE:\u00e4".encode()[:-1], media_type) == b"NOTE:"


def test_a_long_line_is_one() -> None:
    content = b"FN:a\nNOTE:" + b"b" * (3 * content_lines.CHUNK_BYTES)
    assert cut(content, VCARD) == b"FN:a\n"
    assert cut(content + b"\nT", VCARD) == content + b"\n"


def test_nothing_behind_the_beginning_is_looked_at() -> None:
    content = b"FN:a\nTEL:1\nNOTE:b\n"
    assert portion(content, VCARD, 11) == b"FN:a\n"
    assert portion(content, VCARD, 12) == b"FN:a\nTEL:1\n"
    assert portion(content, VCARD, 17) == b"FN:a\nTEL:1\n"
    assert portion(content, VCARD, 18) == content


# Cards and calendars: heavy properties


def card(*lines: bytes) -> bytes:
    return b"\r\n".join((b"BEGIN:VCARD", *lines, b""))


def event(*lines: bytes) -> bytes:
    return b"\r\n".join((b"BEGIN:VCALENDAR", b"BEGIN:VEVENT", *lines, b""))


@pytest.mark.parametrize("name", [b"FN:a", b"N:b;a;;;", b"item1.fn;LANGUAGE=en:a", b"F\r\n N:a"])
@pytest.mark.parametrize(
    "heavy",
    [
        b"PHOTO:x",
        b"LOGO;ENCODING=b:x",
        b"SOUND;VALUE=uri:https://a.example/b",
        b"KEY:x",
        b"item1.PHOTO:x",
        b"Item1.pHoTo;TYPE=JPEG:x\r\n y\r\n z",
        b"PHO\r\n TO:x",
    ],
)
def test_a_named_card_ends_before_what_is_heavy(name: bytes, heavy: bytes) -> None:
    before = card(b"VERSION:3.0", name, b"TEL:1")
    assert cut(before + heavy + b"\r\nNOTE:c\r\nURL:d\r\n", VCARD) == before


def test_only_the_name_of_a_property_makes_it_heavy() -> None:
    before = card(b"FN:a", b"X-PHOTO:b", b"NOTE:PHOTO:c", b"KEYS:d")
    assert cut(before + b"T", VCARD) == before
    before = card(b"FN:a", b"ATTACH:b")
    assert cut(before + b"T", VCARD) == before


@pytest.mark.parametrize("name", [b"NOTE:c", b"FN:", b"FN: ", b"N:;;;;", b"N:; ;", b"N", b"NAME:d"])
def test_a_card_without_a_name_is_limited_by_its_size_only(name: bytes) -> None:
    before = card(name, b"PHOTO:x", b"TEL:1", b"PHOTO:y")
    assert cut(before + b"T", VCARD) == before


def test_a_name_behind_what_is_heavy_does_not_matter() -> None:
    before = card(b"PHOTO:x", b"FN:a", b"LOGO:y", b"TEL:1")
    assert cut(before + b"T", VCARD) == before


@pytest.mark.parametrize("agent", [b"AGENT:\r\nBEGIN:VCARD", b"AGENT:begin:vcard"])
def test_the_name_of_an_agent_is_not_that_of_the_card(agent: bytes) -> None:
    inner = (agent, b"FN:b", b"END:VCARD")
    before = card(*inner, b"PHOTO:x")
    assert cut(before + b"T", VCARD) == before
    before = card(*inner, b"FN:a")
    assert cut(before + b"PHOTO:x\r\nT", VCARD) == before
    before = card(b"FN:a", *inner[:-1])
    assert cut(before + b"PHOTO:x\r\nEND:VCARD\r\n", VCARD) == before


def test_a_byte_order_mark_hides_nothing() -> None:
    before = content_lines.BYTE_ORDER_MARK + card(b"FN:a")
    assert cut(before + b"PHOTO:x\r\nT", VCARD) == before


@pytest.mark.parametrize("heavy", [b"ATTACH:x", b"attach;FMTTYPE=image/png;VALUE=BINARY:x\r\n y"])
@pytest.mark.parametrize("kind", [b"VEVENT", b"VTODO", b"VJOURNAL", b"vevent"])
def test_a_named_calendar_ends_before_what_is_heavy(kind: bytes, heavy: bytes) -> None:
    item = event(b"UID:a", b"Summary;LANGUAGE=en:b").replace(b"VEVENT", kind)
    zone = b"BEGIN:VTIMEZONE\r\nBEGIN:STANDARD\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    for before in (item, item.replace(b"BEGIN", zone + b"BEGIN", 2)[len(zone) :]):
        assert cut(before + heavy + b"\r\nDTSTART:1\r\nT", ICALENDAR) == before


def test_a_bare_event_ends_before_what_is_heavy() -> None:
    before = b"BEGIN:VEVENT\nSUMMARY:a\n"
    assert cut(before + b"ATTACH:b\nT", ICALENDAR) == before


@pytest.mark.parametrize(
    "name",
    [
        b"DESCRIPTION:b",
        b"SUMMARY:",
        b"FN:b",
        b"BEGIN:VALARM\r\nSUMMARY:b\r\nEND:VALARM",
        b"BEGIN:VALARM\r\nSUMMARY:b",
        b"END:VEVENT\r\nSUMMARY:b",
        b"END:VEVENT\r\nEND:VCALENDAR\r\nEND:X\r\nSUMMARY:b",
        b"BEGIN:X\r\nBEGIN:VEVENT\r\nSUMMARY:b",
    ],
)
def test_a_calendar_without_a_name_is_limited_by_its_size_only(name: bytes) -> None:
    before = event(name, b"ATTACH:x", b"SUMMARY:c", b"ATTACH:y")
    assert cut(before + b"T", ICALENDAR) == before


def test_a_photo_is_not_heavy_in_a_calendar() -> None:
    before = event(b"SUMMARY:a", b"PHOTO:b")
    assert cut(before + b"T", ICALENDAR) == before


# Mails


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_a_mail_ends_at_a_line_of_its_text(end: bytes) -> None:
    header = b"Subject: a" + end + b" b" + end + b"To: c" + end + end
    assert cut(header + b"text" + end + b"mo", MESSAGE) == header + b"text" + end
    assert cut(header + end + b"te", MESSAGE) == header + end


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_a_mail_whose_text_has_no_line_end_ends_at_a_character(end: bytes) -> None:
    header = b"Subject: a" + end + b"To: b" + end + end
    assert cut(header + b"tex", MESSAGE) == header + b"tex"
    assert cut(header + "te\u20ac".encode()[:-1], MESSAGE) == header + b"te"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n"])
def test_a_mail_may_end_with_its_header(end: bytes) -> None:
    header = b"Subject: a" + end + b"To: b" + end + end
    assert cut(header, MESSAGE) == header


def test_half_of_a_line_end_is_none() -> None:
    assert cut(b"Subject: a\r\n\r\nb\r\nc\r", MESSAGE) == b"Subject: a\r\n\r\nb\r\n"
    assert cut(b"Subject: a\r\nTo: b\r\n\r", MESSAGE) == b"Subject: a\r\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_a_mail_whose_header_does_not_fit_ends_at_a_field(end: bytes) -> None:
    fields = b"Subject: a" + end + b"\tb" + end
    assert cut(fields + b"T", MESSAGE) == fields
    assert cut(fields + b"To: c" + end, MESSAGE) == fields
    assert cut(fields + b"To: c" + end + b" " + end + b" d", MESSAGE) == fields


def test_a_mail_of_which_no_field_fits_ends_at_a_character() -> None:
    assert cut(b"Subject: a\r\n b", MESSAGE) == b"Subject: a\r\n b"
    assert cut("Subject: \u00e4".encode()[:-1], MESSAGE) == b"Subject: "


def test_a_soft_line_break_means_nothing_in_a_header() -> None:
    subject = b"X-QUOTED-PRINTABLE: a=\r\n"
    assert cut(subject + b"To: b", MESSAGE) == subject


# Other media types


@pytest.mark.parametrize(
    "media_type", [JSON, JSCONTACT, "application/jscalendar+json", "image/x+json"]
)
def test_json_ends_at_a_property(media_type: str) -> None:
    assert cut(b'{\n"a":1,\n"b":2', media_type) == b'{\n"a":1,\n'
    assert cut(b'{\n"a":1,\n', media_type) == b'{\n"a":1,\n'
    assert cut('{"a":"\u00e4'.encode()[:-1], media_type) == b'{"a":"'


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_text_ends_at_a_line(end: bytes) -> None:
    for media_type in (PLAIN, "text/html"):
        assert cut(b"a" + end + b"b" + end + b" c", media_type) == b"a" + end + b"b" + end
    assert cut("a\u00e4".encode()[:-1], PLAIN) == b"a"


@pytest.mark.parametrize("media_type", [UNKNOWN, "image/png", "application/jsonp", "message/news"])
def test_anything_else_is_cut_anywhere(media_type: str) -> None:
    for content in (b"a\nb", "a\nb\u00e4".encode()[:-1]):
        assert cut(content, media_type) == content


@pytest.mark.parametrize("character", ["a", "\u00e4", "\u20ac", "\U0001f600"])
def test_a_character_is_never_cut(character: str) -> None:
    content = ("b" + 3 * character).encode()
    for bytes_max in range(1, len(content)):
        found = portion(content, PLAIN, bytes_max)
        assert content.decode().startswith(found.decode())
        assert len(found) > bytes_max - len(character.encode())


def test_one_byte_is_better_than_none() -> None:
    content = "\U0001f600\U0001f600".encode()
    for media_type in MEDIA_TYPES:
        assert [len(portion(content, media_type, it)) for it in (1, 2, 3)] == [1, 2, 3]


def test_what_is_not_utf_8_is_cut_anywhere() -> None:
    for content in (b"a\x80\x80\x80\x80", b"a\xff", b"a\xc0\x80", b"\xf8\x88\x80\x80"):
        assert cut(content, PLAIN) == content


# Whatever comes

PIECES = (
    *("BEGIN:VCARD", "END:VCARD", "BEGIN:VCALENDAR", "BEGIN:VEVENT", "FN:a", "SUMMARY:b"),
    *("PHOTO:c", "ATTACH:d", "NOTE;QUOTED-PRINTABLE:e", "=", "Subject: f", '"', ":", ";", "."),
    *(" ", "\t", "\r", "\n", "\r\n", "\r\r\n", "\u00e4", "\U0001f600"),
)
contents = st.lists(st.sampled_from(PIECES), max_size=30).map(lambda it: "".join(it).encode())


@given(st.one_of(contents, st.binary(max_size=60)), st.sampled_from(MEDIA_TYPES), st.data())
def test_a_portion_is_within_bounds(content: bytes, media_type: str, data: st.DataObject) -> None:
    bytes_max = data.draw(st.integers(0, len(content) + 2))
    found = portion(content, media_type, bytes_max)
    assert len(found) <= min(len(content), bytes_max)
    assert bool(found) == bool(content and bytes_max)
    if bytes_max >= len(content):
        assert found == content
    assert portion(content, media_type, bytes_max) == found


@given(contents, st.sampled_from([it for it in MEDIA_TYPES if it != UNKNOWN]), st.data())
def test_no_character_is_cut(content: bytes, media_type: str, data: st.DataObject) -> None:
    bytes_max = data.draw(st.integers(0, len(content)))
    found = portion(content, media_type, bytes_max)
    assert len(found) < 4 or content.startswith(found.decode().encode())


def content_line_ends(content: bytes) -> dict[int, bytes]:
    """Where the content lines of a whole file end, as the import tells them, and their names."""
    taken = 0
    last = b""

    def counted() -> Iterator[bytes]:
        nonlocal taken, last
        for line in content_lines.physical_lines(io.BytesIO(content)):
            taken += len(line)
            last = line
            yield line
        last = b""

    ends: dict[int, bytes] = {}
    for group in content_lines.content_lines(counted()):
        found = content_lines.parsed(content_lines.unfolded(group))
        ends[taken - len(last)] = found.name if found else b""
    return ends


def after_mark(name: str) -> st.SearchStrategy[bytes]:
    """Lines of which the first begins with no blank: there the import is of two minds."""
    return contents.map(lambda it: f"{name}\n".encode() + it)


@given(after_mark("BEGIN:X"), st.sampled_from([VCARD, ICALENDAR]), st.data())
def test_a_card_has_all_content_lines_that_are_known_to_fit(
    content: bytes, media_type: str, data: st.DataObject
) -> None:
    bytes_max = data.draw(st.integers(0, len(content) - 1))
    found = len(portion(content, media_type, bytes_max))
    fitting = [end for end in content_line_ends(content) if end < bytes_max]
    if fitting:
        assert found == max(fitting)


@given(after_mark("BEGIN:VCARD\nFN:a"), st.data())
def test_a_named_card_has_all_content_lines_up_to_its_photo(
    before: bytes, data: st.DataObject
) -> None:
    content = before + b"\nPHOTO:b\nTEL:1\n"
    bytes_max = data.draw(st.integers(len(before), len(content) - 1))
    fitting = [0]
    for end, name in content_line_ends(content).items():
        if end >= bytes_max or name == b"PHOTO":
            break
        fitting.append(end)
    found = portion(content, VCARD, bytes_max)
    assert found == content[: fitting[-1] or bytes_max]


HALF = MIB // 2
HOSTILE = {
    "folds": (b"NOTE:a\n", b" \n"),
    "soft breaks": (b"", b"N;QUOTED-PRINTABLE:=\n=\n=\n"),
    "soft breaks of a long line": (b"NOTE;QUOTED-PRINTABLE:" + b"a" * HALF + b"=\n", b"=\n"),
    "folded soft breaks": (b"NOTE;QUOTED-PRINTABLE" + b";" * HALF + b"\n", b" =\n"),
    "many folded lines": (b"", b"N:\n =\n"),
    "carriage returns": (b"A:1", b"\r"),
    "doubled returns": (b"", b"A:\r\r\n"),
    "empty lines": (b"A:\n", b"\n"),
    "quotes and colons": (b'A;"', b':"'),
    "lines of quotes and colons": (b"", b'A;":":":"\n'),
    "components": (b"BEGIN:A\n" * (HALF // 8), b"SUMMARY:b\nFN:c\n"),
    "ends": (b"", b"BEGIN:A\nEND:B\nEND:C\n"),
    "names": (b"BEGIN:VCARD\n", b"FN:;\nN:;\n"),
    "groups": (b"BEGIN:VCARD\n", b"a."),
    "no line end": (b"", b"a"),
    "half characters": (b"", b"\xf0\x9f"),
    "a field of folds": (b"Subject: a\r\n", b" b\r\n"),
    "short fields": (b"", b"a:\n"),
}


@pytest.mark.parametrize("media_type", [VCARD, MESSAGE, PLAIN])
@pytest.mark.parametrize("what", HOSTILE)
def test_no_content_makes_it_slow(what: str, media_type: str) -> None:
    # What takes the square of this many steps takes longer than a test may.
    begin, again = HOSTILE[what]
    assert cut((begin + again * MIB)[:MIB], media_type)


@pytest.mark.parametrize("media_type", [VCARD, ICALENDAR])
@pytest.mark.parametrize("again", [b"=\n", b" =\n"])
def test_no_line_is_looked_through_again_at_each_soft_break(media_type: str, again: bytes) -> None:
    beginning = b"QUOTED-PRINTABLE" + b"a" * MIB + b"=\n" + again * (MIB // len(again))
    assert cut(beginning, media_type) == beginning


# The real input


def items(root: Path, kinds: set[str]) -> list[tuple[str, FoundItem]]:
    ids = IdRegistry()
    return [
        (source.where, found)
        for source in source_files([root])
        if isinstance(source, SourceFile)
        for found in read_source(source, ids)
        if isinstance(found, FoundItem) and found.kind in kinds
    ]


@pytest.mark.parametrize("bytes_max", [256, 1024, 4096])
@pytest.mark.parametrize("form", ["files", "items"])
def test_real_cards_and_calendars_end_at_a_content_line(
    shared_data: Path, form: str, bytes_max: int
) -> None:
    contents = [
        (str(path), media_type, path.read_bytes())
        for pattern, media_type in (("contacts/*.vcf", VCARD), ("calendar/*.ics", ICALENDAR))
        for path in sorted(shared_data.glob(pattern))
    ]
    if form == "items":
        found = items(shared_data, {"contact", "event", "task", "journal"})
        contents = [(where, it.media_type, it.content) for where, it in found]
    assert len(contents) > 100
    cut_count = 0
    for where, media_type, content in contents:
        beginning = portion(content, media_type, bytes_max)
        if len(content) <= bytes_max:
            assert beginning == content, where
            continue
        cut_count += 1
        fitting = [end for end in content_line_ends(content) if end < bytes_max]
        assert len(beginning) in fitting if fitting else len(beginning) > bytes_max - 4, where
    assert cut_count > 0


def test_a_real_card_ends_before_its_photo(shared_data: Path) -> None:
    content = (shared_data / "contacts/John_Doe_IPHONE.vcf").read_bytes()
    found = portion(content, VCARD, 4096)
    assert b"FN:" in found
    assert content[len(found) :].startswith(b"PHOTO;")


@pytest.mark.parametrize("bytes_max", [256, 1024, 4096])
def test_real_mails_have_their_subject(shared_data: Path, bytes_max: int) -> None:
    fitting_count = 0
    for path in sorted(shared_data.glob("mail/*.eml")):
        content = path.read_bytes()
        found = portion(content, MESSAGE, bytes_max)
        lines = list(content_lines.physical_lines(io.BytesIO(content)))
        header_lines = next(
            (at for at, line in enumerate(lines) if not line.strip(b"\r\n")), len(lines)
        )
        header = b"".join(lines[: header_lines + 1])
        if len(header) > bytes_max:
            assert header.startswith(found), path
        else:
            assert found.startswith(header), path
            fitting_count += b"\nsubject:" in b"\n" + found.replace(b"\r", b"\n").lower()
        if len(content) > bytes_max:
            ends = (b"\n", b"\r")
            assert found.endswith(ends) or len(found) > bytes_max - 4, path
    assert fitting_count > 0
