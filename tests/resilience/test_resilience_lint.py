"""Protections that work by themselves and not together are named, with what would put them right."""

from __future__ import annotations

import asyncio
import dataclasses
import gc

import pytest

from services.resilience import (
    Bulkhead,
    CallNotPermitted,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    Fallback,
    ManualClock,
    Pipeline,
    RateLimiter,
    Registry,
    Retry,
    RetryConfig,
    ThreadPoolBulkhead,
    TimeLimiter,
    TimeLimiterConfig,
    WindowType,
)
from services.resilience.asgi import actuator_app
from services.resilience.exception_names import ExceptionMatcher
from services.resilience.hystrix_breaker import HystrixBreaker
from services.resilience.hystrix_config import HystrixCommandProperties
from services.resilience.lint import FINDINGS, lint

NS_PER_S = 1_000_000_000


def retry(name="r", attempts=3, **options):
    options.setdefault("ignore", ExceptionMatcher([CallNotPermitted]))
    return Retry(name, RetryConfig(max_attempts=attempts, **options), ManualClock())


def breaker(**options):
    return CircuitBreaker("cb", CircuitBreakerConfig(**options), ManualClock())


def limiter(**options):
    return TimeLimiter("t", TimeLimiterConfig(**options))


def answer(error, *_):
    return type(error).__name__


def own_word(error):
    return error.own_word == "x"


IGNORES_ALL = {"ignore": lambda _: True}

CASES = [
    # 1: fallback inside what should have seen the failure
    ("fallback-hides-failures", [retry(), Fallback(answer)], True),
    ("fallback-hides-failures", [breaker(), limiter(), Fallback({OSError: answer})], True),
    ("fallback-hides-failures", [retry(retry=ExceptionMatcher([ConnectionError])), Fallback({OSError: answer})], True),
    ("fallback-hides-failures", [Fallback(answer), retry()], False),
    ("fallback-hides-failures", [retry(), Fallback({CallNotPermitted: answer})], False),
    ("fallback-hides-failures", [retry(retry=ExceptionMatcher([OSError])), Fallback({KeyError: answer})], False),
    ("fallback-hides-failures", [retry(attempts=1), Fallback(answer)], False),
    ("fallback-hides-failures", [limiter(), Fallback(answer)], False),
    # 2: retry that repeats refusals
    ("retry-repeats-refusals", [retry(ignore=lambda _: False), breaker()], True),
    ("retry-repeats-refusals", [retry(ignore=own_word), breaker()], True),
    ("retry-repeats-refusals", [retry(), breaker()], False),
    ("retry-repeats-refusals", [breaker(), retry(ignore=lambda _: False)], False),
    ("retry-repeats-refusals", [retry(attempts=1, ignore=lambda _: False), breaker()], False),
    ("retry-repeats-refusals", [retry(ignore=lambda _: False, retry=ExceptionMatcher([OSError])), breaker()], False),
    # 3: attempts that fill the window
    ("attempts-fill-window", [retry(), breaker(sliding_window_size=10)], True),
    ("attempts-fill-window", [retry(), breaker(minimum_number_of_calls=3)], True),
    ("attempts-fill-window", [retry(), breaker(sliding_window_type=WindowType.TIME_BASED, minimum_number_of_calls=2)], True),
    ("attempts-fill-window", [retry(), breaker(sliding_window_size=13)], False),
    ("attempts-fill-window", [retry(), breaker(sliding_window_type=WindowType.TIME_BASED, sliding_window_size=5)], False),
    ("attempts-fill-window", [retry(attempts=1), breaker(sliding_window_size=1)], False),
    ("attempts-fill-window", [breaker(sliding_window_size=10), retry()], False),
    # 4: refusals of ours recorded as failures of theirs
    ("refusals-recorded-as-failures", [breaker(), Bulkhead("b")], True),
    ("refusals-recorded-as-failures", [breaker(), RateLimiter("l")], True),
    ("refusals-recorded-as-failures", [breaker(record=ExceptionMatcher([OSError])), Bulkhead("b")], False),
    ("refusals-recorded-as-failures", [breaker(**IGNORES_ALL), Bulkhead("b")], False),
    ("refusals-recorded-as-failures", [Bulkhead("b"), breaker()], False),
    # 5: hangs and slow calls that are never seen
    ("hang-never-recorded", [breaker()], True),
    ("hang-never-recorded", [limiter(), breaker()], True),
    ("hang-never-recorded", [breaker(record=ExceptionMatcher([KeyError])), limiter()], True),
    ("hang-never-recorded", [breaker(), limiter()], False),
    ("hang-never-recorded", [breaker(), TimeLimiter("t", TimeLimiterConfig(enabled=False))], True),
    ("slow-calls-never-seen", [breaker(slow_call_duration_threshold_ns=NS_PER_S), limiter()], True),
    ("slow-calls-never-seen", [breaker(slow_call_rate_threshold=50), limiter()], True),
    ("slow-calls-never-seen", [breaker(slow_call_duration_threshold_ns=NS_PER_S - 1), limiter()], False),
    ("slow-calls-never-seen", [breaker(), limiter()], False),
    # 6: work that goes on
    ("timed-out-work-keeps-permit", [limiter(cancel_running_future=False), Bulkhead("b")], True),
    ("timed-out-work-keeps-permit", [limiter(), ThreadPoolBulkhead("p")], True),
    ("timed-out-work-keeps-permit", [limiter(), Bulkhead("b")], False),
    ("timed-out-work-keeps-permit", [Bulkhead("b"), limiter(cancel_running_future=False)], False),
    # 7: retries around retries
    ("retries-multiply", [retry("a"), breaker(), retry("b", 4)], True),
    ("retries-multiply", [retry("a"), retry("b", 1)], False),
    ("retries-multiply", [retry("a"), breaker()], False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "stages", "expected"), CASES)
