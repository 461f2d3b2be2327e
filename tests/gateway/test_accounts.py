"""What is done at a broker where it is ours, and where its accounts are made by hand."""

from gateway.accounts import AccountsByHand, EmbeddedAccounts, ShutOuts
from gateway.counters import Counters


def test_by_hand_nothing_can_be_done_and_that_is_counted() -> None:
    counters = Counters()
    accounts = AccountsByHand(counters=counters)
    accounts.shut_out("phone", 60)
    assert accounts.shut_out_s("phone") == 0
    assert counters.read() == {"devices that could not be shut out": 1}
    assert accounts.removed("phone")


def test_our_own_broker_is_told_who_has_to_go() -> None:
    counters, gone = Counters(), list[str]()
    accounts = EmbeddedAccounts(gone.append, counters=counters)
    accounts.set_up("phone", ["f"], "secret")
    assert gone == []
    accounts.changed("phone")
    accounts.shut_out("phone", 60)
    assert 0 < accounts.shut_out_s("phone") <= 60
    assert accounts.shut_out_s("tablet") == 0
    accounts.removed("phone")
    assert gone == ["phone"] * 3
    assert accounts.shut_out_s("phone") == 0  # the next of that name is another
    assert counters.read() == {"devices shut out": 1}


def test_whoever_has_the_next_secret_is_not_shut_out() -> None:
    accounts = EmbeddedAccounts(lambda _: None, counters=Counters())
    accounts.shut_out("phone", 60)
    accounts.changed("phone")
    assert accounts.shut_out_s("phone") == 0


class TestShutOuts:
    def test_they_end(self) -> None:
        now = [100.0]
        shut_outs = ShutOuts(lambda: now[0])
        assert shut_outs.next_s() is None
        shut_outs.add("a", 10)
        shut_outs.add("b", 5)
        assert shut_outs.next_s() == 5
        now[0] = 106.0
        assert (shut_outs.left_s("a"), shut_outs.left_s("b"), shut_outs.next_s()) == (4, 0, 0)
        shut_outs.forget("b")
        assert shut_outs.devices() == {"a"}
        assert shut_outs.next_s() == 4

    def test_a_shorter_one_ends_no_longer_one(self) -> None:
        shut_outs = ShutOuts(lambda: 0.0)
        for seconds in (10, 1, 20):
            shut_outs.add("a", seconds)
        assert shut_outs.left_s("a") == 20
        shut_outs.add("a", 1)
        assert shut_outs.left_s("a") == 20
