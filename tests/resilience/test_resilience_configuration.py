"""What a configuration may say, and what a person is told who wrote something else."""

from __future__ import annotations

import asyncio

import pytest

from services.resilience import CallNotPermitted, ConfigError, Registry, State
from services.resilience.durations import duration_ns

CB = "resilience4j.circuitbreaker.instances.payment."
RETRY = "resilience4j.retry.instances.payment."
BULKHEAD = "resilience4j.bulkhead.instances.payment."
TIME = "resilience4j.timelimiter.instances.payment."
RATE = "resilience4j.ratelimiter.instances.payment."


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (CB + "failureRateThreshold", 0, "is 0.0, must be above 0 and at most 100"),
        (CB + "failureRateThreshold", "100.1", "is 100.1, must be above 0 and at most 100"),
        (CB + "failureRateThreshold", "half", "is 'half', must be a number"),
        (CB + "failureRateThreshold", True, "is True, must be a number"),
        (CB + "failureRateThreshold", "nan", "is 'nan', must be a number"),
        (CB + "slow-call-rate-threshold", -1, "is -1.0, must be above 0 and at most 100"),
        (CB + "slowCallDurationThreshold", 0, "is 0 ns, must be at least 1 ns"),
        (CB + "slowCallDurationThreshold", "fast", "is 'fast', must be a duration such as 500ms"),
        (CB + "slidingWindowSize", 0, "is 0, must be at least 1"),
        (CB + "slidingWindowSize", "1.5", "is '1.5', must be a whole number"),
        (CB + "slidingWindowType", "COUNTED", "is COUNTED, must be one of COUNT_BASED, TIME_BASED"),
        (CB + "slidingWindowSynchronizationStrategy", "FREE", "must be one of SYNCHRONIZED, LOCK_FREE"),
        (CB + "minimumNumberOfCalls", 0, "is 0, must be at least 1"),
        (CB + "permittedNumberOfCallsInHalfOpenState", 0, "is 0, must be at least 1"),
        (CB + "waitDurationInOpenState", "0s", "is 0 ms, must be at least 1 ms"),
        (CB + "waitDurationInOpenState", "500us", "is 0 ms, must be at least 1 ms"),
        (CB + "maxWaitDurationInHalfOpenState", "-1s", "is -1000 ms, must be at least 0 ms"),
        (CB + "transitionToStateAfterWaitDuration", "HALF_OPEN", "is HALF_OPEN, must be one of OPEN, CLOSED"),
        (CB + "initialState", "OPENED", "is OPENED, must be one of CLOSED, OPEN, HALF_OPEN"),
        (CB + "automaticTransitionFromOpenToHalfOpenEnabled", "yes", "is 'yes', must be true or false"),
        (CB + "exponentialBackoffMultiplier", 0.5, "is 0.5, must be at least 1"),
        (CB + "randomizedWaitFactor", 1, "is 1.0, must be at least 0 and below 1"),
        (CB + "recordExceptions", "NoSuchError", "is 'NoSuchError', must be a dotted name"),
        (CB + "recordExceptions", "os.nothing", "is 'os.nothing', which cannot be imported"),
        (CB + "ignoreExceptions", "os.path", "names 'os.path', which is no exception class"),
        (CB + "ignoreExceptions", ["print"], "names 'print', which is no exception class"),
        (CB + "recordResultPredicate", "math.pi", "is 'math.pi', which cannot be called"),
        (CB + "recordFailurePredicate", "nothing.here", "which cannot be imported"),
        (CB + "eventConsumerBufferSize", 0, "is 0, must be at least 1"),
        (CB + "baseConfig", "shared", "is 'shared', no such config (there is none)"),
        (CB + "failureRate", 50, "unknown key 'failureRate' (did you mean 'failureRateThreshold'?)"),
        (CB + "enabled", "off", "is 'off', must be true or false"),
        ("resilience4j.circuitbreaker.payment.slidingWindowSize", 5, "unknown key 'payment'"),
        ("resilience4j.circuitbraker.instances.payment.slidingWindowSize", 5, "did you mean 'circuitbreaker'?"),
        ("resilence4j.circuitbreaker.instances.payment.slidingWindowSize", 5, "(resilience4j)"),
        ("resilience4j.thread-pool-bulkhead.instances.payment.queueCapacity", -1, "is -1, must be at least 0"),
        ("resilience4j.retry.retryAspectOrder", "first", "is 'first', must be a whole number"),
        (RETRY + "maxAttempts", 0, "is 0, must be at least 1"),
        (RETRY + "maxAttempt", 3, "unknown key 'maxAttempt' (did you mean 'maxAttempts'?)"),
        (RETRY + "waitDuration", -1, "is -1 ms, must be at least 0 ms"),
        (RETRY + "waitDuration", "1 week", "is '1 week', must be a duration"),
        (RETRY + "randomizedWaitFactor", -0.1, "is -0.1, must be at least 0 and below 1"),
        (RETRY + "exponentialMaxWaitDuration", 0, "is 0 ms, must be at least 1 ms"),
        (RETRY + "retryExceptions", "builtins.print", "which is no exception class"),
        (RETRY + "intervalBiFunction", "math.pi", "which cannot be called"),
        (BULKHEAD + "maxConcurrentCalls", -1, "is -1, must be at least 0"),
        (BULKHEAD + "maxWaitDuration", "-1ms", "is -1 ms, must be at least 0 ms"),
        (TIME + "timeoutDuration", "-PT1S", "is -1000 ms, must be at least 0 ms"),
        (TIME + "cancelRunningFuture", 1, "is 1, must be true or false"),
        (RATE + "limitForPeriod", 0, "is 0, must be at least 1"),
        (RATE + "limitRefreshPeriod", 0, "is 0 ns, must be at least 1 ns"),
        (RATE + "timeoutDuration", -1, "is -1000000 ns, must be at least 0 ns"),
        ("RESILIENCE4J_RETRY_INSTANCES_PAYMENT_MAXATEMPTS", "3", "did you mean 'maxAttempts'?"),
        ("RESILIENCE4J_RETRI_INSTANCES_PAYMENT_MAXATTEMPTS", "3", "did you mean 'retry'?"),
        ("RESILIENCE4J_RETRY_INSTANCES_PAYMENT", "3", "names no instance and key"),
    ],
)
def test_a_mistake_is_told_with_key_value_and_what_would_be_right(key, value, message):
    """The message begins with the key as it was written and says what is there and what could be."""
    as_variable = key.startswith("RESILIENCE4J")
    with pytest.raises(ConfigError) as error:
        Registry.from_environment({key: value} if as_variable else {}, defaults={} if as_variable else {key: value})
    assert str(error.value).startswith(key + ": ")
    assert message in str(error.value)


