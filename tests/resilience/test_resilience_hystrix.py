"""Hystrix's circuit under a clock of its own, and its commands: isolation, time limits, fallbacks, keys."""

from __future__ import annotations

import asyncio
import threading

import pytest

from services.resilience import ConfigError, ManualClock, Registry, State
from services.resilience.clock import NS_PER_MS
from services.resilience.hystrix import (
    FailureType,
    Hystrix,
    HystrixBadRequest,
    HystrixCommand,
    HystrixRuntimeError,
    hystrix_command,
)
from services.resilience.hystrix_breaker import HystrixBreaker
from services.resilience.hystrix_config import HystrixCommandProperties, HystrixSettings, HystrixThreadPoolProperties

LIMIT_S = 30
SEMAPHORE = {"isolation": "SEMAPHORE", "timeout_enabled": False}


class Broken(Exception):
    """What a command's function raises."""


def breaker(**properties):
    clock = ManualClock(7)  # buckets begin with the circuit, not with the clock's seconds
    return HystrixBreaker("circuit", HystrixCommandProperties(**properties), clock), clock


def record(circuit, outcomes):
    for outcome in outcomes:
        if outcome == "s":
            circuit.on_success(1)
        else:
            circuit.on_error(1, Broken())


def opened(**properties):
    circuit, clock = breaker(**properties)
    record(circuit, "f" * 20)
    clock.advance(500 * NS_PER_MS)
    assert circuit.state is State.OPEN
    return circuit, clock


def fail():
    raise Broken


async def fail_async():
    raise Broken


def run(command, shell, outcome=fail):
    async def async_fn():
        return outcome()

    return command.call_sync(outcome) if shell == "sync" else asyncio.run(command.call(async_fn))


# -- the circuit ---------------------------------------------------------------------------------------------------


def test_the_decision_falls_when_a_bucket_closes():
    """Calls go on beyond the threshold until the half second is over, and not a nanosecond longer."""
    circuit, clock = breaker()
    record(circuit, "f" * 1000)

    clock.advance(500 * NS_PER_MS - 1)
    assert circuit.try_acquire()
    assert circuit.state is State.CLOSED
    clock.advance(1)
    assert not circuit.try_acquire()
    assert circuit.state is State.OPEN


def test_what_is_decided_late_holds_from_the_end_of_its_bucket():
    """The first call after a silence finds the circuit opened when its bucket closed; the sleep window began then."""
    circuit, clock = breaker()
    record(circuit, "f" * 20)

    clock.advance(3000 * NS_PER_MS)

    assert circuit.state is State.OPEN
    transition = next(event for event in circuit.events.snapshot() if event.type == "STATE_TRANSITION")
    assert (transition.detail, transition.monotonic_ns) == ("CLOSED_TO_OPEN", 7 + 500 * NS_PER_MS)
    clock.advance(2500 * NS_PER_MS)
    assert not circuit.try_acquire()
    clock.advance(1 * NS_PER_MS)
    assert circuit.try_acquire()


@pytest.mark.parametrize(
    ("outcomes", "properties", "state"),
    [
        ("f" * 19, {}, State.CLOSED),
        ("f" * 20, {}, State.OPEN),
        ("s" * 501 + "f" * 499, {}, State.CLOSED),
        ("s" * 500 + "f" * 500, {}, State.OPEN),
        ("s" * 71 + "f" * 29, {"error_threshold_percentage": 29}, State.CLOSED),
        ("s" * 71 + "f" * 29, {"error_threshold_percentage": 28}, State.OPEN),
        ("f", {"request_volume_threshold": 1}, State.OPEN),
        ("s", {"request_volume_threshold": 0, "error_threshold_percentage": 1}, State.CLOSED),
        ("", {"request_volume_threshold": 0}, State.CLOSED),
    ],
)
def test_volume_and_whole_percent_decide(outcomes, properties, state):
    """49.9 % is 49, and 29 of 100 is 28, as Java's (int) of the double 28.999... says."""
    circuit, clock = breaker(**properties)
    record(circuit, outcomes)

    clock.advance(500 * NS_PER_MS)

    assert circuit.state is state


