"""
Data degradation: the same question put to one source after another, until one of them answers.

    chain = DataChain("product", [Source("cache", from_cache), Source("db", from_db, timeout_s=0.3)], Default(UNKNOWN))
    answer = await chain.call(42)  # answer.value, .source, .stale_age_s, .degraded

A source that answers is the last one asked; with a default the chain never fails. Which sources there are, and what
each does, is its owner's affair; flags that people set are in `degradation`. Ours; Resilience4j has no such thing.
"""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from services.resilience.cache import Cached
from services.resilience.circuit_breaker import CircuitBreaker
from services.resilience.errors import ConfigError, Problem, ResilienceError
from services.resilience.locks import fork_safe_lock
from services.resilience.pipeline import Pipeline, Policy
from services.resilience.time_limiter import TimeLimiter, TimeLimiterConfig

logger = logging.getLogger(__name__)

T = TypeVar("T")


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What a source returns when it has nothing to say: the next one is asked, and no breaker counts a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Generic[T]):
    """A value and where it is from.

    level counts from 0, the first source; the default's is the number of sources. stale_age_s is the value's age in
    seconds where the source said that it is stale, else 0.0. degraded: stale, or from a level marked as less than good.
    """

    value: T
    source: str
    level: int
    stale_age_s: float
    degraded: bool


class Source:
    """One level of a chain: fetch(*arguments), plain or async, gives a value, a `Cached` (with its age) or MISSING.

    timeout_s bounds one fetch and breaker may refuse it; either is a reason to ask the next level. refill(value,
    *arguments) is called when a level below answered with a value that is not degraded. degraded marks whatever comes
    from here as less than good.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[..., Any],
        *,
        timeout_s: float | None = None,
        breaker: CircuitBreaker | None = None,
        refill: Callable[..., None] | None = None,
        degraded: bool = False,
    ) -> None:
        self.name = name
        self.fetch = fetch
        self.refill = refill
        self.degraded = degraded
        policies: list[Policy] = [] if breaker is None else [breaker]
        if timeout_s is not None:
            policies.append(TimeLimiter(name, TimeLimiterConfig(timeout_duration_ms=round(timeout_s * 1000))))
        self._pipeline = Pipeline(name, policies) if policies else None

    async def ask(self, *arguments: Any) -> Any:
        """What fetch gives, under this level's own limits."""
        fetch = cast("Callable[..., Awaitable[Any]]", self._fetch)
        return await (self._pipeline.call(fetch, *arguments) if self._pipeline else fetch(*arguments))

    def ask_sync(self, *arguments: Any) -> Any:
        """As `ask`, for plain functions."""
        return self._pipeline.call_sync(self.fetch, *arguments) if self._pipeline else self.fetch(*arguments)

    async def _fetch(self, *arguments: Any) -> Any:
        told = self.fetch(*arguments)
        return await told if isinstance(told, Awaitable) else told


class Default(Generic[T]):
    """What ends a chain: a value, or make(*arguments) with the value for the case that even make fails."""

    def __init__(self, value: T, make: Callable[..., T] | None = None, *, name: str = "default") -> None:
        self.name = name
        self.value = value
        self.make = make

    def of(self, *arguments: Any) -> T:
        """The default for a question. Never raises an Exception."""
        if self.make is None:
            return self.value
        try:
            return self.make(*arguments)
        except Exception:
            logger.exception("the default %r failed, its plain value serves", self.name)
            return self.value


class SourcesExhausted(ResilienceError):
    """No source answered and there is no default. `errors` holds each source's exception, None where it was MISSING."""

    def __init__(self, name: str, errors: dict[str, Exception | None]) -> None:
        super().__init__(name, errors)
        self.name = name
        self.errors = errors

    def __str__(self) -> str:
        told = "; ".join(
            f"{source}: {error!r}" if error else f"{source}: nothing" for source, error in self.errors.items()
        )
        return f"no source of '{self.name}' answered: {told or 'there is none'}"


class DataChain:
    """Sources in the order they are asked, and a default or none. Raises ConfigError when two have one name.

    `failures` are the exceptions that lead to the next level; any other reaches the caller at once: "there is no such
    product" is an answer. `served` counts answers by source.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[Source],
        default: Default[Any] | None = None,
        *,
        failures: tuple[type[Exception], ...] = (Exception,),
    ) -> None:
        names = [source.name for source in sources] + ([default.name] if default is not None else [])
        twice = [one for one, count in Counter(names).items() if count > 1]
        if twice:
            raise ConfigError([Problem(key=f"{name}.sources", message=f"{one!r} is there twice") for one in twice])
        self.name = name
        self.sources = tuple(sources)
        self.default = default
        self.failures = failures
        self.served: Counter[str] = Counter(dict.fromkeys(names, 0))
        self._lock = fork_safe_lock()

    async def call(self, *arguments: Any) -> Answered[Any]:
        """The first answer. Raises SourcesExhausted where there is none and no default, and what is no failure."""
        errors: dict[str, Exception | None] = {}
        for level, source in enumerate(self.sources):
            try:
                told = await source.ask(*arguments)
            except self.failures as error:
                errors[source.name] = error
                continue
            if told is not MISSING:
                return self._answer(told, level, arguments)
            errors[source.name] = None
        return self._end(errors, arguments)

    def call_sync(self, *arguments: Any) -> Answered[Any]:
        """As `call`, without an event loop. An async source is a mistake here: TypeError."""
        errors: dict[str, Exception | None] = {}
        for level, source in enumerate(self.sources):
            try:
                told = source.ask_sync(*arguments)
            except self.failures as error:
                errors[source.name] = error
                continue
            if inspect.iscoroutine(told):  # outside of the try: a mistake is no failure for the next level to hide
                told.close()
                raise TypeError(f"source {source.name!r} of {self.name!r} is async, the call is not")
            if told is not MISSING:
                return self._answer(told, level, arguments)
            errors[source.name] = None
        return self._end(errors, arguments)

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Name, labels and value of `degradation_served_total`, one row a source."""
        with self._lock:
            counts = dict(self.served)
        return [
            ("degradation_served_total", {"name": self.name, "source": source}, float(count))
            for source, count in counts.items()
        ]

    def _answer(self, told: Any, level: int, arguments: tuple[Any, ...]) -> Answered[Any]:
        source = self.sources[level]
        value, age_s = (told.value, told.stale_age_s) if isinstance(told, Cached) else (told, 0.0)
        degraded = source.degraded or (isinstance(told, Cached) and told.degraded)
        if not degraded:
            self._refill(self.sources[:level], value, arguments)
        self._count(source.name)
        return Answered(value=value, source=source.name, level=level, stale_age_s=age_s, degraded=degraded)

    def _end(self, errors: dict[str, Exception | None], arguments: tuple[Any, ...]) -> Answered[Any]:
        if self.default is None:
            last = next((error for error in reversed(errors.values()) if error is not None), None)
            raise SourcesExhausted(self.name, errors) from last
        value = self.default.of(*arguments)
        self._count(self.default.name)
        level = len(self.sources)
        return Answered(value=value, source=self.default.name, level=level, stale_age_s=0.0, degraded=True)

    def _refill(self, above: Sequence[Source], value: Any, arguments: tuple[Any, ...]) -> None:
        for source in above:
            if source.refill is not None:
                try:
                    source.refill(value, *arguments)
                except Exception:  # the answer is there; a cache that cannot be filled must not take it away
                    logger.exception("source %r of %r could not be refilled", source.name, self.name)

    def _count(self, source: str) -> None:
        with self._lock:
            self.served[source] += 1
