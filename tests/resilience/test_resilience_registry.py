"""Registry, pipeline, fallback, and what Actuator and Prometheus show."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from services.resilience import BulkheadFull, CallNotPermitted, ManualClock, Registry, State, TimeLimitExceeded

DECLARED = {
    "server.port": 8080,
    "resilience4j": {
        "circuitbreaker": {
            "configs": {"default": {"sliding-window-size": 4, "minimumNumberOfCalls": 2}},
            "instances": {"payment": {"waitDurationInOpenState": "2s"}},
        },
        "retry": {"instances": {"payment": {"max_attempts": 3, "waitDuration": "PT0.1S"}}},
        "timelimiter": {"instances": {"payment": {"timeoutDuration": "10s"}}},
    },
    "resilience4j.bulkhead.instances.payment.maxConcurrentCalls": 20,
}


def registry(extra=None, environment=None):
    return Registry.from_environment(environment or {}, defaults={**DECLARED, **(extra or {})}, clock=ManualClock())


def failing(*_args):
    raise ConnectionError("down")


async def failing_async(*_args):
    raise ConnectionError("down")


def test_a_pipeline_is_what_is_declared_in_the_order_of_upstream():
    """Retry is outermost, then breaker, time limiter, bulkhead; what is not declared or is off is not there."""
    full = registry({"resilience4j.ratelimiter.instances.payment.limitForPeriod": 10})
    less = registry({"resilience4j.retry.instances.payment.enabled": False})

    assert full.pipeline("payment").describe() == "Retry(CircuitBreaker(RateLimiter(TimeLimiter(Bulkhead(fn)))))"
    assert less.pipeline("payment", fallback=repr).describe() == "Fallback(CircuitBreaker(TimeLimiter(Bulkhead(fn))))"
    assert less.pipeline("unknown").describe() == "fn"
    assert less.pipeline("unknown").call_sync(lambda: 3) == 3


def test_aspect_orders_change_the_order():
    """As in Spring: a lower order is further out."""
    turned = registry({"resilience4j.circuitbreaker.circuitBreakerAspectOrder": 1})

    assert turned.pipeline("payment").describe() == "CircuitBreaker(Retry(TimeLimiter(Bulkhead(fn))))"


def test_a_name_means_one_object():
    """Whoever asks for a policy by name gets the same one, also inside pipelines."""
    one = registry()

    assert one.circuit_breaker("payment") is one.circuit_breaker("payment")
    assert one.circuit_breaker("payment") in one.pipeline("payment").policies
    assert one.circuit_breaker("other").config.sliding_window_size == 4


def test_a_breaker_switched_off_admits_all_and_shows_it():
    """`enabled: false` leaves it out of the pipeline and lists it as DISABLED."""
    off = registry({"resilience4j.circuitbreaker.instances.payment.enabled": "false"})

    assert "CircuitBreaker" not in off.pipeline("payment").describe()
    assert off.actuator("circuitbreakers")["circuitBreakers"]["payment"]["state"] == "DISABLED"


def test_environment_variables_override_the_defaults():
    """Under the dotted key, and under Spring's capitals, where the declared spelling of the name is found again."""
    one = registry(
        {"resilience4j.retry.instances.orderPayment.maxAttempts": 3},
        {
            "resilience4j.retry.instances.payment.maxAttempts": "5",
            "RESILIENCE4J_CIRCUITBREAKER_INSTANCES_PAYMENT_FAILURERATETHRESHOLD": "33.3",
            "RESILIENCE4J_RETRY_INSTANCES_ORDERPAYMENT_MAXATTEMPTS": "7",
            "RESILIENCE4J_RETRY_INSTANCES_NEW_MAXATTEMPTS": "8",
            "RESILIENCE4J_CIRCUITBREAKER_CONFIGS_DEFAULT_SLIDING_WINDOW_SIZE": "6",
            "PATH": "/bin",
        },
    )

    assert one.retry("payment").config.max_attempts == 5
    assert one.circuit_breaker("payment").config.failure_rate_threshold == 33.3
    assert one.circuit_breaker("payment").config.sliding_window_size == 6
    assert one.retry("orderPayment").config.max_attempts == 7
    assert one.retry("new").config.max_attempts == 8


def test_retry_does_not_wait_for_an_open_breaker():
    """CallNotPermitted ends the retry at once where a breaker is beside it; a key of ours restores upstream."""
    ours, theirs = registry(), registry({"resilience4j.retry.instances.payment.retryCallNotPermitted": True})
    for one, waits_ns in ((ours, 0), (theirs, 200_000_000)):
        one.circuit_breaker("payment").transition_to(State.FORCED_OPEN)
        with pytest.raises(CallNotPermitted):
            one.pipeline("payment").call_sync(failing)
        assert one.clock.now_ns() == waits_ns


