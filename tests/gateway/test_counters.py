"""Counts are exact from many threads, and bounded."""

from concurrent.futures import ThreadPoolExecutor

from gateway.counters import NAMES_MAX, Counters


def test_counts_are_sorted_by_name() -> None:
    counters = Counters()
    counters.count("requests")
    counters.count("answer bytes", 70)
    counters.count("requests")
    assert list(counters.read().items()) == [("answer bytes", 70), ("requests", 2)]


def test_what_was_read_stays_as_it_was() -> None:
    counters = Counters()
    counters.count("requests")
    read = counters.read()
    counters.count("requests")
    assert read == {"requests": 1}


def test_no_count_is_lost_between_threads() -> None:
    counters = Counters()

    def count(_thread: int) -> None:
        for _ in range(2_000):
            counters.count("requests")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert counters.read() == {"requests": 16_000}


def test_no_more_names_than_the_bound() -> None:
    counters = Counters()
    for number in range(NAMES_MAX + 5):
        counters.count(f"name {number}")
    counters.count("name 0")
    assert len(counters.read()) == NAMES_MAX
    assert counters.read()["name 0"] == 2
