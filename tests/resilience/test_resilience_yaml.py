"""A Spring service's application.yml is read as it is, and whoever wrote it wrongly is told where."""

from __future__ import annotations

import builtins

import pytest

from services.resilience import CallNotPermitted, ConfigError, Registry
from services.resilience.hystrix import Hystrix
from services.resilience.keys import NO_EFFECT

APPLICATION = """\
spring: {application: {name: orders}}
server.port: ${PORT}
sizes: &sizes
  slidingWindowSize: 20
  minimumNumberOfCalls: 7
payment.wait: 4s
management:
  health.circuitbreakers.enabled: true
resilience4j:
  circuitbreaker:
    configs:
      default: {failure-rate-threshold: 40, recordFailurePredicate: builtins.repr}
      strict: {base-config: wide, failure_rate_threshold: 10}
      wide: {slidingWindowSize: 99, failureRateThreshold: 20}
      recommendation: {slidingWindowSize: 5}
    backends:
      payment:
        <<: *sizes
        wait-duration-in-open-state: ${payment.wait}
        recordExceptions:
          - java.io.IOException
          - java.util.concurrent.TimeoutException
      user: {baseConfig: strict, wait_duration_in_open_state: "${USER_WAIT:PT10S}"}
      "[product.v1]": {baseConfig: default}
      recommendation:
  retry.instances.payment.max-attempts: 4
  retry:
    instances:
      payment: {waitDuration: 250}
  ratelimiter:
    limiters:
      payment: {limit-for-period: 10, limitRefreshPeriod: 1m, timeoutDuration: 500ms}
---
spring.config.activate.on-profile: test
resilience4j.retry.instances.payment.maxAttempts: 2
---
spring: {config: {activate: {on-profile: "!test"}}}
resilience4j.bulkhead.instances.payment.maxConcurrentCalls: 3
"""


@pytest.fixture
def file(tmp_path):
    """Where a test's application.yml is."""
    return tmp_path / "application.yml"


def read(file, text, **options):
    file.write_text(text, encoding="utf-8")
    return Registry.from_yaml(file, **options)


def test_an_application_yml_is_read_as_it_is(file):
    """Dotted and nested, camel, kebab and snake, aliases of `instances`, merge keys, placeholders, inheritance."""
    registry = read(file, APPLICATION)
    payment, user, product, recommendation = (
        registry.circuit_breaker(name).config for name in ("payment", "user", "product.v1", "recommendation")
    )

    assert (payment.sliding_window_size, payment.minimum_number_of_calls) == (20, 7)
    assert (payment.failure_rate_threshold, payment.wait_interval(1)) == (40, 4000)
    assert (user.sliding_window_size, user.failure_rate_threshold, user.wait_interval(1)) == (99, 10, 10_000)
    assert (product.sliding_window_size, product.failure_rate_threshold) == (100, 40)
    assert recommendation.sliding_window_size == 5
    assert registry.retry("payment").config.max_attempts == 4
    assert registry.retry("payment").config.interval(1, None) == 250
    assert registry.rate_limiter("payment").config.limit_refresh_period_ns == 60_000_000_000
    assert registry.bulkhead("payment").config.max_concurrent_calls == 3
    assert registry.warnings == []


def test_an_instances_exceptions_drop_the_bases_predicate(file):
    """The base's predicate would record everything; the instance's list does not name ValueError."""
    registry = read(file, APPLICATION)

    assert not registry.circuit_breaker("payment").config.record(ValueError())
    assert registry.circuit_breaker("payment").config.record(ConnectionError())
    assert registry.circuit_breaker("product.v1").config.record(ValueError("x"))


def test_documents_of_a_profile_hold_for_that_profile(file):
    """A document for `test` is over the others when `test` is active, and not there when it is not."""
    registry = read(file, APPLICATION, profiles=["test"])

    assert registry.retry("payment").config.max_attempts == 2
    assert registry.actuator("bulkheads") == {"bulkheads": []}