def test_a_full_bulkhead_is_no_failure_of_the_other_service():
    """BulkheadFull does not count in the breaker around it unless recordBulkheadFull says so."""
    key = "resilience4j.circuitbreaker.instances.payment.recordBulkheadFull"
    for extra, failed in (({}, 0), ({key: "true"}, 1)):
        one = registry({"resilience4j.retry.instances.payment.maxAttempts": 1, **extra})
        for _ in range(20):
            one.bulkhead("payment").acquire_sync()
        with pytest.raises(BulkheadFull):
            one.pipeline("payment").call_sync(int)
        assert one.circuit_breaker("payment").metrics.failed_calls == failed


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_fallback_comes_after_all_attempts(shell):
    """It is outermost: three attempts are made before it answers, with the exception and the call's arguments."""
    one, seen = registry({"resilience4j.circuitbreaker.instances.payment.enabled": False}), []

    def handler(error, *args, **kwargs):
        seen.append((repr(error), args, kwargs))
        return "instead"

    async def async_handler(error, *args, **kwargs):
        return handler(error, *args, **kwargs)

    if shell == "sync":
        answer = one.pipeline("payment", fallback=handler).call_sync(lambda *_args, **_kwargs: failing(), 1, key=2)
    else:
        answer = asyncio.run(one.pipeline("payment", fallback=async_handler).call(failing_async, 1))
    assert answer == "instead"
    assert seen == [("ConnectionError('down')", (1,), {"key": 2} if shell == "sync" else {})]
    assert one.retry("payment").counts.failed_with_retry == 1


def test_the_nearest_class_has_its_fallback():
    """Of several handlers the one for the closest class in the exception's line runs; without any it goes through."""
    one = registry()
    pipeline = one.pipeline(
        "unknown", fallback={Exception: lambda _: "any", OSError: lambda _: "system", TimeoutError: lambda _: "time"}
    )

    def late():
        raise TimeLimitExceeded("x", 1)

    assert pipeline.call_sync(failing) == "system"
    assert pipeline.call_sync(late) == "time"
    assert pipeline.call_sync(lambda: {}["x"]) == "any"
    with pytest.raises(ConnectionError):
        one.pipeline("unknown", fallback={KeyError: lambda _: "no"}).call_sync(failing)


def test_a_fallback_that_fails_keeps_the_first_cause():
    """Its own exception goes to the caller, with the one it was called for as __cause__."""

    def broken(_error):
        raise LookupError("cache empty")

    with pytest.raises(LookupError) as error:
        registry().pipeline("unknown", fallback={Exception: broken}).call_sync(failing)
    assert isinstance(error.value.__cause__, ConnectionError)


def test_decorated_functions_stay_what_they_are():
    """A coroutine function stays one, and its name stays its name."""
    one = registry()

    @one.protect("payment")
    async def fetch(number):
        return number + 1

    @one.protect("payment")
    def fetch_sync(number):
        return number + 2

    assert asyncio.run(fetch(1)) == 2
    assert fetch_sync(1) == 3
    assert fetch.__name__ == "fetch"


def opened():
    one = registry({"resilience4j.retry.instances.payment.maxAttempts": 2})
    one.clock.advance(1_795_366_757_287_794_131)
    with pytest.raises(ConnectionError):
        one.pipeline("payment").call_sync(failing)
    with pytest.raises(CallNotPermitted):
        one.pipeline("payment").call_sync(failing)
    return one


def test_the_breakers_endpoint_has_the_recorded_shape():
    """The answer of /actuator/circuitbreakers, key by key, rates as strings."""
    assert opened().actuator("circuitbreakers") == {
        "circuitBreakers": {
            "payment": {
                "failureRate": "100.0%",
                "slowCallRate": "0.0%",
                "failureRateThreshold": "50.0%",
                "slowCallRateThreshold": "100.0%",
                "bufferedCalls": 2,
                "failedCalls": 2,
                "slowCalls": 0,
                "slowFailedCalls": 0,
                "notPermittedCalls": 1,
                "state": "OPEN",
            }
        }
    }