def test_twenty_buckets_are_looked_at():
    """A call counts for ten seconds from the end of its bucket, then it is forgotten."""
    circuit, clock = breaker(request_volume_threshold=30)
    record(circuit, "f" * 20)
    clock.advance(500 * NS_PER_MS)
    assert circuit.metrics.buffered_calls == 20

    clock.advance(19 * 500 * NS_PER_MS)
    assert circuit.metrics.buffered_calls == 20
    record(circuit, "f" * 10)
    clock.advance(500 * NS_PER_MS)
    assert circuit.metrics.buffered_calls == 10
    assert circuit.state is State.CLOSED


def test_an_old_success_leaving_the_window_opens_the_circuit():
    """The share of errors can rise with no call at all: each bucket's end is a decision of its own."""
    circuit, clock = breaker()
    record(circuit, "s" * 100)
    clock.advance(500 * NS_PER_MS)
    record(circuit, "f" * 20)
    clock.advance(500 * NS_PER_MS)
    assert circuit.state is State.CLOSED

    clock.advance(3600 * 1000 * NS_PER_MS)

    assert circuit.state is State.OPEN
    transition = next(event for event in circuit.events.snapshot() if event.type == "STATE_TRANSITION")
    assert transition.monotonic_ns == 7 + 21 * 500 * NS_PER_MS


def test_the_sleep_window_is_strict_and_lets_one_call_through():
    """After it, not at its end, in whole milliseconds; everybody but the first is refused until that one has ended."""
    circuit, clock = opened()
    clock.advance(5000 * NS_PER_MS)
    assert not circuit.try_acquire()

    clock.advance(1 * NS_PER_MS)

    assert [circuit.try_acquire() for _ in range(3)] == [True, False, False]
    assert circuit.state is State.HALF_OPEN


def test_a_good_trial_closes_and_starts_from_zero():
    """The buckets begin anew at that instant."""
    circuit, clock = opened()
    clock.advance(5001 * NS_PER_MS)
    circuit.try_acquire()

    circuit.on_success(1)

    assert circuit.state is State.CLOSED
    assert circuit.metrics.buffered_calls == 0
    record(circuit, "f" * 20)
    clock.advance(499 * NS_PER_MS)
    assert circuit.state is State.CLOSED
    clock.advance(1 * NS_PER_MS)
    assert circuit.state is State.OPEN


@pytest.mark.parametrize(
    "end",
    [
        lambda circuit: circuit.on_error(1, Broken()),
        lambda circuit: circuit.on_bad_request(1, HystrixBadRequest()),
        lambda circuit: circuit.release(),
    ],
)
def test_any_other_end_of_the_trial_opens_again(end):
    """Failure, bad request and cancellation alike, each for a whole new sleep window."""
    circuit, clock = opened()
    clock.advance(5001 * NS_PER_MS)
    circuit.try_acquire()

    end(circuit)

    assert circuit.state is State.OPEN
    clock.advance(5000 * NS_PER_MS)
    assert not circuit.try_acquire()
    clock.advance(1 * NS_PER_MS)
    assert circuit.try_acquire()


def test_refusals_and_bad_requests_count_nowhere():
    """Neither is in the window, whatever their number."""
    circuit, clock = breaker(request_volume_threshold=1)
    for _ in range(100):
        circuit.on_bad_request(1, HystrixBadRequest())
    clock.advance(500 * NS_PER_MS)

    assert circuit.metrics.buffered_calls == 0
    assert circuit.metrics.failure_rate == -1.0
    circuit, clock = opened()
    for _ in range(5):
        circuit.try_acquire()
    assert (circuit.metrics.buffered_calls, circuit.metrics.not_permitted_calls) == (20, 5)


