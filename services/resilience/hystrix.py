"""
Hystrix's front end: commands with a circuit, an isolation and a fallback, under Hystrix's keys and with its meaning.

    hystrix = Hystrix({"hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds": 500})

    @hystrix_command(hystrix, fallback_method=cached_user)
    async def get_user(user_id): ...

Here are the commands and pools of one configuration, and Javanica's decorator; hystrix_execution.py has what one command
does, hystrix_breaker.py its circuit. One difference from Hystrix: a semaphore that refuses the circuit's one trial call
opens the circuit again, where Hystrix leaves it half-open with nobody to close it. Not here: request caches, collapsers,
properties that change while it runs.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from services.resilience.clock import Clock, SystemClock
from services.resilience.hystrix_config import HystrixSettings, keys_of
from services.resilience.hystrix_errors import FailureType, HystrixBadRequest, HystrixRuntimeError
from services.resilience.hystrix_execution import Handler, HystrixCommand
from services.resilience.registry import Registry
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead

__all__ = [
    "FailureType",
    "Handler",
    "Hystrix",
    "HystrixBadRequest",
    "HystrixCommand",
    "HystrixRuntimeError",
    "hystrix_command",
]

F = TypeVar("F", bound=Callable[..., Any])


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