def test_all_mistakes_are_told_at_once():
    """Of two instances and a shared config, each once."""
    with pytest.raises(ConfigError) as error:
        Registry.from_mapping(
            {
                "resilience4j.retry.configs.default.maxAttempts": 0,
                RETRY + "waitDuration": "soon",
                "resilience4j.retry.instances.users.waitDuration": -5,
                "resilience4j.bulkhead.configs.unused.maxConcurrentCalls": -2,
            }
        )
    assert len(error.value.problems) == 4


def test_exponential_and_random_waits_in_open_exclude_each_other():
    """Refused for the breaker, as upstream; allowed for the retry."""
    both = {"enableExponentialBackoff": True, "enableRandomizedWait": True}
    with pytest.raises(ConfigError, match="cannot be true together"):
        Registry.from_mapping({CB + key: value for key, value in both.items()})
    Registry.from_mapping({RETRY + key: value for key, value in both.items()})


def test_a_base_config_that_leads_back_to_itself_is_named():
    """Inheritance goes one way."""
    with pytest.raises(ConfigError, match="leads back to itself"):
        Registry.from_mapping(
            {
                "resilience4j.retry.configs.a.baseConfig": "b",
                "resilience4j.retry.configs.b.baseConfig": "a",
                RETRY + "baseConfig": "a",
            }
        )