@pytest.mark.parametrize(
    ("properties", "state", "admits"),
    [
        ({"force_open": True}, State.FORCED_OPEN, False),
        ({"force_open": True, "force_closed": True}, State.FORCED_OPEN, False),
        ({"force_closed": True}, State.METRICS_ONLY, True),
        ({"circuit_enabled": False}, State.DISABLED, True),
    ],
)
def test_forced_circuits_do_as_they_are_told(properties, state, admits):
    """forceOpen wins over forceClosed, which counts on and never opens."""
    circuit, clock = breaker(**properties)
    record(circuit, "f" * 20)
    clock.advance(500 * NS_PER_MS)

    assert circuit.try_acquire() is admits
    assert circuit.state is state
    assert circuit.metrics.buffered_calls == (20 if state is State.METRICS_ONLY else 0)


def test_the_circuit_called_directly_keeps_its_ticks():
    """As a policy of a pipeline it decides on time, too: the call that finds a bucket due is refused."""
    circuit, clock = breaker()
    for _ in range(20):
        with pytest.raises(Broken):
            circuit.call_sync(fail)
    assert circuit.call_sync(lambda: 1) == 1

    clock.advance(500 * NS_PER_MS)

    with pytest.raises(Exception, match="is OPEN and does not permit"):
        circuit.call_sync(lambda: 1)


# -- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize("isolation", ["THREAD", "SEMAPHORE"])
def test_a_command_runs_fails_and_answers_by_its_fallback(shell, isolation):
    """The fallback gets the exception; the events are Hystrix's."""
    command = HystrixCommand(
        "user", HystrixCommandProperties(isolation=isolation, timeout_enabled=False), fallback=repr
    )

    assert run(command, shell, lambda: "served") == "served"
    assert run(command, shell) == "Broken()"
    expected = ["SUCCESS", "FAILURE", "FALLBACK_SUCCESS"]
    assert expected == [event.type for event in command.events.snapshot()]
    assert command.pool is None or command.pool.close(LIMIT_S)


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_an_open_circuit_answers_without_calling(shell):
    """SHORT_CIRCUITED, then the fallback; the function is not entered and the circuit does not count it."""
    clock, calls = ManualClock(), []
    command = HystrixCommand(
        "user", HystrixCommandProperties(**SEMAPHORE), fallback=lambda error: type(error).__name__, clock=clock
    )

    def work():
        calls.append(1)
        raise Broken

    for _ in range(25):
        assert run(command, shell, work) == "Broken"
    clock.advance(500 * NS_PER_MS)
    assert run(command, shell, work) == "CallNotPermitted"

    assert len(calls) == 25
    assert command.counts == {"FAILURE": 25, "SHORT_CIRCUITED": 1, "FALLBACK_SUCCESS": 26}
    assert command.breaker.metrics.buffered_calls == 25


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_bad_request_goes_to_the_caller_as_it_is(shell):
    """No fallback, no count; in a trial call the circuit opens again."""
    clock = ManualClock()
    command = HystrixCommand("user", HystrixCommandProperties(**SEMAPHORE), fallback=lambda _error: 0, clock=clock)
    for _ in range(20):
        run(command, shell)
    clock.advance(5501 * NS_PER_MS)

    def bad():
        raise HystrixBadRequest

    with pytest.raises(HystrixBadRequest):
        run(command, shell, bad)

    assert command.breaker.state is State.OPEN
    assert command.counts["BAD_REQUEST"] == 1


