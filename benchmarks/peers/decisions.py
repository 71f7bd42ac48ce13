"""
Which decisions each library takes where Resilience4j's are recorded: admitted or refused, call by call.

A library is given the configuration as near as its own options come: those that count consecutive failures open after
as many as the rate makes of the minimum. Calls overlap as recorded. Virtual time is put where each library looks for it.
"""

from __future__ import annotations

import datetime as dt
import math
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from services.resilience import replay, replicas

GOLDEN = Path(__file__).parents[2] / "tests" / "resilience" / "golden"
CALLS = {"acquire", "tryAcquire", "success", "error", "result", "advance"}


class Failed(Exception):
    """The protected function's failure."""


class Peer(Protocol):
    """One breaker of some library."""

    def admit(self) -> bool:
        """Ask for one call."""

    def end(self, duration_ns: int, *, failed: bool) -> None:
        """End the call that began first of those under way."""


class Time:
    """Virtual seconds and dates, in every guise in which the libraries ask for them."""

    now_ns: ClassVar[int] = 0

    @classmethod
    def seconds(cls) -> float:
        return cls.now_ns / 1e9

    monotonic = time = seconds

    class Date(dt.datetime):
        """`datetime` whose now is the virtual one."""

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return dt.datetime.fromtimestamp(Time.seconds(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return dt.datetime.fromtimestamp(Time.seconds(), dt.UTC).replace(tzinfo=None)


def wait_s(config: dict[str, Any]) -> float:
    growth = config.get("waitIntervalExponential", {})
    return config.get("waitDurationInOpenStateMillis", growth.get("initialMillis", 0)) / 1000


def failures(config: dict[str, Any]) -> int:
    """Consecutive failures that come nearest to the rate."""
    minimum = config["minimumNumberOfCalls"]
    if config["slidingWindowType"] == "COUNT_BASED":
        minimum = min(minimum, config["slidingWindowSize"])
    return max(1, math.ceil(config["failureRateThreshold"] * minimum / 100))


class Ours:
    """This library, by the same two questions."""

    def __init__(self, config: dict[str, Any]) -> None:
        replica = replicas.BreakerReplica(config)
        self._breaker = replica._breaker
        self._clock = replica._clock

    def admit(self) -> bool:
        self._clock.advance(Time.now_ns - self._clock.now_ns())
        return self._breaker.try_acquire()

    def end(self, duration_ns: int, *, failed: bool) -> None:
        self._clock.advance(Time.now_ns - self._clock.now_ns())
        if failed:
            self._breaker.on_error(duration_ns, replicas._Recorded())
        else:
            self._breaker.on_success(duration_ns)


class Circuitbreaker:
    """fabfuel's circuitbreaker."""

    def __init__(self, config: dict[str, Any]) -> None:
        import circuitbreaker

        circuitbreaker.monotonic = Time.seconds
        self._breaker = circuitbreaker.CircuitBreaker(failures(config), wait_s(config), Failed, "trace")

    def admit(self) -> bool:
        return not self._breaker.opened

    def end(self, duration_ns: int, *, failed: bool) -> None:
        error = Failed() if failed else None
        self._breaker.__exit__(type(error) if error else None, error, None)


class Interlock:
    """interlock-cb's state machine, told outcomes as its engine tells them: slow from the threshold on."""

    def __init__(self, config: dict[str, Any]) -> None:
        import interlock
        from interlock._state_machine import StateMachine

        count = config["slidingWindowType"] == "COUNT_BASED"
        minimum, size = config["minimumNumberOfCalls"], config["slidingWindowSize"]
        growth = config.get("waitIntervalExponential", {})
        permitted = config["permittedNumberOfCallsInHalfOpenState"]
        translated = interlock.Config(
            failure_rate_threshold=config["failureRateThreshold"] / 100,
            minimum_number_of_calls=min(minimum, size) if count else minimum,
            slow_call_duration_threshold=config["slowCallDurationThresholdNanos"] / 1e9,
            slow_call_rate_threshold=config["slowCallRateThreshold"] / 100,
            permitted_calls_in_half_open=permitted,
            max_concurrent_probes=permitted,
            wait_duration_in_open=wait_s(config),
            wait_duration_backoff_multiplier=growth.get("multiplier", 1.0),
            wait_duration_in_open_max=growth["maxMillis"] / 1000 if growth else None,
            window_type=interlock.WindowType.COUNT_BASED if count else interlock.WindowType.TIME_BASED,
            window_size=size,
        )
        self._slow_ns = config["slowCallDurationThresholdNanos"]
        self._machine = StateMachine(config=translated, clock=Time, initial_state=interlock.State.CLOSED)
        self._begun: deque[int] = deque()

    def admit(self) -> bool:
        admitted = self._machine.acquire()
        if admitted:
            self._begun.append(self._machine.generation)
        return admitted

    def end(self, duration_ns: int, *, failed: bool) -> None:
        from interlock.outcome import Outcome

        names = {(False, False): "SUCCESS", (True, False): "FAILURE"}
        slow = duration_ns >= self._slow_ns
        outcome = Outcome[names.get((failed, slow)) or ("SLOW_FAILURE" if failed else "SLOW_SUCCESS")]
        self._machine.record(outcome, generation=self._begun.popleft())


class Pyresilience:
    """pyresilience with its count window, which stands for both kinds."""

    def __init__(self, config: dict[str, Any]) -> None:
        import pyresilience
        from pyresilience import _circuit_breaker

        _circuit_breaker._monotonic = Time.seconds
        size = config["slidingWindowSize"]
        translated = pyresilience.CircuitBreakerConfig(
            recovery_timeout=wait_s(config),
            success_threshold=config["permittedNumberOfCallsInHalfOpenState"],
            sliding_window_size=size,
            failure_rate_threshold=config["failureRateThreshold"] / 100,
            minimum_calls=min(config["minimumNumberOfCalls"], size),
            slow_call_duration=config["slowCallDurationThresholdNanos"] / 1e9,
            slow_call_rate_threshold=config["slowCallRateThreshold"] / 100,
        )
        self._breaker = _circuit_breaker.CircuitBreaker(translated)

    def admit(self) -> bool:
        return self._breaker.allow_request()

    def end(self, duration_ns: int, *, failed: bool) -> None:
        (self._breaker.record_failure if failed else self._breaker.record_success)(duration_ns / 1e9)


class Blocks:
    """A library whose call is a `with` block: one is kept open for each call under way."""

    def __init__(self) -> None:
        self._open: deque[Any] = deque()

    def block(self) -> Any:
        """A context manager that refuses by raising at its start."""
        raise NotImplementedError

    def admit(self) -> bool:
        block = self.block()
        try:
            block.__enter__()
        except Exception:
            return False
        self._open.append(block)
        return True

    def end(self, duration_ns: int, *, failed: bool) -> None:
        error = Failed() if failed else None
        try:
            self._open.popleft().__exit__(type(error) if error else None, error, None)
        except Exception:
            pass  # the failure comes out again, or as the library's own that it has opened


class Purgatory(Blocks):
    """purgatory's synchronous side."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        import purgatory
        from purgatory.domain import model

        model.time = Time
        self._factory = purgatory.SyncCircuitBreakerFactory(failures(config), wait_s(config))

    def block(self) -> Any:
        return self._factory.get_breaker("trace")


class Pybreaker(Blocks):
    """pybreaker."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        import pybreaker

        module = sys.modules[pybreaker.CircuitBreaker.__module__]
        module.datetime = Time.Date
        self._breaker = pybreaker.CircuitBreaker(failures(config), wait_s(config))

    def block(self) -> Any:
        return self._breaker.calling()


class Aiobreaker(Blocks):
    """aiobreaker's asynchronous side, its coroutines led by hand."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        import aiobreaker
        from aiobreaker import circuitbreaker, state

        circuitbreaker.datetime = state.datetime = Time.Date
        span = dt.timedelta(seconds=wait_s(config))
        self._breaker = aiobreaker.CircuitBreaker(failures(config), span)

    @contextmanager
    def block(self) -> Iterator[None]:
        @types.coroutine
        def until_told() -> Iterator[None]:
            yield

        call = self._breaker.call_async(until_told)
        call.send(None)
        try:
            yield
        except Failed as error:
            call.throw(error)
        else:
            try:
                call.send(None)
            except StopIteration:
                pass


PEERS: dict[str, Callable[[dict[str, Any]], Peer]] = {
    "ours": Ours,
    "interlock-cb": Interlock,
    "pyresilience": Pyresilience,
    "circuitbreaker": Circuitbreaker,
    "pybreaker": Pybreaker,
    "aiobreaker": Aiobreaker,
    "purgatory": Purgatory,
}


@dataclass(slots=True)
class Agreement:
    """How far a library's decisions are Resilience4j's."""

    traces: int = 0
    traces_alike: int = 0
    calls: int = 0
    calls_alike: int = 0


def comparable(trace: dict[str, Any]) -> bool:
    """Whether any breaker can be put through it: calls and time alone, beginning closed, each end after a beginning."""
    under_way = 0
    for operation, look in trace["steps"]:
        if operation[0] not in CALLS or (len(operation) > 2 and operation[2] in {"tripFor", "tripNoWait", "ignored"}):
            return False
        if operation[0] in {"acquire", "tryAcquire"}:
            under_way += look["result"] == "ok"
        elif operation[0] != "advance":
            under_way -= 1
        if under_way < 0:
            return False
    return trace["config"].get("initialState", "CLOSED") == "CLOSED"


def recorded_traces() -> list[dict[str, Any]]:
    """The shipped recordings of the breaker."""
    files = (GOLDEN / "circuitbreaker.jsonl.gz", GOLDEN / "circuitbreaker-scenarios.jsonl")
    return [trace for file in files for trace in replay.read_traces(file)]


def decides_alike(make: Callable[[dict[str, Any]], Peer], trace: dict[str, Any], into: Agreement) -> None:
    """Put one library through one trace. A call that Resilience4j refused does not take place."""
    Time.now_ns = trace["config"]["startEpochNanos"]
    peer, alike, under_way = make(trace["config"]), True, 0
    into.traces += 1
    for operation, look in trace["steps"]:
        match operation:
            case ["acquire" | "tryAcquire"]:
                admitted = peer.admit()
                into.calls += 1
                into.calls_alike += admitted == (look["result"] == "ok")
                alike &= admitted == (look["result"] == "ok")
                under_way += admitted
            case ["advance", span_ns]:
                Time.now_ns += span_ns
            case [_, duration_ns, *kind] if under_way:
                peer.end(duration_ns, failed=kind in (["recorded"], ["failure"]))
                under_way -= 1
    for _ in range(under_way):  # what is still under way, or its end would come with the garbage
        peer.end(0, failed=False)
    into.traces_alike += alike


def agreements(peers: dict[str, Callable[[dict[str, Any]], Peer]], step: int = 1) -> dict[str, dict[str, Agreement]]:
    """For each library and kind of window, over every step-th comparable trace."""
    table: dict[str, dict[str, Agreement]] = {}
    for trace in [one for one in recorded_traces() if comparable(one)][::step]:
        for name, make in peers.items():
            kinds = table.setdefault(name, {"COUNT_BASED": Agreement(), "TIME_BASED": Agreement()})
            decides_alike(make, trace, kinds[trace["config"]["slidingWindowType"]])
    return table


def importable() -> tuple[dict[str, Callable[[dict[str, Any]], Peer]], dict[str, str]]:
    """The libraries that are here, and why the others are not."""
    config = next(trace for trace in recorded_traces() if comparable(trace))["config"]
    found, missing = {}, {}
    for name, make in PEERS.items():
        try:
            make(config)
        except ImportError as error:
            missing[name] = f"no module {error.name}"
        else:
            found[name] = make
    return found, missing
