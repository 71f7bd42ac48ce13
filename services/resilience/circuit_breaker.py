"""
The circuit breaker: Resilience4j's state machine, and its two shells.

Decisions, counters, events and their order are those of Resilience4j 2.4.0 (R4J: CircuitBreakerStateMachine.java,
CircuitBreakerMetrics.java), held to it by recorded answers of the real one. Three of its defects are not copied, see
the README (D1 to D3). The lock is held for bookkeeping only, never while foreign code runs.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from services.resilience.breaker_config import CircuitBreakerConfig, State, TransitionToOpen, WindowType
from services.resilience.call_times import CallTimes
from services.resilience.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock, Timer
from services.resilience.errors import CallNotPermitted, IllegalStateTransition, ResultRecordedAsFailure
from services.resilience.events import EventLog, error_text
from services.resilience.rates import NO_RATE, least_count, rate_percent, reaches, to_float32
from services.resilience.windows import FAILED, SLOW, SUCCEEDED, CountWindow, TimeWindow, Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")

EVENT_TYPES = (
    "SUCCESS",
    "ERROR",
    "IGNORED_ERROR",
    "NOT_PERMITTED",
    "STATE_TRANSITION",
    "RESET",
    "FAILURE_RATE_EXCEEDED",
    "SLOW_CALL_RATE_EXCEEDED",
)

_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
_SILENT = (State.DISABLED, State.FORCED_OPEN)
_FORBIDDEN = {
    (State.CLOSED, State.HALF_OPEN),
    (State.METRICS_ONLY, State.OPEN),
    (State.METRICS_ONLY, State.HALF_OPEN),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerMetrics:
    """What a breaker's current window holds. Rates in percent, -1.0 while there are too few calls for one."""

    failure_rate: float
    slow_call_rate: float
    buffered_calls: int
    failed_calls: int
    slow_calls: int
    slow_failed_calls: int
    not_permitted_calls: int