def without_fallback(properties, fallback, full=False):
    command = HystrixCommand("user", HystrixCommandProperties(**SEMAPHORE, **properties), fallback=fallback)
    if full:
        command.fallback_semaphore.acquire_sync()
    return command


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize(
    ("make", "event", "message"),
    [
        (lambda: without_fallback({}, None), "FALLBACK_MISSING", "user command exception and no fallback available"),
        (lambda: without_fallback({"fallback_enabled": False}, fail), "FALLBACK_DISABLED", "fallback disabled"),
        (lambda: without_fallback({}, lambda _error: 1 // 0), "FALLBACK_FAILURE", "fallback failed"),
        (
            lambda: without_fallback({"fallback_max_concurrent_requests": 1}, fail, full=True),
            "FALLBACK_REJECTION",
            "fallback execution rejected",
        ),
    ],
)
def test_without_an_answer_the_failure_is_told_with_its_cause(shell, make, event, message):
    """HystrixRuntimeError names the command, how it failed and what was wrong with its fallback."""
    command = make()

    with pytest.raises(HystrixRuntimeError, match=message) as caught:
        run(command, shell)

    assert isinstance(caught.value.__cause__, Broken)
    assert caught.value.failure is FailureType.COMMAND_EXCEPTION
    assert isinstance(caught.value.fallback_error, ZeroDivisionError) == (event == "FALLBACK_FAILURE")
    assert command.counts == {"FAILURE": 1, event: 1}


def test_the_eleventh_fallback_at_once_is_refused():
    """Fallbacks have a semaphore of their own, of ten by default, and give their permits back."""

    async def scenario():
        gate = asyncio.Event()

        async def slow_fallback(_error):
            await gate.wait()
            return "late"

        command = HystrixCommand(
            "user", HystrixCommandProperties(**SEMAPHORE, max_concurrent_requests=20), fallback=slow_fallback
        )
        tasks = [asyncio.create_task(command.call(fail_async)) for _ in range(11)]
        while command.counts["FALLBACK_REJECTION"] == 0:  # noqa: ASYNC110  # no event marks it
            await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True), command

    answers, command = asyncio.run(scenario())

    assert answers.count("late") == 10
    assert sum(isinstance(answer, HystrixRuntimeError) for answer in answers) == 1
    assert command.fallback_semaphore.available_concurrent_calls == 10


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_semaphore_refuses_at_once(shell):
    """SEMAPHORE_REJECTED counts as an error for the circuit."""
    command = HystrixCommand("user", HystrixCommandProperties(**SEMAPHORE, max_concurrent_requests=0), fallback=str)

    assert run(command, shell) == "Bulkhead 'user' is full and does not permit further calls"
    assert command.counts == {"SEMAPHORE_REJECTED": 1, "FALLBACK_SUCCESS": 1}
    assert command.breaker.failed.count == 1


def test_a_pool_of_threads_refuses_what_it_has_no_room_for():
    """One thread and no queue: the second call is THREAD_POOL_REJECTED while the first is at work."""
    hystrix = Hystrix(
        {"hystrix.threadpool.users.coreSize": 1, "hystrix.command.default.execution.timeout.enabled": False}
    )
    command, gate, started = hystrix.command("user", group="users"), threading.Event(), threading.Event()

    def work():
        started.set()
        return gate.wait(LIMIT_S)

    first = threading.Thread(target=command.call_sync, args=(work,))
    first.start()
    assert started.wait(LIMIT_S)
    with pytest.raises(HystrixRuntimeError) as caught:
        command.call_sync(work)
    gate.set()
    first.join(LIMIT_S)

    assert caught.value.failure is FailureType.REJECTED_THREAD_EXECUTION
    assert command.counts == {"THREAD_POOL_REJECTED": 1, "FALLBACK_MISSING": 1, "SUCCESS": 1}
    assert hystrix.pool("users").close(LIMIT_S)


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_thread_that_takes_too_long_is_left_behind(shell):
    """TIMEOUT for the caller; the pool goes on counting the thread until it has ended."""
    gate = threading.Event()
    command = HystrixCommand("user", HystrixCommandProperties(timeout_ms=20), fallback=str)

    def work():
        gate.wait(LIMIT_S)

    answer = command.call_sync(work) if shell == "sync" else asyncio.run(command.call(work))

    assert answer == "Hystrix command 'user' timed out after 0.02 s"
    assert command.counts == {"TIMEOUT": 1, "FALLBACK_SUCCESS": 1}
    assert command.pool.metrics.active_thread_count == 1
    gate.set()
    assert command.pool.close(LIMIT_S)


def test_without_a_thread_a_timeout_is_noticed_at_the_end():
    """A semaphore cannot interrupt a plain function: it is late when it comes back, and counts as TIMEOUT."""
    clock = ManualClock()
    command = HystrixCommand(
        "user",
        HystrixCommandProperties(isolation="SEMAPHORE", timeout_ms=100),
        fallback=lambda error: type(error).__mro__[1].__name__,
        clock=clock,
    )

    assert command.call_sync(lambda: clock.advance(100 * NS_PER_MS - 1)) is None
    assert command.call_sync(lambda: clock.advance(100 * NS_PER_MS)) == "TimeLimitExceeded"
    assert command.counts == {"SUCCESS": 1, "TIMEOUT": 1, "FALLBACK_SUCCESS": 1}


def test_the_functions_own_timeout_error_is_a_failure():
    """Only the command's limit is a TIMEOUT."""
    command = HystrixCommand("user", HystrixCommandProperties(isolation="SEMAPHORE"), fallback=lambda _error: 0)

    def work():
        raise TimeoutError

    command.call_sync(work)
    asyncio.run(command.call(work))
    assert command.counts["FAILURE"] == 2


def test_a_cancelled_command_leaves_nothing_taken():
    """Its permit is free, the event is CANCELLED, and as a trial call it opens the circuit again."""

    async def scenario():
        clock, entered = ManualClock(), asyncio.Event()
        command = HystrixCommand("user", HystrixCommandProperties(**SEMAPHORE), fallback=lambda _error: 0, clock=clock)
        for _ in range(20):
            await command.call(fail_async)
        clock.advance(5501 * NS_PER_MS)

        async def work():
            entered.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(command.call(work))
        await entered.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return command

    command = asyncio.run(scenario())

    assert command.counts["CANCELLED"] == 1
    assert command.breaker.state is State.OPEN
    assert command.semaphore.available_concurrent_calls == 10


# -- decorator, keys, actuator -------------------------------------------------------------------------------------


class Users:
    """Decorated methods, with fallbacks by name."""

    hystrix = Hystrix({"hystrix.command.default.execution.isolation.strategy": "SEMAPHORE"})

    @hystrix_command(hystrix, fallback_method="cached", ignore_exceptions=(KeyError,))
    def get(self, user_id):
        raise {1: Broken, 2: KeyError}[user_id]

    @hystrix_command(hystrix, command_key="getAsync", fallback_method="cached_async")
    async def get_async(self, user_id):
        raise Broken(user_id)

    def cached(self, user_id, error):
        return ("cached", user_id, type(error))

    async def cached_async(self, user_id):
        return ("cached", user_id)


def test_the_decorator_names_keys_and_fallbacks_as_javanica_does():
    """The function's name is the key; the fallback gets the same arguments, and the exception if it has a place for it."""
    assert Users().get(1) == ("cached", 1, Broken)
    assert asyncio.run(Users().get_async(3)) == ("cached", 3)
    with pytest.raises(KeyError):
        Users().get(2)
    assert Users.get.command.counts == {"FAILURE": 1, "FALLBACK_SUCCESS": 1, "BAD_REQUEST": 1}
    assert Users.hystrix.command("getAsync").counts["FAILURE"] == 1


def test_keys_are_hystrix_own():
    """Dotted or nested, own over default; a key may have dots of its own."""
    settings = HystrixSettings.read(
        {
            "hystrix": {
                "command": {
                    "default": {"execution": {"isolation": {"thread": {"timeoutInMilliseconds": "700"}}}},
                    "user": {"circuitBreaker": {"requestVolumeThreshold": 5}, "requestCache": {"enabled": True}},
                },
                "threadpool": {"default": {"coreSize": 3}},
            },
            "hystrix.command.users.v1.circuitBreaker.sleepWindowInMilliseconds": 100,
            "server.port": 8080,
        }
    )

    assert settings.command("user") == HystrixCommandProperties(request_volume_threshold=5, timeout_ms=700)
    assert settings.command("users.v1").sleep_window_ms == 100
    assert settings.command("other") == HystrixCommandProperties(timeout_ms=700)
    assert settings.thread_pool("any").core_size == 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("command.a.circuitBreaker.errorThresholdPercentage", 0, "is 0, must be above 0 and at most 100"),
        ("command.a.circuitBreaker.requestVolume", 1, "did you mean 'circuitBreaker.requestVolumeThreshold'?"),
        ("command.a.circuitBreaker.forceOpen", "now", "is 'now', must be true or false"),
        ("command.a.execution.isolation.strategy", "PROCESS", "is PROCESS, must be one of THREAD, SEMAPHORE"),
        ("command.a.metrics.rollingStats.numBuckets", 3, "is 3, must divide timeInMilliseconds, 10000"),
        ("command.a.metrics.healthSnapshot.intervalInMilliseconds", 0, "is 0 ms, must be at least 1 ms"),
        ("command.default.execution.isolation.thread.timeoutInMilliseconds", 0, "is 0 ms, must be at least 1 ms"),
        ("threadpool.a.coreSize", 0, "hystrix.threadpool.a.coreSize: is 0, must be at least 1"),
        ("threadpool.a.maxQueueSize", -2, "is -2, must be at least -1"),
        ("threadpool.a.queueSizeRejectionThreshold", 0, "is 0, must be at least 1"),
        ("threads.a.coreSize", 1, "unknown key 'threads' (command or threadpool)"),
    ],
)
def test_wrong_keys_and_values_are_told(key, value, message):
    """With the key as it was written."""
    with pytest.raises(ConfigError) as caught:
        Hystrix({"hystrix." + key: value})

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("properties", "core", "most", "queue"),
    [
        ({}, 10, 10, 0),
        ({"max_queue_size": 100}, 10, 10, 5),
        ({"max_queue_size": 3}, 10, 10, 3),
        ({"maximum_size": 20}, 10, 10, 0),
        ({"maximum_size": 20, "allow_maximum_size_to_diverge": True}, 10, 20, 0),
        ({"maximum_size": 20, "allow_maximum_size_to_diverge": True, "max_queue_size": 3}, 10, 20, 3),
        ({"maximum_size": 20, "allow_maximum_size_to_diverge": True, "max_queue_size": 9}, 10, 10, 5),
    ],
)
def test_pools_have_hystrix_order(properties, core, most, queue):
    """Hand-off by default; the rejection threshold cuts the queue, and with it the growth beyond the core."""
    config = HystrixThreadPoolProperties(**properties).bulkhead()

    assert (config.core_thread_pool_size, config.max_thread_pool_size, config.queue_capacity) == (core, most, queue)


