"""
The circuit breaker's state machine: six states, their windows, permits and waits, and nothing that calls or locks.

Decisions, counters, events and their order are those of Resilience4j 2.4.0 (R4J: CircuitBreakerStateMachine.java,
CircuitBreakerMetrics.java). Three of its defects are not copied, see the README (D1 to D3). Not thread-safe: the
breaker's lock is held around every method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.resilience.breaker_config import CircuitBreakerConfig, State, TransitionToOpen, WindowType
from services.resilience.call_times import Call, CallTimes
from services.resilience.clock import NS_PER_MS, NS_PER_S, Clock, Timer
from services.resilience.errors import IllegalStateTransition
from services.resilience.rates import least_count, rate_percent, reaches, to_float32
from services.resilience.windows import FAILED, SLOW, SUCCEEDED, CountWindow, TimeWindow, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.resilience.events import EventLog

_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
_SILENT = (State.DISABLED, State.FORCED_OPEN)
_FORBIDDEN = {
    (State.CLOSED, State.HALF_OPEN),
    (State.METRICS_ONLY, State.OPEN),
    (State.METRICS_ONLY, State.HALF_OPEN),
}


class BreakerCore:
    """What one breaker knows and decides. `guarded` runs a timer's work under the owner's lock."""

    def __init__(
        self,
        name: str,
        config: CircuitBreakerConfig,
        clock: Clock,
        events: EventLog,
        guarded: Callable[[Callable[[], None]], None],
    ) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        self._append = events.append
        self._append_all = events.append_all
        self._guarded = guarded
        self.successful = CallTimes()
        self.failed = CallTimes()
        self.ignored = CallTimes()
        self.not_permitted_total = 0
        self.not_permitted = 0
        self.slow_ns = config.slow_call_duration_threshold_ns
        self._failure_limit = to_float32(config.failure_rate_threshold)
        self._slow_limit = to_float32(config.slow_call_rate_threshold)
        self._timer: Timer | None = None
        self.state = _CLOSED
        self._attempts = 0
        self._until_ns = 0
        self._permits = 0
        self._told_failure_rate = False
        self._told_slow_rate = False
        self.window = self._new_window()
        if config.initial_state is not _CLOSED:
            # Beginning in one of these counts as the first opening: the wait of the next is the second.
            began_open = config.initial_state in (_OPEN, _HALF_OPEN, State.FORCED_OPEN)
            self.enter(config.initial_state, 1 if began_open else 0)

    # -- admission ---------------------------------------------------------------------------------------------

    def admit(self) -> bool:
        """Ask for one call; a refusal is counted and told. May move OPEN to HALF_OPEN."""
        now_ns = self.clock.now_ns()
        permitted = self._admit(now_ns)
        if not permitted:
            self.not_permitted += 1
            if self.state not in _SILENT:
                self.not_permitted_total += 1
                self._append("NOT_PERMITTED", now_ns)
        return permitted

    def release(self) -> None:
        """Give a permit back: one more in HALF_OPEN, without a cap; nothing elsewhere."""
        if self.state is _HALF_OPEN:
            self._permits += 1

    def retry_after_s(self) -> float | None:
        """Seconds until a call may be let through, None where nobody can know."""
        return max(self._until_ns - self.clock.now_ns(), 0) / NS_PER_S if self.state is _OPEN else None

    def _admit(self, now_ns: int) -> bool:
        if self.state is _OPEN and now_ns > self._until_ns:
            self.move(_HALF_OPEN)
        elif self.state is _HALF_OPEN and 0 < self._until_ns < now_ns:
            self._leave_half_open()  # the timer is late, or there is nobody to run it
        if self.state is _HALF_OPEN:
            if self._permits <= 0:
                return False
            self._permits -= 1
            return True
        return self.state is not _OPEN and self.state is not State.FORCED_OPEN

    # -- outcomes: they go to the state that is current when the call ends -------------------------------------------

    def record(self, outcome: int, duration_ns: int, now_ns: int, error: str | None = None) -> None:
        """Take in a call that ended at now_ns as SUCCEEDED or FAILED; `error` is the failure's text."""
        if self.state in _SILENT:
            return
        if outcome == FAILED:
            self.failed.add(duration_ns, now_ns)
            self._append("ERROR", now_ns, duration_ns, error)
        else:
            self.successful.add(duration_ns, now_ns)
            self._append("SUCCESS", now_ns, duration_ns)
        if self.window.record(outcome | SLOW if duration_ns > self.slow_ns else outcome, now_ns):
            self._decide(now_ns)  # else no total has changed, so no verdict has

    def record_successes(self, calls: Sequence[Call]) -> None:
        """Take in calls that were quick and went well. As `record` would one by one."""
        if self.success_decides_nothing():
            self.successful.add_all(calls)
            self._append_all(calls)
            self.window.record_successes(calls)
        else:
            for _, now_ns, duration_ns in calls:
                self.record(SUCCEEDED, duration_ns, self.window.not_before(now_ns))

    def success_decides_nothing(self) -> bool:
        """Whether no number of quick successes can move this breaker. False if it is not quite clear.

        In CLOSED they cannot while there is neither failure nor slow call in the window. Nor can they in a count
        window that has its minimum of calls: it has not opened the breaker, and successes only lower its rates.
        """
        window = self.window
        return self.state is _CLOSED and (
            not (window.failed or window.slow) or (self._full_calls > 0 and window.calls >= window.minimum)
        )

    def ignore(self, duration_ns: int, now_ns: int, error: str) -> None:
        """Take in a call that counts as nothing: its permit is given back."""
        self.release()
        if self.state not in _SILENT:
            self.ignored.add(duration_ns, now_ns)
            self._append("IGNORED_ERROR", now_ns, duration_ns, error)

    def grant(self, wish: TransitionToOpen, now_ns: int) -> None:
        """Do what a transitionOnResult predicate wishes; in CLOSED only."""
        if self.state is _CLOSED:
            self.move(_OPEN, None if wish.wait_ms is None else now_ns + wish.wait_ms * NS_PER_MS)

    # -- verdicts ----------------------------------------------------------------------------------------------

    def _decide(self, now_ns: int) -> None:
        state = self.state
        if state is _OPEN:
            return
        failures, slow = self._exceeded()
        if state is _HALF_OPEN:
            if failures or slow:
                self.move(_OPEN)
            elif self.window.calls >= self.window.minimum:
                self.move(_CLOSED)
        elif failures or slow:
            self._tell_rates(failures, slow, now_ns)
            if state is _CLOSED:
                self.move(_OPEN)

    def _exceeded(self) -> tuple[bool, bool]:
        window = self.window
        calls = window.calls
        if calls < window.minimum:
            return False, False
        if calls == self._full_calls:
            return window.failed >= self._full_failed, window.slow >= self._full_slow
        return reaches(window.failed, calls, self._failure_limit), reaches(window.slow, calls, self._slow_limit)

    def _tell_rates(self, failures: bool, slow: bool, now_ns: int) -> None:
        window = self.window
        if failures and not self._told_failure_rate:
            self._told_failure_rate = True
            self._append("FAILURE_RATE_EXCEEDED", now_ns, detail=rate_percent(window.failed, window.calls))
        if slow and not self._told_slow_rate:
            self._told_slow_rate = True
            self._append("SLOW_CALL_RATE_EXCEEDED", now_ns, detail=rate_percent(window.slow, window.calls))

    # -- states ------------------------------------------------------------------------------------------------

    def move(self, target: State, until_ns: int | None = None) -> None:
        """Go to a state, OPEN until until_ns if given. Raises IllegalStateTransition."""
        source = self.state
        if (source, target) in _FORBIDDEN:
            raise IllegalStateTransition(self.name, source, target)
        if (target is _OPEN and until_ns is None) or target is State.FORCED_OPEN:
            attempts = self._attempts + 1
        else:
            attempts = self._attempts if target in (_OPEN, _HALF_OPEN) else 0
        self.enter(target, attempts, until_ns)
        self._tell_transition(source)

    def reset(self) -> None:
        """Back to CLOSED with nothing counted, from any state."""
        source = self.state
        self.enter(_CLOSED, 0)
        self._tell_transition(source)
        self._append("RESET", self.clock.now_ns())

    def enter(self, state: State, attempts: int, until_ns: int | None = None) -> None:
        """Start a state anew, silently."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        source, self.state, self._attempts = self.state, state, attempts
        if state is _OPEN:
            self._enter_open(source, until_ns)
            return
        self.not_permitted = 0
        self._told_failure_rate = self._told_slow_rate = False
        self._until_ns = 0
        if state is _HALF_OPEN:
            self._enter_half_open()
        else:
            self.window = self._new_window()

    def _enter_open(self, source: State, until_ns: int | None) -> None:
        # The window is inherited, so that the rates that opened the breaker stay to be seen.
        if source in _SILENT:
            self.window = self._new_window()
        now_ns = self.clock.now_ns()
        self._until_ns = (
            now_ns + self.config.wait_interval(self._attempts) * NS_PER_MS if until_ns is None else until_ns
        )
        if self.config.automatic_transition_from_open_to_half_open:
            self._start_timer((self._until_ns - now_ns) // NS_PER_MS * NS_PER_MS, _OPEN)

    def _enter_half_open(self) -> None:
        config = self.config
        self._permits = permitted = config.permitted_number_of_calls_in_half_open_state
        self.window = CountWindow(permitted, config.minimum_number_of_calls)
        self._measure(permitted)
        if config.max_wait_duration_in_half_open_state_ms > 0:
            wait_ns = config.max_wait_duration_in_half_open_state_ms * NS_PER_MS
            self._until_ns = self.clock.now_ns() + wait_ns
            self._start_timer(wait_ns, _HALF_OPEN)

    def _leave_half_open(self) -> None:
        self.move(self.config.transition_to_state_after_wait_duration)

    def _new_window(self) -> Window:
        config = self.config
        size, minimum = config.sliding_window_size, config.minimum_number_of_calls
        if config.sliding_window_type is WindowType.TIME_BASED:
            self._full_calls = -1
            return TimeWindow(size, minimum, self.clock.now_ns())
        self._measure(size)
        return CountWindow(size, minimum)

    def _measure(self, size: int) -> None:
        """Work out once what a full window has to hold to trip, so that each call compares two integers."""
        self._full_calls = size
        self._full_failed = least_count(self._failure_limit, size)
        self._full_slow = least_count(self._slow_limit, size)

    def _start_timer(self, wait_ns: int, state: State) -> None:
        def leave() -> None:
            if self._timer is not timer or self.state is not state:
                return
            if state is _OPEN:
                self.move(_HALF_OPEN)
            else:
                self._leave_half_open()

        self._timer = timer = self.clock.schedule(wait_ns, lambda: self._guarded(leave))

    def _tell_transition(self, source: State) -> None:
        if source is not self.state:
            self._append("STATE_TRANSITION", self.clock.now_ns(), detail=f"{source}_TO_{self.state}")
