"""
Hystrix's configuration: `hystrix.command.<key>...` and `hystrix.threadpool.<key>...`, with Hystrix's defaults.

What stands under the key `default` holds for every command, or pool, that does not say otherwise (Hystrix:
HystrixCommandProperties.java, HystrixThreadPoolProperties.java). Properties that only shape Hystrix's own reporting
are read and do nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.resilience.clock import NS_PER_MS, Clock
from services.resilience.errors import ConfigError, Problem
from services.resilience.keys import boolean, canonical, integer, word
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead, ThreadPoolBulkheadConfig
from services.resilience.validation import Checks

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HystrixCommandProperties:
    """Options of one command, times in milliseconds. Raises ConfigError for values out of bounds.

    The circuit looks at the last rolling_ms in steps of health_interval_ms, 20 buckets of 500 ms by default.
    """

    circuit_enabled: bool = True
    request_volume_threshold: int = 20
    error_threshold_percentage: int = 50
    sleep_window_ms: int = 5000
    force_open: bool = False
    force_closed: bool = False
    timeout_ms: int = 1000
    timeout_enabled: bool = True
    isolation: str = "THREAD"
    max_concurrent_requests: int = 10
    fallback_enabled: bool = True
    fallback_max_concurrent_requests: int = 10
    rolling_ms: int = 10_000
    rolling_buckets: int = 10
    health_interval_ms: int = 500

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("circuitBreaker.requestVolumeThreshold", self.request_volume_threshold, 0)
        checks.percentage("circuitBreaker.errorThresholdPercentage", self.error_threshold_percentage)
        checks.at_least("circuitBreaker.sleepWindowInMilliseconds", self.sleep_window_ms, 0, "ms")
        checks.at_least("execution.isolation.thread.timeoutInMilliseconds", self.timeout_ms, 1, "ms")
        checks.one_of("execution.isolation.strategy", self.isolation, ("THREAD", "SEMAPHORE"))
        checks.at_least("execution.isolation.semaphore.maxConcurrentRequests", self.max_concurrent_requests, 0)
        checks.at_least("fallback.isolation.semaphore.maxConcurrentRequests", self.fallback_max_concurrent_requests, 0)
        checks.at_least("metrics.healthSnapshot.intervalInMilliseconds", self.health_interval_ms, 1, "ms")
        checks.at_least("metrics.rollingStats.timeInMilliseconds", self.rolling_ms, self.health_interval_ms, "ms")
        checks.at_least("metrics.rollingStats.numBuckets", self.rolling_buckets, 1)
        if self.rolling_buckets > 0 and self.rolling_ms % self.rolling_buckets:
            message = f"is {self.rolling_buckets}, must divide timeInMilliseconds, {self.rolling_ms}"
            checks.problems.append(Problem(key="metrics.rollingStats.numBuckets", message=message))
        checks.finish()

    @property
    def health_buckets(self) -> int:
        """How many steps the circuit looks back."""
        return self.rolling_ms // self.health_interval_ms

    @property
    def health_interval_ns(self) -> int:
        """One step in nanoseconds."""
        return self.health_interval_ms * NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class HystrixThreadPoolProperties:
    """Options of one pool. max_queue_size -1 (and 0) hands over and queues nothing. Raises ConfigError."""

    core_size: int = 10
    maximum_size: int = 10
    allow_maximum_size_to_diverge: bool = False
    max_queue_size: int = -1
    queue_size_rejection_threshold: int = 5
    keep_alive_minutes: int = 1

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("coreSize", self.core_size, 1)
        checks.at_least("maximumSize", self.maximum_size, 1)
        checks.at_least("maxQueueSize", self.max_queue_size, -1)
        # With 0 and a queue, Hystrix refuses every call.
        checks.at_least("queueSizeRejectionThreshold", self.queue_size_rejection_threshold, 1)
        checks.at_least("keepAliveTimeMinutes", self.keep_alive_minutes, 0)
        checks.finish()

    def bulkhead(self) -> ThreadPoolBulkheadConfig:
        """The pool in our words.

        Hystrix asks for room below the rejection threshold before it asks the executor: where the threshold is not
        above the queue's size, the queue never fills, so the pool never grows beyond its core.
        """
        maximum = max(self.core_size, self.maximum_size) if self.allow_maximum_size_to_diverge else self.core_size
        capacity = max(self.max_queue_size, 0)
        if capacity > 0 and self.queue_size_rejection_threshold <= capacity:
            capacity, maximum = self.queue_size_rejection_threshold, self.core_size
        return ThreadPoolBulkheadConfig(
            core_thread_pool_size=self.core_size,
            max_thread_pool_size=maximum,
            queue_capacity=capacity,
            keep_alive_duration_ms=self.keep_alive_minutes * _MINUTE_MS,
        )

    def new(self, key: str, clock: Clock) -> ThreadPoolBulkhead:
        """A pool with these options."""
        return ThreadPoolBulkhead(key, self.bulkhead(), clock)


_Reader = Callable[[object], Any]
_Table = dict[str, tuple[str | None, _Reader]]

_COMMAND: _Table = {
    "circuitBreaker.enabled": ("circuit_enabled", boolean),
    "circuitBreaker.requestVolumeThreshold": ("request_volume_threshold", integer),
    "circuitBreaker.errorThresholdPercentage": ("error_threshold_percentage", integer),
    "circuitBreaker.sleepWindowInMilliseconds": ("sleep_window_ms", integer),
    "circuitBreaker.forceOpen": ("force_open", boolean),
    "circuitBreaker.forceClosed": ("force_closed", boolean),
    "execution.isolation.thread.timeoutInMilliseconds": ("timeout_ms", integer),
    "execution.timeout.enabled": ("timeout_enabled", boolean),
    "execution.isolation.strategy": ("isolation", word),
    "execution.isolation.semaphore.maxConcurrentRequests": ("max_concurrent_requests", integer),
    "fallback.enabled": ("fallback_enabled", boolean),
    "fallback.isolation.semaphore.maxConcurrentRequests": ("fallback_max_concurrent_requests", integer),
    "metrics.rollingStats.timeInMilliseconds": ("rolling_ms", integer),
    "metrics.rollingStats.numBuckets": ("rolling_buckets", integer),
    "metrics.healthSnapshot.intervalInMilliseconds": ("health_interval_ms", integer),
    "metrics.rollingPercentile.enabled": (None, boolean),
    "metrics.rollingPercentile.timeInMilliseconds": (None, integer),
    "metrics.rollingPercentile.numBuckets": (None, integer),
    "metrics.rollingPercentile.bucketSize": (None, integer),
    "execution.isolation.thread.interruptOnTimeout": (None, boolean),
    "execution.isolation.thread.interruptOnCancel": (None, boolean),
    "requestCache.enabled": (None, boolean),
    "requestLog.enabled": (None, boolean),
}
_POOL: _Table = {
    "coreSize": ("core_size", integer),
    "maximumSize": ("maximum_size", integer),
    "allowMaximumSizeToDivergeFromCoreSize": ("allow_maximum_size_to_diverge", boolean),
    "maxQueueSize": ("max_queue_size", integer),
    "queueSizeRejectionThreshold": ("queue_size_rejection_threshold", integer),
    "keepAliveTimeMinutes": ("keep_alive_minutes", integer),
    "metrics.rollingStats.timeInMilliseconds": (None, integer),
    "metrics.rollingStats.numBuckets": (None, integer),
}
_SECTIONS: dict[str, tuple[_Table, Callable[..., object]]] = {
    "command": (_COMMAND, HystrixCommandProperties),
    "threadpool": (_POOL, HystrixThreadPoolProperties),
}


@dataclass(slots=True)
class HystrixSettings:
    """Everything below `hystrix` of one mapping: by section and key, arguments and the keys as they were written."""

    arguments: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in _SECTIONS})

    @classmethod
    def read(cls, mapping: Mapping[str, Any]) -> HystrixSettings:
        """The settings of nested or dotted keys; others than `hystrix` are left alone. Raises ConfigError."""
        settings, problems = cls(), list[Problem]()
        for written, value in _flatten(mapping):
            path = written.split(".")
            if path[0] == "hystrix":
                problems.extend(settings._take(path[1:], written, value))
        for section, keys in settings.arguments.items():
            for key in keys:
                problems.extend(settings._check(section, key))
        if problems:
            raise ConfigError(list(dict.fromkeys(problems)))
        return settings

    @classmethod
    def problems_of(cls, mapping: Mapping[str, Any]) -> tuple[Problem, ...]:
        """Every mistake that `read` would raise for."""
        try:
            cls.read(mapping)
        except ConfigError as error:
            return error.problems
        return ()

    def command(self, key: str) -> HystrixCommandProperties:
        """The properties of one command: its own over those of `default`."""
        return HystrixCommandProperties(**self._merged("command", key))

    def thread_pool(self, key: str) -> HystrixThreadPoolProperties:
        """The properties of one pool: its own over those of `default`."""
        return HystrixThreadPoolProperties(**self._merged("threadpool", key))

    def _merged(self, section: str, key: str) -> dict[str, Any]:
        return {**self.arguments[section].get("default", {}), **self.arguments[section].get(key, {})}

    def _take(self, path: list[str], written: str, value: Any) -> Iterator[Problem]:
        if not path or path[0] not in _SECTIONS:
            yield Problem(key=written, message=f"unknown key {(path or [''])[0]!r}", hint="command or threadpool")
            return
        table = {canonical(name): name for name in _SECTIONS[path[0]][0]}
        # A command's key may have dots of its own: the property is the longest ending that is one.
        split = next((at for at in range(2, len(path)) if canonical(".".join(path[at:])) in table), None)
        if split is None:
            near = difflib.get_close_matches(canonical(".".join(path[2:])), table, n=1, cutoff=0.0)
            hint = f"did you mean {table[near[0]]!r}?" if near else None
            yield Problem(key=written, message=f"unknown key {'.'.join(path[2:])!r}", hint=hint)
            return
        argument, reader = _SECTIONS[path[0]][0][table[canonical(".".join(path[split:]))]]
        own = self.arguments[path[0]].setdefault(".".join(path[1:split]), {})
        try:
            read = reader(value)
        except ValueError as error:
            yield Problem(key=written, message=str(error))
        else:
            if argument is not None:
                own[argument] = read

    def _check(self, section: str, key: str) -> Iterator[Problem]:
        try:
            _SECTIONS[section][1](**self._merged(section, key))
        except ConfigError as error:
            for problem in error.problems:
                yield Problem(key=f"hystrix.{section}.{key}.{problem.key}", message=problem.message, hint=problem.hint)


def keys_of(mapping: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The keys under `hystrix` of a configuration, dotted, overridden by environment variables.

    A variable is named by the dotted key, or in Spring's capitals (HYSTRIX_COMMAND_GETUSER_FALLBACK_ENABLED), which find
    a key that is there again whatever its capitals and dashes; in capitals it wins over dotted.
    """
    found = {written: value for written, value in _flatten(mapping) if written.partition(".")[0] == "hystrix"}
    variables = environment or {}
    found |= {name: value for name, value in variables.items() if name.startswith("hystrix.")}
    spelled = {canonical(written): written for written in found}
    for name, value in sorted(variables.items()):
        if name.startswith("HYSTRIX_"):
            dotted = ".".join(_dotted(name.split("_")[1:]))
            found[spelled.get(canonical(dotted), dotted)] = value
    return found


def _dotted(words: list[str]) -> list[str]:
    """The words of a variable as those of a key: what stands between the section and the property is one word."""
    section = words[0].lower() if words else ""
    known = {canonical(name) for name in _SECTIONS.get(section, ({}, None))[0]}
    ends = [at for at in range(2, len(words)) if canonical(".".join(words[at:])) in known]
    at = ends[0] if ends else len(words)
    return [part for part in ("hystrix", section, "_".join(words[1:at]).lower(), *words[at:]) if part]


def _flatten(mapping: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", value
