"""
A pipeline: several policies around one call, in Resilience4j's order.

Retry(CircuitBreaker(RateLimiter(TimeLimiter(Bulkhead(fn))))), and a fallback, if any, around it all.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

from services.resilience.bulkhead import Bulkhead
from services.resilience.circuit_breaker import CircuitBreaker
from services.resilience.fallback import Fallback, Handler
from services.resilience.rate_limiter import RateLimiter
from services.resilience.retry import Retry
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead
from services.resilience.time_limiter import TimeLimiter

P = ParamSpec("P")
T = TypeVar("T")

Policy = Retry | CircuitBreaker | RateLimiter | TimeLimiter | Bulkhead | ThreadPoolBulkhead


class Pipeline:
    """Policies around a call, the first of `policies` outermost. Made by Registry.pipeline, or by hand."""

    def __init__(
        self,
        name: str,
        policies: Sequence[Policy],
        fallback: Mapping[type[Exception], Handler] | Handler | Fallback | None = None,
    ) -> None:
        self.name = name
        self.policies = tuple(policies)
        self.fallback = fallback if isinstance(fallback, Fallback) or fallback is None else Fallback(fallback)
        # Each policy calls its first argument with the rest: so a chain of them is a list of arguments.
        self._chain = tuple(policy.call for policy in self.policies)
        self._chain_sync = tuple(policy.call_sync for policy in self.policies)

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) under all policies. Raises what fn or a policy raises, unless a fallback answers for it."""
        chain: tuple[Any, ...] = (*self._chain, fn)
        if self.fallback is None:
            result: T = await chain[0](*chain[1:], *args, **kwargs)
        else:
            result = await self.fallback.call(chain[0], len(chain) - 1, *chain[1:], *args, **kwargs)
        return result

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) under all policies. As `call`, without an event loop."""
        chain: tuple[Any, ...] = (*self._chain_sync, fn)
        if self.fallback is None:
            result: T = chain[0](*chain[1:], *args, **kwargs)
        else:
            result = self.fallback.call_sync(chain[0], len(chain) - 1, *chain[1:], *args, **kwargs)
        return result

    @overload
    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]: ...
    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate: the function under this pipeline. Coroutine functions stay coroutine functions."""
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def protected(*args: Any, **kwargs: Any) -> Any:
                return await self.call(fn, *args, **kwargs)

            return protected

        @functools.wraps(fn)
        def protected_sync(*args: Any, **kwargs: Any) -> Any:
            return self.call_sync(fn, *args, **kwargs)

        return protected_sync

    def describe(self) -> str:
        """The order in one line: "Retry(CircuitBreaker(fn))", outermost first."""
        names = [type(policy).__name__ for policy in self.policies]
        if self.fallback is not None:
            names.insert(0, "Fallback")
        return "(".join([*names, "fn"]) + ")" * len(names)
