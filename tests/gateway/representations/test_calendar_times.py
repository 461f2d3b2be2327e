from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.representations import calendar_times
from gateway.representations.calendar_times import Moment, duration_text, zone_named

_TEN = datetime(2025, 1, 15, 10)  # noqa: DTZ001 - local


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("/mozilla.org/20070129_1/America/New_York", "America/New_York"),
        ("/a.example/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("UTC", "Etc/UTC"),
        ("Nowhere/Nothing", None),
        ("../../etc/passwd", None),
        ("\0", None),
        ("", None),
    ],
)
def test_names_of_zones(name: str, expected: str | None) -> None:
    assert zone_named(name) == expected


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(), "PT0S"),
        (timedelta(minutes=90), "PT1H30M"),
        (timedelta(days=1), "P1D"),
        (timedelta(days=1, seconds=5), "P1DT5S"),
        (timedelta(minutes=-15), "-PT15M"),
    ],
)
def test_durations(duration: timedelta, expected: str) -> None:
    assert duration_text(duration) == expected


def test_a_moment_in_another_zone() -> None:
    moment = Moment(_TEN, "Europe/Berlin", is_day=False)
    assert moment.at("Asia/Tokyo").text == "2025-01-15T18:00:00"
    assert moment.at(None) == moment
    assert Moment(_TEN, None, is_day=False).at("Asia/Tokyo").text == "2025-01-15T10:00:00"
    assert Moment(_TEN, "Asia/Tokyo", is_day=True).at("Europe/Berlin").text == "2025-01-15T10:00:00"
    last = Moment(datetime(9999, 12, 31, 23, 59, 59), "Etc/UTC", is_day=False)  # noqa: DTZ001 - local
    assert last.at("Asia/Tokyo").text == "9999-12-31T23:59:59"


def test_how_long_it_is_between_zones() -> None:
    begin = Moment(_TEN, "Europe/Berlin", is_day=False)
    end = Moment(_TEN, "Europe/London", is_day=False)
    assert begin.until(end) == timedelta(hours=1)
    assert begin.until(Moment(_TEN, None, is_day=False)) == timedelta()


def test_moments_of_values() -> None:
    assert calendar_times.moment_of(date(2025, 1, 15)) == Moment(
        _TEN.replace(hour=0), None, is_day=True
    )
    assert calendar_times.moment_of(_TEN.replace(tzinfo=UTC)) == Moment(
        _TEN, "Etc/UTC", is_day=False
    )
    assert calendar_times.moment_of("x") is None
    assert calendar_times.utc_text(_TEN, "Europe/Berlin") == "2025-01-15T09:00:00Z"
    assert calendar_times.utc_text(_TEN) is None
