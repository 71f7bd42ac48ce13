"""Retry under a clock of its own."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from services.resilience import ManualClock, MaxRetriesExceeded, Retry, RetryConfig, intervals
from services.resilience.retry import of_attempt


class Retryable(Exception):
    """E in the table."""


class Ignored(Exception):
    """I in the table."""


def make(**config):
    clock = ManualClock()
    return Retry(
        "table",
        RetryConfig(
            ignore=lambda error: isinstance(error, Ignored),
            retry_result=lambda result: result == "B",
            **config,
        ),
        clock,
    )


def outcomes_of(letters):
    remaining = iter(letters.split())

    def fn():
        letter = next(remaining)
        if letter == "E":
            raise Retryable
        if letter == "I":
            raise Ignored
        return letter

    return fn


def run(retry, fn, shell):
    async def async_fn():
        return fn()

    try:
        return retry.call_sync(fn) if shell == "sync" else asyncio.run(retry.call(async_fn))
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize(
    ("letters", "config", "result", "waits_ms", "events", "counter"),
    [
        ("G", {}, "G", [], [], "successful_without_retry"),
        ("E G", {}, "G", [500], ["RETRY#1", "SUCCESS#1"], "successful_with_retry"),
        ("E E E", {}, Retryable, [500, 500], ["RETRY#1", "RETRY#2", "ERROR#3"], "failed_with_retry"),
        ("I", {}, Ignored, [], ["IGNORED_ERROR#0"], "failed_without_retry"),
        ("E I", {}, Ignored, [500], ["RETRY#1", "IGNORED_ERROR#0"], "failed_without_retry"),
        ("B B B", {}, "B", [500, 500], ["RETRY#1", "RETRY#2", "ERROR#3"], "failed_with_retry"),
        ("E", {"max_attempts": 1}, Retryable, [], ["ERROR#1"], "failed_with_retry"),
        (
            "B B B",
            {"fail_after_max_attempts": True},
            MaxRetriesExceeded,
            [500, 500],
            ["RETRY#1", "RETRY#2", "ERROR#3"],
            "failed_with_retry",
        ),
        ("E", {"interval": lambda _attempt, _outcome: -1}, Retryable, [], ["ERROR#1"], "failed_with_retry"),
    ],
)
def test_the_table_of_outcomes(shell, letters, config, result, waits_ms, events, counter):
    """Result, waits, events and the one counter are those of Resilience4j's retry, D5 and D6 excepted."""
    retry = make(**config)

    assert result == run(retry, outcomes_of(letters), shell)
    seen = retry.events.snapshot()
    assert events == [f"{event.type}#{event.detail}" for event in seen]
    assert waits_ms == [event.wait_ms for event in seen if event.wait_ms is not None]
    assert sum(waits_ms) * 1_000_000 == retry.clock.now_ns()
    counts = {name: getattr(retry.counts, name) for name in retry.counts.__slots__}
    assert {name: int(name == counter) for name in counts} == counts


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (intervals.fixed(70), [70, 70, 70]),
        (intervals.exponential(100, 1.5), [100, 150, 225, 337, 505]),
        (intervals.exponential(100, 1.5, 200), [100, 150, 200, 200]),
        (intervals.randomized(100, 0.5, lambda: 0.0), [50, 50]),
        (intervals.randomized(100, 0.5, lambda: 0.999999), [150, 150]),
        (intervals.randomized(1, 0.9, lambda: 0.0), [1]),
        (intervals.exponential_random(100, 2, 0.5, 180, lambda: 0.999999), [150, 180]),
    ],
)
def test_intervals_are_cut_to_whole_milliseconds_each_time(interval, expected):
    """Interval functions give Resilience4j's numbers."""
    assert expected == [interval(attempt) for attempt in range(1, len(expected) + 1)]


def test_a_bad_result_is_handed_over_before_the_next_attempt():
    """consumeResultBeforeRetryAttempt sees each bad result that is asked for again, for example to close it."""
    seen = []
    retry = make(consume_result=lambda attempts, result: seen.append((attempts, result)))

    assert retry.call_sync(outcomes_of("B B B")) == "B"
    assert seen == [(1, "B"), (2, "B")]


def test_an_exponential_interval_stays_finite():
    """The thousandth attempt waits as long as Java's greatest long, not for ever."""
    assert intervals.exponential(100, 10.0)(1000) == 2**63 - 1


def test_cancellation_is_never_retried():
    """What is no Exception goes straight through and counts nowhere."""
    retry = make()
    tries = itertools.count(1)

    def stop():
        next(tries)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry.call_sync(stop)
    assert next(tries) == 2
    assert retry.events.snapshot() == []


def test_a_retry_that_is_off_calls_once():
    """`enabled: false` takes the retry away."""
    retry = make(enabled=False, interval=of_attempt(intervals.fixed(1)))

    with pytest.raises(Retryable):
        retry.call_sync(outcomes_of("E G"))
    assert retry.events.sequence == 0
