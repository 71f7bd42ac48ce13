"""A count that many threads raise at little cost: one append each, summed when somebody looks or many have come."""

from __future__ import annotations

import threading

_ONES_MAX = 1024


class Tally:
    """A number that only grows. `lock` is the owner's and must not be held by who calls."""

    __slots__ = ("_lock", "_ones", "_sum")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._ones: list[None] = []
        self._sum = 0

    def add_one(self) -> None:
        """One more."""
        ones = self._ones
        ones.append(None)
        if len(ones) >= _ONES_MAX:
            self.total()

    def total(self) -> int:
        """The number now."""
        with self._lock:
            count = len(self._ones)  # another thread may append meanwhile: that is for the next time
            del self._ones[:count]
            self._sum += count
            return self._sum
