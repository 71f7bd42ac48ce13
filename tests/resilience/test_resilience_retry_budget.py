"""Retry budgets, Retry-After and jitter, under a clock of their own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from services.resilience import (
    ConfigError,
    ManualClock,
    MaxRetriesExceeded,
    Registry,
    Retry,
    RetryConfig,
    deadline_scope,
    intervals,
)
from services.resilience.clock import NS_PER_MS, NS_PER_S
from services.resilience.retry import of_attempt
from services.resilience.retry_after import retry_after_s, wish_ms
from services.resilience.retry_budget import RetryBudget, RetryBudgetConfig

RETRY = "resilience4j.retry.instances.payment."


class Busy(Exception):
    """An answer that says when to come back."""

    def __init__(self, wish=None):
        super().__init__(wish)
        self.retry_after_s = wish


def failing(error):
    def fn():
        raise error

    return fn


def run(retry, error, shell):
    async def async_fn():
        raise error

    with pytest.raises(type(error)):
        retry.call_sync(failing(error)) if shell == "sync" else asyncio.run(retry.call(async_fn))


def waits_of(retry):
    return [event.wait_ms for event in retry.events.snapshot() if event.type == "RETRY"]


def test_a_budget_lets_a_share_of_the_calls_be_retried():
    """With a tenth, a thousand failing calls make a hundred retries, beyond what was saved up at the start."""
    budget = RetryBudget(RetryBudgetConfig(ratio=0.1, capacity=10), ManualClock())
    retry = Retry("storm", RetryConfig(max_attempts=2), ManualClock(), budget=budget)

    for _ in range(1000):
        run(retry, Busy(), "sync")

    retries = 1000 - budget.refused
    assert retries == 10 + 99  # the first call's own deposit finds a full bucket and is lost
    assert retry.counts.failed_with_retry == 1000


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_an_empty_budget_ends_the_call_and_says_so(shell):
    """BUDGET_EXHAUSTED comes before the ERROR, which counts the attempts that were made; nothing is waited for."""
    clock = ManualClock()
    config = RetryConfig(max_attempts=5, budget=RetryBudgetConfig(ratio=0, capacity=1))
    retry = Retry("poor", config, clock)

    run(retry, Busy(), shell)

    expected = ["RETRY#1", "BUDGET_EXHAUSTED#2", "ERROR#2"]
    assert expected == [f"{event.type}#{event.detail}" for event in retry.events.snapshot()]
    assert clock.now_ns() == 500 * NS_PER_MS


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize(
    ("left_ms", "told", "waited_ms"),
    [
        (1001, ["RETRY#1", "RETRY#2", "ERROR#3"], 1000),
        (1000, ["RETRY#1", "DEADLINE_TOO_NEAR#2", "ERROR#2"], 500),
        (500, ["DEADLINE_TOO_NEAR#1", "ERROR#1"], 0),
        (-1, ["DEADLINE_TOO_NEAR#1", "ERROR#1"], 0),
    ],
)
def test_a_wait_that_would_outlast_the_deadline_is_not_begun(shell, left_ms, told, waited_ms):
    """An attempt that the caller would not be there for is given up at once, with the error of the one before."""
    clock = ManualClock()
    retry = Retry("late", RetryConfig(max_attempts=3, budget=RetryBudgetConfig()), clock)

    with deadline_scope(left_ms / 1000, clock=clock):
        run(retry, Busy(), shell)

    assert told == [f"{event.type}#{event.detail}" for event in retry.events.snapshot()]
    assert waited_ms * NS_PER_MS == clock.now_ns()
    assert retry.counts.failed_with_retry == 1
    assert retry.budget.tokens == 10 - told.count("RETRY#1") - told.count("RETRY#2")


def test_a_bad_result_is_handed_over_when_the_deadline_is_too_near():
    """Without failAfterMaxAttempts the answer that was to be asked for again is the answer, with it an error."""
    clock, bad = ManualClock(), {"retry_result": lambda result: result == "bad"}
    with deadline_scope(0.4, clock=clock):
        assert Retry("late", RetryConfig(**bad), clock).call_sync(lambda: "bad") == "bad"
        with pytest.raises(MaxRetriesExceeded, match=r"all attempts \(1\)"):
            Retry("late", RetryConfig(**bad, fail_after_max_attempts=True), clock).call_sync(lambda: "bad")


def test_without_a_wait_a_retry_uses_what_time_is_left():
    """Waits of zero go on until the deadline has really passed."""
    clock = ManualClock()
    retry = Retry("quick", RetryConfig(max_attempts=10, interval=of_attempt(intervals.fixed(0))), clock)

    def slow():
        clock.advance(100 * NS_PER_MS)
        raise Busy

    with deadline_scope(0.25, clock=clock), pytest.raises(Busy):
        retry.call_sync(slow)

    assert [event.type for event in retry.events.snapshot()] == ["RETRY", "RETRY", "DEADLINE_TOO_NEAR", "ERROR"]


def test_time_fills_the_budget_up_to_its_capacity():
    """min_retries_per_second is earned by waiting, to the nanosecond."""
    clock = ManualClock()
    budget = RetryBudget(RetryBudgetConfig(ratio=0, min_retries_per_second=0.5, capacity=2), clock)
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]

    clock.advance(2 * NS_PER_S - 1)
    assert not budget.withdraw()
    clock.advance(1)
    assert budget.withdraw()
    clock.advance(3600 * NS_PER_S)
    assert budget.tokens == 2


def test_ten_tenths_are_one():
    """Shares add up exactly, as binary fractions would not."""
    budget = RetryBudget(RetryBudgetConfig(ratio=0.1, capacity=1), ManualClock())
    budget.withdraw()

    for _ in range(10):
        assert not budget.withdraw()
        budget.deposit()
    assert budget.withdraw()


def test_retries_share_a_budget():
    """Two clients of one service draw on one bucket."""
    clock = ManualClock()
    shared = RetryBudget(RetryBudgetConfig(ratio=0, capacity=1), clock)
    first, second = (Retry(name, RetryConfig(), clock, budget=shared) for name in "ab")

    run(first, Busy(), "sync")
    run(second, Busy(), "sync")

    assert len(waits_of(first)) == 1
    assert waits_of(second) == []


def test_threads_spend_no_token_twice():
    """However many threads ask, a budget gives what it has."""
    budget, given = RetryBudget(RetryBudgetConfig(ratio=0, capacity=100), ManualClock()), []

    def ask():
        given.extend(1 for _ in range(50) if budget.withdraw())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(given) == 100
    assert budget.refused == 300


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize(
    ("wish_s", "config", "expected"),
    [
        (2, {}, [500, 500]),
        (2, {"honour_retry_after": True}, [2000, 2000]),
        (0.2, {"honour_retry_after": True}, [500, 500]),
        (0.5501, {"honour_retry_after": True}, [551, 551]),
        (0.55, {"honour_retry_after": True}, [550, 550]),
        (3600, {"honour_retry_after": True}, [30_000, 30_000]),
        (3600, {"honour_retry_after": True, "max_retry_after_ms": 700}, [700, 700]),
        (None, {"honour_retry_after": True}, [500, 500]),
        (-1, {"honour_retry_after": True}, [500, 500]),
        (float("nan"), {"honour_retry_after": True}, [500, 500]),
        ("soon", {"honour_retry_after": True}, [500, 500]),
        (True, {"honour_retry_after": True}, [500, 500]),
    ],
)
def test_retry_after_lengthens_the_wait_up_to_a_cap(shell, wish_s, config, expected):
    """Off unless asked for; never shorter than the configured wait; what is no number of seconds is no wish."""
    clock = ManualClock()
    retry = Retry("busy", RetryConfig(**config), clock)

    run(retry, Busy(wish_s), shell)

    assert expected == waits_of(retry)
    assert clock.now_ns() == sum(expected) * NS_PER_MS


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 -0000", 20.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_the_header_is_seconds_or_a_date(header, expected):
    """RFC 9110's two forms; a past date means now, anything else nothing."""
    assert expected == retry_after_s(header, 100.0)


