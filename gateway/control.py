"""The control topic of Mosquitto's dynamic security plugin: commands sent, and answers awaited."""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from gateway import broker_accounts
from gateway.broker_accounts import AccountError, Answer, Command, NotConnectedError

ANSWER_S_MAX: Final = 10.0
# Those that nobody has read yet; one message is asked at a time.
ANSWERS_MAX: Final = 4

_NOT_HEARD: Final = (
    "the broker does not let the gateway change its accounts: it lacks the dynamic security plugin,"
    " or the gateway's account the right; see docs/mosquitto.md, or set broker_accounts ="
    ' "by-hand"'
)
_LOST: Final = (
    "the connection to the broker was lost before it answered: whether it did what it was told is"
    " not known"
)


class ControlTopic:
    """Asks the plugin, over a connection that somebody else keeps. From any thread."""

    def __init__(self, *, answer_s_max: float = ANSWER_S_MAX) -> None:
        self._answer_s_max = answer_s_max
        self._asking = threading.Lock()
        self._numbers = itertools.count(1)
        self._answers: queue.Queue[bytes | None] = queue.Queue(ANSWERS_MAX)
        self._publish: Callable[[bytes], bool] | None = None
        self._is_refused = False
        self.on_open: Callable[[], None] = lambda: None

    # What the connection tells, in its thread.

    def opened(self, publish: Callable[[bytes], bool]) -> None:
        """The gateway is connected and hears answers; `publish` sends commands."""
        self._publish, self._is_refused = publish, False
        self.on_open()

    def refused(self) -> None:
        """The gateway is connected, and the broker does not let it hear answers."""
        self._is_refused = True
        self.on_open()

    def closed(self) -> None:
        """The connection was lost."""
        self._publish, self._is_refused = None, False
        self._put(None)

    def received(self, payload: bytes) -> None:
        """An answer came in."""
        self._put(payload)

    def _put(self, payload: bytes | None) -> None:
        try:
            self._answers.put_nowait(payload)
        except queue.Full:
            return  # nobody waits for so many

    # What others ask

    def ask(self, commands: Sequence[Command]) -> Sequence[Answer]:
        """What the plugin answers to each command.

        AccountError if it cannot be asked, or does not answer in time; then the commands may have
        been done, or not.
        """
        answers: list[Answer] = []
        with self._asking:
            for message in broker_accounts.messages(commands):
                answers += self._ask(message)
        return answers

    def _ask(self, message: Sequence[Command]) -> Sequence[Answer]:
        while not self._answers.empty():
            self._answers.get_nowait()  # what came too late
        if self._is_refused:
            raise AccountError(_NOT_HEARD)
        number = next(self._numbers)
        publish = self._publish
        if publish is None or not publish(broker_accounts.encode(message, number=number)):
            raise NotConnectedError
        deadline = time.monotonic() + self._answer_s_max
        while True:
            try:
                payload = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AccountError(
                    f"the broker's dynamic security plugin did not answer within"
                    f" {self._answer_s_max:g} s: it may have done what it was told, or not; look"
                    " at the broker's log, and try again"
                ) from None
            if payload is None:
                raise AccountError(_LOST)
            answered, answers = broker_accounts.read_answers(payload)
            if answered is None:
                broker_accounts.check(answers[0])
            if answered == number and len(answers) == len(message):
                return answers