def test_an_environment_answers_placeholders_and_overrides_keys(file):
    """As in Spring: variables are over the file."""
    registry = read(
        file,
        APPLICATION,
        environment={"USER_WAIT": "1s", "RESILIENCE4J_RETRY_INSTANCES_PAYMENT_MAXATTEMPTS": "9", "PAYMENT_WAIT": "6s"},
    )

    assert registry.circuit_breaker("user").config.wait_interval(1) == 1000
    assert registry.circuit_breaker("payment").config.wait_interval(1) == 6000
    assert registry.retry("payment").config.max_attempts == 9


HYSTRIX_FILE = """\
resilience4j.retry.instances.payment: {maxAttempts: 2}
hystrix:
  command:
    default.execution.isolation.thread.timeoutInMilliseconds: ${TIME_LIMIT:500}
    getUser: {circuitBreaker: {requestVolumeThreshold: 5}, execution.isolation.strategy: semaphore}
  threadpool.users.coreSize: 3
"""


def test_hystrix_keys_of_the_file_are_its_commands_keys(file):
    """Read as they are, beside Resilience4j's: a command's own over the default's, and pools of their own."""
    registry = read(file, HYSTRIX_FILE)
    command, pooled = registry.hystrix.command("getUser"), registry.hystrix.command("save", group="users")
    said = command.properties

    assert (said.timeout_ms, said.request_volume_threshold, said.isolation) == (500, 5, "SEMAPHORE")
    assert pooled.properties.timeout_ms == 500
    assert pooled.pool.config.core_thread_pool_size == 3
    assert registry.hystrix.command("getUser") is command
    assert set(registry.actuator("circuitbreakers")["circuitBreakers"]) == {"getUser", "save"}
    assert registry.retry("payment").config.max_attempts == 2


def test_hystrix_keys_are_overridden_as_all_others_are(file):
    """By variables with the dotted key, by those in Spring's capitals, and by what Hystrix is handed itself."""
    environment = {
        "TIME_LIMIT": "700",
        "HYSTRIX_COMMAND_GETUSER_CIRCUITBREAKER_REQUESTVOLUMETHRESHOLD": "7",
        "HYSTRIX_THREADPOOL_MY_POOL_CORESIZE": "4",
        "hystrix.command.getUser.fallback.enabled": "false",
    }
    registry = read(file, HYSTRIX_FILE, environment=environment)
    said = registry.hystrix.command("getUser").properties

    assert (said.timeout_ms, said.request_volume_threshold, said.fallback_enabled) == (700, 7, False)
    assert registry.hystrix.pool("my_pool").config.core_thread_pool_size == 4
    other = Hystrix(
        {"hystrix.command.getUser.circuitBreaker.requestVolumeThreshold": 9}, registry=read(file, HYSTRIX_FILE)
    )
    assert other.command("getUser").properties.request_volume_threshold == 9
    assert other.command("getUser").properties.isolation == "SEMAPHORE"


def test_a_mapping_s_hystrix_keys_are_read_and_checked_too():
    """With or without a file; every mistake of both parts at once."""
    registry = Registry.from_mapping({"hystrix": {"command": {"default": {"fallback": {"enabled": False}}}}})
    assert registry.hystrix.command("a").properties.fallback_enabled is False
    wrong = {"hystrix.command.a.fallbck.enabled": True, "resilience4j.retry.instances.a.maxAttempts": 0}
    with pytest.raises(ConfigError) as error:
        Registry.from_environment({"HYSTRIX_COMMAND_A_FALLBACK_ENABLED": "maybe"}, defaults=wrong)

    told = sorted(str(problem).partition(" (")[0] for problem in error.value.problems)
    assert told == [
        "hystrix.command.a.FALLBACK.ENABLED: is 'maybe', must be true or false",
        "hystrix.command.a.fallbck.enabled: unknown key 'fallbck.enabled'",
        "resilience4j.retry.instances.a.maxAttempts: is 0, must be at least 1",
    ]