def test_each_trap_is_found_where_it_is_and_nowhere_else(name, stages, expected):
    """One configuration that has it, and its neighbours that do not."""
    assert expected == (name in {finding.name for finding in lint(Pipeline("p", stages))})


def test_hystrix_counts_refusals_by_its_own_rule():
    """A Hystrix circuit around a full bulkhead counts SEMAPHORE_REJECTED as it should; the same breaker of ours is told."""
    circuit = HystrixBreaker("h", HystrixCommandProperties(), ManualClock())
    ours = CircuitBreaker("h", circuit.config, ManualClock())

    told = [[one.name for one in lint(Pipeline("p", [one, limiter(), Bulkhead("b")]))] for one in (circuit, ours)]
    assert told == [[], ["refusals-recorded-as-failures"]]


def test_the_traps_are_those_of_the_table():
    """A name that is documented and never found, or the reverse, is a mistake."""
    assert {name for name, _, expected in CASES if expected} == set(FINDINGS)


@pytest.mark.parametrize(
    ("stages", "sentence", "remedy"),
    [
        (
            [retry("pay", 3, ignore=lambda _: False), breaker(), limiter()],
            "Retry 'pay' repeats CallNotPermitted of CircuitBreaker 'cb' up to 2 times",
            "resilience4j.retry.instances.pay.ignoreExceptions: CallNotPermitted",
        ),
        (
            [retry(), breaker(sliding_window_size=10), limiter()],
            "the 3 attempts of Retry 'r' fill the window of 10 calls of CircuitBreaker 'cb' in 4 requests",
            "resilience4j.circuitbreaker.instances.cb.slidingWindowSize: at least 13",
        ),
        (
            [breaker(), limiter(), RateLimiter("l")],
            "CircuitBreaker 'cb' records RequestNotPermitted of RateLimiter 'l' as a failure",
            "resilience4j.circuitbreaker.instances.cb.recordRequestNotPermitted: false",
        ),
        (
            [breaker(slow_call_duration_threshold_ns=2 * NS_PER_S), limiter()],
            "calls slow what takes longer than 2000 ms, but TimeLimiter 't' ends every call at 1000 ms",
            "resilience4j.timelimiter.instances.t.timeoutDuration: above 2000ms",
        ),
        (
            [retry("a"), retry("b", 4)],
            "Retry 'a' and Retry 'b' are around one call, which is made up to 3 x 4 = 12 times",
            "resilience4j.retry.instances.b.maxAttempts: 1",
        ),
    ],
)
def test_a_finding_says_what_happens_and_which_key_puts_it_right(stages, sentence, remedy):
    """Names and numbers are those of the configuration at hand."""
    (finding,) = lint(Pipeline("p", stages))

    assert sentence in finding.sentence
    assert remedy in finding.remedies
    assert str(finding).startswith(f"p: {finding.name}: {finding.sentence}; put right by ")


