"""
Health: what a service says of itself, put together from indicators.

UP, DEGRADED, DOWN or UNKNOWN. The whole is DOWN if a critical indicator is DOWN, else DEGRADED if any indicator is not
UP, else UP; only DOWN is HTTP 503. So a service whose neighbour is out stays in rotation and still says so. (Spring puts
things together differently, by its list of known words: readers of Spring services must not use this rule.)
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from services.resilience.breaker_config import State
from services.resilience.errors import ConfigError, Problem
from services.resilience.locks import fork_safe_lock
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from services.resilience.circuit_breaker import CircuitBreaker

READINESS, LIVENESS, STARTUP = "readiness", "liveness", "startup"
GROUPS = (LIVENESS, READINESS, STARTUP)


class Status(Enum):
    """How something is."""

    UP = "UP"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one indicator says: a status, and details for people."""

    status: Status
    details: Mapping[str, Any] = field(default_factory=dict)


Told: TypeAlias = "Reading | Status | bool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """One thing to look at: check() tells a Reading, a Status, or True for UP and False for DOWN; plain or async.

    What it raises, and taking longer than timeout_s, is DOWN. A plain check runs in a thread of its own so that the
    limit holds; with timeout_s None it is called in place, for what only reads memory. groups are the ones of
    /health/GROUP it counts in; the whole counts all.
    """

    name: str
    check: Callable[[], Told | Awaitable[Told]]
    critical: bool = False
    timeout_s: float | None = 1.0
    groups: Collection[str] = (READINESS,)

    def __post_init__(self) -> None:
        checks = Checks()
        for group in self.groups:
            checks.one_of(f"health.{self.name}.groups", group, GROUPS)
        checks.at_least(f"health.{self.name}.timeout", 1.0 if self.timeout_s is None else self.timeout_s, 0.001, "s")
        checks.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the whole is, or one group, and each of its indicators by name."""

    status: Status
    readings: Mapping[str, Reading]

    @property
    def http_status(self) -> int:
        """503 for DOWN, else 200."""
        return 503 if self.status is Status.DOWN else 200

    def shown(self) -> dict[str, Any]:
        """As Spring's Actuator shows it: `status`, and `components` with their details."""
        return {
            "status": self.status.value,
            "components": {
                name: {"status": one.status.value, **({"details": dict(one.details)} if one.details else {})}
                for name, one in self.readings.items()
            },
        }


def aggregate(readings: Collection[tuple[bool, Status]]) -> Status:
    """The status of a whole out of (critical, status) pairs; a whole of nothing is UP."""
    if any(critical and status is Status.DOWN for critical, status in readings):
        return Status.DOWN
    return Status.UP if all(status is Status.UP for _, status in readings) else Status.DEGRADED


def breaker_status(state: State, *, critical: bool = False) -> Status:
    """What a breaker's state says of a service that calls through it."""
    if state in (State.OPEN, State.HALF_OPEN):
        return Status.DOWN if critical else Status.DEGRADED
    if state is State.FORCED_OPEN:
        return Status.DOWN
    return Status.UNKNOWN if state is State.DISABLED else Status.UP


def breaker_indicator(breaker: CircuitBreaker, *, critical: bool = False, groups: Collection[str] = ()) -> Indicator:
    """A breaker as an indicator; by default of the whole alone: an open circuit is no reason to send callers elsewhere."""

    def check() -> Reading:
        state = breaker.state
        return Reading(status=breaker_status(state, critical=critical), details={"state": state.value})

    return Indicator(name=breaker.name, check=check, critical=critical, timeout_s=None, groups=groups)


class Health:
    """The indicators of one service. Each is looked at anew for every report, all side by side.

    A check that has not come back is not started once more: it is DOWN until it does. Raises ConfigError for two
    indicators of one name.
    """

    def __init__(self, indicators: Collection[Indicator] = ()) -> None:
        self._indicators: dict[str, Indicator] = {}
        self._hanging: set[str] = set()
        self._lock = fork_safe_lock()
        for indicator in indicators:
            self.add(indicator)

    def add(self, indicator: Indicator) -> None:
        """One more indicator. Raises ConfigError if there is one of that name."""
        with self._lock:
            if indicator.name in self._indicators:
                raise ConfigError([Problem(key=f"health.{indicator.name}", message="is there twice")])
            self._indicators[indicator.name] = indicator

    async def report(self, group: str | None = None) -> Report:
        """The whole, or one group of GROUPS. Raises KeyError for any other group."""
        if group is not None and group not in GROUPS:
            raise KeyError(f"there is no health group {group!r}, must be one of {', '.join(GROUPS)}")
        with self._lock:
            wanted = [one for one in self._indicators.values() if group is None or group in one.groups]
        told = await asyncio.gather(*(self._look(one) for one in wanted))
        return Report(
            status=aggregate([(one.critical, reading.status) for one, reading in zip(wanted, told, strict=True)]),
            readings={one.name: reading for one, reading in zip(wanted, told, strict=True)},
        )

    def report_sync(self, group: str | None = None) -> Report:
        """As `report`, where no event loop runs."""
        return asyncio.run(self.report(group))

    async def to_json(self, group: str | None = None) -> dict[str, Any]:
        """What /actuator/health answers, or /actuator/health/GROUP. Raises KeyError for a group that does not exist."""
        shown = (await self.report(group)).shown()
        return {**shown, "groups": list(GROUPS)} if group is None else shown

    async def _look(self, one: Indicator) -> Reading:
        try:
            async with asyncio.timeout(one.timeout_s):
                return _reading(await self._ask(one))
        except TimeoutError as problem:
            late = f"no answer within {one.timeout_s:g} s" if one.timeout_s is not None else _text(problem)
            return Reading(status=Status.DOWN, details={"error": str(problem) or late})
        except Exception as problem:  # who cannot say how it is is not well
            return Reading(status=Status.DOWN, details={"error": _text(problem)})

    async def _ask(self, one: Indicator) -> Told:
        in_place = one.timeout_s is None or inspect.iscoroutinefunction(one.check)
        told = one.check() if in_place else await self._in_thread(one)
        return await told if inspect.isawaitable(told) else told

    async def _in_thread(self, one: Indicator) -> Told | Awaitable[Told]:
        with self._lock:
            if one.name in self._hanging:
                raise TimeoutError("the last check has not come back")
            self._hanging.add(one.name)
        outcome: Future[Told | Awaitable[Told]] = Future()
        outcome.set_running_or_notify_cancel()  # giving up on it must not take it away from its thread

        def run() -> None:
            try:
                told: Any = one.check()
            except Exception as problem:
                told = Reading(status=Status.DOWN, details={"error": _text(problem)})
            with self._lock:
                self._hanging.discard(one.name)
            outcome.set_result(told)

        threading.Thread(target=run, name=f"health-{one.name}", daemon=True).start()
        return await asyncio.wrap_future(outcome)


def _reading(told: Told) -> Reading:
    if isinstance(told, Reading):
        return told
    if isinstance(told, Status):
        return Reading(status=told)
    return Reading(status=Status.UP if told else Status.DOWN)


def _text(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"
