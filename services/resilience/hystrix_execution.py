"""
One Hystrix command: what it does, in Hystrix's order (Hystrix: AbstractCommand.java).

Ask the circuit, take a thread or a semaphore's permit, run within the time limit, mark how it ended, and answer by the
fallback unless it went well or the request was bad. Which commands and pools there are is hystrix.py's business.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeAlias, TypeVar

from services.resilience.bulkhead import Bulkhead, BulkheadConfig
from services.resilience.clock import NS_PER_MS, Clock, SystemClock
from services.resilience.errors import BulkheadFull, TimeLimitExceeded
from services.resilience.events import EventLog
from services.resilience.hystrix_breaker import HystrixBreaker
from services.resilience.hystrix_config import HystrixCommandProperties, HystrixSettings
from services.resilience.hystrix_errors import FailureType, HystrixBadRequest, HystrixRuntimeError
from services.resilience.locks import fork_safe_lock
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead

P = ParamSpec("P")
T = TypeVar("T")

Handler: TypeAlias = Callable[..., Any]
"""A fallback, called as handler(exception, *args, **kwargs), plain or async."""


@dataclass(slots=True)
class _Failure:
    """How one execution failed, and by what."""

    kind: FailureType
    error: Exception


class HystrixCommand:
    """One command: what runs under one key. Events and counts have Hystrix's names; safe under threads."""

    def __init__(
        self,
        key: str,
        properties: HystrixCommandProperties | None = None,
        *,
        pool: ThreadPoolBulkhead | None = None,
        fallback: Handler | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.key = key
        self.properties = properties or HystrixCommandProperties()
        self.clock: Clock = clock or SystemClock()
        self.breaker = HystrixBreaker(key, self.properties, self.clock)
        self.pool = pool or (HystrixSettings().thread_pool(key).new(key, self.clock) if self._threads() else None)
        self.semaphore = self._semaphore(key, self.properties.max_concurrent_requests)
        self.fallback_semaphore = self._semaphore(f"{key}.fallback", self.properties.fallback_max_concurrent_requests)
        self.fallback = fallback
        self.counts: Counter[str] = Counter()
        self._lock = fork_safe_lock()
        self.events = EventLog(self.clock, self._lock)

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) as a command; with thread isolation a plain function runs in the pool.

        Raises HystrixBadRequest as it is, else HystrixRuntimeError where no fallback answers.
        """
        result: T = await self.run(fn, self.fallback, (), *args, **kwargs)
        return result

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) as a command. As `call`; without threads a time-out is noticed when the function has ended."""
        result: T = self.run_sync(fn, self.fallback, (), *args, **kwargs)
        return result

    async def run(
        self, fn: Handler, fallback: Handler | None, ignored: tuple[type[Exception], ...], /, *args: Any, **kwargs: Any
    ) -> Any:
        """As `call`, with a fallback of its own, and exceptions that are bad requests."""
        failure = self._refused()
        if failure is None:
            started_ns, entered = self.clock.now_ns(), threading.Event()
            try:
                result = await self._isolated(_noting(fn, entered), args, kwargs)
            except Exception as error:
                failure = self._failed(error, started_ns, ignored, entered)
                if failure is None:
                    raise
            except BaseException:
                self.breaker.release()
                self._mark("CANCELLED")
                raise
            else:
                self._succeeded(started_ns)
                return result
        handler = self._begin_fallback(failure, fallback)
        try:
            answer = handler(failure.error, *args, **kwargs)
            answer = await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            raise self._fallback_failed(failure, error) from failure.error
        finally:
            self.fallback_semaphore.release()
        self._mark("FALLBACK_SUCCESS")
        return answer

    def run_sync(
        self, fn: Handler, fallback: Handler | None, ignored: tuple[type[Exception], ...], /, *args: Any, **kwargs: Any
    ) -> Any:
        """As `call_sync`, with a fallback of its own, and exceptions that are bad requests.

        Raises TypeError for an async function or fallback.
        """
        if inspect.iscoroutinefunction(fn):
            raise TypeError(f"{fn!r} is async, the call is not")
        failure = self._refused()
        if failure is None:
            started_ns, entered = self.clock.now_ns(), threading.Event()
            try:
                result = self._isolated_sync(_noting(fn, entered), started_ns, args, kwargs)
            except Exception as error:
                failure = self._failed(error, started_ns, ignored, entered)
                if failure is None:
                    raise
            except BaseException:
                self.breaker.release()
                self._mark("CANCELLED")
                raise
            else:
                self._succeeded(started_ns)
                return result
        handler = self._begin_fallback(failure, fallback)
        try:
            answer = handler(failure.error, *args, **kwargs)
            if inspect.iscoroutine(answer):
                answer.close()
                raise TypeError(f"fallback {handler!r} is async, the call is not")
        except Exception as error:
            raise self._fallback_failed(failure, error) from failure.error
        finally:
            self.fallback_semaphore.release()
        self._mark("FALLBACK_SUCCESS")
        return answer

    # -- isolation ---------------------------------------------------------------------------------------------

    def _threads(self) -> bool:
        return self.properties.isolation == "THREAD"

    def _semaphore(self, name: str, size: int) -> Bulkhead:
        return Bulkhead(name, BulkheadConfig(max_concurrent_calls=size), self.clock)

    async def _isolated(self, fn: Handler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._threads() and self.pool is not None:
            return await self._limited(self.pool.call(fn, *args, **kwargs))
        await self.semaphore.acquire()
        try:
            answer = fn(*args, **kwargs)
            return await self._limited(answer) if inspect.isawaitable(answer) else answer
        finally:
            self.semaphore.finish()

    async def _limited(self, work: Awaitable[Any]) -> Any:
        limit_s = self.properties.timeout_ms / 1000 if self.properties.timeout_enabled else None
        try:
            async with asyncio.timeout(limit_s) as limit:
                return await work
        except TimeoutError as error:
            if limit.expired():
                raise self._time_out() from error
            raise

    def _isolated_sync(self, fn: Handler, started_ns: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._threads() and self.pool is not None:
            return self._in_thread(self.pool.submit(fn, *args, **kwargs))
        self.semaphore.acquire_sync()
        try:
            answer = fn(*args, **kwargs)
        except Exception as error:
            if self._too_late(started_ns):
                raise self._time_out() from error
            raise
        finally:
            self.semaphore.finish()
        if self._too_late(started_ns):
            raise self._time_out()
        return answer

    def _in_thread(self, future: concurrent.futures.Future[Any]) -> Any:
        limit_s = self.properties.timeout_ms / 1000 if self.properties.timeout_enabled else None
        try:
            concurrent.futures.wait([future], limit_s)
            if not future.done():
                raise self._time_out()
        finally:
            future.cancel()  # in the queue yet: nobody waits for it any more
        return future.result()

    def _too_late(self, started_ns: int) -> bool:
        properties = self.properties
        return properties.timeout_enabled and self.clock.now_ns() - started_ns >= properties.timeout_ms * NS_PER_MS

    def _time_out(self) -> _TimedOut:
        return _TimedOut(self.key, self.properties.timeout_ms / 1000)

    # -- marking -----------------------------------------------------------------------------------------------

    def _refused(self) -> _Failure | None:
        refusal = self.breaker.refusal()
        if refusal is None:
            return None
        self._mark(FailureType.SHORTCIRCUIT)
        return _Failure(FailureType.SHORTCIRCUIT, refusal)

    def _succeeded(self, started_ns: int) -> None:
        duration_ns = self.clock.now_ns() - started_ns
        self.breaker.on_success(duration_ns)
        self._mark("SUCCESS", duration_ns=duration_ns)

    def _failed(
        self, error: Exception, started_ns: int, ignored: tuple[type[Exception], ...], entered: threading.Event
    ) -> _Failure | None:
        """Mark an execution that failed; None for a bad request, which goes to the caller as it is."""
        duration_ns = self.clock.now_ns() - started_ns
        if isinstance(error, (HystrixBadRequest, *ignored)):
            self.breaker.on_bad_request(duration_ns, error)
            self._mark("BAD_REQUEST", error, duration_ns)
            return None
        if isinstance(error, _TimedOut):
            kind = FailureType.TIMEOUT
        elif isinstance(error, BulkheadFull) and not entered.is_set():
            rejected = FailureType.REJECTED_THREAD_EXECUTION, FailureType.REJECTED_SEMAPHORE_EXECUTION
            kind = rejected[0] if self._threads() else rejected[1]
        else:
            kind = FailureType.COMMAND_EXCEPTION
        self.breaker.on_error(duration_ns, error)
        self._mark(kind, error, duration_ns)
        return _Failure(kind, error)

    def _mark(self, kind: str, error: Exception | None = None, duration_ns: int | None = None) -> None:
        with self._lock:
            self.counts[str(kind)] += 1
        self.events.publish(str(kind), error, duration_ns=duration_ns)

    # -- fallback ----------------------------------------------------------------------------------------------

    def _begin_fallback(self, failure: _Failure, fallback: Handler | None) -> Handler:
        """The fallback, a permit of its semaphore taken. Raises HystrixRuntimeError."""
        if not self.properties.fallback_enabled:
            raise self._without_fallback(failure, "FALLBACK_DISABLED", "fallback disabled") from failure.error
        if fallback is None:
            raise self._without_fallback(failure, "FALLBACK_MISSING", "no fallback available") from failure.error
        try:
            self.fallback_semaphore.acquire_sync()
        except BulkheadFull:
            how = "fallback execution rejected"
            raise self._without_fallback(failure, "FALLBACK_REJECTION", how) from failure.error
        return fallback

    def _without_fallback(self, failure: _Failure, kind: str, how: str) -> HystrixRuntimeError:
        self._mark(kind)
        return HystrixRuntimeError(self.key, failure.kind, how)

    def _fallback_failed(self, failure: _Failure, error: Exception) -> HystrixRuntimeError:
        self._mark("FALLBACK_FAILURE", error)
        return HystrixRuntimeError(self.key, failure.kind, "fallback failed", error)


class _TimedOut(TimeLimitExceeded):
    """The command's own time limit, which a TimeoutError raised by its function is not."""

    def __str__(self) -> str:
        return f"Hystrix command '{self.name}' timed out after {self.timeout_s:g} s"


def _noting(fn: Handler, entered: threading.Event) -> Handler:
    """The function, noting that it was entered: a refusal before that is ours, after it the function's own."""
    if inspect.iscoroutinefunction(fn):

        async def noted(*args: Any, **kwargs: Any) -> Any:
            entered.set()
            return await fn(*args, **kwargs)

        return noted

    def noted_sync(*args: Any, **kwargs: Any) -> Any:
        entered.set()
        return fn(*args, **kwargs)

    return noted_sync
