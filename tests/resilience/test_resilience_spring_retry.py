"""@Retryable, @Backoff and @Recover: Spring Retry's waits, its choice of exceptions and of who answers."""

from __future__ import annotations

import asyncio

import pytest

from services.resilience import ConfigError, ManualClock
from services.resilience.clock import NS_PER_MS
from services.resilience.spring_retry import Backoff, ExhaustedRetry, recover, retryable


class Low(ConnectionError):
    """Two steps below OSError."""


def waits_of(fn):
    return [event.wait_ms for event in fn.retry.events.snapshot() if event.type == "RETRY"]


@pytest.mark.parametrize(
    ("backoff", "share", "expected"),
    [
        (Backoff(), 0.5, [1000, 1000, 1000, 1000]),
        (Backoff(delay_ms=0), 0.5, [1000, 1000, 1000, 1000]),
        (Backoff(delay_ms=70), 0.5, [70, 70, 70, 70]),
        (Backoff(delay_ms=100, multiplier=2), 0.5, [100, 200, 400, 800]),
        (Backoff(delay_ms=100, multiplier=1.5), 0.5, [100, 150, 225, 337]),
        (Backoff(delay_ms=100, multiplier=2, max_delay_ms=300), 0.5, [100, 200, 300, 300]),
        (Backoff(delay_ms=100, multiplier=2, max_delay_ms=100), 0.5, [100, 200, 400, 800]),
        (Backoff(delay_ms=20_000, multiplier=2), 0.5, [20_000, 30_000, 30_000, 30_000]),
        (Backoff(delay_ms=100, multiplier=0.5), 0.5, [100, 100, 100, 100]),
        (Backoff(delay_ms=100, multiplier=2, random=True), 0.0, [100, 200, 400, 800]),
        (Backoff(delay_ms=100, multiplier=2, random=True), 0.5, [150, 300, 600, 1200]),
        (Backoff(delay_ms=100, multiplier=2, max_delay_ms=500, random=True), 0.5, [150, 300, 500, 500]),
        (Backoff(delay_ms=100, max_delay_ms=200), 0.0, [100, 100, 100, 100]),
        (Backoff(delay_ms=100, max_delay_ms=200), 0.999, [199, 199, 199, 199]),
        (Backoff(delay_ms=100, max_delay_ms=200, random=True), 0.5, [150, 150, 150, 150]),
        (Backoff(delay_ms=300, max_delay_ms=200), 0.5, [300, 300, 300, 300]),
    ],
)
@pytest.mark.parametrize("shell", ["sync", "async"])
def test_the_waits_are_springs(shell, backoff, share, expected):
    """Fixed, growing, capped, uniform and random waits, with no wait after the last attempt."""
    clock = ManualClock()
    decorate = retryable(max_attempts=5, backoff=backoff, clock=clock, random_share=lambda: share)
    calls = []

    @decorate
    def fetch():
        calls.append(1)
        raise OSError

    @decorate
    async def fetch_async():
        calls.append(1)
        raise OSError

    with pytest.raises(OSError):
        fetch() if shell == "sync" else asyncio.run(fetch_async())

    assert expected == waits_of(fetch if shell == "sync" else fetch_async)
    assert clock.now_ns() == sum(expected) * NS_PER_MS
    assert len(calls) == 5


def test_three_attempts_a_second_apart_by_default():
    """maxAttempts includes the first call."""
    clock, calls = ManualClock(), []

    @retryable(clock=clock)
    def fetch(order_id):
        calls.append(order_id)
        if len(calls) < 3:
            raise OSError
        return "served"

    assert fetch(7) == "served"
    assert calls == [7, 7, 7]
    assert waits_of(fetch) == [1000, 1000]


@pytest.mark.parametrize(
    ("retry_for", "no_retry_for", "error", "attempts"),
    [
        ((), (), ValueError(), 3),
        ((OSError,), (), Low(), 3),
        ((OSError,), (), ValueError(), 1),
        ((), (OSError,), ValueError(), 3),
        ((), (OSError,), Low(), 1),
        ((OSError,), (ConnectionError,), Low(), 1),
        ((ConnectionError,), (OSError,), Low(), 3),
        ((ConnectionError,), (OSError,), PermissionError(), 1),
    ],
)
def test_the_nearest_class_named_decides(retry_for, no_retry_for, error, attempts):
    """Of include and exclude the closer in the line of classes wins; what neither names goes by include's emptiness."""
    calls = []

    @retryable(retry_for=retry_for, no_retry_for=no_retry_for, clock=ManualClock())
    def fetch():
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        fetch()
    assert len(calls) == attempts


