"""Feign's retryer, its errors and its time-outs."""

from __future__ import annotations

import asyncio

import pytest

from services.resilience import ConfigError, ManualClock
from services.resilience.clock import NS_PER_MS
from services.resilience.feign import FeignError, FeignRetryer, RequestOptions, RetryableError, error_of


def calls_and_waits(retryer, error, shell):
    calls = []

    def fn():
        calls.append(1)
        raise error

    async def async_fn():
        fn()

    with pytest.raises(type(error)) as caught:
        retryer.call_sync(fn) if shell == "sync" else asyncio.run(retryer.call(async_fn))
    assert caught.value is error
    return len(calls), [event.wait_ms for event in retryer.events.snapshot() if event.type == "RETRY"]


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((100, 2000, 3), [150, 225]),
        ((), [150, 225, 337, 506]),
        ((100, 200, 5), [150, 200, 200, 200]),
        ((100, 2000, 1), []),
        ((1, 10, 4), [1, 2, 3]),
    ],
)
def test_the_attempt_is_counted_before_the_wait_is_worked_out(shell, arguments, expected):
    """period * 1.5, * 1.5^2 ..., each cut to whole milliseconds from the exact power, capped, without jitter."""
    clock = ManualClock()
    retryer = FeignRetryer(*arguments, clock=clock)

    assert calls_and_waits(retryer, ConnectionResetError(), shell) == (len(expected) + 1, expected)
    assert clock.now_ns() == sum(expected) * NS_PER_MS


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (RetryableError("again"), 3),
        (ConnectionRefusedError(), 3),
        (TimeoutError(), 3),
        (EOFError(), 3),
        (FeignError("status 503", status=503), 1),
        (ValueError(), 1),
    ],
)
def test_transport_errors_are_tried_again_and_a_plain_5xx_is_not(error, attempts):
    """Of any HTTP method: Feign wraps every I/O error in a RetryableException."""
    assert calls_and_waits(FeignRetryer(100, 2000, 3, clock=ManualClock()), error, "sync")[0] == attempts


@pytest.mark.parametrize(
    ("retry_after", "expected_ms"), [("0", 0), ("1", 1000), ("120", 2000), ("Thu, 01 Jan 1970 00:00:01 GMT", 1000)]
)
def test_a_retry_after_header_is_the_wait_up_to_the_longest_period(retry_after, expected_ms):
    """It takes the place of the computed wait, shorter or longer, whatever the status."""
    error = error_of(503, retry_after=retry_after, clock=ManualClock())
    retryer = FeignRetryer(100, 2000, 2, clock=ManualClock())

    assert isinstance(error, RetryableError)
    assert calls_and_waits(retryer, error, "sync") == (2, [expected_ms])


@pytest.mark.parametrize("retry_after", [None, "", "soon"])
def test_without_a_readable_header_an_error_is_final(retry_after):
    """No Retry-After, no RetryableError."""
    error = error_of(503, retry_after=retry_after)

    assert type(error) is FeignError
    assert (error.status, str(error)) == (503, "status 503")


def test_a_long_series_stays_finite():
    """The power outgrows any float: the longest period stands for it."""
    retryer = FeignRetryer(100, 10, 3000, clock=ManualClock())

    assert set(calls_and_waits(retryer, OSError(), "sync")[1]) == {10}


def test_the_options_have_feigns_defaults():
    """10 s for the connection, 60 s for a read."""
    options = RequestOptions()

    assert (options.connect_s, options.read_s) == (10.0, 60.0)
    assert RequestOptions(connect_ms=250, read_ms=1500).read_s == 1.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RequestOptions(connect_ms=0), "connectTimeout: is 0 ms, must be at least 1 ms"),
        (lambda: RequestOptions(read_ms=-1), "readTimeout: is -1 ms, must be at least 1 ms"),
        (lambda: FeignRetryer(-1), "period: is -1 ms, must be at least 0 ms"),
        (lambda: FeignRetryer(max_attempts=0), "maxAttempts: is 0, must be at least 1"),
    ],
)
def test_wrong_values_are_told(make, message):
    """Key, value and bound."""
    with pytest.raises(ConfigError) as caught:
        make()

    assert message in str(caught.value)
