"""How much of something may be used: so much at once, and so much a second on average."""


class TokenBucket:
    """Holds what may still be used. `now` is seconds of one clock that never goes back.

    What costs an amount that is known beforehand is taken, or not. What is known only afterwards is
    spent: then the bucket may owe something, and nothing more should begin until it does not.
    """

    __slots__ = ("_at", "_capacity", "_level", "_refill_per_s")

    def __init__(self, capacity: float, *, refill_per_s: float, now: float) -> None:
        self._capacity = capacity
        self._refill_per_s = refill_per_s
        self._level = capacity
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        """Use that much if it is there."""
        self._refill(now)
        if self._level < amount:
            return False
        self._level -= amount
        return True

    def spend(self, amount: float, now: float) -> None:
        """Note that so much was used, there or not."""
        self._refill(now)
        self._level -= amount

    def owes(self, now: float) -> bool:
        """Whether more was used than was there."""
        self._refill(now)
        return self._level < 0

    def wait_s(self, amount: float, now: float) -> float:
        """How many seconds until that much is there; 0 for nothing once nothing is owed."""
        self._refill(now)
        return max(0.0, (min(amount, self._capacity) - self._level) / self._refill_per_s)

    def fill(self, now: float) -> None:
        """Forget what was used."""
        self._level, self._at = self._capacity, now

    def _refill(self, now: float) -> None:
        # Of two threads the one that read the clock first may come second.
        passed_s = max(0.0, now - self._at)
        self._at = max(self._at, now)
        self._level = min(self._capacity, self._level + passed_s * self._refill_per_s)
