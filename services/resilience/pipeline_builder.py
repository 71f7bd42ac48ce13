"""
A pipeline put together by hand, in the order in which its policies are named: the first named is outermost.

    pipeline = Pipeline.builder("payment").fallback(f).retry(r).circuit_breaker(cb).time_limiter(t).bulkhead(b).build()

(In Resilience4j's Decorators the last named is.) Knows which orders are impossible and asks `lint` about those that
are merely unwise.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from services.resilience.errors import ConfigError, Problem
from services.resilience.fallback import Fallback, Handler
from services.resilience.lint import lint
from services.resilience.pipeline import Pipeline, Stage

if TYPE_CHECKING:
    from services.resilience.bulkhead import Bulkhead
    from services.resilience.circuit_breaker import CircuitBreaker
    from services.resilience.rate_limiter import RateLimiter
    from services.resilience.retry import Retry
    from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead
    from services.resilience.time_limiter import TimeLimiter

logger = logging.getLogger(__name__)


class PipelineBuilder:
    """Gathers policies, outermost first. Each method returns the builder; `build` makes the pipeline."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stages: list[Stage] = []

    def retry(self, policy: Retry) -> PipelineBuilder:
        """Further in than what was named before: a retry."""
        return self._add(policy)

    def circuit_breaker(self, policy: CircuitBreaker) -> PipelineBuilder:
        """Further in than what was named before: a circuit breaker."""
        return self._add(policy)

    def rate_limiter(self, policy: RateLimiter) -> PipelineBuilder:
        """Further in than what was named before: a rate limiter."""
        return self._add(policy)

    def time_limiter(self, policy: TimeLimiter) -> PipelineBuilder:
        """Further in than what was named before: a time limiter."""
        return self._add(policy)

    def bulkhead(self, policy: Bulkhead | ThreadPoolBulkhead) -> PipelineBuilder:
        """Further in than what was named before: a bulkhead of either kind."""
        return self._add(policy)

    def fallback(self, handlers: Mapping[type[Exception], Handler] | Handler | Fallback) -> PipelineBuilder:
        """Further in than what was named before: a fallback, for what is inside of it. It belongs outermost."""
        return self._add(handlers if isinstance(handlers, Fallback) else Fallback(handlers))

    def build(self, *, strict: bool = False, accept: Collection[str] = ()) -> Pipeline:
        """The pipeline. What lint finds is logged as a warning, or with `strict` refused; `accept` names what is meant so.

        Raises ConfigError for what cannot work: nothing named, one policy named twice (it would wait for itself, or
        count each call twice), a fallback inside a fallback that leaves it nothing.
        """
        problems = [*self._impossible()]
        if problems:
            raise ConfigError(problems)
        pipeline = Pipeline(self._name, self._stages)
        findings = lint(pipeline, accept=accept)
        if strict and findings:
            raise ConfigError(
                [
                    Problem(key=f"pipeline {self._name!r}", message=f"{one.name}: {one.sentence}", hint=one.remedies[0])
                    for one in findings
                ]
            )
        for finding in findings:
            logger.warning("%s", finding)
        return pipeline

    def _add(self, stage: Stage) -> PipelineBuilder:
        self._stages.append(stage)
        return self

    def _impossible(self) -> list[Problem]:
        key = f"pipeline {self._name!r}"
        if not self._stages:
            return [Problem(key=key, message="has no policy", hint="name at least one before build()")]
        problems = []
        for place, stage in enumerate(self._stages):
            if any(stage is other for other in self._stages[:place]):
                what = type(stage).__name__ if isinstance(stage, Fallback) else f"{type(stage).__name__} {stage.name!r}"
                problems.append(Problem(key=key, message=f"names {what} twice", hint="name it once"))
        for outer, inner in zip(self._stages, self._stages[1:], strict=False):
            if isinstance(outer, Fallback) and isinstance(inner, Fallback) and outer is not inner:
                left = [kind for kind in outer.classes if not issubclass(kind, inner.classes)]
                if not left:
                    message = "names a fallback right inside another that leaves it nothing to answer for"
                    problems.append(
                        Problem(key=key, message=message, hint="name the one for special classes further in")
                    )
        return problems
