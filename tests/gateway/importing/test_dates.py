from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.importing import dates

_MIDNIGHT = 1_736_899_200  # 2025-01-15
_TEN = _MIDNIGHT + 10 * 3600


@pytest.mark.parametrize(
    ("value", "zone_name", "expected"),
    [
        (b"20250115", None, _MIDNIGHT),
        (b"20250115T100000Z", None, _TEN),
        (b"20250115t100000z", b"Europe/Berlin", _TEN),
        (b"20250115T100000", None, _TEN),
        (b"20250115T100000", b"Europe/Berlin", _TEN - 3600),
        (b"20250115T100000", b"W. Europe Standard Time", _TEN),
        (b"20250115T100000", b"../../etc/passwd", _TEN),
        (b"20250115T100000", b"\xff\0", _TEN),
        (b"20161231T235960Z", None, 1_483_228_799),
        (b"00010101", None, -62_135_596_800),
        (b"00000101", None, None),
        (b"20250230", None, None),
        (b"20250115T250000", None, None),
        (b"20250115T1000", None, None),
        (b"2025-01-15", None, None),
        ("2025011\u0665".encode(), None, None),
        (b"", None, None),
        (b"INVALID-DATE", None, None),
    ],
)
def test_dates_of_calendars(value: bytes, zone_name: bytes | None, expected: int | None) -> None:
    assert dates.calendar_date(value, zone_name) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Wed, 15 Jan 2025 11:00:00 +0100", _TEN),
        (b"15 Jan 25 10:00 GMT", _TEN),
        (b"Wed, 15 Jan 2025 10:00:00 -0000", _TEN),
        (b"Wed, 15 Jan 2025 10:00:00 +0000 (\xf9\xf2)", _TEN),
        (b"Thu, 13 Feb 1969 23:32:54 -0330", -27_723_426),
        (b"Wed, 15 Jan 99999 10:00:00 +0000", None),
        (b"Wed, 15 Jan 2025 10:00:00 +999999", None),
        (b"31 Dec 9999 23:59:59 -2359", 253_402_387_139),
        (b"<HR>", None),
        (b"", None),
    ],
)
def test_dates_of_mails(value: bytes, expected: int | None) -> None:
    assert dates.mail_date(value) == expected


@given(st.datetimes(), st.sampled_from([None, b"Pacific/Kiritimati", b"America/New_York"]))
def test_a_date_is_off_by_its_zone_at_most(moment: datetime, zone_name: bytes | None) -> None:
    date = dates.calendar_date(moment.strftime("%4Y%m%dT%H%M%S").encode(), zone_name)
    if date is not None:
        seconds = moment.replace(tzinfo=UTC, microsecond=0).timestamp()
        assert abs(date - seconds) <= timedelta(hours=24).total_seconds()


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_no_bytes_are_too_odd(value: bytes, zone_name: bytes) -> None:
    dates.calendar_date(value, zone_name)
    dates.calendar_date(b"20250115T100000", zone_name)
    dates.mail_date(value)
    dates.mail_date(b"Wed, 15 Jan 2025 10:00:" + value)


@given(
    st.from_regex(r"\A[A-Za-z]{0,4},? ?\d{0,12} [A-Z][a-z]{2} \d{0,12} [\d:.]{0,12} [+-]?\w{0,9}\Z")
)
def test_nothing_like_a_date_is_too_odd(text: str) -> None:
    dates.mail_date(text.encode())
