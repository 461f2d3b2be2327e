"""A link that loses, doubles and reorders pushes, and loses and doubles answers."""

import threading
from collections import Counter
from random import Random

from gateway.notifier import Push
from gateway.outbound import Outbound
from gateway.responder import Response

PUSH_LOSS = 0.3
ANSWER_LOSS = 0.15
DOUBLE = 0.15
HELD_BACK_MAX = 4


class LossyLink:
    """What is wrong with the link, whatever gateway sends over it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.counts: Counter[str] = Counter()
        self.calm = False
        self.lock = threading.Lock()

    def wrap(self, inner: Outbound) -> Outbound:
        """The outbound of one run of the gateway."""
        return _LossyOutbound(inner, self)

    def happens(self, what: str, probability: float) -> bool:
        """Whether it does, this time; not on a calm link."""
        if self.calm or self.random.random() >= probability:
            return False
        self.counts[what] += 1
        return True


class _LossyOutbound:
    def __init__(self, inner: Outbound, link: LossyLink) -> None:
        self._inner = inner
        self._link = link
        self._held_back: list[tuple[str, Push]] = []

    def push(self, feed: str, push: Push) -> bool:
        link = self._link
        with link.lock:
            if link.happens("pushes lost", PUSH_LOSS):
                return True
            copies = 2 if link.happens("pushes doubled", DOUBLE) else 1
            self._held_back += [(feed, push)] * copies
            link.random.shuffle(self._held_back)
            keep = 0 if link.calm else HELD_BACK_MAX
            while len(self._held_back) > keep:
                self._inner.push(*self._held_back.pop())
        return True

    def answer(self, device: str, feed: str, payload: bytes, response: Response) -> None:
        link = self._link
        with link.lock:
            if link.happens("answers lost", ANSWER_LOSS):
                return
            copies = 2 if link.happens("answers doubled", DOUBLE) else 1
        for _ in range(copies):
            self._inner.answer(device, feed, payload, response)
