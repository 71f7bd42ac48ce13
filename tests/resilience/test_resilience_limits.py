"""Bulkhead, time limiter and rate limiter in both shells."""

from __future__ import annotations

import asyncio
import threading

import pytest

from services.resilience import (
    Bulkhead,
    BulkheadConfig,
    BulkheadFull,
    ManualClock,
    RateLimiter,
    RateLimiterConfig,
    RequestNotPermitted,
    TimeLimiter,
    TimeLimiterConfig,
    TimeLimitExceeded,
)


def types_of(policy):
    return [event.type for event in policy.events.snapshot()]


def bulkhead(**config):
    return Bulkhead("shelf", BulkheadConfig(**config))


def test_a_full_bulkhead_refuses_at_once():
    """The second call finds the one place taken and is refused; afterwards the place is free again."""
    one = bulkhead(max_concurrent_calls=1)

    async def main():
        async def inner():
            with pytest.raises(BulkheadFull, match="'shelf' is full"):
                await one.call(inner)
            with pytest.raises(BulkheadFull):
                one.call_sync(int)

        await one.call(inner)

    asyncio.run(main())
    assert types_of(one) == ["CALL_PERMITTED", "CALL_REJECTED", "CALL_REJECTED", "CALL_FINISHED"]
    assert one.available_concurrent_calls == 1


def test_nobody_enters_a_bulkhead_of_no_places():
    """maxConcurrentCalls 0 is a closed door."""
    with pytest.raises(BulkheadFull):
        bulkhead(max_concurrent_calls=0).call_sync(int)


def test_waiters_are_served_in_the_order_they_came():
    """A place that becomes free goes to the one who waited longest."""
    one, served = bulkhead(max_concurrent_calls=1, max_wait_duration_ms=30_000), []

    async def main():
        async def take(number):
            async def inner():
                served.append(number)
                await asyncio.sleep(0)

            await one.call(inner)

        await asyncio.gather(*(take(number) for number in range(5)))

    asyncio.run(main())
    assert served == [0, 1, 2, 3, 4]
    assert one.available_concurrent_calls == 1


def test_a_cancelled_waiter_takes_no_place():
    """Whether it is cancelled before its turn or in the moment of it, no place is lost."""
    one = bulkhead(max_concurrent_calls=1, max_wait_duration_ms=30_000)

    async def main():
        await one.acquire()
        early, granted, last = (asyncio.create_task(one.acquire()) for _ in range(3))
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.sleep(0)
        one.release()  # hands the place to `granted`, which has not run yet
        granted.cancel()
        for task in (early, granted):
            with pytest.raises(asyncio.CancelledError):
                await task
        await last
        one.release()

    asyncio.run(main())
    assert one.available_concurrent_calls == 1


def test_a_wait_that_is_too_long_is_a_refusal():
    """After maxWaitDuration the waiter is refused, in either shell, and its place in the line is gone."""
    one = bulkhead(max_concurrent_calls=1, max_wait_duration_ms=5)
    one.acquire_sync()
    with pytest.raises(BulkheadFull):
        one.acquire_sync()
    with pytest.raises(BulkheadFull):
        asyncio.run(one.acquire())
    one.release()

    assert one.available_concurrent_calls == 1


def test_threads_never_exceed_the_places():
    """Sixteen threads through three places: never more than three inside, all of them served."""
    one, inside, most = bulkhead(max_concurrent_calls=3, max_wait_duration_ms=60_000), [], []

    def work():
        inside.append(1)
        most.append(len(inside))
        inside.pop()

    def hammer():
        for _ in range(100):
            one.call_sync(work)

    threads = [threading.Thread(target=hammer) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert max(most) <= 3
    assert len(most) == 1600
    assert one.available_concurrent_calls == 3
    assert one.events.sequence == 3200


def limiter(**config):
    return TimeLimiter("patience", TimeLimiterConfig(**config))


def test_time_up_cancels_the_work_and_is_a_timeout_error():
    """The async shell cancels what runs and waits for its end."""
    one, ended = limiter(timeout_duration_ms=5), []

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(TimeoutError) as error:
        asyncio.run(one.call(hang))
    assert isinstance(error.value, TimeLimitExceeded)
    assert ended == ["cancelled"]
    assert types_of(one) == ["TIMEOUT"]
    assert one.counts.timeout == 1


def test_work_may_go_on_unseen():
    """With cancelRunningFuture false the work is not cancelled; it is counted until it ends."""
    one, ended = limiter(timeout_duration_ms=5, cancel_running_future=False), []

    async def main():
        release = asyncio.Event()

        async def slow():
            await release.wait()
            ended.append("done")
            raise ValueError("nobody hears this")

        with pytest.raises(TimeLimitExceeded):
            await one.call(slow)
        assert one.abandoned == 1
        release.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert one.abandoned == 0

    asyncio.run(main())
    assert ended == ["done"]


def test_the_sync_shell_leaves_the_thread_behind():
    """A blocked function cannot be cancelled: the caller goes on, the thread is counted until it ends."""
    one, release = limiter(timeout_duration_ms=5), threading.Event()
    with pytest.raises(TimeLimitExceeded):
        one.call_sync(release.wait, 30)
    left_behind = one.abandoned
    release.set()
    ended = threading.Event()
    for _ in range(3000):
        if one.abandoned == 0:
            break
        ended.wait(0.01)

    assert (left_behind, one.abandoned) == (1, 0)


def test_outcomes_within_the_limit_pass_through():
    """Results and exceptions come through unchanged; the callee's own TimeoutError counts as a time-out."""
    one = limiter(timeout_duration_ms=30_000)

    def raises(error):
        raise error

    async def answer():
        return 4

    assert one.call_sync(lambda: 3) == 3
    assert asyncio.run(one.call(answer)) == 4
    with pytest.raises(KeyError):
        one.call_sync(raises, KeyError("x"))
    with pytest.raises(TimeoutError, match="mine") as error:
        one.call_sync(raises, TimeoutError("mine"))
    assert not isinstance(error.value, TimeLimitExceeded)
    assert types_of(one) == ["SUCCESS", "SUCCESS", "ERROR", "TIMEOUT"]
    assert (one.counts.successful, one.counts.failed, one.counts.timeout) == (2, 1, 1)


def test_the_rate_limiter_waits_for_the_next_cycle_or_refuses():
    """Two permissions a second and a patience of one: the third waits for the next second, whom that is too late is refused."""
    clock = ManualClock()
    config = RateLimiterConfig(
        limit_for_period=2, limit_refresh_period_ns=1_000_000_000, timeout_duration_ns=1_000_000_000
    )
    one = RateLimiter("tap", config, clock)

    async def answer():
        return clock.now_ns()

    assert [one.call_sync(clock.now_ns) for _ in range(3)] == [0, 0, 1_000_000_000]
    assert asyncio.run(one.call(answer)) == 1_000_000_000
    assert asyncio.run(one.call(answer)) == 2_000_000_000
    assert one.reserve(2) == 1_000_000_000
    assert one.reserve(2) == -1
    assert one.reserve(1) == 1_000_000_000
    with pytest.raises(RequestNotPermitted, match="'tap'"):
        one.call_sync(int)


def test_draining_tells_how_many_there_were():
    """D7: DRAINED carries the number of permissions drained."""
    one = RateLimiter("tap", RateLimiterConfig(limit_refresh_period_ns=10**9), ManualClock())

    assert one.drain() == 50
    assert one.metrics.available_permissions == 0
    assert one.events.snapshot()[0].detail == 50
