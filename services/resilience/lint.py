"""
Misconfigurations that no single policy can see: protections that work by themselves and not together.

    for finding in lint(registry): ...  # at start, in a test, or at /actuator/resilience-lint

Seven traps of Resilience4j's decorator order (RETRY outside CIRCUIT BREAKER outside the rest), looked for in pipelines as
they are configured. Predicates are asked with exceptions made up for it; one that fails counts as "no". What a
service's callers and HTTP clients do cannot be seen from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from services.resilience.breaker_config import NEVER_SLOW_NS, CircuitBreakerConfig, WindowType
from services.resilience.bulkhead import Bulkhead
from services.resilience.circuit_breaker import CircuitBreaker
from services.resilience.clock import NS_PER_MS
from services.resilience.errors import BulkheadFull, CallNotPermitted, RequestNotPermitted, TimeLimitExceeded
from services.resilience.exception_names import ExceptionMatcher
from services.resilience.fallback import Fallback
from services.resilience.pipeline import Pipeline
from services.resilience.rate_limiter import RateLimiter
from services.resilience.retry import Retry
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead
from services.resilience.time_limiter import TimeLimiter

if TYPE_CHECKING:
    from services.resilience.registry import Registry

P = TypeVar("P")
Predicate: TypeAlias = Callable[[BaseException], bool]

FEWEST_REQUESTS = 5
"""A window that fewer failed requests than this can fill, by their attempts, says little about the other service."""

FINDINGS = {
    "fallback-hides-failures": "a fallback inside a retry or breaker answers before that sees the failure",
    "retry-repeats-refusals": "a retry outside a breaker waits for, and repeats, calls that the open breaker refuses",
    "attempts-fill-window": "the attempts of a few requests fill the breaker's window",
    "refusals-recorded-as-failures": "a breaker records our own bulkhead's or limiter's refusals as failures",
    "hang-never-recorded": "a call that hangs is no failure and no slow call for the breaker",
    "slow-calls-never-seen": "slowCallDurationThreshold is not below timeoutDuration, so no call is ever slow",
    "timed-out-work-keeps-permit": "work goes on after its time-out, and keeps its place in the bulkhead",
    "retries-multiply": "a retry inside a retry: their attempts multiply",
}
"""Every finding there is, by name: the seven traps, one of them in two forms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One misconfiguration: its name out of FINDINGS, which pipeline it is in, a sentence, and what would put it right.

    `remedies` are alternatives, each one either a key with its value or, where no key can help, what to do instead.
    """

    name: str
    pipeline: str
    sentence: str
    remedies: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.pipeline}: {self.name}: {self.sentence}; put right by {', or by '.join(self.remedies)}"

    def to_json(self) -> dict[str, Any]:
        """The four as a dictionary."""
        return {
            "name": self.name,
            "pipeline": self.pipeline,
            "sentence": self.sentence,
            "remedies": list(self.remedies),
        }


def lint(subject: Pipeline | Registry, *, accept: Collection[str] = ()) -> list[Finding]:
    """What is misconfigured in a pipeline, or in every pipeline of a registry; without those whose name is accepted.

    Raises ValueError for an accepted name that no finding has.
    """
    unknown = [name for name in accept if name not in FINDINGS]
    if unknown:
        raise ValueError(f"accept names {unknown[0]!r}, must be one of {', '.join(FINDINGS)}")
    pipelines = [subject] if isinstance(subject, Pipeline) else subject.pipelines()
    found = [finding for pipeline in pipelines for look in _LOOKS for finding in look(pipeline)]
    return [finding for finding in dict.fromkeys(found) if finding.name not in accept]


def answer(registry: Registry) -> dict[str, Any]:
    """What /actuator/resilience-lint answers."""
    return {"findings": [finding.to_json() for finding in lint(registry)]}


def _hidden_failures(pipeline: Pipeline) -> Iterator[Finding]:
    stages = _stages(pipeline)
    for place, fallback in enumerate(stages):
        for outer in stages[:place] if isinstance(fallback, Fallback) else ():
            hidden = [kind.__name__ for kind in fallback.classes if _concerns(outer, kind)]
            if hidden:
                what = "repeated" if isinstance(outer, Retry) else "recorded as a failure"
                yield Finding(
                    name="fallback-hides-failures",
                    pipeline=pipeline.name,
                    sentence=f"a fallback inside {_called(outer)} answers for {', '.join(hidden)}, which is never {what}",
                    remedies=(f"naming the fallback before {_called(outer)}: it belongs around everything",),
                )


def _repeated_refusals(pipeline: Pipeline) -> Iterator[Finding]:
    for retry, breaker in _pairs(pipeline, Retry, CircuitBreaker):
        refusal = CallNotPermitted(breaker.name, "OPEN")
        if retry.config.max_attempts > 1 and _reacts(retry.config.retry, retry.config.ignore, refusal):
            key = f"resilience4j.retry.instances.{retry.name}."
            yield Finding(
                name="retry-repeats-refusals",
                pipeline=pipeline.name,
                sentence=f"{_called(retry)} repeats CallNotPermitted of {_called(breaker)} up to "
                f"{retry.config.max_attempts - 1} times, and waits each time, while the circuit is open",
                remedies=(f"{key}ignoreExceptions: CallNotPermitted", f"{key}retryCallNotPermitted: false"),
            )


def _filled_windows(pipeline: Pipeline) -> Iterator[Finding]:
    for retry, breaker in _pairs(pipeline, Retry, CircuitBreaker):
        attempts, config = retry.config.max_attempts, breaker.config
        counted = config.sliding_window_type is WindowType.COUNT_BASED
        least = (
            min(config.minimum_number_of_calls, config.sliding_window_size)
            if counted
            else config.minimum_number_of_calls
        )
        requests = math.ceil(config.sliding_window_size / attempts) if counted else FEWEST_REQUESTS
        if attempts == 1 or (attempts < least and requests >= FEWEST_REQUESTS):
            continue
        key = f"resilience4j.circuitbreaker.instances.{breaker.name}."
        enough, size = f"{key}minimumNumberOfCalls: above {attempts}", attempts * (FEWEST_REQUESTS - 1) + 1
        if attempts >= least:
            what, first = f"reach the {least} calls that {_called(breaker)} decides on, in one request", enough
        else:
            what = f"fill the window of {config.sliding_window_size} calls of {_called(breaker)} in {requests} requests"
            first = f"{key}slidingWindowSize: at least {size}"
        yield Finding(
            name="attempts-fill-window",
            pipeline=pipeline.name,
            sentence=f"the {attempts} attempts of {_called(retry)} {what}",
            remedies=(first, f"resilience4j.retry.instances.{retry.name}.maxAttempts: fewer"),
        )


def _recorded_refusals(pipeline: Pipeline) -> Iterator[Finding]:
    kinds: tuple[tuple[Any, Callable[[str], Exception], str], ...] = (
        (Bulkhead, BulkheadFull, "recordBulkheadFull"),
        (ThreadPoolBulkhead, BulkheadFull, "recordBulkheadFull"),
        (RateLimiter, RequestNotPermitted, "recordRequestNotPermitted"),
    )
    for kind, refusal, switch in kinds:
        for breaker, inner in _pairs(pipeline, CircuitBreaker, kind):
            if breaker.counts_refusals and refusal is BulkheadFull:
                continue
            error = refusal(inner.name)
            if _reacts(breaker.config.record, breaker.config.ignore, error):
                key, name = f"resilience4j.circuitbreaker.instances.{breaker.name}.", type(error).__name__
                yield Finding(
                    name="refusals-recorded-as-failures",
                    pipeline=pipeline.name,
                    sentence=f"{_called(breaker)} records {name} of {_called(inner)} as a failure: too many calls "
                    "here open the circuit to a service that is well",
                    remedies=(f"{key}ignoreExceptions: {name}", f"{key}{switch}: false"),
                )


def _unseen_hangs(pipeline: Pipeline) -> Iterator[Finding]:
    stages = _stages(pipeline)
    for place, breaker in enumerate(stages):
        if not isinstance(breaker, CircuitBreaker):
            continue
        limiters = [inner for inner in stages[place + 1 :] if isinstance(inner, TimeLimiter)]
        key = f"resilience4j.circuitbreaker.instances.{breaker.name}."
        if not limiters:
            yield Finding(
                name="hang-never-recorded",
                pipeline=pipeline.name,
                sentence=f"there is no time limiter inside {_called(breaker)}: a call that hangs is never recorded",
                remedies=(f"resilience4j.timelimiter.instances.{breaker.name}.timeoutDuration: <limit>",),
            )
            continue
        limiter = min(limiters, key=lambda one: one.config.timeout_duration_ms)
        timed_out = TimeLimitExceeded(limiter.name, limiter.timeout_s)
        if not _reacts(breaker.config.record, breaker.config.ignore, timed_out):
            yield Finding(
                name="hang-never-recorded",
                pipeline=pipeline.name,
                sentence=f"{_called(breaker)} does not record the time-outs of {_called(limiter)} as failures",
                remedies=(f"{key}recordExceptions: with TimeoutError", f"{key}ignoreExceptions: without TimeoutError"),
            )
        slow_ns, limit_ms = breaker.config.slow_call_duration_threshold_ns, limiter.config.timeout_duration_ms
        if _wants_slow_calls(breaker.config) and slow_ns >= limit_ms * NS_PER_MS:
            yield Finding(
                name="slow-calls-never-seen",
                pipeline=pipeline.name,
                sentence=f"{_called(breaker)} calls slow what takes longer than {slow_ns / NS_PER_MS:g} ms, but "
                f"{_called(limiter)} ends every call at {limit_ms} ms",
                remedies=(
                    f"{key}slowCallDurationThreshold: below {limit_ms}ms",
                    f"resilience4j.timelimiter.instances.{limiter.name}.timeoutDuration: above {slow_ns / NS_PER_MS:g}ms",
                ),
            )


def _kept_permits(pipeline: Pipeline) -> Iterator[Finding]:
    for kind in (Bulkhead, ThreadPoolBulkhead):
        for limiter, inner in _pairs(pipeline, TimeLimiter, kind):
            key = f"resilience4j.timelimiter.instances.{limiter.name}.cancelRunningFuture"
            remedies: tuple[str, ...]
            under_it = "a client time-out of the call's own, below timeoutDuration"
            if kind is ThreadPoolBulkhead:
                why, remedies = "a thread cannot be ended", (under_it,)
            elif pipeline.protects_sync:
                why, remedies = "a plain function cannot be ended", (under_it, "a coroutine function instead")
            elif not limiter.config.cancel_running_future:
                why, remedies = "cancelRunningFuture is false", (f"{key}: true", under_it)
            else:
                continue
            yield Finding(
                name="timed-out-work-keeps-permit",
                pipeline=pipeline.name,
                sentence=f"what {_called(limiter)} has given up goes on ({why}) and keeps its place in {_called(inner)}",
                remedies=remedies,
            )


def _multiplied(pipeline: Pipeline) -> Iterator[Finding]:
    retries = [one for one in _within(pipeline) if isinstance(one, Retry) and one.config.max_attempts > 1]
    if len(retries) > 1:
        counts = [one.config.max_attempts for one in retries]
        yield Finding(
            name="retries-multiply",
            pipeline=pipeline.name,
            sentence=f"{' and '.join(map(_called, retries))} are around one call, which is made up to "
            f"{' x '.join(map(str, counts))} = {math.prod(counts)} times",
            remedies=tuple(f"resilience4j.retry.instances.{one.name}.maxAttempts: 1" for one in dict.fromkeys(retries)),
        )


_LOOKS: tuple[Callable[[Pipeline], Iterator[Finding]], ...] = (
    _hidden_failures,
    _repeated_refusals,
    _filled_windows,
    _recorded_refusals,
    _unseen_hangs,
    _kept_permits,
    _multiplied,
)


def _stages(pipeline: Pipeline) -> list[Any]:
    """What is on, outermost first."""
    outermost = [] if pipeline.fallback is None else [pipeline.fallback]
    return outermost + [one for one in pipeline.policies if isinstance(one, Fallback) or one.config.enabled]


def _within(pipeline: Pipeline) -> Iterator[Any]:
    """The stages, and those of the functions that this pipeline decorates and that are protected already."""
    yield from _stages(pipeline)
    for inner in pipeline.inner:
        yield from _within(inner)


def _pairs(pipeline: Pipeline, outer: type[P], inner: type[Any]) -> Iterator[tuple[P, Any]]:
    """Each policy of the first kind with each of the second that is further in."""
    stages = _stages(pipeline)
    for place, first in enumerate(stages):
        if isinstance(first, outer):
            yield from ((first, second) for second in stages[place + 1 :] if isinstance(second, inner))


def _concerns(outer: Any, kind: type[Exception]) -> bool:
    """Whether a retry or breaker would have reacted to exceptions of this class, or of some below it."""
    if isinstance(outer, Retry) and outer.config.max_attempts > 1:
        wanted, ignored = outer.config.retry, outer.config.ignore
    elif isinstance(outer, CircuitBreaker):
        wanted, ignored = outer.config.record, outer.config.ignore
    else:
        return False
    if _says(ignored, kind.__new__(kind)):
        return False
    if isinstance(wanted, ExceptionMatcher) and not wanted.pending:
        return any(issubclass(kind, one) or issubclass(one, kind) for one in wanted.classes)
    return True


def _reacts(wanted: Predicate, ignored: Predicate, error: Exception) -> bool:
    return _says(wanted, error) and not _says(ignored, error)


def _says(predicate: Predicate, error: BaseException) -> bool:
    try:
        return bool(predicate(error))
    except Exception:  # somebody's predicate, and an exception it has never seen
        return False


def _wants_slow_calls(config: CircuitBreakerConfig) -> bool:
    usual = CircuitBreakerConfig()
    return config.slow_call_duration_threshold_ns < NEVER_SLOW_NS and (
        config.slow_call_duration_threshold_ns,
        config.slow_call_rate_threshold,
    ) != (
        usual.slow_call_duration_threshold_ns,
        usual.slow_call_rate_threshold,
    )


def _called(policy: Any) -> str:
    return f"{type(policy).__name__} {policy.name!r}"
