"""
Hystrix's front end: commands with a circuit, an isolation and a fallback, under Hystrix's keys and with its meaning.

    hystrix = Hystrix({"hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds": 500})

    @hystrix_command(hystrix, fallback_method=cached_user)
    async def get_user(user_id): ...

What a command does, in its order: ask the circuit, take a thread or a semaphore's permit, run within the time limit,
mark how it ended, and answer by the fallback unless it went well or the request was bad (Hystrix:
AbstractCommand.java). One difference: a semaphore that refuses the circuit's one trial call opens the circuit again,
where Hystrix leaves it half-open with nobody to close it. Not here: request caches, collapsers, properties that change
while it runs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import enum
import functools
import inspect
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from services.resilience.bulkhead import Bulkhead, BulkheadConfig
from services.resilience.clock import NS_PER_MS, Clock, SystemClock
from services.resilience.errors import BulkheadFull, ResilienceError, TimeLimitExceeded
from services.resilience.events import EventLog
from services.resilience.hystrix_breaker import HystrixBreaker
from services.resilience.hystrix_config import HystrixCommandProperties, HystrixSettings, keys_of
from services.resilience.locks import fork_safe_lock
from services.resilience.registry import Registry
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Handler = Callable[..., Any]
"""A fallback, called as handler(exception, *args, **kwargs), plain or async."""


class HystrixBadRequest(Exception):
    """Raised by a command's function for a request that is the caller's fault: no fallback, and it counts as nothing."""


class FailureType(enum.StrEnum):
    """Why a command has no answer, under HystrixRuntimeException's names; it is the event's name as well."""

    SHORTCIRCUIT = "SHORT_CIRCUITED"
    COMMAND_EXCEPTION = "FAILURE"
    TIMEOUT = "TIMEOUT"
    REJECTED_THREAD_EXECUTION = "THREAD_POOL_REJECTED"
    REJECTED_SEMAPHORE_EXECUTION = "SEMAPHORE_REJECTED"


class HystrixRuntimeError(ResilienceError):
    """A command failed and has no fallback, or one that failed or was refused too.

    The command's own exception is the `__cause__`; `fallback_error` is the fallback's, None if there is no fallback.
    """

    def __init__(self, key: str, failure: FailureType, how: str, fallback_error: Exception | None = None) -> None:
        super().__init__(key, failure, how)
        self.key = key
        self.failure = failure
        self.fallback_error = fallback_error

    def __str__(self) -> str:
        return f"{self.key} {self.failure.name.lower().replace('_', ' ')} and {self.args[2]}"


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
        """As `call_sync`, with a fallback of its own, and exceptions that are bad requests."""
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


class Hystrix:
    """The commands and pools of one configuration, one of each key.

    With a `registry` its actuator and metrics show the circuits, pools and semaphores beside its own policies, and the
    `hystrix` keys of its configuration hold where `mapping` does not say otherwise. `registry.hystrix` is such a one.
    Raises ConfigError with every mistake.
    """

    def __init__(
        self, mapping: Mapping[str, Any] | None = None, *, registry: Registry | None = None, clock: Clock | None = None
    ) -> None:
        shared = registry.hystrix_keys if registry else {}
        self._settings = HystrixSettings.read({**shared, **keys_of(mapping or {})})
        self._registry = registry
        self.clock: Clock = clock or (registry.clock if registry else SystemClock())
        self._lock = threading.RLock()
        self._commands: dict[str, HystrixCommand] = {}
        self._pools: dict[str, ThreadPoolBulkhead] = {}

    def command(self, key: str, *, group: str | None = None, thread_pool: str | None = None) -> HystrixCommand:
        """The command of that key; the pool's key is thread_pool, else the group's, else the command's own.

        Raises ValueError if the registry has a policy of that name already.
        """
        with self._lock:
            if key not in self._commands:
                properties = self._settings.command(key)
                threads = properties.isolation == "THREAD"
                pool = self.pool(thread_pool or group or key) if threads else None
                command = HystrixCommand(key, properties, pool=pool, clock=self.clock)
                self._show("circuitbreaker", command.breaker)
                if not threads:
                    self._show("bulkhead", command.semaphore)
                self._commands[key] = command
            return self._commands[key]

    def pool(self, key: str) -> ThreadPoolBulkhead:
        """The thread pool of that key."""
        with self._lock:
            if key not in self._pools:
                pool = self._settings.thread_pool(key).new(key, self.clock)
                self._show("threadpoolbulkhead", pool)
                self._pools[key] = pool
            return self._pools[key]

    def _show(self, module: str, policy: Any) -> None:
        if self._registry is not None:
            self._registry.add(module, policy)


def hystrix_command(
    hystrix: Hystrix,
    *,
    command_key: str | None = None,
    group_key: str | None = None,
    thread_pool_key: str | None = None,
    fallback_method: Handler | str | None = None,
    ignore_exceptions: tuple[type[Exception], ...] = (),
) -> Callable[[F], F]:
    """Javanica's @HystrixCommand for functions, methods and their async kinds.

    By default the command's key is the function's name, the group's is its class's or module's. `fallback_method` is a
    function, or the name of a method of the same object; it gets the call's own arguments, and the exception as
    `error` if it has a parameter of that name. `ignore_exceptions` are bad requests, raised as they are.
    """

    def decorate(fn: F) -> F:
        owner = fn.__qualname__.rpartition(".")[0].rpartition(".")[2] or fn.__module__
        command = hystrix.command(command_key or fn.__name__, group=group_key or owner, thread_pool=thread_pool_key)
        fallback = None if fallback_method is None else _fallback_of(fallback_method)
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def commanded(*args: Any, **kwargs: Any) -> Any:
                return await command.run(fn, fallback, ignore_exceptions, *args, **kwargs)

            wrapper: Any = commanded
        else:

            @functools.wraps(fn)
            def commanded_sync(*args: Any, **kwargs: Any) -> Any:
                return command.run_sync(fn, fallback, ignore_exceptions, *args, **kwargs)

            wrapper = commanded_sync
        wrapper.command = command
        decorated: F = wrapper
        return decorated

    return decorate


def _fallback_of(method: Handler | str) -> Handler:
    def answer(error: Exception, *args: Any, **kwargs: Any) -> Any:
        if isinstance(method, str):
            found, own = getattr(args[0], method), args[1:]
        else:
            found, own = method, args
        if "error" in inspect.signature(found).parameters:
            kwargs = {**kwargs, "error": error}
        return found(*own, **kwargs)

    return answer
