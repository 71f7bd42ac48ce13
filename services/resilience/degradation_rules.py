"""
Rules that set degradation flags: a signal, a level, and two thresholds so that it does not flap.

A signal is a function that gives a number, or None while nothing is known: a breaker's state, the error rate or the
latency of the calls a breaker sees, or anything of one's own. Ours; Resilience4j has no such thing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.resilience.breaker_config import State
from services.resilience.clock import NS_PER_MS
from services.resilience.errors import Problem
from services.resilience.locks import fork_safe_lock
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from services.resilience.circuit_breaker import CircuitBreaker
    from services.resilience.events import Event

logger = logging.getLogger(__name__)

Signal = Callable[[], float | None]

_BY_STATE = {State.OPEN: 1.0, State.FORCED_OPEN: 1.0, State.HALF_OPEN: 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Sets a flag to `level` once the signal is enter or more, until it is leave or less.

    Either way it stays for minimum_stay_ms at least. Raises ConfigError where leave is not below enter: a signal that
    sits on one threshold would otherwise switch with each look.
    """

    name: str
    signal: Signal
    enter: float
    leave: float
    level: int = 1
    minimum_stay_ms: int = 1000

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least(f"rule {self.name}: level", self.level, 1)
        checks.at_least(f"rule {self.name}: minimumStay", self.minimum_stay_ms, 0, "ms")
        if not self.leave < self.enter:
            checks.problems.append(
                Problem(
                    key=f"rule {self.name}: leave", message=f"is {self.leave:g}, must be below enter, {self.enter:g}"
                )
            )
        checks.finish()


class RuleState:
    """Whether one rule is active, and since when. Belongs to one manager."""

    __slots__ = ("active", "last", "reason", "rule", "since_ns")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.active = False
        self.since_ns: int | None = None
        self.last: float | None = None
        self.reason = ""

    def ask(self) -> float | None:
        """What the signal says now; None where it fails."""
        try:
            return self.rule.signal()
        except Exception:
            logger.exception("the signal of rule %s failed, the flag stays as it is", self.rule.name)
            return None

    def take(self, value: float | None, now_ns: int) -> None:
        """Become active or not by what the signal said. None changes nothing."""
        self.last = value
        if value is None or not self._may_move(now_ns):
            return
        if value <= self.rule.leave if self.active else value >= self.rule.enter:
            self.active = not self.active
            self.since_ns = now_ns
            self.reason = f"{self.rule.name}: {value:g}" if self.active else ""

    def _may_move(self, now_ns: int) -> bool:
        return self.since_ns is None or now_ns - self.since_ns >= self.rule.minimum_stay_ms * NS_PER_MS

    def shown(self) -> dict[str, Any]:
        """The rule and what it sees, for the actuator."""
        return {
            "name": self.rule.name,
            "level": self.rule.level,
            "active": self.active,
            "signal": self.last,
            "enter": self.rule.enter,
            "leave": self.rule.leave,
            "minimumStayMs": self.rule.minimum_stay_ms,
        }


def breaker_state(breaker: CircuitBreaker) -> Signal:
    """A signal: 1.0 while the breaker is OPEN or FORCED_OPEN, 0.5 in HALF_OPEN, else 0.0."""
    return lambda: _BY_STATE.get(breaker.state, 0.0)


class RecentCalls:
    """The calls a breaker saw in the last window_ms, from its events: signals of error rate and latency.

    Unlike the breaker's own window it empties by itself when nobody calls, so a rule on it lets go, after window_ms, of
    a flag that keeps everybody from calling. Refused calls are none. At most `most` calls are remembered.
    """

    def __init__(
        self, breaker: CircuitBreaker, *, window_ms: int = 10_000, minimum: int = 10, most: int = 10_000
    ) -> None:
        self.window_ms = window_ms
        self.minimum = minimum
        self._clock = breaker.clock
        self._calls: deque[tuple[int, bool, int]] = deque(maxlen=most)
        self._lock = fork_safe_lock()
        self.forget = breaker.events.subscribe(self._note, types={"SUCCESS", "ERROR"})

    def error_rate(self) -> float | None:
        """Percent of calls that failed; 0.0 where there were none, None where there were too few to say."""
        calls = self._recent()
        if 0 < len(calls) < self.minimum:
            return None
        return 100.0 * sum(failed for _, failed, _ in calls) / len(calls) if calls else 0.0

    def mean_latency_ms(self) -> float | None:
        """Mean time of a call, failed ones included; 0.0 where there were none, None where there were too few to say."""
        calls = self._recent()
        if 0 < len(calls) < self.minimum:
            return None
        return sum(duration_ns for *_, duration_ns in calls) / len(calls) / NS_PER_MS if calls else 0.0

    def _note(self, event: Event) -> None:
        with self._lock:
            self._calls.append((event.monotonic_ns, event.type == "ERROR", event.duration_ns or 0))

    def _recent(self) -> list[tuple[int, bool, int]]:
        oldest_ns = self._clock.now_ns() - self.window_ms * NS_PER_MS
        with self._lock:
            while self._calls and self._calls[0][0] <= oldest_ns:
                self._calls.popleft()
            return list(self._calls)
