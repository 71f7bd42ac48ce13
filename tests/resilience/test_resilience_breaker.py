"""The breaker's shells, its safety under threads and cancellation, and its events. Decisions are in the golden tests."""

from __future__ import annotations

import asyncio
import threading

import pytest

from services.resilience import (
    CallNotPermitted,
    CircuitBreaker,
    CircuitBreakerConfig,
    IllegalStateTransition,
    ManualClock,
    State,
    intervals,
)


def make(**config):
    given = {"sliding_window_size": 4, "minimum_number_of_calls": 4, "wait_interval": intervals.fixed(1000), **config}
    return CircuitBreaker("payment", CircuitBreakerConfig(**given), ManualClock())


def fail(error=ValueError):
    raise error("no")


async def fail_async(error=ValueError):
    raise error("no")


def types_of(breaker):
    return [event.type for event in breaker.events.snapshot()]


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_both_shells_take_the_same_decisions(shell):
    """Four failures open it, a call then is refused without being made, and after the wait probes close it."""
    breaker = make(permitted_number_of_calls_in_half_open_state=2)

    def call(fn, async_fn, *args):
        return breaker.call_sync(fn, *args) if shell == "sync" else asyncio.run(breaker.call(async_fn, *args))

    async def answer(value):
        return value

    for _ in range(4):
        with pytest.raises(ValueError, match="no"):
            call(fail, fail_async)
    with pytest.raises(CallNotPermitted) as refusal:
        call(fail, fail_async)
    assert refusal.value.retry_after_s == 1.0
    assert str(refusal.value) == "CircuitBreaker 'payment' is OPEN and does not permit further calls"
    breaker.clock.advance(1_000_000_001)
    assert call(lambda value: value, answer, 7) == 7
    assert call(lambda value: value, answer, 8) == 8
    assert breaker.state is State.CLOSED
    assert types_of(breaker) == [
        *["ERROR"] * 4,
        "FAILURE_RATE_EXCEEDED",
        "STATE_TRANSITION",
        "NOT_PERMITTED",
        "STATE_TRANSITION",
        "SUCCESS",
        "SUCCESS",
        "STATE_TRANSITION",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_what_is_no_exception_gives_the_permit_back(error):
    """A probe that is cancelled costs no half-open permit and counts as nothing (D4)."""
    breaker = make(initial_state=State.HALF_OPEN, permitted_number_of_calls_in_half_open_state=1)
    for _ in range(3):
        with pytest.raises(error):
            breaker.call_sync(fail, error)
    breaker.call_sync(int)

    assert breaker.state is State.CLOSED


def test_a_cancelled_task_gives_the_permit_back():
    """Cancellation while the call is under way releases the half-open permit."""
    breaker = make(initial_state=State.HALF_OPEN, permitted_number_of_calls_in_half_open_state=1)

    async def main():
        begun = asyncio.Event()

        async def hang():
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(breaker.call(hang))
        await begun.wait()
        assert not breaker.try_acquire()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert breaker.try_acquire()

    asyncio.run(main())


def test_threads_lose_no_count():
    """Sixteen threads on one breaker: totals, events and sequence numbers come out exact."""
    breaker = CircuitBreaker(
        "hammered",
        CircuitBreakerConfig(
            sliding_window_size=10_000, minimum_number_of_calls=10_000, event_consumer_buffer_size=10_000
        ),
    )

    def hammer():
        for number in range(250):
            try:
                breaker.call_sync(fail if number % 5 == 0 else int)
            except ValueError:
                pass

    threads = [threading.Thread(target=hammer) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    metrics = breaker.metrics
    assert (metrics.buffered_calls, metrics.failed_calls) == (4000, 800)
    assert (breaker.successful.count, breaker.failed.count) == (3200, 800)
    assert [event.sequence for event in breaker.events.snapshot()] == list(range(1, 4001))


def test_threads_get_no_more_probes_than_permitted():
    """However many threads ask at once, HALF_OPEN lets in the permitted number."""
    breaker = make(permitted_number_of_calls_in_half_open_state=5)
    breaker.transition_to(State.OPEN)
    breaker.clock.advance(1_000_000_001)
    start, admitted = threading.Barrier(16), []

    def ask():
        start.wait(30)
        admitted.extend(breaker.try_acquire() for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (sum(admitted), len(admitted)) == (5, 160)


def test_half_open_ends_without_its_timer():
    """Where no timer ever fires, the next call after the max wait finds HALF_OPEN over."""
    config = CircuitBreakerConfig(
        max_wait_duration_in_half_open_state_ms=500, permitted_number_of_calls_in_half_open_state=1
    )
    breaker = CircuitBreaker("lost", config, LostTimers())
    breaker.transition_to(State.OPEN)
    breaker.transition_to(State.HALF_OPEN)
    assert breaker.try_acquire()
    breaker.clock.advance(500_000_001)

    assert not breaker.try_acquire()
    assert breaker.state is State.OPEN


class LostTimers(ManualClock):
    """Takes timers and never runs one."""

    def schedule(self, delay_ns, callback):
        timer = super().schedule(delay_ns, callback)
        timer.cancel()
        return timer


def test_an_impossible_transition_is_named():
    """CLOSED does not go to HALF_OPEN."""
    with pytest.raises(IllegalStateTransition, match="from CLOSED to HALF_OPEN"):
        make().transition_to(State.HALF_OPEN)


def test_consumers_hear_in_order_and_may_use_the_breaker():
    """A consumer of all events comes first, may ask the breaker, and may leave again."""
    breaker, heard = make(), []
    breaker.events.subscribe(lambda event: heard.append(("typed", event.type)), types=["RESET"])
    leave = breaker.events.subscribe(lambda event: heard.append((breaker.state.value, event.type)))
    breaker.reset()
    leave()
    breaker.reset()

    assert heard == [("CLOSED", "RESET"), ("typed", "RESET"), ("typed", "RESET")]


def test_a_consumer_that_fails_harms_nobody(caplog):
    """Its exception is logged; the call it was told about goes on."""
    breaker = make()
    breaker.events.subscribe(lambda event: fail())

    assert breaker.call_sync(lambda: 5) == 5
    assert "a consumer of SUCCESS failed" in caplog.text


def test_a_ring_that_lapped_shows_in_the_sequence():
    """What was overwritten is counted, and the first number left tells it."""
    breaker = make(event_consumer_buffer_size=3)
    for _ in range(5):
        breaker.call_sync(int)

    assert [event.sequence for event in breaker.events.snapshot()] == [3, 4, 5]
    assert breaker.events.overwritten == 2


def test_the_machines_clock_moves_an_idle_breaker():
    """With the automatic transition OPEN becomes HALF_OPEN with no call made."""
    config = CircuitBreakerConfig(wait_interval=intervals.fixed(1), automatic_transition_from_open_to_half_open=True)
    breaker, moved = CircuitBreaker("idle", config), threading.Event()
    breaker.events.subscribe(
        lambda event: event.detail == "OPEN_TO_HALF_OPEN" and moved.set(), types=["STATE_TRANSITION"]
    )
    breaker.transition_to(State.OPEN)

    assert moved.wait(30)
    assert breaker.state is State.HALF_OPEN