def test_circuits_and_pools_are_seen_in_the_registrys_actuator():
    """Under the shapes of Resilience4j, beside the registry's own policies."""
    clock = ManualClock()
    registry = Registry(clock=clock)
    hystrix = Hystrix(
        {"hystrix.command.plain.execution.isolation.strategy": "SEMAPHORE", "hystrix.threadpool.users.coreSize": 2},
        registry=registry,
    )
    hystrix.command("user", group="users")
    circuit = hystrix.command("plain").breaker
    record(circuit, "f" * 20)
    clock.advance(500 * NS_PER_MS)

    shown = registry.actuator("circuitbreakers")["circuitBreakers"]
    assert {name: one["state"] for name, one in shown.items()} == {"plain": "OPEN", "user": "CLOSED"}
    assert shown["plain"]["failureRate"] == "100.0%"
    transitions = registry.actuator("circuitbreakerevents/plain/STATE_TRANSITION")["circuitBreakerEvents"]
    assert [event["stateTransition"] for event in transitions] == ["CLOSED_TO_OPEN"]
    assert registry.actuator("bulkheads") == {"bulkheads": ["plain", "users"]}
    text = registry.metrics_text()
    assert 'resilience4j_circuitbreaker_state{name="plain",state="open"} 1.0' in text
    assert 'resilience4j_bulkhead_core_thread_pool_size{name="users"} 2.0' in text
    with pytest.raises(ValueError, match="there is a circuitbreaker 'plain' already"):
        Hystrix(registry=registry).command("plain")
