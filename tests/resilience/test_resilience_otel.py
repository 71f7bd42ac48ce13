"""What the policies do to a call stands on that call's span, by the real OpenTelemetry SDK."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.resilience import CallNotPermitted, ConfigError, ManualClock, Registry, State, SystemClock, otel
from services.resilience.events import EventLog

KEYS = {
    "resilience4j.circuitbreaker.instances.payment.slidingWindowSize": 2,
    "resilience4j.circuitbreaker.instances.payment.waitDurationInOpenState": "1s",
    "resilience4j.retry.instances.payment.maxAttempts": 3,
    "resilience4j.retry.instances.payment.waitDuration": "100ms",
    "resilience4j.bulkhead.instances.payment.maxConcurrentCalls": 1,
    "resilience4j.timelimiter.instances.payment.timeoutDuration": "20ms",
}
PATIENCE_S = 60


@pytest.fixture
def spans():
    """(a tracer, what it has exported)."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("test"), exporter.get_finished_spans
    provider.shutdown()


def fail():
    raise ConnectionError("nobody there")


def told(span):
    return [(event.name, dict(event.attributes)) for event in span.events]


def test_a_call_that_fails_leaves_its_story_on_its_span(spans):
    """Each failure, each retry with its wait, the transition and the refusal, in their order; and what to search by."""
    tracer, finished = spans
    registry = Registry.from_mapping(KEYS, clock=ManualClock())
    otel.annotate(registry)
    breaker, retry = registry.circuit_breaker("payment"), registry.retry("payment")

    with tracer.start_as_current_span("order"), pytest.raises(CallNotPermitted):
        retry.call_sync(breaker.call_sync, fail)

    (span,) = finished()
    payment, gone = "resilience4j.{}.name", "ConnectionError: nobody there"
    failed = {payment.format("circuitbreaker"): "payment", "exception.message": gone, "resilience4j.duration_ms": 0.0}
    again = {payment.format("retry"): "payment", "exception.message": gone, "resilience4j.wait_ms": 100}
    assert told(span)[:4] == [
        ("resilience4j.circuitbreaker.error", failed),
        ("resilience4j.retry.retry", {**again, "resilience4j.attempts": 1}),
        ("resilience4j.circuitbreaker.error", failed),
        (
            "resilience4j.circuitbreaker.failure_rate_exceeded",
            {payment.format("circuitbreaker"): "payment", "resilience4j.failure_rate": 100.0},
        ),
    ]
    assert [name.removeprefix("resilience4j.") for name, _ in told(span)[4:-1]] == [
        "circuitbreaker.state_transition",
        "retry.retry",
        "circuitbreaker.not_permitted",
    ]
    assert dict(span.attributes) == {
        "resilience4j.circuitbreaker.name": "payment",
        "resilience4j.circuitbreaker.state": "OPEN",
        "resilience4j.circuitbreaker.not_permitted": True,
        "resilience4j.retry.name": "payment",
        "resilience4j.retry.attempts": 2,
    }


def test_a_time_out_and_a_full_bulkhead_can_be_searched_for(spans):
    """By timed_out and by rejected, each on the span of the call that met it."""
    tracer, finished = spans
    registry = Registry.from_mapping(KEYS, clock=SystemClock())
    otel.annotate(registry)

    async def main():
        with tracer.start_as_current_span("slow"), pytest.raises(TimeoutError):
            await registry.time_limiter("payment").call(asyncio.Event().wait)
        with tracer.start_as_current_span("crowd"), pytest.raises(Exception, match="is full"):
            await registry.bulkhead("payment").call(registry.bulkhead("payment").call, asyncio.sleep, 0)

    asyncio.run(main())
    slow, crowd = finished()
    assert slow.attributes["resilience4j.timelimiter.timed_out"] is True
    assert crowd.attributes["resilience4j.bulkhead.rejected"] is True
    assert [name for name, _ in told(crowd)] == ["resilience4j.bulkhead.call_rejected"]


def test_a_call_that_goes_well_adds_nothing_and_costs_nothing(spans):
    """Its span is bare, and the breaker is as calm as one that nobody listens to."""
    tracer, finished = spans
    registry = Registry.from_mapping(KEYS)
    otel.annotate(registry)
    pipeline = registry.pipeline("payment")

    async def main():
        with tracer.start_as_current_span("well"):
            for _ in range(3):
                await pipeline.call(asyncio.sleep, 0)

    asyncio.run(main())
    (span,) = finished()
    assert (told(span), dict(span.attributes)) == ([], {})
    assert registry.circuit_breaker("payment").calm


def test_without_a_span_nothing_is_told_and_nothing_breaks():
    """A service that traces some of its requests loses none of the others."""
    registry = Registry.from_mapping(KEYS, clock=ManualClock())
    otel.annotate(registry)
    with pytest.raises(ConnectionError):
        registry.circuit_breaker("payment").call_sync(fail)


def test_policies_made_later_are_told_of_and_after_the_end_none_are(spans):
    """annotate is for the registry, not for what it happens to hold; what it returns ends it."""
    tracer, finished = spans
    registry = Registry(clock=ManualClock())
    stop = otel.annotate(registry)
    late = registry.circuit_breaker("late")
    with tracer.start_as_current_span("before"):
        late.transition_to(State.OPEN)
    stop()
    with tracer.start_as_current_span("after"):
        late.transition_to(State.CLOSED)
        registry.circuit_breaker("later").transition_to(State.OPEN)

    before, after = finished()
    assert [name for name, _ in told(before)] == ["resilience4j.circuitbreaker.state_transition"]
    assert told(after) == []


def test_whoever_hands_an_event_over_it_is_told_where_it_belongs():
    """An event appended by one call and delivered by another is seen in the context of the first."""
    lock, whose, seen = threading.Lock(), contextvars.ContextVar("whose", default="nobody"), []
    log = EventLog(ManualClock(), lock)
    log.subscribe(lambda event: seen.append((event.type, whose.get())), in_context=True)
    log.subscribe(lambda event: seen.append((event.type, whose.get(), "in place")), types={"RESET"})

    def append():
        whose.set("mine")
        with lock:
            log.append("RESET", 0)

    thread = threading.Thread(target=append)
    thread.start()
    thread.join(PATIENCE_S)
    whose.set("yours")
    log.deliver()

    assert seen == [("RESET", "mine"), ("RESET", "yours", "in place")]


def test_without_opentelemetry_one_is_told_what_to_install(monkeypatch):
    """The rest of the library works without it."""
    real = builtins.__import__

    def no_otel(name, *rest, **more):
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_otel)
    with pytest.raises(ConfigError, match=r"pip install 'harness\[otel\]'"):
        otel.annotate(Registry())
