"""
How the calls to a neighbour are protected: by Resilience4j's policies, or by another library's front end for them.

`feign` and `retryable` put Feign's Retryer or Spring's @Retryable where the retry of Resilience4j would be, around
the same breaker, time limit and bulkhead; `hystrix` is one Hystrix command instead of all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from services.resilience import (
    BulkheadFull,
    CallNotPermitted,
    Pipeline,
    Registry,
    RequestNotPermitted,
    Retry,
    TimeLimitExceeded,
)
from services.resilience.feign import FeignRetryer
from services.resilience.hystrix import Hystrix, HystrixCommand, HystrixRuntimeError
from services.resilience.spring_retry import Backoff, recover, retryable
from services.shop.client import ConnectionFailed, NeighbourFailed, ServerFailed
from services.shop.settings import SettingsError

FAILURES = (
    NeighbourFailed, CallNotPermitted, BulkheadFull, RequestNotPermitted, TimeLimitExceeded, HystrixRuntimeError,
)  # fmt: skip

_PERIOD_MS, _LONGEST_MS, _CALLS = 100, 1000, 3  # Feign waits 150 and 225 ms, @Retryable 100 and 200 ms
_HYSTRIX = {"hystrix.command.payment.execution.isolation.thread.timeoutInMilliseconds": 400}

StandIn = Callable[..., Awaitable[Any]]
"""Answers in a neighbour's place: called with the exception, and with what the call was about."""


class Protected(Protocol):
    """Runs a call under protections."""

    async def call(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Await fn(*args). Raises one of FAILURES where nothing stands in, and whatever else fn raises."""
        ...


def resilience4j(name: str, registry: Registry, stand_in: StandIn | None, *, pool: str | None = None) -> Protected:
    """Every policy declared for the name; pool: a thread pool of another name besides, innermost."""
    fallback = None if stand_in is None else dict.fromkeys(FAILURES, stand_in)
    pipeline = registry.pipeline(name, fallback=fallback)
    if pool is None:
        return pipeline
    return Pipeline(name, [*pipeline.policies, registry.thread_pool_bulkhead(pool)], fallback)


def feign(name: str, registry: Registry, stand_in: StandIn | None) -> Protected:
    """Feign's Retryer around the policies. What it tries again is a broken connection or no answer in time."""
    retryer = FeignRetryer(_PERIOD_MS, _LONGEST_MS, _CALLS, name=name, clock=registry.clock)
    fallback = None if stand_in is None else dict.fromkeys(FAILURES, stand_in)
    return Pipeline(name, [retryer, *_without_retry(name, registry)], fallback)


def spring_retry(name: str, registry: Registry, stand_in: StandIn | None) -> Protected:
    """@Retryable around the policies, and an @Recover method for each kind of failure that the stand-in answers."""
    inner = Pipeline(name, _without_retry(name, registry))

    @retryable(
        max_attempts=_CALLS,
        retry_for=(ConnectionFailed, ServerFailed),
        backoff=Backoff(delay_ms=_PERIOD_MS, multiplier=2),
        recover_with=[] if stand_in is None else [_recovery(kind, stand_in) for kind in FAILURES],
        name=name,
        clock=registry.clock,
    )
    async def asked(fn: Callable[..., Any], *args: Any) -> Any:
        return await inner.call(fn, *args)

    return _Function(asked)


def hystrix(command: HystrixCommand, stand_in: StandIn | None) -> Protected:
    """One command, with the stand-in as its fallback: of whatever goes wrong, as Hystrix has it."""

    async def run(fn: Callable[..., Any], *args: Any) -> Any:
        return await command.run(fn, stand_in, (), *args)

    return _Function(run)


def payment_command(values: Mapping[str, str], registry: Registry) -> HystrixCommand:
    """The command `payment` under the environment's `hystrix.` keys, its circuit shown by the registry.

    Raises SettingsError if Resilience4j is to protect payment as well, ConfigError for keys that are wrong.
    """
    own = {key: value for key, value in values.items() if key.startswith("hystrix.")}
    try:
        return Hystrix({**_HYSTRIX, **own}, registry=registry).command("payment")
    except ValueError as problem:
        raise SettingsError(f"settings of order: SHOP_PAYMENT_STYLE is hystrix, but {problem}") from problem


class _Function:
    """A function that is Protected."""

    def __init__(self, run: Callable[..., Awaitable[Any]]) -> None:
        self._run = run

    async def call(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        return await self._run(fn, *args)


def _without_retry(name: str, registry: Registry) -> list[Any]:
    return [policy for policy in registry.pipeline(name).policies if not isinstance(policy, Retry)]


def _recovery(kind: type[Exception], stand_in: StandIn) -> StandIn:
    async def recovered(error: Exception, _fn: Callable[..., Any], about: Any) -> Any:
        return await stand_in(error, about)

    return recover(kind)(recovered)  # type: ignore[return-value]  # a class is callable: mypy takes the bare form