def test_what_the_remedy_for_a_small_window_says_is_enough():
    """The size it names is not found wanting in its turn."""
    config = CircuitBreakerConfig(sliding_window_size=13)
    smaller = dataclasses.replace(config, sliding_window_size=12)
    found = [lint(Pipeline("p", [retry(), CircuitBreaker("cb", one), limiter()])) for one in (smaller, config)]

    assert [[finding.name for finding in one] for one in found] == [["attempts-fill-window"], []]


def test_a_plain_functions_work_goes_on_after_its_time_out():
    """Known once a plain function is decorated."""
    pipeline = Pipeline("p", [limiter(), Bulkhead("b")])
    assert lint(pipeline) == []
    pipeline(lambda: None)

    assert [finding.name for finding in lint(pipeline)] == ["timed-out-work-keeps-permit"]


def test_a_retry_around_a_function_that_retries_already_is_found():
    """Twice decorated, or called by hand around what is decorated."""
    outer, inner = Pipeline("outer", [retry("a")]), Pipeline("inner", [retry("b", 4)])

    @outer
    @inner
    async def fetch():
        return 1

    assert asyncio.run(fetch()) == 1
    assert [finding.name for finding in lint(outer)] == ["retries-multiply"]
    assert lint(inner) == []


def test_a_registry_is_looked_through_once():
    """Pipelines in use, and those that its names would make; nothing twice."""
    registry = Registry.from_mapping(
        {
            "resilience4j.circuitbreaker.instances.user.slidingWindowSize": 20,
            "resilience4j.circuitbreaker.instances.payment.slidingWindowSize": 20,
            "resilience4j.timelimiter.instances.payment.timeoutDuration": "1s",
        }
    )
    in_use = registry.pipeline("user")
    again = registry.pipeline("user")
    gc.collect()

    assert [(finding.pipeline, finding.name) for finding in lint(registry)] == [("user", "hang-never-recorded")]
    assert lint(registry) == registry.lint() == in_use.lint() == again.lint()


def test_a_full_set_of_defaults_has_nothing_to_find():
    """Our own defaults about refusals keep a registry's pipelines out of traps two and four."""
    modules = ("circuitbreaker", "retry", "bulkhead", "timelimiter", "ratelimiter")
    registry = Registry.from_mapping({"resilience4j": {module: {"instances": {"a": {}}} for module in modules}})

    assert lint(registry) == []


def test_upstreams_own_defaults_have_two_traps():
    """What a Spring service with all five annotations does unless it says otherwise."""
    modules = ("circuitbreaker", "retry", "bulkhead", "timelimiter")
    config = {f"resilience4j.{module}.instances.a": {} for module in modules}
    config["resilience4j.retry.instances.a.retryCallNotPermitted"] = True
    config["resilience4j.circuitbreaker.instances.a.recordBulkheadFull"] = True
    found = lint(Registry.from_mapping(config))

    assert [finding.name for finding in found] == ["retry-repeats-refusals", "refusals-recorded-as-failures"]


def test_what_is_meant_so_can_be_accepted():
    """By name; a name that no finding has is a mistake."""
    pipeline = Pipeline("p", [breaker()])

    assert lint(pipeline, accept=["hang-never-recorded"]) == []
    with pytest.raises(ValueError, match="accept names 'hangs', must be one of fallback-hides-failures"):
        lint(pipeline, accept=["hangs"])


def test_findings_are_served():
    """At /actuator/resilience-lint, beside what Spring has."""
    registry = Registry.from_mapping({"resilience4j.circuitbreaker.instances.user.slidingWindowSize": 20})
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/actuator/resilience-lint", "headers": []}
    asyncio.run(actuator_app(registry)(scope, None, send))

    assert sent[0]["status"] == 200
    assert registry.actuator("resilience-lint") == {
        "findings": [
            {
                "name": "hang-never-recorded",
                "pipeline": "user",
                "sentence": "there is no time limiter inside CircuitBreaker 'user': a call that hangs is never recorded",
                "remedies": ["resilience4j.timelimiter.instances.user.timeoutDuration: <limit>"],
            }
        ]
    }