def test_events_have_the_recorded_shape_and_two_keys_more():
    """Oldest first; creationTime as Java prints it, plus the machine's clock and a number without gaps."""
    one = opened()
    events = one.actuator("circuitbreakerevents")["circuitBreakerEvents"]

    assert [event["type"] for event in events] == [
        "ERROR",
        "ERROR",
        "FAILURE_RATE_EXCEEDED",
        "STATE_TRANSITION",
        "NOT_PERMITTED",
    ]
    assert events[0] == {
        "circuitBreakerName": "payment",
        "type": "ERROR",
        "creationTime": "2026-11-22T16:59:17.287794131Z[Etc/UTC]",
        "errorMessage": "ConnectionError: down",
        "durationInMs": 0,
        "stateTransition": None,
        "monotonicTimeNs": 1_795_366_757_287_794_131,
        "sequence": 1,
    }
    assert events[3]["stateTransition"] == "CLOSED_TO_OPEN"
    assert [event["sequence"] for event in events] == [1, 2, 3, 4, 5]
    only = one.actuator("circuitbreakerevents/payment/STATE_TRANSITION")["circuitBreakerEvents"]
    assert only == [events[3]]
    assert one.actuator("circuitbreakerevents/payment")["circuitBreakerEvents"] == events


def test_the_other_endpoints_have_the_recorded_shapes():
    """Names only in the lists; the number of attempts in retry events; all of it JSON."""
    one = opened()

    assert one.actuator("retries") == {"retries": ["payment"]}
    assert one.actuator("bulkheads") == {"bulkheads": ["payment"]}
    assert one.actuator("timelimiters") == {"timeLimiters": ["payment"]}
    retried = one.actuator("retryevents")["retryEvents"]
    assert [(event["type"], event["numberOfAttempts"]) for event in retried] == [
        ("RETRY", 1),
        ("ERROR", 2),
        ("IGNORED_ERROR", 0),
    ]
    assert [e["type"] for e in one.actuator("bulkheadevents/payment")["bulkheadEvents"]] == [
        "CALL_PERMITTED",
        "CALL_FINISHED",
    ] * 2
    assert [e["type"] for e in one.actuator("timelimiterevents")["timeLimiterEvents"]] == ["ERROR", "ERROR"]
    for path in ("ratelimiters", "ratelimiterevents", "retryevents/payment/RETRY"):
        json.dumps(one.actuator(path))


@pytest.mark.parametrize("path", ["", "nothing", "circuitbreakerevents/nobody", "circuitbreakerevents/payment/NOTHING"])
def test_what_is_unknown_to_the_actuator_is_a_key_error(path):
    """A path, a name or a type that does not exist is no empty answer."""
    with pytest.raises(KeyError):
        registry().actuator(path)


def test_a_breaker_can_be_forced_from_outside():
    """What POST /actuator/circuitbreakers/NAME does in Spring."""
    one = registry()
    answer = one.update_circuit_breaker("payment", "FORCE_OPEN")

    assert answer["currentState"] == "FORCED_OPEN"
    assert one.update_circuit_breaker("payment", "CLOSE")["currentState"] == "CLOSED"
    with pytest.raises(ValueError, match="'OPEN', must be one of CLOSE, FORCE_OPEN, DISABLE"):
        one.update_circuit_breaker("payment", "OPEN")


@pytest.mark.parametrize(
    "sample",
    [
        'resilience4j_circuitbreaker_state{name="payment",state="open"} 1.0',
        'resilience4j_circuitbreaker_state{name="payment",state="closed"} 0.0',
        'resilience4j_circuitbreaker_calls_seconds_count{kind="failed",name="payment"} 2',
        'resilience4j_circuitbreaker_not_permitted_calls_total{kind="not_permitted",name="payment"} 1.0',
        'resilience4j_circuitbreaker_buffered_calls{kind="failed",name="payment"} 2.0',
        'resilience4j_circuitbreaker_slow_calls{kind="successful",name="payment"} 0.0',
        'resilience4j_circuitbreaker_failure_rate{name="payment"} 100.0',
        'resilience4j_retry_calls_total{kind="failed_with_retry",name="payment"} 1.0',
        'resilience4j_retry_calls_total{kind="failed_without_retry",name="payment"} 1.0',
        'resilience4j_bulkhead_available_concurrent_calls{name="payment"} 20.0',
        'resilience4j_bulkhead_max_allowed_concurrent_calls{name="payment"} 20.0',
        'resilience4j_timelimiter_calls_total{kind="failed",name="payment"} 2.0',
    ],
)
def test_metrics_have_micrometers_names(sample):
    """Names, labels and values as a Spring service shows them to Prometheus."""
    assert sample in opened().metrics_text().splitlines()


def test_every_line_of_metrics_is_in_the_text_format():
    """Each sample follows the HELP and TYPE of its family, no family comes twice."""
    lines = opened().metrics_text().splitlines()
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]

    assert len(families) == len(set(families))
    assert all(line.startswith("# ") or re.fullmatch(r'\w+\{(\w+="[^"]*",?)+\} [-+.e\d]+', line) for line in lines)