def test_without_pyyaml_one_is_told_what_to_install(file, monkeypatch):
    """Everything but from_yaml works without it."""
    real = builtins.__import__

    def no_yaml(name, *rest, **more):
        if name == "yaml":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_yaml)

    with pytest.raises(ConfigError, match=r"cannot be read without PyYAML \(pip install pyyaml\)"):
        read(file, APPLICATION)
    assert Registry.from_mapping({}).warnings == []


@pytest.mark.parametrize(
    ("module", "key", "value"),
    [
        ("circuitbreaker", "writableStackTraceEnabled", "false"),
        ("circuitbreaker", "sliding-window-synchronization-strategy", "LOCK_FREE"),
        ("circuitbreaker", "ignoreClassBindingExceptions", "true"),
        ("circuitbreaker", "ignoreExceptionsPrecedenceEnabled", "true"),
        ("ratelimiter", "subscribe_for_events", "true"),
        ("thread-pool-bulkhead", "contextPropagators", "com.shop.Trace"),
    ],
)
def test_keys_that_mean_nothing_here_are_accepted_with_a_warning(file, module, key, value):
    """Each says where it stands and why it does nothing."""
    registry = read(file, f"resilience4j:\n  {module}:\n    instances:\n      a:\n        {key}: {value}\n")
    (warning,) = registry.warnings

    assert warning.startswith(f"application.yml:5: resilience4j.{module}.instances.a.{key}: has no effect, ")
    assert warning.rpartition("effect, ")[2] in NO_EFFECT.values()


@pytest.mark.parametrize(
    "text",
    [
        "resilience4j.circuitbreaker.tags.team: orders",
        "resilience4j.retry.metrics.legacy.enabled: true",
        "resilience4j.micrometer.timer.instances.a.metricNames: x",
        "resilience4j.scheduled.executor.core-pool-size: 4",
        "resilience4j.thread.type: virtual",
    ],
)
def test_sections_that_mean_nothing_here_are_accepted_with_a_warning(file, text):
    """They stand beside the instances in many files, and are no mistake."""
    (warning,) = read(file, text).warnings

    assert warning.startswith("application.yml:1: " + text.partition(": ")[0] + ": has no effect, ")


def one(module, *keys):
    """Keys from line 5 on, of the instance `payment`."""
    return "\n        ".join([f"resilience4j:\n  {module}:\n    instances:\n      payment:", *keys]) + "\n"


def configs(*lines):
    """Lines from line 4 on, of the breaker's section `configs`, and an instance that has `a` as its base."""
    top = "resilience4j:\n  circuitbreaker:\n    configs:\n      "
    return top + "\n      ".join(lines) + "\n    instances:\n      payment: {baseConfig: a}\n"


CB, RETRY, BULKHEAD, TIME, RATE = "circuitbreaker", "retry", "bulkhead", "timelimiter", "ratelimiter"
POOL = "thread-pool-bulkhead"
HYSTRIX = "hystrix.command.a."

