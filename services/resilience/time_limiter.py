"""
The time limiter: no call may take longer than timeoutDuration.

Resilience4j's TimeLimiter (R4J: timelimiter/internal/TimeLimiterImpl.java). The asyncio shell cancels the work and
waits for its end; with cancelRunningFuture false the work goes on unseen. The sync shell can cancel nothing: it runs
the work in a thread of its own and leaves it behind. What was left behind and still runs is counted in `abandoned`.

Where a deadline travels with the request, a call has the lesser of the two, and what it calls is told so; a call
whose deadline has passed is not made at all.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from asyncio import current_task, get_running_loop
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

from services.resilience.clock import NS_PER_MS, Clock, SystemClock
from services.resilience.deadline import DEADLINE, Set, limit, restore
from services.resilience.errors import TimeLimitExceeded
from services.resilience.events import NOTED_MAX, EventLog
from services.resilience.locks import fork_safe_lock
from services.resilience.task_limits import LoopLimits, TaskLimits
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")

EVENT_TYPES = ("SUCCESS", "TIMEOUT", "ERROR")

Limited: TypeAlias = "tuple[contextvars.Token[Set | None], LoopLimits, int]"
"""A call inside the limit: the deadline outside, and under which number it is inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimiterConfig:
    """Options of one time limiter. Raises ConfigError for values out of bounds."""

    timeout_duration_ms: int = 1000
    cancel_running_future: bool = True
    event_consumer_buffer_size: int = 100
    enabled: bool = True

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("timeoutDuration", self.timeout_duration_ms, 0, "ms")
        checks.at_least("eventConsumerBufferSize", self.event_consumer_buffer_size, 1)
        checks.finish()


@dataclass(slots=True)
class TimeLimiterCounts:
    """Calls by how they ended, under the names of the metric's `kind`."""

    successful: int = 0
    failed: int = 0
    timeout: int = 0