def test_a_wish_is_rounded_up_to_whole_milliseconds():
    """Coming back a little too early would be refused again."""
    assert wish_ms(Busy(0.0001)) == 1


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, [50, 100, 200]), (0.5, [100, 200, 400]), (0.999999, [150, 300, 600])]
)
def test_jitter_spreads_each_exponential_wait(share, expected):
    """Half of the wait either way, both ends reached, and the exponent grows on the unspread value."""
    clock = ManualClock()
    interval = intervals.exponential_random(100, 2.0, 0.5, None, lambda: share)
    retry = Retry("jitter", RetryConfig(max_attempts=4, interval=of_attempt(interval)), clock)

    run(retry, Busy(), "sync")

    assert expected == waits_of(retry)


def test_configured_jitter_differs_from_call_to_call_and_stays_in_bounds():
    """enableRandomizedWait with a factor of 0.5 waits from 50 to 150 ms for 100."""
    clock = ManualClock()
    mapping = {"maxAttempts": 200, "waitDuration": "100ms", "enableRandomizedWait": True, "randomizedWaitFactor": 0.5}
    registry = Registry.from_mapping(
        {**{RETRY + key: value for key, value in mapping.items()}, RETRY + "eventConsumerBufferSize": 300}, clock=clock
    )

    run(registry.retry("payment"), Busy(), "sync")

    waits = waits_of(registry.retry("payment"))
    assert len(waits) == 199
    assert all(50 <= wait <= 150 for wait in waits)
    assert len(set(waits)) > 10


