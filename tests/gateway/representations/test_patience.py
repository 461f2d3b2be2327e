"""A renderer that hangs time after time is left alone for a while."""

from gateway.representations.patience import HANGS_MAX, PAUSE_S, Patience


def test_after_some_hangs_in_a_row_it_is_left_alone_for_a_while() -> None:
    patience = Patience()
    for number in range(HANGS_MAX):
        assert not patience.is_over("slow/contact", now=number)
        patience.hung("slow/contact", now=number)
    last = HANGS_MAX - 1
    assert patience.is_over("slow/contact", now=last)
    assert patience.is_over("slow/contact", now=last + PAUSE_S - 1)
    assert not patience.is_over("slow/mail", now=last)
    # It is tried once, and if it hangs again it is left alone again.
    assert not patience.is_over("slow/contact", now=last + PAUSE_S)
    patience.hung("slow/contact", now=last + PAUSE_S)
    assert patience.is_over("slow/contact", now=last + PAUSE_S)


def test_one_that_answers_is_trusted_again() -> None:
    patience = Patience()
    for _ in range(HANGS_MAX - 1):
        patience.hung("slow/contact", now=0)
    patience.answered("slow/contact")
    patience.hung("slow/contact", now=0)
    assert not patience.is_over("slow/contact", now=0)