def test_instances_inherit():
    """baseConfig, recursively; else the config of the same name (breakers only); else `default`."""
    registry = Registry.from_mapping(
        {
            "resilience4j": {
                "circuitbreaker": {
                    "configs": {
                        "default": {"slidingWindowSize": 11},
                        "strict": {"baseConfig": "wide", "failureRateThreshold": 10},
                        "wide": {"slidingWindowSize": 99, "failureRateThreshold": 20},
                        "named": {"slidingWindowSize": 7},
                    },
                    "backends": {"a": {"baseConfig": "strict"}, "b": {"minimumNumberOfCalls": 3}, "named": {}},
                    "instances": {"named": {"minimumNumberOfCalls": 2}},
                },
                "retry": {"instances": {"bare": {}, "none": None}},
            }
        }
    )
    a, b, named = (registry.circuit_breaker(name).config for name in ("a", "b", "named"))

    assert registry.actuator("retries") == {"retries": ["bare", "none"]}
    assert (a.sliding_window_size, a.failure_rate_threshold) == (99, 10)
    assert (b.sliding_window_size, b.minimum_number_of_calls) == (11, 3)
    assert (named.sliding_window_size, named.minimum_number_of_calls) == (7, 2)


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [("500ms", 500), ("10s", 10_000), ("1m", 60_000), ("2h", 7_200_000), ("PT10S", 10_000), ("PT1M30.5S", 90_500),
     ("P1D", 86_400_000), ("pt0.25s", 250), (250, 250), ("250", 250), (" 5 s ", 5000), ("-PT1S", -1000)],
)  # fmt: skip
def test_durations_are_read_as_spring_reads_them(written, milliseconds):
    """A number with a unit, ISO 8601, or bare milliseconds."""
    assert milliseconds * 1_000_000 == duration_ns(written)


@pytest.mark.parametrize("written", ["", "PT", "P", "10 parsecs", "1.5s", "s", None, True, "PT-"])
def test_what_is_no_duration_is_refused(written):
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="must be a duration"):
        duration_ns(written)


def state_after(error, **keys):
    registry = Registry.from_mapping(
        {CB + key: value for key, value in {"slidingWindowSize": 1, "minimumNumberOfCalls": 1, **keys}.items()}
    )
    breaker = registry.circuit_breaker("payment")
    breaker.on_error(1, error)
    return breaker.state, breaker.metrics.buffered_calls


@pytest.mark.parametrize(
    ("error", "keys", "expected"),
    [
        (OSError(), {}, (State.OPEN, 1)),
        (OSError(), {"recordExceptions": ["java.io.IOException"]}, (State.OPEN, 1)),
        (ConnectionRefusedError(), {"recordExceptions": "ValueError, OSError"}, (State.OPEN, 1)),
        (ValueError(), {"recordExceptions": "OSError"}, (State.CLOSED, 1)),
        (ValueError(), {"ignoreExceptions": "builtins.ValueError"}, (State.CLOSED, 0)),
        (ValueError(), {"ignoreExceptions[0]": "KeyError", "ignoreExceptions[1]": "ValueError"}, (State.CLOSED, 0)),
        (CallNotPermitted("x", "OPEN"), {"ignoreExceptions": "CallNotPermitted"}, (State.CLOSED, 0)),
        (TimeoutError(), {"recordExceptions": "OSError", "ignoreExceptions": "TimeoutError"}, (State.CLOSED, 0)),
        (ValueError(), {"recordExceptions": "OSError", "recordFailurePredicate": "builtins.repr"}, (State.OPEN, 1)),
    ],
)
def test_exception_lists(error, keys, expected):
    """Unlisted exceptions are successes, ignored ones are nothing, subclasses match, ignore goes first."""
    assert expected == state_after(error, **keys)


def test_exceptions_of_an_optional_client_library_match():
    """java.io.IOException means the HTTP client's transport errors as well, once that client is there."""
    aiohttp = pytest.importorskip("aiohttp")

    assert state_after(aiohttp.ServerDisconnectedError(), recordExceptions="java.io.IOException") == (State.OPEN, 1)


def test_a_java_exception_nobody_knows_is_a_warning(caplog):
    """It matches nothing, and that is said."""
    registry = Registry.from_mapping({CB + "recordExceptions": ["java.sql.SQLException", "OSError"]})

    assert registry.warnings == [
        CB + "recordExceptions: no Python class is known for 'java.sql.SQLException', it matches nothing"
    ]
    assert registry.warnings[0] in caplog.text


def is_bad(result):
    return result == "bad"


def test_predicates_are_named_by_their_dotted_path():
    """A result predicate makes bad answers count: for the breaker as failures, for the retry as to be repeated."""
    name = f"{__name__}.is_bad"
    registry = Registry.from_mapping(
        {CB + "recordResultPredicate": name, RETRY + "resultPredicate": name, RETRY + "waitDuration": 0}
    )

    async def answer():
        return "bad"

    assert asyncio.run(registry.pipeline("payment").call(answer)) == "bad"
    assert registry.circuit_breaker("payment").metrics.failed_calls == 3
