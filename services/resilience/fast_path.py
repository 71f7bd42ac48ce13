"""
The short way through a pipeline: retry, breaker, time limiter and bulkhead in one frame instead of one inside another.

Most calls of most pipelines go well at the first attempt, through policies that have nothing to decide: the breaker is
calm, the bulkhead has room, no deadline is near. Such a call needs of each policy the few lines before and after it, and
these are called here, with one look at the clock for all of them. A call that needs more takes the long way, policy
within policy; and so does every attempt after the first. Nobody can tell the difference, but that it costs a third.

What the policies decide, count and tell stands in their own files; here is nothing but the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from services.resilience.bulkhead import Bulkhead
from services.resilience.circuit_breaker import CircuitBreaker
from services.resilience.fallback import Fallback
from services.resilience.retry import Attempts, Retry
from services.resilience.time_limiter import TimeLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_ORDER: tuple[type, ...] = (Retry, CircuitBreaker, TimeLimiter, Bulkhead)


class Parts(NamedTuple):
    """The policies that the short way knows, in their order, any of them missing."""

    retry: Retry | None = None
    breaker: CircuitBreaker | None = None
    limiter: TimeLimiter | None = None
    bulkhead: Bulkhead | None = None


def parts_of(policies: Sequence[Any]) -> Parts | None:
    """These policies, at least two, if they are the ones that the short way knows and in its order; None if not."""
    active = [policy for policy in policies if isinstance(policy, Fallback) or policy.config.enabled]
    places = [next((place for place, kind in enumerate(_ORDER) if _is(policy, kind)), -1) for policy in active]
    if len(active) < 2 or -1 in places or sorted(set(places)) != places:
        return None
    if len({policy.clock.now_ns for policy in active}) > 1:
        return None
    return Parts(**dict(zip((Parts._fields[place] for place in places), active, strict=True)))


def _is(policy: object, kind: type) -> bool:
    """Whether it is one of these whose calls are made as these are made, not a subclass with a way of its own."""
    if not isinstance(policy, kind):
        return False
    if isinstance(policy, Retry) and policy.config.retry_result is not None:
        return False
    if isinstance(policy, TimeLimiter) and not policy.config.cancel_running_future:
        return False
    return all(getattr(type(policy), shell) is getattr(kind, shell) for shell in ("call", "call_sync"))


class FastPath:
    """Both shells of the short way. `whole` and `within` are the long one: all policies, and those inside the retry."""

    __slots__ = ("_breaker", "_bulkhead", "_limiter", "_now_ns", "_retry", "_whole", "_within")

    def __init__(self, parts: Parts, whole: Callable[..., Any], within: Callable[..., Any]) -> None:
        self._retry, self._breaker, self._limiter, self._bulkhead = parts
        self._now_ns = next(policy.clock.now_ns for policy in parts if policy is not None)
        self._whole = whole
        self._within = within

    async def call(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        """Await fn(...) under all policies, the short way if it is open."""
        retry, breaker, limiter, bulkhead = self._retry, self._breaker, self._limiter, self._bulkhead
        started_ns, limited = self._now_ns(), None
        if breaker is not None and not breaker.calm:
            return await self._whole(fn, *args, **kwargs)
        if limiter is not None:
            limited = limiter.begin(started_ns)
            if limited is None:
                return await self._whole(fn, *args, **kwargs)
        if bulkhead is not None and not bulkhead.try_acquire_at(started_ns):
            if limiter is not None and limited is not None:
                limiter.discard(limited)
            return await self._whole(fn, *args, **kwargs)
        if retry is not None and retry.budget is not None:
            retry.budget.deposit()
        try:
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                if bulkhead is not None:
                    bulkhead.finish()
                if limiter is not None and limited is not None:
                    limiter.end_raised(limited, error)  # raises in its place if the time was up
                raise
        except BaseException as error:
            if breaker is not None:
                breaker.raised(started_ns, error)
            if retry is None or not isinstance(error, Exception):
                raise
            attempts = Attempts(retry)
            wait_ms = attempts.failed(error)
            if wait_ms is None:
                raise
        else:
            ended_ns = self._now_ns()
            if bulkhead is not None:
                bulkhead.finish_at(ended_ns)
            if limiter is not None and limited is not None:
                limiter.end_returned(limited, ended_ns)
            if breaker is not None:
                breaker.returned(started_ns, ended_ns, result)
            if retry is not None:
                retry.successes_at_once.add_one()
            return result
        return await retry.go_on(attempts, wait_ms, self._within, fn, *args, **kwargs)

    def call_sync(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call fn(...) under all policies but a time limiter, which takes a thread here: that has no short way."""
        retry, breaker, bulkhead = self._retry, self._breaker, self._bulkhead
        started_ns = self._now_ns()
        if breaker is not None and not breaker.calm:
            return self._whole(fn, *args, **kwargs)
        if bulkhead is not None and not bulkhead.try_acquire_at(started_ns):
            return self._whole(fn, *args, **kwargs)
        if retry is not None and retry.budget is not None:
            retry.budget.deposit()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            if bulkhead is not None:
                bulkhead.finish()
            if breaker is not None:
                breaker.raised(started_ns, error)
            if retry is None or not isinstance(error, Exception):
                raise
            attempts = Attempts(retry)
            wait_ms = attempts.failed(error)
            if wait_ms is None:
                raise
        else:
            ended_ns = self._now_ns()
            if bulkhead is not None:
                bulkhead.finish_at(ended_ns)
            if breaker is not None:
                breaker.returned(started_ns, ended_ns, result)
            if retry is not None:
                retry.successes_at_once.add_one()
            return result
        return retry.go_on_sync(attempts, wait_ms, self._within, fn, *args, **kwargs)
