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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from services.resilience.clock import Clock, SystemClock
from services.resilience.deadline import limit, restore
from services.resilience.errors import TimeLimitExceeded
from services.resilience.events import EventLog
from services.resilience.locks import fork_safe_lock
from services.resilience.tally import Tally
from services.resilience.task_limits import TaskLimits
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")

EVENT_TYPES = ("SUCCESS", "TIMEOUT", "ERROR")


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
        self._successes = Tally(self._lock)
        self.timeout_s = self.config.timeout_duration_ms / 1000
        self._running: set[asyncio.Future[Any]] = set()
        self._limits = TaskLimits(self.timeout_s)
        self.events = EventLog(self.clock, self._lock, self.config.event_consumer_buffer_size)

    @property
    def counts(self) -> TimeLimiterCounts:
        """Calls by how they ended, up to now."""
        self._counts.successful = self._successes.total()
        return self._counts

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) for at most the limit. Raises TimeLimitExceeded, a TimeoutError.

        Raises DeadlineExceeded, one of those, without calling fn when the request's deadline has passed.
        """
        if not self.config.enabled:
            return await fn(*args, **kwargs)
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
        if limit_s < self._limits.limit_s:
            return await self._await_or_cancel_early(work, limit_s)
        limits, task = self._limits.here()
        cancelling = task.cancelling()
        number = limits.enter(task)
        try:
            result = await work
        except BaseException as error:
            if limits.leave(number):
                raise
            # As asyncio.timeout: our own cancellation is taken back, anybody else's goes on.
            if task.uncancel() <= cancelling and isinstance(error, asyncio.CancelledError):
                raise TimeLimitExceeded(self.name, limit_s) from error
            raise
        if not limits.leave(number):  # the work would not be cancelled, and answered
            task.uncancel()
        return result

    async def _await_or_cancel_early(self, work: Awaitable[T], limit_s: float) -> T:
        """Under a deadline shorter than the limit: with a timer of its own."""
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
        self._successes.add_one()
        self.events.note("SUCCESS")

    def _failed(self, error: Exception) -> None:
        timeout = isinstance(error, TimeoutError)
        with self._lock:
            if timeout:
                self._counts.timeout += 1
            else:
                self._counts.failed += 1
        self.events.publish("TIMEOUT" if timeout else "ERROR", None if timeout else error)
