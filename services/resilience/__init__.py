"""
Resilience for Python services, with Resilience4j's words and decisions and nothing but the standard library.

    registry = Registry.from_environment(os.environ, defaults={...})
    pipeline = registry.pipeline("payment", fallback={CallNotPermitted: from_cache})
    answer = await pipeline.call(fetch_payment, order_id)

The README beside this file tells the rest.
"""

from __future__ import annotations

from services.resilience.asgi import actuator_app
from services.resilience.breaker_config import CircuitBreakerConfig, State, TransitionToOpen, WindowType
from services.resilience.bulkhead import Bulkhead, BulkheadConfig
from services.resilience.cache import Cache, CacheConfig, Cached
from services.resilience.circuit_breaker import BreakerMetrics, CircuitBreaker
from services.resilience.clock import Clock, ManualClock, SystemClock
from services.resilience.data_chain import MISSING, Answered, DataChain, Default, Source, SourcesExhausted
from services.resilience.deadline import Deadline, deadline_scope
from services.resilience.degradation import DegradationManager
from services.resilience.degradation_rules import RecentCalls, Rule, breaker_state
from services.resilience.errors import (
    BulkheadFull,
    CallNotPermitted,
    ConfigError,
    DeadlineExceeded,
    IllegalStateTransition,
    MaxRetriesExceeded,
    RequestNotPermitted,
    ResilienceError,
    ResultRecordedAsFailure,
    TimeLimitExceeded,
)
from services.resilience.events import Event
from services.resilience.fallback import Fallback
from services.resilience.health import Health, Indicator, Reading, aggregate, breaker_indicator, breaker_status
from services.resilience.health import Status as HealthStatus
from services.resilience.lint import Finding
from services.resilience.pipeline import Pipeline
from services.resilience.pipeline_builder import PipelineBuilder
from services.resilience.rate_limiter import RateLimiter, RateLimiterConfig
from services.resilience.registry import Registry
from services.resilience.retry import Retry, RetryConfig
from services.resilience.retry_budget import RetryBudget, RetryBudgetConfig
from services.resilience.thread_pool_bulkhead import PoolMetrics, ThreadPoolBulkhead, ThreadPoolBulkheadConfig
from services.resilience.time_limiter import TimeLimiter, TimeLimiterConfig

__all__ = [
    "MISSING",
    "Answered",
    "BreakerMetrics",
    "Bulkhead",
    "BulkheadConfig",
    "BulkheadFull",
    "Cache",
    "CacheConfig",
    "Cached",
    "CallNotPermitted",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "Clock",
    "ConfigError",
    "DataChain",
    "Deadline",
    "DeadlineExceeded",
    "Default",
    "DegradationManager",
    "Event",
    "Fallback",
    "Finding",
    "Health",
    "HealthStatus",
    "IllegalStateTransition",
    "Indicator",
    "ManualClock",
    "MaxRetriesExceeded",
    "Pipeline",
    "PipelineBuilder",
    "PoolMetrics",
    "RateLimiter",
    "RateLimiterConfig",
    "Reading",
    "RecentCalls",
    "Registry",
    "RequestNotPermitted",
    "ResilienceError",
    "ResultRecordedAsFailure",
    "Retry",
    "RetryBudget",
    "RetryBudgetConfig",
    "RetryConfig",
    "Rule",
    "Source",
    "SourcesExhausted",
    "State",
    "SystemClock",
    "ThreadPoolBulkhead",
    "ThreadPoolBulkheadConfig",
    "TimeLimitExceeded",
    "TimeLimiter",
    "TimeLimiterConfig",
    "TransitionToOpen",
    "WindowType",
    "actuator_app",
    "aggregate",
    "breaker_indicator",
    "breaker_state",
    "breaker_status",
    "deadline_scope",
]