def test_a_cause_is_looked_at_too():
    """An exception raised from a retryable one is retried."""
    calls = []

    @retryable(retry_for=[ConnectionError], clock=ManualClock())
    def fetch():
        calls.append(1)
        raise ValueError from Low()

    with pytest.raises(ValueError):
        fetch()
    assert len(calls) == 3


class Client:
    """Methods that fail, and methods that answer for them."""

    def __init__(self, error):
        self.error = error

    @retryable(clock=ManualClock(), backoff=Backoff(delay_ms=1), not_recoverable=[KeyError])
    def get(self, _order_id, *, _currency="EUR"):
        raise self.error

    @retryable(clock=ManualClock(), backoff=Backoff(delay_ms=1), retry_for=[OSError])
    async def get_async(self, _order_id):
        raise self.error

    @recover
    def from_os_error(self, error: OSError, order_id):
        return ("os", type(error), order_id)

    @recover
    def from_connection_error(self, error: ConnectionError) -> int:
        return ("connection", type(error))

    @recover(LookupError)
    async def from_lookup_error(self, error, order_id):
        return ("lookup", type(error), order_id)


class Forgiving(Client):
    """One method more, for whatever comes."""

    @recover
    def from_anything(self, order_id, _currency="?"):
        return ("anything", order_id)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Low(), ("connection", Low)),
        (PermissionError(), ("os", PermissionError, 7)),
        (OSError(), ("os", OSError, 7)),
    ],
)
def test_the_recovery_method_of_the_nearest_class_answers(error, expected):
    """It gets the exception and as many of the arguments as it takes; its return type does not matter."""
    assert Client(error).get(7) == expected
    assert asyncio.run(Client(error).get_async(7)) == expected


def test_async_calls_may_have_async_recovery():
    """The recovery of a coroutine function is awaited; it runs for exceptions that are not retried, too."""
    client, waits_before = Client(IndexError()), waits_of(Client.get_async)

    assert asyncio.run(client.get_async(7)) == ("lookup", IndexError, 7)
    assert waits_before == waits_of(Client.get_async)


def test_a_plain_function_cannot_have_async_recovery():
    """Nobody is there to await it: a mistake, told as one."""
    with pytest.raises(TypeError, match="is async, the call is not"):
        Client(IndexError()).get(7)


def test_a_method_without_exception_answers_last():
    """It is as far away as a class can be."""
    assert Forgiving(ValueError()).get(7, _currency="CHF") == ("anything", 7)
    assert Forgiving(Low()).get(7) == ("connection", Low)


def test_no_recovery_method_that_fits_is_told():
    """There are some, but none for this class: ExhaustedRetry, with the exception as its cause."""
    with pytest.raises(ExhaustedRetry, match="cannot locate a recovery method for ValueError") as caught:
        Client(ValueError()).get(7)
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_is_not_recoverable_is_raised_as_it_is():
    """notRecoverable goes past every recovery method."""
    with pytest.raises(KeyError):
        Forgiving(KeyError()).get(7)


def test_functions_name_their_recovery():
    """Outside a class there is nothing to search: recover_with says who answers."""

    def by_timeout(error: TimeoutError, order_id):
        raise AssertionError(error, order_id)

    @recover(OSError)
    def by_os_error(error, order_id):
        return (type(error), order_id)

    @retryable(clock=ManualClock(), recover_with=[by_timeout, by_os_error])
    def fetch(_order_id):
        raise Low

    assert fetch(7) == (Low, 7)


def test_an_annotation_that_cannot_be_read_is_told():
    """A name known to type checkers only cannot choose at run time: say what to write instead."""

    def by_unknown(error: Unknown, order_id):  # noqa: F821
        raise AssertionError(error, order_id)

    @retryable(clock=ManualClock(), recover_with=[by_unknown])
    def fetch(_order_id):
        raise OSError

    with pytest.raises(ConfigError, match=r"name the class: @recover\(TheError\)"):
        fetch(7)


def test_cancellation_is_neither_retried_nor_recovered():
    """What is no Exception goes straight through."""
    with pytest.raises(KeyboardInterrupt):
        Forgiving(KeyboardInterrupt()).get(7)


@pytest.mark.parametrize("wrong", [{"delay_ms": -1}, {"multiplier": -0.5}, {"max_delay_ms": -1}])
def test_values_below_zero_are_refused(wrong):
    """Spring would take them for 1 ms; here they are mistakes."""
    with pytest.raises(ConfigError, match="must be at least 0"):
        Backoff(**wrong)
