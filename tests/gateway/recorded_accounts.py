"""A broker's side that notes what it is asked, and refuses it if it is told to."""

from collections.abc import Callable, Collection, Sequence

from gateway.accounts import AccountsByHand
from gateway.broker_accounts import AccountTakenError, NotConnectedError
from gateway.counters import Counters
from gateway.service import Service


class Recorded(AccountsByHand):
    """What was asked, of which device, and whether the store knew the secret by then."""

    def __init__(self, service: Service) -> None:
        super().__init__(counters=Counters())
        self._service = service
        self.asked: list[tuple[str, str, bool]] = []
        self.refuses = False
        self.meanwhile: Callable[[], None] = lambda: None
        self.missing: Sequence[str] = ()
        self.strangers: Collection[str] = ()

    @property
    def are_made(self) -> bool:
        return True

    def check_free(self, device: str, *, may_be_left: bool) -> None:
        if device in self.strangers and not may_be_left:
            raise AccountTakenError(device, is_stranger=True)

    def is_stranger(self, device: str) -> bool:
        return device in self.strangers

    def set_up(self, device: str, feeds: Sequence[str], secret: str) -> None:
        del feeds
        if self.refuses:
            raise NotConnectedError
        self._note("set up", device, secret)
        self.meanwhile()

    def changed(self, device: str) -> None:
        self._note("changed", device, "")

    def removed(self, device: str) -> bool:
        self._note("removed", device, "")
        return not self.refuses

    def shut_out(self, device: str, seconds: float) -> None:
        del seconds
        self._note("shut out", device, "")

    def without_account(self) -> Sequence[str]:
        return self.missing

    def problems(self) -> Sequence[str]:
        return ["the plugin is silent"] if self.refuses else []

    def _note(self, what: str, device: str, secret: str) -> None:
        is_known = self._service.devices.authenticate(device, secret)
        self.asked.append((what, device, is_known))