class CircuitBreaker:
    """One breaker. Safe under threads and from several event loops; `call` and `call_sync` may be mixed.

    Who runs the work elsewhere uses the parts: `acquire`, then exactly one of `on_result`, `on_error`, `release`.
    """

    def __init__(self, name: str, config: CircuitBreakerConfig | None = None, clock: Clock | None = None) -> None:
        self.name = name
        self.config = config or CircuitBreakerConfig()
        self.clock: Clock = clock or SystemClock()
        self._now_ns = self.clock.now_ns
        self._lock = threading.Lock()
        self.events = EventLog(self.clock, self._lock, self.config.event_consumer_buffer_size)
        self._append = self.events.append
        self._outbox = self.events.outbox
        self.successful = CallTimes()
        self.failed = CallTimes()
        self.ignored = CallTimes()
        self.not_permitted_total = 0
        self._slow_ns = self.config.slow_call_duration_threshold_ns
        self._failure_limit = to_float32(self.config.failure_rate_threshold)
        self._slow_limit = to_float32(self.config.slow_call_rate_threshold)
        self._takes_any_result = self.config.record_result is None and self.config.transition_on_result is None
        self._timer: Timer | None = None
        self._state = _CLOSED
        self._attempts = 0
        self._until_ns = 0
        self._permits = 0
        self._not_permitted = 0
        self._told_failure_rate = False
        self._told_slow_rate = False
        self._window = self._new_window()
        if self.config.initial_state is not _CLOSED:
            self._enter(self.config.initial_state, 0)

    # -- asking ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state now. OPEN stays OPEN until a call comes after the wait, unless the transition is automatic."""
        return self._state

    @property
    def metrics(self) -> BreakerMetrics:
        """What the window holds now."""
        with self._lock:
            window = self._window
            window.refresh(self._now_ns())
            has_rate = window.calls >= window.minimum
            return BreakerMetrics(
                failure_rate=rate_percent(window.failed, window.calls) if has_rate else NO_RATE,
                slow_call_rate=rate_percent(window.slow, window.calls) if has_rate else NO_RATE,
                buffered_calls=window.calls,
                failed_calls=window.failed,
                slow_calls=window.slow,
                slow_failed_calls=window.slow_failed,
                not_permitted_calls=self._not_permitted,
            )

    # -- the shells --------------------------------------------------------------------------------------------

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) if the breaker permits it, and take note of how it ends.

        Raises CallNotPermitted instead of calling. Cancellation gives the permit back and counts as nothing.
        """
        if self._state is not _CLOSED:
            self.acquire()
        started_ns = self._now_ns()
        try:
            result = await fn(*args, **kwargs)
        except Exception as error:
            self.on_error(self._now_ns() - started_ns, error)
            raise
        except BaseException:
            self.release()
            raise
        if self._takes_any_result:
            self.on_success(self._now_ns() - started_ns)
        else:
            self.on_result(self._now_ns() - started_ns, result)
        return result

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) if the breaker permits it, and take note of how it ends. As `call`, without an event loop."""
        if self._state is not _CLOSED:
            self.acquire()
        started_ns = self._now_ns()
        try:
            result = fn(*args, **kwargs)
        except Exception as error:
            self.on_error(self._now_ns() - started_ns, error)
            raise
        except BaseException:
            self.release()
            raise
        if self._takes_any_result:
            self.on_success(self._now_ns() - started_ns)
        else:
            self.on_result(self._now_ns() - started_ns, result)
        return result

    # -- permits -----------------------------------------------------------------------------------------------

    def try_acquire(self) -> bool:
        """Ask for one call; False is a refusal, counted and told as NOT_PERMITTED. May move OPEN to HALF_OPEN."""
        with self._lock:
            permitted = self._admit()
            if not permitted:
                self._not_permitted += 1
                if self._state not in _SILENT:
                    self.not_permitted_total += 1
                    self._append("NOT_PERMITTED", self._now_ns())
        self.events.deliver()
        return permitted

    def acquire(self) -> None:
        """Ask for one call. Raises CallNotPermitted."""
        if not self.try_acquire():
            raise CallNotPermitted(self.name, self._state.value, self._retry_after_s())

    def release(self) -> None:
        """Give a permit back without an outcome. Adds one in HALF_OPEN, without a cap; nothing elsewhere."""
        with self._lock:
            self._release()

    # -- outcomes: they go to the state that is current when the call ends -------------------------------------------

    def on_result(self, duration_ns: int, result: object) -> None:
        """A call returned: a success, or a failure if the recordResult predicate says so."""
        config = self.config
        if config.record_result is not None and result is not None and config.record_result(result):
            self._recorded(FAILED, duration_ns, ResultRecordedAsFailure(self.name, result), result)
        elif config.transition_on_result is not None:
            self._recorded(SUCCEEDED, duration_ns, None, result)
        else:
            self.on_success(duration_ns)

    def on_success(self, duration_ns: int) -> None:
        """A call ended well after duration_ns."""
        now_ns = self._now_ns()
        with self._lock:
            if self._state is _CLOSED or self._state not in _SILENT:
                self.successful.add(duration_ns, now_ns)
                self._append("SUCCESS", now_ns, duration_ns)
                outcome = SLOW if duration_ns > self._slow_ns else SUCCEEDED
                if self._window.record(outcome, now_ns):  # else no total has changed, so no verdict has
                    self._decide(now_ns)
        if self._outbox:
            self.events.deliver()

    def on_error(self, duration_ns: int, error: BaseException) -> None:
        """A call raised: ignored (permit given back), a failure, or, if `record` does not match, a success."""
        if self.config.ignore(error):
            self._ignored(duration_ns, error)
        elif self.config.record(error):
            self._recorded(FAILED, duration_ns, error, None)
        else:
            self._recorded(SUCCEEDED, duration_ns, error, None)

    # -- by hand -----------------------------------------------------------------------------------------------

    def transition_to(self, state: State) -> None:
        """Go to a state. To the one it is in: start that state anew, silently. Raises IllegalStateTransition."""
        with self._lock:
            self._move(state)
        self.events.deliver()

    def transition_to_open_for(self, wait_ms: int) -> None:
        """Go to OPEN for wait_ms milliseconds, whatever the configured wait."""
        with self._lock:
            self._move(_OPEN, until_ns=self._now_ns() + wait_ms * NS_PER_MS)
        self.events.deliver()

    def transition_to_open_until(self, until_ns: int) -> None:
        """Go to OPEN until the clock shows until_ns."""
        with self._lock:
            self._move(_OPEN, until_ns=until_ns)
        self.events.deliver()

    def reset(self) -> None:
        """Back to CLOSED with nothing counted, from any state."""
        with self._lock:
            source = self._state
            self._enter(_CLOSED, 0)
            if source is not _CLOSED:
                self._append_transition(source)
            self._append("RESET", self._now_ns())
        self.events.deliver()

    # -- below here the lock is held -------------------------------------------------------------------------------

    def _admit(self) -> bool:
        now_ns = self._now_ns()
        if self._state is _OPEN and now_ns > self._until_ns:
            self._move(_HALF_OPEN)
        elif self._state is _HALF_OPEN and 0 < self._until_ns < now_ns:
            self._leave_half_open()  # the timer is late, or there is nobody to run it
        if self._state is _HALF_OPEN:
            if self._permits <= 0:
                return False
            self._permits -= 1
            return True
        return self._state is not _OPEN and self._state is not State.FORCED_OPEN

    def _release(self) -> None:
        if self._state is _HALF_OPEN:
            self._permits += 1

    def _decide(self, now_ns: int) -> None:
        state = self._state
        if state is _OPEN:
            return
        failures, slow = self._exceeded()
        if state is _HALF_OPEN:
            if failures or slow:
                self._move(_OPEN)
            elif self._window.calls >= self._window.minimum:
                self._move(_CLOSED)
        elif failures or slow:
            self._tell_rates(failures, slow, now_ns)
            if state is _CLOSED:
                self._move(_OPEN)

    def _exceeded(self) -> tuple[bool, bool]:
        window = self._window
        calls = window.calls
        if calls < window.minimum:
            return False, False
        if calls == self._full_calls:
            return window.failed >= self._full_failed, window.slow >= self._full_slow
        return reaches(window.failed, calls, self._failure_limit), reaches(window.slow, calls, self._slow_limit)

    def _tell_rates(self, failures: bool, slow: bool, now_ns: int) -> None:
        window = self._window
        if failures and not self._told_failure_rate:
            self._told_failure_rate = True
            self._append("FAILURE_RATE_EXCEEDED", now_ns, detail=rate_percent(window.failed, window.calls))
        if slow and not self._told_slow_rate:
            self._told_slow_rate = True
            self._append("SLOW_CALL_RATE_EXCEEDED", now_ns, detail=rate_percent(window.slow, window.calls))

    def _move(self, target: State, until_ns: int | None = None) -> None:
        source = self._state
        if (source, target) in _FORBIDDEN:
            raise IllegalStateTransition(self.name, source, target)
        if (target is _OPEN and until_ns is None) or target is State.FORCED_OPEN:
            attempts = self._attempts + 1
        else:
            attempts = self._attempts if target in (_OPEN, _HALF_OPEN) else 0
        self._enter(target, attempts, until_ns)
        if source is not target:
            self._append_transition(source)

    def _enter(self, state: State, attempts: int, until_ns: int | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        source, self._state, self._attempts = self._state, state, attempts
        if state is _OPEN:
            self._enter_open(source, until_ns)
            return
        self._not_permitted = 0
        self._told_failure_rate = self._told_slow_rate = False
        self._until_ns = 0
        if state is _HALF_OPEN:
            self._enter_half_open()
        else:
            self._window = self._new_window()

    def _enter_open(self, source: State, until_ns: int | None) -> None:
        # The window is inherited, so that the rates that opened the breaker stay to be seen.
        if source in _SILENT:
            self._window = self._new_window()
        now_ns = self._now_ns()
        self._until_ns = (
            now_ns + self.config.wait_interval(self._attempts) * NS_PER_MS if until_ns is None else until_ns
        )
        if self.config.automatic_transition_from_open_to_half_open:
            self._start_timer((self._until_ns - now_ns) // NS_PER_MS * NS_PER_MS, _OPEN)

    def _enter_half_open(self) -> None:
        config = self.config
        self._permits = permitted = config.permitted_number_of_calls_in_half_open_state
        self._window = CountWindow(permitted, config.minimum_number_of_calls)
        self._measure(permitted)
        if config.max_wait_duration_in_half_open_state_ms > 0:
            wait_ns = config.max_wait_duration_in_half_open_state_ms * NS_PER_MS
            self._until_ns = self._now_ns() + wait_ns
            self._start_timer(wait_ns, _HALF_OPEN)

    def _leave_half_open(self) -> None:
        self._move(self.config.transition_to_state_after_wait_duration)

    def _new_window(self) -> Window:
        config = self.config
        size, minimum = config.sliding_window_size, config.minimum_number_of_calls
        if config.sliding_window_type is WindowType.TIME_BASED:
            self._full_calls = -1
            return TimeWindow(size, minimum, self._now_ns())
        self._measure(size)
        return CountWindow(size, minimum)

    def _measure(self, size: int) -> None:
        """Work out once what a full window has to hold to trip, so that each call compares two integers."""
        self._full_calls = size
        self._full_failed = least_count(self._failure_limit, size)
        self._full_slow = least_count(self._slow_limit, size)

    def _start_timer(self, wait_ns: int, state: State) -> None:
        def fire() -> None:
            with self._lock:
                if self._timer is not timer or self._state is not state:
                    return
                if state is _OPEN:
                    self._move(_HALF_OPEN)
                else:
                    self._leave_half_open()
            self.events.deliver()

        self._timer = timer = self.clock.schedule(wait_ns, fire)

    def _append_transition(self, source: State) -> None:
        self._append("STATE_TRANSITION", self._now_ns(), detail=f"{source}_TO_{self._state}")

    # -- and here it is not --------------------------------------------------------------------------------------

    def _ignored(self, duration_ns: int, error: BaseException) -> None:
        text = error_text(error)
        now_ns = self._now_ns()
        with self._lock:
            self._release()
            if self._state not in _SILENT:
                self.ignored.add(duration_ns, now_ns)
                self._append("IGNORED_ERROR", now_ns, duration_ns, text)
        self.events.deliver()

    def _recorded(self, outcome: int, duration_ns: int, error: BaseException | None, result: object) -> None:
        text = None if error is None or outcome != FAILED else error_text(error)
        wish = self._wish(result, error)
        now_ns = self._now_ns()
        with self._lock:
            if self._state not in _SILENT:
                (self.failed if outcome == FAILED else self.successful).add(duration_ns, now_ns)
                self._append("ERROR" if outcome == FAILED else "SUCCESS", now_ns, duration_ns, text)
                if self._window.record(outcome | SLOW if duration_ns > self._slow_ns else outcome, now_ns):
                    self._decide(now_ns)
            if wish is not None and self._state is _CLOSED:
                self._move(_OPEN, None if wish.wait_ms is None else now_ns + wish.wait_ms * NS_PER_MS)
        self.events.deliver()

    def _wish(self, result: object, error: BaseException | None) -> TransitionToOpen | None:
        predicate = self.config.transition_on_result
        return None if predicate is None else predicate(result, error)

    def _retry_after_s(self) -> float | None:
        with self._lock:
            if self._state is not _OPEN:
                return None
            return max(self._until_ns - self._now_ns(), 0) / NS_PER_S
