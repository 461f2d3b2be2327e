"""Who has to wait before a password is looked at again."""

import pytest

from gateway import login_backoff
from gateway.login_backoff import BACKOFF_S, BACKOFF_S_MAX, FREE_FAILURES, LoginBackoff

PHONE = ("127.0.0.1", "phone")


@pytest.fixture
def backoff() -> LoginBackoff:
    return LoginBackoff(b"key")


def fail(backoff: LoginBackoff, times: int, *, now: float = 0) -> None:
    for number in range(times):
        backoff.wrong(PHONE, f"guess {number}", now=now)


def test_a_few_failures_are_free(backoff: LoginBackoff) -> None:
    fail(backoff, FREE_FAILURES - 1)
    assert backoff.wait_s(PHONE, "guess", now=0) == 0
    fail(backoff, 1)
    assert backoff.wait_s(PHONE, "guess", now=0) == BACKOFF_S
    assert backoff.wait_s(PHONE, "guess", now=BACKOFF_S) == 0


def test_then_each_doubles_the_wait_up_to_a_bound(backoff: LoginBackoff) -> None:
    fail(backoff, FREE_FAILURES - 1)
    waits = []
    for _ in range(9):
        fail(backoff, 1)
        waits.append(backoff.wait_s(PHONE, "guess", now=0))
    assert waits == [1, 2, 4, 8, 16, 32, BACKOFF_S_MAX, BACKOFF_S_MAX, BACKOFF_S_MAX]
    fail(backoff, 10_000)
    assert backoff.wait_s(PHONE, "guess", now=0) == BACKOFF_S_MAX


def test_others_are_not_affected(backoff: LoginBackoff) -> None:
    fail(backoff, 100)
    assert backoff.wait_s(("127.0.0.1", "tablet"), "secret", now=0) == 0
    assert backoff.wait_s(("127.0.0.2", "phone"), "secret", now=0) == 0


def test_a_success_ends_it(backoff: LoginBackoff) -> None:
    fail(backoff, 100)
    backoff.right(PHONE, "secret")
    assert backoff.wait_s(PHONE, "guess", now=0) == 0
    fail(backoff, FREE_FAILURES - 1)
    assert backoff.wait_s(PHONE, "guess", now=0) == 0


def test_who_guesses_does_not_keep_the_device_out(backoff: LoginBackoff) -> None:
    backoff.right(PHONE, "secret")
    fail(backoff, 100)
    assert backoff.wait_s(PHONE, "guess", now=0) == BACKOFF_S_MAX
    assert backoff.wait_s(PHONE, "secret", now=0) == 0


def test_a_password_that_is_right_no_longer_waits_as_any_other(backoff: LoginBackoff) -> None:
    backoff.right(PHONE, "old")
    fail(backoff, 100)
    backoff.wrong(PHONE, "old", now=0)  # it was looked at
    assert backoff.wait_s(PHONE, "old", now=0) == BACKOFF_S_MAX


def test_any_text_is_a_password(backoff: LoginBackoff) -> None:
    backoff.right(PHONE, "\ud800\0ä")
    fail(backoff, 100)
    assert backoff.wait_s(PHONE, "\ud800\0ä", now=0) == 0
    assert backoff.wait_s(PHONE, "\ud801\0ä", now=0) > 0


def test_so_many_sources_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_backoff, "SOURCES_MAX", 2)
    backoff = LoginBackoff(b"key")
    backoff.right(PHONE, "secret")
    fail(backoff, 100)
    for user in ("a", "b"):
        backoff.wrong(("127.0.0.1", user), "guess", now=0)
    assert backoff.wait_s(PHONE, "guess", now=0) == 0
    # Names that are made up push out no password that was right.
    fail(backoff, 100)
    assert backoff.wait_s(PHONE, "guess", now=0) > 0
    assert backoff.wait_s(PHONE, "secret", now=0) == 0
