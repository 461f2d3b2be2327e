"""The accounts of devices at a Mosquitto with its dynamic security plugin, kept right."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

from gateway import broker_accounts
from gateway.accounts import ShutOuts
from gateway.broker_accounts import (
    LISTED_MAX,
    AccountError,
    Answer,
    Command,
    Differences,
    NotConnectedError,
)
from gateway.control import ControlTopic
from gateway.counters import Counters
from sync_protocol.topics import Topics

_LOG: Final = logging.getLogger(__name__)

# After the plugin did not answer, or refused something.
RETRY_S: Final = 60.0

T = TypeVar("T")


class DynamicSecurity:
    """See `Accounts`.

    Each time that the gateway is connected, all accounts are compared with the devices that are
    enrolled, in a thread of its own: what was done while the broker was away, or behind our back,
    or was broken off by a crash, is set right then.
    """

    def __init__(
        self,
        control: ControlTopic,
        *,
        topics: Topics,
        enrolled: Callable[[], Mapping[str, Sequence[str]]],
        unsettled: Callable[[], AbstractSet[str]],
        on_settled: Callable[[AbstractSet[str]], None],
        one_at_a_time: threading.Lock,
        counters: Counters,
        on_thrown_out: Callable[[str], None],
        retry_s: float = RETRY_S,
    ) -> None:
        """Nothing begins before `start`.

        Args:
            control: how the plugin is asked.
            topics: of the gateway.
            enrolled: device -> its feeds.
            unsettled: devices whose accounts may be there, and are to go.
            on_settled: these are gone now.
            one_at_a_time: held while a device comes, changes or goes, and taken here to compare:
                an account is made before its device is enrolled.
            counters: of the gateway.
            on_thrown_out: a device's connection was ended, by a plugin that publishes no last will.
            retry_s: after the plugin could not be asked.
        """
        self._control = control
        self._topics = topics
        self._enrolled = enrolled
        self._unsettled = unsettled
        self._on_settled = on_settled
        self._one_at_a_time = one_at_a_time
        self._counters = counters
        self._on_thrown_out = on_thrown_out
        self._retry_s = retry_s
        self._shut_outs = ShutOuts()
        self._lock = threading.Lock()
        self._to_shut_out: set[str] = set()
        self._without_account: frozenset[str] = frozenset()
        self._strangers: frozenset[str] = frozenset()
        self._problem: str | None = None
        self._to_compare = False
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="accounts", daemon=True)
        control.on_open = self.recheck

    def start(self) -> None:
        """See `Accounts`."""
        self._thread.start()

    def close(self) -> None:
        """See `Accounts`."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    # See `Accounts`

    @property
    def are_made(self) -> bool:
        """See `Accounts`."""
        return True

    def check_free(self, device: str, *, may_be_left: bool) -> None:
        """See `Accounts`."""
        there = self._control.ask(broker_accounts.look_up(device))
        broker_accounts.check_may_take(there, self._topics, device, may_be_left=may_be_left)

    def is_stranger(self, device: str) -> bool:
        """See `Accounts`."""
        there = self._control.ask(broker_accounts.look_up(device))
        return broker_accounts.is_stranger(there, self._topics, device)

    def set_up(self, device: str, feeds: Sequence[str], secret: str) -> None:
        """See `Accounts`."""
        try:
            answers = self._control.ask(broker_accounts.set_up(self._topics, device, feeds, secret))
            broker_accounts.check_set_up(answers)
        except AccountError:
            self.recheck()  # a part of it may have been done
            raise
        self._on_thrown_out(device)
        with self._lock:
            self._without_account -= {device}
        if self._shut_outs.left_s(device):  # it was for whoever had the secret before
            self._shut_outs.forget(device)
            self.recheck()

    def changed(self, device: str) -> None:
        """See `Accounts`."""

    def removed(self, device: str) -> bool:
        """See `Accounts`."""
        self._shut_outs.forget(device)
        with self._lock:
            self._without_account -= {device}
            self._strangers -= {device}
        try:
            self._done(broker_accounts.take_away(device))
        except AccountError as error:
            _LOG.warning("the account of device %s is still at the broker: %s", device, error)
            self.recheck()
            return False
        self._on_thrown_out(device)
        return True

    def recheck(self) -> None:
        """See `Accounts`."""
        self._to_compare = True
        self._wake.set()

    def shut_out(self, device: str, seconds: float) -> None:
        """See `Accounts`."""
        self._counters.count("devices shut out")
        self._shut_outs.add(device, seconds)
        with self._lock:
            self._to_shut_out.add(device)
        self._wake.set()

    def shut_out_s(self, device: str) -> float:
        """See `Accounts`."""
        return self._shut_outs.left_s(device)

    def without_account(self) -> Sequence[str]:
        """See `Accounts`."""
        with self._lock:
            return sorted(self._without_account)

    def problems(self) -> Sequence[str]:
        """See `Accounts`."""
        problem = self._problem
        problems = [] if problem is None else [problem]
        with self._lock:
            strangers = sorted(self._strangers)
        if strangers:
            problems.append(broker_accounts.strangers_in_words(strangers))
        return problems

    # The thread

    def _run(self) -> None:
        wait_s: float | None = None
        while not self._closing:
            self._wake.wait(wait_s)
            self._wake.clear()
            try:
                self._let_in_and_out()
                if self._to_compare and not self._closing:
                    self._to_compare = False
                    self._compare()
            except NotConnectedError:
                pass  # all are compared once the gateway is connected
            except AccountError as error:
                self._failed(str(error))
            except Exception as error:
                _LOG.exception("the accounts of the broker could not be compared")
                self._failed(f"the accounts of the broker could not be compared ({error})")
            wait_s = self._shut_outs.next_s()
            if self._problem is not None:
                wait_s = self._retry_s if wait_s is None else min(wait_s, self._retry_s)

    def _failed(self, problem: str) -> None:
        if problem != self._problem:
            self._counters.count("broker accounts not set right")
            _LOG.warning("%s", problem)
        self._problem = problem
        self._to_compare = True

    def _let_in_and_out(self) -> None:
        # Not while one of them goes and another device of that name comes.
        with self._one_at_a_time:
            over = [it for it in self._shut_outs.devices() if not self._shut_outs.left_s(it)]
            for device in over:
                self._shut_outs.forget(device)
            with self._lock:
                # Who went meanwhile, or whose time is over already, is not shut out any more.
                out, self._to_shut_out = self._to_shut_out & self._shut_outs.devices(), set()
            commands = [broker_accounts.shut_out(device) for device in sorted(out)]
            commands += [broker_accounts.let_in(device) for device in sorted(over)]
            try:
                self._done(commands)
            except AccountError:
                # Who is to be let in is found by the next comparison; who is to be kept out is not.
                with self._lock:
                    self._to_shut_out |= out
                raise
        for device in out:
            self._on_thrown_out(device)

    def _done(self, commands: Sequence[Command]) -> None:
        for answer in self._control.ask(commands):
            broker_accounts.check(answer)

    def _compare(self) -> None:
        """Have the broker let in those who are enrolled, and not those who are known to be gone."""
        with self._one_at_a_time:
            unsettled = self._unsettled()
            differences = self._differences(unsettled)
            self._done(differences.commands)
            self._on_settled(unsettled)
            with self._lock:
                strangers_before = self._strangers
                self._without_account = frozenset(differences.without_account)
                self._strangers = frozenset(differences.strangers)
        self._problem = None
        if set(differences.strangers) - strangers_before:
            _LOG.warning("%s", broker_accounts.strangers_in_words(differences.strangers))
        for device in differences.removed:
            self._on_thrown_out(device)
            self._counters.count("accounts of no device taken away")
            _LOG.warning("the broker still had an account of %s, which is not enrolled", device)

    def _differences(self, unsettled: AbstractSet[str]) -> Differences:
        clients = self._all(broker_accounts.list_clients, broker_accounts.clients)
        roles = self._all(broker_accounts.list_roles, broker_accounts.roles)
        return broker_accounts.compare(
            self._topics,
            self._enrolled(),
            unsettled=unsettled,
            listed_clients=clients,
            listed_roles=roles,
            kept_out=self._shut_outs.devices(),
        )

    def _all(
        self, page_from: Callable[[int], Command], read: Callable[[Answer], Sequence[T]]
    ) -> Sequence[T]:
        """All of a list of the plugin. AccountError."""
        found: list[T] = []
        while True:
            (answer,) = self._control.ask([page_from(len(found))])
            page = read(answer)
            found += page
            if not page:
                return found
            if len(found) > LISTED_MAX:
                raise AccountError(
                    f"the broker has more than {LISTED_MAX} accounts or roles, so the gateway does"
                    " not compare them with its devices: delete those that nobody uses"
                )
