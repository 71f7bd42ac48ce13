"""A thread pool's options and gauges, in Resilience4j's words (R4J: bulkhead/ThreadPoolBulkheadConfig.java)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from services.resilience.validation import Checks


def _processors() -> int:
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadPoolBulkheadConfig:
    """Options of one pool; by default as many threads as processors, one fewer of them kept, and a queue of 100.

    `queue_capacity` 0 means that a call starts at once or is refused. Raises ConfigError for values out of bounds.
    """

    max_thread_pool_size: int = field(default_factory=_processors)
    core_thread_pool_size: int = field(default_factory=lambda: max(_processors() - 1, 1))
    queue_capacity: int = 100
    keep_alive_duration_ms: int = 20
    event_consumer_buffer_size: int = 100
    enabled: bool = True

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("maxThreadPoolSize", self.max_thread_pool_size, 1)
        checks.at_least("coreThreadPoolSize", self.core_thread_pool_size, 1)
        if self.max_thread_pool_size >= 1:
            checks.at_most("coreThreadPoolSize", self.core_thread_pool_size, self.max_thread_pool_size)
        checks.at_least("queueCapacity", self.queue_capacity, 0)
        checks.at_least("keepAliveDuration", self.keep_alive_duration_ms, 0, "ms")
        checks.at_least("eventConsumerBufferSize", self.event_consumer_buffer_size, 1)
        checks.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolMetrics:
    """A pool at one moment, under the names of the gauges; a coroutine in its place counts as a thread."""

    queue_depth: int
    queue_capacity: int
    thread_pool_size: int
    core_thread_pool_size: int
    max_thread_pool_size: int
    active_thread_count: int
    available_thread_count: int
