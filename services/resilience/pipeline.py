"""
A pipeline: several policies around one call, in Resilience4j's order.

Retry(CircuitBreaker(RateLimiter(TimeLimiter(Bulkhead(fn))))), and a fallback, if any, around it all.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from services.resilience.bulkhead import Bulkhead
from services.resilience.circuit_breaker import CircuitBreaker
from services.resilience.fallback import Fallback, Handler
from services.resilience.fast_path import FastPath, parts_of
from services.resilience.rate_limiter import RateLimiter
from services.resilience.retry import Retry
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead
from services.resilience.time_limiter import TimeLimiter

if TYPE_CHECKING:
    from services.resilience.lint import Finding
    from services.resilience.pipeline_builder import PipelineBuilder

P = ParamSpec("P")
T = TypeVar("T")

Policy = Retry | CircuitBreaker | RateLimiter | TimeLimiter | Bulkhead | ThreadPoolBulkhead

Stage = Policy | Fallback

_PROTECTED_BY = "__protected_by__"
"""Where a decorated function keeps its pipeline, so that retries around retries are noticed."""


async def _await_it(fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
    return await fn(*args, **kwargs)


def _call_it(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return fn(*args, **kwargs)


def _way_through(calls: list[Callable[..., Any]], end: Callable[..., Any]) -> Callable[..., Any]:
    """Each policy calls its first argument with the rest: so a chain of them is a list of arguments."""
    return functools.partial(calls[0], *calls[1:]) if calls else end


class Pipeline:
    """Policies around a call, the first of `policies` outermost. Made by Registry.pipeline, by `builder`, or by hand.

    `fallback` is around all of them; a Fallback among the policies answers for what is inside of it. `inner` holds the
    pipelines of functions that this one decorates and that were protected already.
    """

    def __init__(
        self,
        name: str,
        policies: Sequence[Stage],
        fallback: Mapping[type[Exception], Handler] | Handler | Fallback | None = None,
    ) -> None:
        self.name = name
        self.policies = tuple(policies)
        self.fallback = fallback if isinstance(fallback, Fallback) or fallback is None else Fallback(fallback)
        chain = [self._call_of(place) for place in range(len(self.policies))]
        chain_sync = [self._call_sync_of(place) for place in range(len(self.policies))]
        self._run: Callable[..., Awaitable[Any]] = _way_through(chain, _await_it)
        self._run_sync: Callable[..., Any] = _way_through(chain_sync, _call_it)
        parts = parts_of(self.policies)
        if parts is not None:
            inside = 0 if parts.retry is None else self.policies.index(parts.retry) + 1
            self._run = FastPath(parts, self._run, _way_through(chain[inside:], _await_it)).call
            if parts.limiter is None:  # around a plain function that is a thread
                self._run_sync = FastPath(parts, self._run_sync, _way_through(chain_sync[inside:], _call_it)).call_sync
        if self.fallback is None and type(self).call is Pipeline.call:
            # The same, without a coroutine around the coroutine.
            self.call = self._run  # type: ignore[method-assign]
        self.inner: tuple[Pipeline, ...] = ()
        self.protects_sync = False

    @staticmethod
    def builder(name: str = "pipeline") -> PipelineBuilder:
        """Put a pipeline together by hand: `Pipeline.builder("a").retry(r).circuit_breaker(cb).build()`, outermost first."""
        from services.resilience.pipeline_builder import PipelineBuilder

        return PipelineBuilder(name)

    def lint(self) -> list[Finding]:
        """What is misconfigured in this pipeline, see services.resilience.lint."""
        from services.resilience.lint import lint

        return lint(self)

    def _call_of(self, place: int) -> Callable[..., Awaitable[Any]]:
        stage = self.policies[place]
        if not isinstance(stage, Fallback):
            return stage.call
        # Its handlers get the call's own arguments: those after the stages further in, and after fn.
        skip, call = len(self.policies) - place - 1, stage.call
        return lambda fn, *args, **kwargs: call(fn, skip, *args, **kwargs)

    def _call_sync_of(self, place: int) -> Callable[..., Any]:
        stage = self.policies[place]
        if not isinstance(stage, Fallback):
            return stage.call_sync
        skip, call = len(self.policies) - place - 1, stage.call_sync
        return lambda fn, *args, **kwargs: call(fn, skip, *args, **kwargs)

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) under all policies. Raises what fn or a policy raises, unless a fallback answers for it."""
        if self.fallback is None:
            result: T = await self._run(fn, *args, **kwargs)
        else:
            result = await self.fallback.call(self._run, 1, fn, *args, **kwargs)
        return result

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) under all policies. As `call`, without an event loop."""
        if self.fallback is None:
            result: T = self._run_sync(fn, *args, **kwargs)
        else:
            result = self.fallback.call_sync(self._run_sync, 1, fn, *args, **kwargs)
        return result

    @overload
    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]: ...
    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate: the function under this pipeline. Coroutine functions stay coroutine functions."""
        protected = self._decorated(fn)
        inside = getattr(fn, _PROTECTED_BY, None)
        if inside is not None:
            self.inner = (*self.inner, inside)
        setattr(protected, _PROTECTED_BY, self)
        return protected

    def _decorated(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def protected(*args: Any, **kwargs: Any) -> Any:
                return await self.call(fn, *args, **kwargs)

            return protected

        self.protects_sync = True

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