class TimeLimiter:
    """One time limiter of `timeout_s` seconds. Any TimeoutError counts as a time-out, also one that the callee raised by itself."""

    def __init__(self, name: str, config: TimeLimiterConfig | None = None, clock: Clock | None = None) -> None:
        self.name = name
        self.config = config or TimeLimiterConfig()
        self.clock: Clock = clock or SystemClock()
        self._counts = TimeLimiterCounts()
        self.abandoned = 0
        self._lock = fork_safe_lock()
        self._heard = 0
        self.timeout_s = self.config.timeout_duration_ms / 1000
        self._limit_ns = self.config.timeout_duration_ms * NS_PER_MS
        self._running: set[asyncio.Future[Any]] = set()
        self._limits = TaskLimits()
        self._latest: LoopLimits | None = None
        self.events = EventLog(self.clock, self._lock, self.config.event_consumer_buffer_size)
        self._noted = self.events.noted  # by hand: this is done in every call

    @property
    def counts(self) -> TimeLimiterCounts:
        """Calls by how they ended, up to now."""
        self._counts.successful = self._heard + self.events.noted_total
        return self._counts

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) for at most the limit. Raises TimeLimitExceeded, a TimeoutError.

        Raises DeadlineExceeded, one of those, without calling fn when the request's deadline has passed.
        """
        if not self.config.enabled:
            return await fn(*args, **kwargs)
        limited = self.begin(self.clock.now_ns()) if self.config.cancel_running_future else None
        if limited is None:
            return await self._call_otherwise(fn, *args, **kwargs)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self.end_raised(limited, error)
            raise
        self.end_returned(limited, self.clock.now_ns())
        return result

    def begin(self, now_ns: int) -> Limited | None:
        """Limit what the running task does from now, now_ns, until one of the two ends. They are the parts of `call`.

        None, and no limit, where the request's deadline is nearer or has passed: that is for `call`. Only with
        cancelRunningFuture. Raises RuntimeError outside of a task.
        """
        outer = DEADLINE.get()
        if outer is None:
            clock = self.clock
        else:
            until_ns, clock = outer
            now_ns = clock.now_ns()
            if until_ns - now_ns <= self._limit_ns:
                return None
        loop = get_running_loop()
        task, limits = current_task(loop), self._latest
        if task is None:
            raise RuntimeError("a time limit needs a task to be in")
        if limits is None or limits.loop is not loop:
            self._latest = limits = self._limits.of(loop)
        due_s, number = limits.now_s() + self.timeout_s, next(limits.numbers)
        limits.inside[number] = (task, due_s, task.cancelling())
        if limits.timer is None:
            limits.start_timer(due_s)
        return DEADLINE.set((now_ns + self._limit_ns, clock)), limits, number

    def end_returned(self, limited: Limited, now_ns: int) -> None:
        """The work returned, now, at now_ns."""
        outside, limits, number = limited
        DEADLINE.reset(outside)
        if limits.inside.pop(number, None) is None:  # the work would not be cancelled, and answered
            limits.take_back(number)
        if self.events.heard:
            self._succeeded()
            return
        noted = self._noted
        noted.append(("SUCCESS", now_ns, None))
        if len(noted) >= NOTED_MAX:
            self.events.shorten()

    def end_raised(self, limited: Limited, error: BaseException) -> None:
        """The work raised. Raises TimeLimitExceeded in its place where it was cancelled because the time was up."""
        outside, limits, number = limited
        restore(outside)
        # As asyncio.timeout: our own cancellation is taken back, anybody else's goes on.
        ours = limits.inside.pop(number, None) is None and limits.take_back(number)
        if ours and isinstance(error, asyncio.CancelledError):
            late = TimeLimitExceeded(self.name, self.timeout_s)
            self._failed(late)
            raise late from error
        if isinstance(error, Exception):
            self._failed(error)

    def discard(self, limited: Limited) -> None:
        """There was no work after all."""
        outside, limits, number = limited
        restore(outside)
        del limits.inside[number]

    async def _call_otherwise(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Under a deadline nearer than the limit, or with work that goes on unseen."""
        try:
            limit_s, outside = limit(self.name, self.timeout_s, self.clock)
            try:
                if self.config.cancel_running_future:
                    result = await self._await_or_cancel(fn(*args, **kwargs), limit_s)
                else:
                    result = await self._await_or_abandon(fn(*args, **kwargs), limit_s)
            finally:
                restore(outside)
        except Exception as error:
            self._failed(error)
            raise
        self._succeeded()
        return result

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) in a thread of its own and wait for at most the limit. Raises TimeLimitExceeded.

        Raises DeadlineExceeded, one of those, without calling fn when the request's deadline has passed.
        """
        if not self.config.enabled:
            return fn(*args, **kwargs)
        try:
            limit_s, outside = limit(self.name, self.timeout_s, self.clock)
            try:
                result = self._run_or_abandon(lambda: fn(*args, **kwargs), limit_s)
            finally:
                restore(outside)
        except Exception as error:
            self._failed(error)
            raise
        self._succeeded()
        return result

    async def _await_or_cancel(self, work: Awaitable[T], limit_s: float) -> T:
        try:
            async with asyncio.timeout(limit_s) as timeout:
                return await work
        except TimeoutError as error:
            if timeout.expired():
                raise TimeLimitExceeded(self.name, limit_s) from error
            raise

    async def _await_or_abandon(self, work: Awaitable[T], limit_s: float) -> T:
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=limit_s)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if task.done():
            return task.result()
        self._running.add(task)
        self._abandon(1)
        task.add_done_callback(self._forget)
        raise TimeLimitExceeded(self.name, limit_s)

    def _run_or_abandon(self, work: Callable[[], T], limit_s: float) -> T:
        outcome: queue.SimpleQueue[tuple[bool, object]] = queue.SimpleQueue()
        given_up = False

        def run() -> None:
            try:
                ended = (True, cast("object", context.run(work)))
            except BaseException as error:  # whatever it is belongs to the caller, if the caller is still there
                ended = (False, error)
            with self._lock:
                outcome.put(ended)
                if given_up:
                    self.abandoned -= 1

        context = contextvars.copy_context()
        threading.Thread(target=run, name=f"time-limiter-{self.name}", daemon=True).start()
        try:
            returned, value = outcome.get(timeout=limit_s)
        except queue.Empty:
            with self._lock:
                if outcome.empty():
                    given_up = True
                    self.abandoned += 1
            raise TimeLimitExceeded(self.name, limit_s) from None
        if not returned:
            raise cast("BaseException", value)
        return cast("T", value)

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        self._abandon(-1)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains of an exception nobody retrieved

    def _abandon(self, by: int) -> None:
        with self._lock:
            self.abandoned += by

    def _succeeded(self) -> None:
        if self.events.heard:
            with self._lock:
                self._heard += 1
            self.events.publish("SUCCESS")
        else:
            self.events.note("SUCCESS", self.clock.now_ns())

    def _failed(self, error: Exception) -> None:
        timeout = isinstance(error, TimeoutError)
        with self._lock:
            if timeout:
                self._counts.timeout += 1
            else:
                self._counts.failed += 1
        self.events.publish("TIMEOUT" if timeout else "ERROR", None if timeout else error)
