"""
Keeps by how much the latest tick of all was late.

A tick that comes a tenth of a second late means that this process did not run in between: the whole machine stood still
(a paused virtual machine), or others had the processors. It explains a verdict; it decides none.
"""

from __future__ import annotations

from harness.clock import NS_PER_S, Clock

TICK_S = 0.01


class Metronome:
    """To be ticked every TICK_S; `longest_gap_s` may be asked from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ns: int | None = None
        self._longest_ns = 0

    def tick(self) -> None:
        now_ns = self._clock.now_ns()
        if self._last_ns is not None:
            self._longest_ns = max(self._longest_ns, now_ns - self._last_ns - round(TICK_S * NS_PER_S))
        self._last_ns = now_ns

    def longest_gap_s(self) -> float:
        """By how many seconds the latest tick since the last question was late."""
        longest_ns, self._longest_ns = self._longest_ns, 0
        return longest_ns / NS_PER_S
