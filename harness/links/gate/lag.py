"""
How late the gate's own event loop is: the part of every delay on the wire that would be the gate's fault.

A ticker asks to be called every 10 ms and notes how much later it was called.
"""

from __future__ import annotations

from array import array

from harness.clock import NS_PER_MS

TICK_S = 0.01


class Lag:
    """Collects lateness; summary() tells of the last second, total() of everything."""

    def __init__(self) -> None:
        self._recent = array("d")
        self._all = array("d")

    def note(self, late_ns: int) -> None:
        """One tick came late_ns later than asked for."""
        self._recent.append(max(0, late_ns) / NS_PER_MS)

    def summary(self) -> dict[str, float]:
        """p99 and maximum of the ticks since the last call, in ms, and how many there were."""
        recent, self._recent = self._recent, array("d")
        self._all.extend(recent)
        return _summary(recent)

    def total(self) -> dict[str, float]:
        """The same over the whole life of the gate."""
        self.summary()
        return _summary(self._all)


def _summary(late_ms: array[float]) -> dict[str, float]:
    if not late_ms:
        return {"p99_ms": 0.0, "max_ms": 0.0, "samples": 0}
    ordered = sorted(late_ms)
    p99 = ordered[max(0, -(-len(ordered) * 99 // 100) - 1)]
    return {"p99_ms": round(p99, 3), "max_ms": round(ordered[-1], 3), "samples": len(ordered)}