WRONG = [
    # keys
    (one(CB, "failureRate: 50"), 5, "unknown key 'failureRate' (did you mean 'failureRateThreshold'?)"),
    (one(CB, "sliding-window-siz: 5"), 5, "unknown key 'sliding-window-siz' (did you mean 'slidingWindowSize'?)"),
    (one(CB, "timeoutDuration: 5"), 5, "unknown key 'timeoutDuration'"),
    (one(CB, "slidingWindowSize: {count: 5}"), 5, "unknown key 'slidingWindowSize.count'"),
    (one(RETRY, "maxAttempt: 3"), 5, "unknown key 'maxAttempt' (did you mean 'maxAttempts'?)"),
    (one(RETRY, "wait_duratoin: 1s"), 5, "unknown key 'wait_duratoin' (did you mean 'waitDuration'?)"),
    (one(BULKHEAD, "maxConcurrent: 3"), 5, "unknown key 'maxConcurrent' (did you mean 'maxConcurrentCalls'?)"),
    (one(TIME, "timeout: 1s"), 5, "unknown key 'timeout' (did you mean 'timeoutDuration'?)"),
    (one(RATE, "limitPerPeriod: 5"), 5, "unknown key 'limitPerPeriod' (did you mean 'limitForPeriod'?)"),
    (one("circuit-braker", "slidingWindowSize: 5"), 5, "unknown key 'circuit-braker' (did you mean 'circuitbreaker'?)"),
    ("resilience4j:\n  retry:\n    instance: {payment: {}}\n", 3, "unknown key 'instance' (did you mean 'instances'?)"),
    ("resilience4j:\n  retry:\n    payment: {maxAttempts: 3}\n", 3, "unknown key 'payment'"),
    (
        "a: 1\nresilence4j.retry.instances.p.maxAttempts: 3\n",
        2,
        "unknown key 'resilence4j' (did you mean 'resilience4j'?)",
    ),
    (
        "resilience4j:\n  retry:\n    retryAspectOrdr: 3\n",
        3,
        "unknown key 'retryAspectOrdr' (did you mean 'retryAspectOrder'?)",
    ),
    ("resilience4j:\n  retry:\n    retryAspectOrder: first\n", 3, "is 'first', must be a whole number"),
    (one(RETRY, "maxAttempts: 3", "maxAttempts: 4"), 6, "is there twice, first in line 5"),
    # what a value may be
    (one(CB, "failureRateThreshold: half"), 5, "is 'half', must be a number"),
    (one(CB, "failureRateThreshold: .nan"), 5, "is nan, must be a number"),
    (one(CB, "failureRateThreshold: 1e999"), 5, "is '1e999', must be a finite number"),
    (one(CB, "failureRateThreshold: [50]"), 5, "is [50], must be a number"),
    (one(CB, "slidingWindowSize: 10.5"), 5, "is 10.5, must be a whole number"),
    (one(CB, "slidingWindowSize: 3000000000"), 5, "is 3000000000, must be at most 2147483647"),
    (one(CB, "slidingWindowType: COUNTED"), 5, "is COUNTED, must be one of COUNT_BASED, TIME_BASED"),
    (one(CB, "initialState: AJAR"), 5, "is AJAR, must be one of CLOSED, OPEN, HALF_OPEN"),
    (one(CB, "waitDurationInOpenState: soon"), 5, "is 'soon', must be a duration such as 500ms, 10s, 1m, PT10S"),
    (one(CB, "waitDurationInOpenState: 1.5s"), 5, "is '1.5s', must be a duration"),
    (one(CB, "automaticTransitionFromOpenToHalfOpenEnabled: maybe"), 5, "is 'maybe', must be true or false"),
    (one(CB, "recordExceptions:", "  - NoSuchError"), 5, "is 'NoSuchError', must be a dotted name"),
    (one(CB, "ignoreExceptions: [os.path]"), 5, "names 'os.path', which is no exception class"),
    (one(CB, "recordResultPredicate: math.pi"), 5, "is 'math.pi', which cannot be called"),
    (one(CB, "recordFailurePredicate: com.shop.Failed"), 5, "is 'com.shop.Failed', which cannot be imported"),
    (one(RETRY, "maxAttempts: three"), 5, "is 'three', must be a whole number"),
    (one(RETRY, "waitDuration: 1 week"), 5, "is '1 week', must be a duration"),
    (one(RETRY, "retryExceptions: builtins.print"), 5, "names 'builtins.print', which is no exception class"),
    (one(TIME, "cancelRunningFuture: 1"), 5, "is 1, must be true or false"),
    (one(TIME, "timeoutDuration: 2026-01-01"), 5, "must be a duration"),
    # bounds
    (one(CB, "failureRateThreshold: 0"), 5, "is 0.0, must be above 0 and at most 100"),
    (one(CB, "failureRateThreshold: 100.1"), 5, "is 100.1, must be above 0 and at most 100"),
    (one(CB, "slowCallRateThreshold: -1"), 5, "is -1.0, must be above 0 and at most 100"),
    (one(CB, "slowCallDurationThreshold: 0ms"), 5, "is 0 ns, must be at least 1 ns"),
    (one(CB, "slidingWindowSize: 0"), 5, "is 0, must be at least 1"),
    (one(CB, "minimumNumberOfCalls: 0"), 5, "is 0, must be at least 1"),
    (one(CB, "permittedNumberOfCallsInHalfOpenState: 0"), 5, "is 0, must be at least 1"),
    (one(CB, "waitDurationInOpenState: 0"), 5, "is 0 ms, must be at least 1 ms"),
    (one(CB, "maxWaitDurationInHalfOpenState: -1s"), 5, "is -1000 ms, must be at least 0 ms"),
    (one(CB, "transitionToStateAfterWaitDuration: HALF_OPEN"), 5, "is HALF_OPEN, must be one of OPEN, CLOSED"),
    (one(CB, "eventConsumerBufferSize: 0"), 5, "is 0, must be at least 1"),
    (one(CB, "exponentialBackoffMultiplier: 0.9"), 5, "is 0.9, must be at least 1"),
    (one(CB, "randomizedWaitFactor: 1"), 5, "is 1.0, must be at least 0 and below 1"),
    (one(RETRY, "maxAttempts: 0"), 5, "is 0, must be at least 1"),
    (one(RETRY, "waitDuration: -5"), 5, "is -5 ms, must be at least 0 ms"),
    (one(RETRY, "exponentialMaxWaitDuration: 0"), 5, "is 0 ms, must be at least 1 ms"),
    (one(BULKHEAD, "maxConcurrentCalls: -1"), 5, "is -1, must be at least 0"),
    (one(BULKHEAD, "maxWaitDuration: -1ms"), 5, "is -1 ms, must be at least 0 ms"),
    (one(TIME, "timeoutDuration: -PT1S"), 5, "is -1000 ms, must be at least 0 ms"),
    (one(RATE, "limitForPeriod: 0"), 5, "is 0, must be at least 1"),
    (one(RATE, "limitRefreshPeriod: 0"), 5, "is 0 ns, must be at least 1 ns"),
    # what excludes or contradicts itself
    (
        one(CB, "enableExponentialBackoff: true", "enableRandomizedWait: true"),
        6,
        "cannot be true together with enableExponentialBackoff",
    ),
    (one(CB, "baseConfig: shared"), 5, "is 'shared', no such config (there is none)"),
    (configs("b: {}"), 6, "is 'a', no such config (there is 'b')"),
    (configs("a: {baseConfig: a}"), 4, "is 'a', which leads back to itself"),
    (configs("a: {slidingWindowSize: 0}"), 4, "is 0, must be at least 1"),
    (configs("payment: {}").replace("baseConfig: a", "baseConfig: payment"), 6, "is 'payment', which leads back to"),
    (one(POOL, "coreThreadPoolSize: 4", "maxThreadPoolSize: 2"), 5, "is 4, must be at most 2"),
    (one(POOL, "queueCapacity: -1"), 5, "is -1, must be at least 0"),
    (one(POOL, "queueSize: 1"), 5, "unknown key 'queueSize' (did you mean 'queueCapacity'?)"),
    # Hystrix
    (HYSTRIX + "circuitBreaker.errorThresholdPercentage: 0\n", 1, "is 0, must be above 0 and at most 100"),
    (HYSTRIX + "circuitBreaker.sleepWindow: 5\n", 1, "did you mean 'circuitBreaker.sleepWindowInMilliseconds'?"),
    (HYSTRIX + "execution.isolation.strategy: process\n", 1, "is PROCESS, must be one of THREAD, SEMAPHORE"),
    ("hystrx.command.a.circuitBreaker.enabled: no\n", 1, "unknown key 'hystrx' (did you mean 'hystrix'?)"),
    # placeholders
    (one(RETRY, "maxAttempts: ${ATTEMPTS}"), 5, "names ${ATTEMPTS}, which is neither set nor has a default"),
    (one(RETRY, "maxAttempts: ${ATTEMPTS:many}"), 5, "is 'many', must be a whole number"),
    ("a: ${b}\nb: ${a}\nresilience4j.retry.instances.p.maxAttempts: ${a}\n", 3, "placeholders that lead back"),
    # the file itself
    ("resilience4j:\n  retry: [\n", 3, "is no YAML: "),
    ("resilience4j:\n\tretry: 1\n", 2, "is no YAML: found character '\\t' that cannot start any token"),
    ("- resilience4j\n", 1, "holds a sequence, must hold keys and values"),
    ("resilience4j: &a\n  retry: *a\n", 1, "is an alias that holds itself"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_a_mistake_is_told_with_file_line_and_what_would_be_right(file, text, line, message):
    """One mistake, one message: where, which key, which value, which bound or which key is nearest."""
    with pytest.raises(ConfigError) as error:
        read(file, text)

    (problem,) = error.value.problems
    assert (problem.place, message in str(problem)) == (f"application.yml:{line}", True), str(problem)


def test_each_config_of_a_circle_is_told(file):
    """Whoever follows either of them comes back."""
    with pytest.raises(ConfigError) as error:
        read(file, configs("a: {baseConfig: b}", "b: {baseConfig: a}"))

    assert [(problem.place, problem.message) for problem in error.value.problems] == [
        ("application.yml:4", "is 'b', which leads back to itself"),
        ("application.yml:5", "is 'a', which leads back to itself"),
    ]


def test_every_mistake_of_a_file_is_told_at_once_from_top_to_bottom(file):
    """So that nobody has to start a service five times to mend five lines."""
    with pytest.raises(ConfigError) as error:
        read(file, one(CB, "slidingWindowSize: 0", "baseConfg: x", "failureRateThreshold: ${X}") + "resilence4j.x: 1\n")

    assert [problem.place for problem in error.value.problems] == [f"application.yml:{n}" for n in (5, 6, 7, 8)]


def test_a_file_that_is_not_there_is_named(tmp_path):
    """With what the system said of it."""
    with pytest.raises(ConfigError, match=r"nothing\.yml: cannot be read: No such file"):
        Registry.from_yaml(tmp_path / "nothing.yml")


def test_a_file_that_is_no_text_is_named(file):
    """With the byte that is wrong."""
    file.write_bytes(b"resilience4j: \xff")

    with pytest.raises(ConfigError, match="is no UTF-8 text: byte 14 is 0xff"):
        Registry.from_yaml(file)


def test_a_small_file_cannot_become_an_enormous_one(file, monkeypatch):
    """Aliases of aliases are followed up to a bound."""
    monkeypatch.setattr("services.resilience.spring_file._MOST_KEYS", 1000)
    levels = ["a0: &a0 {x: 1, y: 2}"]
    levels += [f"a{n}: &a{n} " + "{" + ", ".join(f"k{i}: *a{n - 1}" for i in range(9)) + "}" for n in range(1, 9)]

    with pytest.raises(ConfigError, match="more than 1000 keys"):
        read(file, "\n".join(levels) + "\n")


def test_other_peoples_tags_and_keys_are_left_alone(file):
    """A file holds what other libraries read; none of it can fail this one."""
    registry = read(
        file, "app: !ref {key: !secret x}\nwhen: !!timestamp 2026-99-99\n1: one\n" + one(RETRY, "maxAttempts: 5")
    )

    assert registry.retry("payment").config.max_attempts == 5


def test_refusals_of_the_breaker_of_the_same_name_are_not_repeated(file):
    """What holds for a configuration from anywhere holds for a file."""
    registry = read(file, APPLICATION)

    assert registry.retry("payment").config.ignore(CallNotPermitted("payment", "OPEN"))