def test_the_keys_switch_it_on_and_the_metrics_show_it():
    """retryBudget keys make a budget; its tokens and refusals are in the Prometheus text."""
    clock = ManualClock()
    registry = Registry.from_mapping(
        {
            RETRY + "retryBudgetRatio": "0.2",
            RETRY + "retry-budget-capacity": 1,
            RETRY + "honourRetryAfter": True,
            RETRY + "maxRetryAfter": "1s",
            "resilience4j.retry.instances.plain.maxAttempts": 2,
        },
        clock=clock,
    )

    run(registry.retry("payment"), Busy(5), "sync")

    assert waits_of(registry.retry("payment")) == [1000]
    assert registry.retry("plain").budget is None
    text = registry.metrics_text()
    assert 'resilience4j_retry_budget_tokens{name="payment"} 0.0' in text
    assert 'resilience4j_retry_budget_refused_total{name="payment"} 1.0' in text
    kinds = [event["type"] for event in registry.actuator("retryevents/payment")["retryEvents"]]
    assert kinds == ["RETRY", "BUDGET_EXHAUSTED", "ERROR"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("retryBudgetRatio", -0.1, "retryBudgetRatio: is -0.1, must be at least 0"),
        ("retryBudgetMinRetriesPerSecond", -1, "retryBudgetMinRetriesPerSecond: is -1.0, must be at least 0"),
        ("retryBudgetCapacity", 0, "retryBudgetCapacity: is 0, must be at least 1"),
        ("maxRetryAfter", "-1s", "maxRetryAfter: is -1000 ms, must be at least 0 ms"),
        ("honourRetryAfter", "maybe", "honourRetryAfter: is 'maybe', must be true or false"),
    ],
)
def test_a_wrong_value_is_told_under_its_own_key(key, value, message):
    """Key, value and bound."""
    with pytest.raises(ConfigError) as caught:
        Registry.from_mapping({RETRY + key: value})

    assert RETRY + message in str(caught.value)