def whole():
    return (
        Pipeline.builder("pay")
        .fallback(answer)
        .retry(retry())
        .circuit_breaker(breaker(ignore=ExceptionMatcher([Exception])))
        .rate_limiter(RateLimiter("l"))
        .time_limiter(limiter())
        .bulkhead(Bulkhead("b"))
    )


def test_the_first_named_is_outermost():
    """The order of the names is the order of the policies."""
    pipeline = whole().build(accept=["hang-never-recorded"])
    order = "Fallback(Retry(CircuitBreaker(RateLimiter(TimeLimiter(Bulkhead(fn))))))"

    assert pipeline.describe() == order
    assert pipeline.call_sync(lambda: "fine") == "fine"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_fallback_works_wherever_it_is_named(place):
    """Its handler gets the exception and the call's own arguments; what is outside of it sees the answer."""
    repeating = retry(attempts=2, interval=lambda *_: 0)
    builder = Pipeline.builder("p")
    stages = [lambda: builder.retry(repeating), lambda: builder.time_limiter(limiter())]
    stages.insert(
        place, lambda: builder.fallback({ConnectionError: lambda error, *args, **more: (str(error), args, more)})
    )
    for stage in stages:
        stage()
    calls = []

    def failing(*args, **more):
        calls.append(args)
        raise ConnectionError("down")

    async def failing_async(*args, **more):
        failing(*args, **more)

    pipeline = builder.build(accept=FINDINGS)

    assert pipeline.call_sync(failing, 1, two=2) == ("down", (1,), {"two": 2})
    assert asyncio.run(pipeline.call(failing_async, 1, two=2)) == ("down", (1,), {"two": 2})
    assert len(calls) == (4 if place == 0 else 2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Pipeline.builder("p").build(), "pipeline 'p': has no policy (name at least one before build())"),
        (lambda: (one := Bulkhead("b")) and Pipeline.builder("p").bulkhead(one).bulkhead(one).build(),
         "pipeline 'p': names Bulkhead 'b' twice (name it once)"),
        (lambda: (one := retry()) and Pipeline.builder("p").retry(one).circuit_breaker(breaker()).retry(one).build(),
         "pipeline 'p': names Retry 'r' twice (name it once)"),
        (lambda: Pipeline.builder("p").fallback({OSError: answer}).fallback(answer).build(),
         "names a fallback right inside another that leaves it nothing to answer for"),
        (lambda: Pipeline.builder("p").circuit_breaker(breaker()).build(strict=True),
         "pipeline 'p': hang-never-recorded: there is no time limiter inside CircuitBreaker 'cb'"),
        (lambda: Pipeline.builder("p").fallback({42: answer}), "fallback: 42 is no exception class"),
    ],
)  # fmt: skip
def test_an_order_that_cannot_work_is_refused(build, message):
    """With the pipeline, what is wrong, and what to do."""
    with pytest.raises(ConfigError) as error:
        build()

    assert message in str(error.value)


def test_an_unwise_order_is_made_and_told(caplog):
    """As a warning in the log, once, when the pipeline is built."""
    pipeline = Pipeline.builder("p").circuit_breaker(breaker()).build()

    assert pipeline.describe() == "CircuitBreaker(fn)"
    assert [record.message for record in caplog.records] == [str(finding) for finding in pipeline.lint()]


def test_fallbacks_for_special_classes_may_be_inside_general_ones():
    """What the inner one leaves is the outer one's."""
    inner = {KeyError: lambda *_: "inner"}
    pipeline = Pipeline.builder("p").fallback(lambda *_: "outer").fallback(inner).build()

    def failing(error):
        raise error

    assert pipeline.call_sync(failing, KeyError()) == "inner"
    assert pipeline.call_sync(failing, ZeroDivisionError()) == "outer"
    assert pipeline.describe() == "Fallback(Fallback(fn))"
