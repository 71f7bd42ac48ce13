"""
The circuit breaker and its shells: a call, a decorator, a `with` block, a permit; each plain and for asyncio.

What is decided stands in breaker_core.py, held to Resilience4j 2.4.0 by recorded answers of the real one. The lock is
held for bookkeeping only, never while the protected function, a predicate or a consumer runs.

Most calls of most breakers are quick, go well and follow others that did: nothing can come of them. While that is so
(`calm`) such a call is noted by one append, without the lock, and taken in before anything else is done or looked at.
So nobody can tell the difference, but that it costs half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Self, TypeVar, overload

from services.resilience import permit
from services.resilience.breaker_config import CircuitBreakerConfig, State
from services.resilience.breaker_core import BreakerCore
from services.resilience.clock import NS_PER_MS, Clock, SystemClock
from services.resilience.decorating import decorated
from services.resilience.errors import CallNotPermitted, ResultRecordedAsFailure
from services.resilience.events import NOTED_MAX, EventLog, error_text
from services.resilience.locks import fork_safe_lock
from services.resilience.rates import NO_RATE, rate_percent
from services.resilience.windows import FAILED, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.resilience.call_times import Call, CallTimes

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

_CLOSED = State.CLOSED


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
    """One breaker. Safe under threads, forks and from several event loops; all its shells may be mixed.

    Who runs the work elsewhere takes a `Permit` by `acquire`, or the parts: `try_acquire`, then exactly one of
    `on_result`, `on_error`, `release`.
    """

    counts_refusals: ClassVar[bool] = False
    """Whether it is the rule here, and no oversight, that a full bulkhead of our own is a failure: Hystrix's rule."""

    def __init__(self, name: str, config: CircuitBreakerConfig | None = None, clock: Clock | None = None) -> None:
        self.name = name
        self.config = config or CircuitBreakerConfig()
        self.clock: Clock = clock or SystemClock()
        self._now_ns = self.clock.now_ns
        self._lock = fork_safe_lock()
        self.calm = False
        self._noted: list[Call] = []
        self.events = EventLog(self.clock, self._lock, self.config.event_consumer_buffer_size, self._catch_up)
        self._core = BreakerCore(name, self.config, self.clock, self.events, self._guarded)
        self._slow_ns = self._core.slow_ns
        self._takes_any_result = self.config.record_result is None and self.config.transition_on_result is None

    # -- asking ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state now. OPEN stays OPEN until a call comes after the wait, unless the transition is automatic."""
        return self._looked_at().state

    @property
    def successful(self) -> CallTimes:
        """The calls that went well since the breaker was made."""
        return self._looked_at().successful

    @property
    def failed(self) -> CallTimes:
        """The calls that failed since the breaker was made."""
        return self._looked_at().failed

    @property
    def ignored(self) -> CallTimes:
        """The calls since the breaker was made that ended in an exception to be ignored."""
        return self._looked_at().ignored

    @property
    def not_permitted_total(self) -> int:
        """The calls refused since the breaker was made, but for those in FORCED_OPEN."""
        return self._looked_at().not_permitted_total

    @property
    def metrics(self) -> BreakerMetrics:
        """What the window holds now."""
        with self._lock:
            self._catch_up()
            core, window = self._core, self._core.window
            window.refresh(self._now_ns())
            has_rate = window.calls >= window.minimum
            return BreakerMetrics(
                failure_rate=rate_percent(window.failed, window.calls) if has_rate else NO_RATE,
                slow_call_rate=rate_percent(window.slow, window.calls) if has_rate else NO_RATE,
                buffered_calls=window.calls,
                failed_calls=window.failed,
                slow_calls=window.slow,
                slow_failed_calls=window.slow_failed,
                not_permitted_calls=core.not_permitted,
            )

    # -- the shells --------------------------------------------------------------------------------------------

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) if the breaker permits it, and take note of how it ends.

        Raises CallNotPermitted instead of calling. Cancellation gives the permit back and counts as nothing.
        """
        if not self.calm:
            self._admit()
        started_ns = self._now_ns()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self.raised(started_ns, error)
            raise
        ended_ns = self._now_ns()
        if self.calm and (duration_ns := ended_ns - started_ns) <= self._slow_ns:  # as in `returned`: a call less
            noted = self._noted
            noted.append(("SUCCESS", ended_ns, duration_ns))
            if len(noted) >= NOTED_MAX:
                self._take_in()
        else:
            self.on_result(ended_ns - started_ns, result)
        return result

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) if the breaker permits it, and take note of how it ends. As `call`, without an event loop."""
        if not self.calm:
            self._admit()
        started_ns = self._now_ns()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self.raised(started_ns, error)
            raise
        ended_ns = self._now_ns()
        if self.calm and (duration_ns := ended_ns - started_ns) <= self._slow_ns:  # as in `returned`: a call less
            noted = self._noted
            noted.append(("SUCCESS", ended_ns, duration_ns))
            if len(noted) >= NOTED_MAX:
                self._take_in()
        else:
            self.on_result(ended_ns - started_ns, result)
        return result

    @overload
    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]: ...
    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate: the function under this breaker. Coroutine functions stay coroutine functions."""
        return decorated(self, fn)

    def __enter__(self) -> Self:
        """Begin a `with` block that counts as one call; no predicate sees a result. Raises CallNotPermitted."""
        permit.enter(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        permit.leave(self, error)

    async def __aenter__(self) -> Self:
        """As `with`."""
        permit.enter(self)
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        permit.leave(self, error)

    # -- permits -----------------------------------------------------------------------------------------------

    def try_acquire(self) -> bool:
        """Ask for one call; False is a refusal, counted and told as NOT_PERMITTED. May move OPEN to HALF_OPEN."""
        with self._lock:
            self._catch_up()
            permitted = self._core.admit()
        self.events.deliver()
        return permitted

    def acquire(self) -> permit.Permit:
        """Ask for one call. Raises CallNotPermitted."""
        self._admit()
        return permit.Permit(self)

    def release(self) -> None:
        """Give a permit back without an outcome. Adds one in HALF_OPEN, without a cap; nothing elsewhere."""
        with self._lock:
            self._catch_up()
            self._core.release()
        self.events.deliver()

    # -- outcomes: they go to the state that is current when the call ends -------------------------------------------

    def on_result(self, duration_ns: int, result: object) -> None:
        """A call returned: a success, or a failure if the recordResult predicate says so."""
        if self._takes_any_result:
            self.on_success(duration_ns)
            return
        says_failure = self.config.record_result
        if says_failure is not None and result is not None and says_failure(result):
            self._record(FAILED, duration_ns, ResultRecordedAsFailure(self.name, result), result)
        else:
            self._record(SUCCEEDED, duration_ns, None, result)

    def returned(self, started_ns: int, ended_ns: int, result: object) -> None:
        """As `on_result`, for a call that was admitted at started_ns and ends now, at ended_ns."""
        duration_ns = ended_ns - started_ns
        if self.calm and duration_ns <= self._slow_ns:
            noted = self._noted
            noted.append(("SUCCESS", ended_ns, duration_ns))
            if len(noted) >= NOTED_MAX:
                self._take_in()
        else:
            self.on_result(duration_ns, result)

    def raised(self, started_ns: int, error: BaseException) -> None:
        """A call admitted at started_ns raises now: as `on_error`; what is no Exception (a cancellation) counts as nothing."""
        if isinstance(error, Exception):
            self.on_error(self._now_ns() - started_ns, error)
        else:
            self.release()

    def on_success(self, duration_ns: int) -> None:
        """A call ended well after duration_ns."""
        if self.calm and duration_ns <= self._slow_ns:
            self._noted.append(("SUCCESS", self._now_ns(), duration_ns))
            if len(self._noted) >= NOTED_MAX:
                self._take_in()
            return
        with self._lock:
            self._catch_up()
            self._core.record(SUCCEEDED, duration_ns, self._now_ns())
            self._calm_down()
        self.events.deliver()

    def on_error(self, duration_ns: int, error: BaseException) -> None:
        """A call raised: ignored (permit given back), a failure, or, if `record` does not match, a success."""
        if self.config.ignore(error):
            text = error_text(error)
            with self._lock:
                self._catch_up()
                self._core.ignore(duration_ns, self._now_ns(), text)
            self.events.deliver()
        else:
            self._record(FAILED if self.config.record(error) else SUCCEEDED, duration_ns, error, None)

    # -- by hand -----------------------------------------------------------------------------------------------

    def transition_to(self, state: State) -> None:
        """Go to a state. To the one it is in: start that state anew, silently. Raises IllegalStateTransition."""
        self._guarded(lambda: self._core.move(state))

    def transition_to_open_for(self, wait_ms: int) -> None:
        """Go to OPEN for wait_ms milliseconds, whatever the configured wait."""
        self._guarded(lambda: self._core.move(State.OPEN, self._now_ns() + wait_ms * NS_PER_MS))

    def transition_to_open_until(self, until_ns: int) -> None:
        """Go to OPEN until the clock shows until_ns."""
        self._guarded(lambda: self._core.move(State.OPEN, until_ns))

    def reset(self) -> None:
        """Back to CLOSED with nothing counted, from any state."""
        self._guarded(self._core.reset)

    # -- the lock is taken here ----------------------------------------------------------------------------------

    def _admit(self) -> None:
        if self._core.state is not _CLOSED and not self.try_acquire():
            with self._lock:
                state, retry_after_s = self._core.state, self._core.retry_after_s()
            raise CallNotPermitted(self.name, state.value, retry_after_s)

    def _record(self, outcome: int, duration_ns: int, error: BaseException | None, result: object) -> None:
        text = None if error is None or outcome != FAILED else error_text(error)
        predicate = self.config.transition_on_result
        wish = None if predicate is None else predicate(result, error)
        with self._lock:
            self._catch_up()
            now_ns = self._now_ns()
            self._core.record(outcome, duration_ns, now_ns, text)
            if wish is not None:
                self._core.grant(wish, now_ns)
            self._calm_down()
        self.events.deliver()

    def _guarded(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._catch_up()
            work()
        self.events.deliver()

    def _looked_at(self) -> BreakerCore:
        if self._noted:
            self._take_in()
        return self._core

    def _take_in(self) -> None:
        with self._lock:
            self._catch_up()
            self._calm_down()
        self.events.deliver()

    # -- and held here -------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Take in what was noted, and let nothing be noted from here on. Before everything that the lock is for."""
        self.calm = False
        noted = self._noted
        if noted:
            count = len(noted)  # another thread may append meanwhile: that is for the next time
            calls = noted[:count]
            del noted[:count]
            self._core.record_successes(calls)

    def _calm_down(self) -> None:
        """Let quick successes be noted, if none can decide anything and nobody waits to hear of them."""
        self.calm = self._takes_any_result and not self.events.heard and self._core.success_decides_nothing()
