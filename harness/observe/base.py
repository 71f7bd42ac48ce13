"""
What every observer is: something that looks at the running system again and again and writes down what it saw.

An observer has no opinion. When it gets no answer it writes that down too: silence is evidence.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from harness.clock import NS_PER_S, Clock

Add = Callable[[str, Sequence[object]], None]
"""Writes one row into the journal: table, values. Safe from any thread."""


class Observer(Protocol):
    """Looks at the system until told to stop."""

    def start(self) -> None: ...

    def stop(self) -> None:
        """Look once more, then end; may be called twice."""
        ...


class Periodic:
    """A thread that calls `look` every period_s, and once more when it is stopped."""

    def __init__(self, name: str, period_s: float, look: Callable[[], None], clock: Clock) -> None:
        self._period_s = period_s
        self._look = look
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, limit_s: float = 5.0) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def _work(self) -> None:
        next_ns = self._clock.now_ns()
        while not self._stopping.is_set():
            self._look()
            next_ns += round(self._period_s * NS_PER_S)
            late = self._clock.now_ns() - next_ns
            if late > 0:
                next_ns += late
            self._stopping.wait(max(0.0, (next_ns - self._clock.now_ns()) / NS_PER_S))
        self._look()
