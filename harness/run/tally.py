"""
The few figures of a run that people watch while it goes on: rates, errors, breaker states.

Fed by the recorder with the rows it writes; read by the live view. Nothing here decides anything.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence

from harness.clock import NS_PER_S

SPAN_NS = 2 * NS_PER_S


class Tally:
    """Counts over the last two seconds. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[tuple[int, bool]] = deque()  # (end or intended, ok)
        self.breakers: dict[str, str] = {}

    def watch(self, batches: Mapping[str, Sequence[Sequence[object]]]) -> None:
        """Take a batch of rows as the recorder writes it."""
        with self._lock:
            for row in batches.get("requests", ()):
                self._recent.append((int(row[3] or row[1]), bool(row[5])))  # type: ignore[call-overload]
            for row in batches.get("probes", ()):
                if row[1] == "actuator" and row[3]:
                    states = json.loads(str(row[4])).get("breakers", {})
                    self.breakers.update({f"{row[2]}->{name}": state for name, state in states.items()})

    def rates(self, now_ns: int, running_s: float) -> tuple[float, float, float]:
        """(finished a second, finished well a second, share of errors) over the last two seconds."""
        with self._lock:
            newest = max((t for t, _ in self._recent), default=now_ns)
            while self._recent and self._recent[0][0] < newest - SPAN_NS:
                self._recent.popleft()
            finished = len(self._recent)
            good = sum(ok for _, ok in self._recent)
        span_s = max(0.5, min(SPAN_NS / NS_PER_S, running_s))
        errors = (finished - good) / finished if finished else 0.0
        return finished / span_s, good / span_s, errors
