"""A pipeline's short way is the long way, told by nothing but what it costs."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.resilience import (
    Bulkhead,
    BulkheadConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    ManualClock,
    Pipeline,
    RateLimiter,
    Retry,
    RetryBudgetConfig,
    RetryConfig,
    SystemClock,
    TimeLimiter,
    TimeLimiterConfig,
    TimeLimitExceeded,
    deadline_scope,
    intervals,
)
from services.resilience.fast_path import parts_of
from services.resilience.feign import FeignRetryer
from services.resilience.retry import of_attempt

KINDS = ("retry", "breaker", "limiter", "bulkhead")
PATIENCE_S = 60


class Ignored(Exception):
    """Counts as nothing for the breaker, and is not tried again."""


class Around:
    """The four policies under one clock, and work that takes the time and the ends it is told."""

    def __init__(self, kinds, clock=None, *, places=2, timeout_ms=60_000, budget=None):
        self.clock = clock or ManualClock(1_700_000_000_500_000_000)
        every = {
            "retry": Retry(
                "a",
                RetryConfig(
                    interval=of_attempt(intervals.fixed(100)),
                    ignore=lambda error: isinstance(error, Ignored),
                    budget=budget,
                ),
                self.clock,
            ),
            "breaker": CircuitBreaker(
                "a",
                CircuitBreakerConfig(
                    sliding_window_size=5,
                    minimum_number_of_calls=3,
                    permitted_number_of_calls_in_half_open_state=2,
                    slow_call_duration_threshold_ns=10**9,
                    wait_interval=intervals.fixed(500),
                    ignore=lambda error: isinstance(error, Ignored),
                ),
                self.clock,
            ),
            "limiter": TimeLimiter("a", TimeLimiterConfig(timeout_duration_ms=timeout_ms), self.clock),
            "bulkhead": Bulkhead("a", BulkheadConfig(max_concurrent_calls=places), self.clock),
        }
        self.policies = {kind: every[kind] for kind in KINDS if kind in kinds}
        self.pipeline = Pipeline("a", list(self.policies.values()))
        self.ends = []

    def work(self):
        duration_ns, error = self.ends.pop(0) if self.ends else (0, None)
        self.clock.advance(duration_ns)
        if error is not None:
            raise error
        return duration_ns

    async def work_async(self):
        await asyncio.sleep(0)
        return self.work()

    def seen(self):
        """All that anybody can see of the policies."""
        told = {kind: policy.events.snapshot() for kind, policy in self.policies.items()}
        lost = {kind: policy.events.overwritten for kind, policy in self.policies.items()}
        counted = [
            repr(getattr(policy, name))
            for policy in self.policies.values()
            for name in ("counts", "metrics", "state", "available_concurrent_calls", "abandoned")
            if hasattr(policy, name)
        ]
        return told, lost, counted, self.clock.now_ns()


def by_the_short_way(around, *, plain):
    return around.pipeline.call_sync(around.work) if plain else around.pipeline.call(around.work_async)


def by_hand(around, *, plain):
    """Policy within policy, each by its own call."""
    first, *rest = [policy.call_sync if plain else policy.call for policy in around.policies.values()]
    return first(*rest, around.work if plain else around.work_async)


ends = st.tuples(
    st.sampled_from([0, 0, 0, 10**6, 10**9, 10**9 + 1]),
    st.sampled_from([None, None, None, None, ValueError, TimeoutError, Ignored, KeyboardInterrupt]),
)
steps = st.lists(
    st.one_of(
        st.lists(ends, min_size=1, max_size=3),
        st.integers(1, 700).map(lambda ms: ms * 10**6),
        st.sampled_from([*KINDS, "look"]),
    ),
    max_size=40,
)


async def walked(way, kinds, trace, *, plain):
    """What each call ended in, what was heard, and all that is to be seen afterwards."""
    around, heard, came = Around(kinds, budget=RetryBudgetConfig(capacity=3)), [], []
    for step in trace:
        if isinstance(step, list):
            around.ends = list(step)
            try:
                ended = way(around, plain=plain)
                came.append(ended if plain else await ended)
            except BaseException as error:
                came.append(type(error))
        elif isinstance(step, int):
            around.clock.advance(step)
        elif step == "look":
            came.append(around.seen())
        elif step in around.policies:
            around.policies[step].events.subscribe(heard.append)
    return came, heard, around.seen()


@settings(max_examples=150, deadline=None)
@given(kinds=st.sets(st.sampled_from(KINDS), min_size=2), trace=steps, plain=st.booleans())
def test_the_short_way_and_the_long_one_come_to_the_same(kinds, trace, plain):
    """Any of the policies around any calls, listened to or not: the same ends, waits, counts, events and times."""
    if plain:
        kinds = kinds - {"limiter"} or {"retry"}  # it takes a thread there, with or without a pipeline

    async def both():
        return [await walked(way, kinds, trace, plain=plain) for way in (by_hand, by_the_short_way)]

    expected, seen = asyncio.run(both())
    assert expected == seen


def test_many_calls_are_all_counted():
    """Thousands of healthy calls leave every total right and the rings full of the latest."""
    around = Around(KINDS)

    async def main():
        for _ in range(3000):
            await around.pipeline.call(around.work_async)

    asyncio.run(main())
    assert around.policies["retry"].counts.successful_without_retry == 3000
    assert around.policies["limiter"].counts.successful == 3000
    assert around.policies["breaker"].successful.count == 3000
    assert around.policies["limiter"].events.sequence == 3000
    assert around.policies["limiter"].events.overwritten == 2900
    assert around.policies["bulkhead"].events.sequence == 6000
    kinds = [event.type for event in around.policies["bulkhead"].events.snapshot()]
    assert kinds == ["CALL_PERMITTED", "CALL_FINISHED"] * 50


def test_a_long_ring_keeps_what_it_may_keep():
    """With eventConsumerBufferSize 400 the latest 400 events are there, numbered without gaps."""
    limiter = TimeLimiter("a", TimeLimiterConfig(event_consumer_buffer_size=400))

    async def main():
        for _ in range(1000):
            await limiter.call(asyncio.sleep, 0)

    asyncio.run(main())
    assert [event.sequence for event in limiter.events.snapshot()] == list(range(601, 1001))
    assert limiter.counts.successful == 1000


def test_time_up_on_the_short_way_is_tried_again():
    """The work is cancelled, its place given back, the limiter counts a time-out, and the retry makes a second attempt."""
    around, calls = Around(KINDS, SystemClock(), timeout_ms=20), []

    async def hang_once():
        calls.append(1)
        if len(calls) == 2:
            await asyncio.Event().wait()
        return len(calls)

    async def main():
        assert await around.pipeline.call(hang_once) == 1
        assert await around.pipeline.call(hang_once) == 3
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(main())
    assert around.policies["limiter"].counts.timeout == 1
    assert around.policies["limiter"].counts.successful == 2
    assert around.policies["breaker"].failed.count == 1
    assert around.policies["retry"].counts.successful_with_retry == 1
    assert around.policies["bulkhead"].available_concurrent_calls == 2


def test_time_up_without_a_retry_is_told_in_the_limiter_s_own_words():
    """What reaches the caller is TimeLimitExceeded with the limit in it."""
    around = Around({"breaker", "limiter"}, SystemClock(), timeout_ms=5)
    with pytest.raises(TimeLimitExceeded, match=r"after 0\.005 s"):
        asyncio.run(around.pipeline.call(asyncio.Event().wait))


@pytest.mark.parametrize("suspensions", range(8))
def test_somebody_else_s_cancellation_goes_on(suspensions):
    """Wherever a call on the short way is cancelled, it ends so, and nothing is held or counted afterwards."""
    around = Around(KINDS)

    async def work():
        for _ in range(5):
            await asyncio.sleep(0)

    async def main():
        await around.pipeline.call(work)  # the bulkhead's places are made by the first
        task = asyncio.create_task(around.pipeline.call(work))
        for _ in range(suspensions):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE_S)
        return task.cancelled()

    cancelled = asyncio.run(main())
    assert cancelled == (suspensions < 6)
    assert around.policies["breaker"].successful.count == (1 if cancelled else 2)
    assert around.policies["limiter"].counts.successful == (1 if cancelled else 2)
    assert around.policies["bulkhead"].available_concurrent_calls == 2
    assert around.policies["retry"].counts.failed_without_retry == 0


def test_a_near_deadline_takes_the_long_way_and_ends_the_call():
    """A call with less time left than the limit has that much, and a passed deadline is no call at all."""
    around = Around(KINDS, SystemClock())

    async def main():
        await around.pipeline.call(asyncio.sleep, 0)
        with deadline_scope(0.005), pytest.raises(TimeLimitExceeded):
            await around.pipeline.call(asyncio.Event().wait)

    asyncio.run(main())
    assert around.policies["limiter"].counts.timeout >= 1
    assert around.policies["bulkhead"].available_concurrent_calls == 2


def test_threads_on_the_short_way_lose_nothing():
    """Eight threads through retry, breaker and bulkhead: every call is counted once by each."""
    around = Around({"retry", "breaker", "bulkhead"}, SystemClock(), places=8)

    def hammer():
        for _ in range(500):
            around.pipeline.call_sync(int)

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert around.policies["breaker"].successful.count == 4000
    assert around.policies["retry"].counts.successful_without_retry == 4000
    assert around.policies["bulkhead"].events.sequence == 8000
    assert around.policies["bulkhead"].available_concurrent_calls == 8


CLOCK = ManualClock()


@pytest.mark.parametrize(
    "policies",
    [
        [Retry("a", clock=CLOCK)],
        [CircuitBreaker("a", clock=CLOCK), Retry("a", clock=CLOCK)],
        [Retry("a", clock=CLOCK), Retry("b", clock=CLOCK)],
        [Retry("a", clock=CLOCK), RateLimiter("a", clock=CLOCK)],
        [Retry("a", clock=CLOCK), CircuitBreaker("a", clock=ManualClock())],
        [Retry("a", RetryConfig(retry_result=bool), CLOCK), CircuitBreaker("a", clock=CLOCK)],
        [Retry("a", clock=CLOCK), TimeLimiter("a", TimeLimiterConfig(cancel_running_future=False), CLOCK)],
    ],
    ids=["one", "another order", "twice", "a rate limiter", "two clocks", "results", "work that goes on"],
)
def test_what_the_short_way_does_not_know_takes_the_long_one(policies):
    """Another order, a policy twice or of another kind, two clocks, or an option that asks for more."""
    assert parts_of(policies) is None


def test_the_short_way_is_taken_by_the_default_order():
    """Retry, breaker, time limiter, bulkhead, without those switched off; front ends that only configure count too."""
    off = Bulkhead("a", BulkheadConfig(enabled=False), CLOCK)
    retry, breaker = FeignRetryer(clock=CLOCK), CircuitBreaker("a", clock=CLOCK)

    assert parts_of([retry, breaker, off]) == (retry, breaker, None, None)
