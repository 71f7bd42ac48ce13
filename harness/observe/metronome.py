"""
Ticks a hundred times a second and keeps by how much the latest tick of all was late.

A tick that comes a tenth of a second late means that this process did not run in between: the whole machine stood still
(a paused virtual machine), or others had the processors. It explains a verdict; it decides none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.clock import NS_PER_S, Clock

TICK_S = 0.01


class Metronome:
    """A thread that ticks; `longest_gap_s` may be asked from any other one."""

    def __init__(self, clock: Clock, wait: Callable[[float], bool] | None = None) -> None:
        """wait: waits so many seconds, says whether to stop; tests hand in their own."""
        self._clock = clock
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._longest_ns = 0
        self._thread = threading.Thread(target=self.work, name="metronome", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, limit_s: float = 5.0) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def longest_gap_s(self) -> float:
        """By how many seconds the latest tick since the last question was late."""
        longest_ns, self._longest_ns = self._longest_ns, 0
        return longest_ns / NS_PER_S

    def work(self) -> None:
        """Tick until told to stop."""
        last_ns = self._clock.now_ns()
        while not self._wait(TICK_S):
            now_ns = self._clock.now_ns()
            self._longest_ns = max(self._longest_ns, now_ns - last_ns - round(TICK_S * NS_PER_S))
            last_ns = now_ns
