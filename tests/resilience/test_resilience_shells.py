"""One core, many shells: each comes to the same; none loses a permit to a cancellation, a thread or a fork."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.resilience import (
    Bulkhead,
    BulkheadConfig,
    BulkheadFull,
    CallNotPermitted,
    CircuitBreaker,
    CircuitBreakerConfig,
    ManualClock,
    Pipeline,
    RateLimiter,
    RateLimiterConfig,
    Retry,
    RetryConfig,
    State,
    SystemClock,
    TimeLimiter,
    TimeLimiterConfig,
    WindowType,
    intervals,
)
from services.resilience.retry import of_attempt

PATIENCE_S = 60


class Ignored(Exception):
    """Counts as nothing."""


class Unlisted(Exception):
    """Counts as a success."""


class Probe:
    """A breaker under a clock of its own, and work that takes the time and the end it is told."""

    def __init__(self, window, *, listened_to):
        config = CircuitBreakerConfig(
            sliding_window_type=window,
            sliding_window_size=5,
            minimum_number_of_calls=3,
            permitted_number_of_calls_in_half_open_state=2,
            slow_call_duration_threshold_ns=10**9,
            slow_call_rate_threshold=60,
            wait_interval=intervals.exponential(500, 2.0, 4000),
            record=lambda error: not isinstance(error, Unlisted),
            ignore=lambda error: isinstance(error, Ignored),
        )
        self.clock = ManualClock(1_700_000_000_500_000_000)
        self.breaker = CircuitBreaker("shared", config, self.clock)
        self.pipeline = Pipeline("shared", [self.breaker])
        if listened_to:
            self.breaker.events.subscribe(lambda event: None)

    def work(self, duration_ns, error):
        self.clock.advance(duration_ns)
        if error is not None:
            raise error
        return duration_ns

    async def work_async(self, duration_ns, error):
        await asyncio.sleep(0)
        return self.work(duration_ns, error)


def with_block(probe, *call):
    with probe.breaker:
        return probe.work(*call)


async def async_with_block(probe, *call):
    async with probe.breaker:
        return await probe.work_async(*call)


def permit(probe, *call):
    given = probe.breaker.acquire()
    try:
        result = probe.work(*call)
    except BaseException as error:
        given.error(error)
        raise
    given.success(result)
    return result


SHELLS = {
    "call_sync": lambda probe, *call: probe.breaker.call_sync(probe.work, *call),
    "decorator": lambda probe, *call: probe.breaker(probe.work)(*call),
    "with": with_block,
    "permit": permit,
    "pipeline.call_sync": lambda probe, *call: probe.pipeline.call_sync(probe.work, *call),
    "pipeline decorator": lambda probe, *call: probe.pipeline(probe.work)(*call),
    "call": lambda probe, *call: probe.breaker.call(probe.work_async, *call),
    "async decorator": lambda probe, *call: probe.breaker(probe.work_async)(*call),
    "async with": async_with_block,
    "pipeline.call": lambda probe, *call: probe.pipeline.call(probe.work_async, *call),
    "async pipeline decorator": lambda probe, *call: probe.pipeline(probe.work_async)(*call),
}

traces = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1_000_000, 10**9, 10**9 + 1]),
        st.sampled_from([None, None, None, ValueError, ValueError, Ignored, Unlisted, KeyboardInterrupt]),
        st.sampled_from([0, 0, 0, 500_000_000, 500_000_001, 5 * 10**9]),
    ),
    max_size=30,
)


async def looks(shell, trace, window, *, listened_to):
    """What is seen after each call of a trace through one shell, and every event at the end."""
    probe, seen = Probe(window, listened_to=listened_to), []
    for duration_ns, error, pause_ns in trace:
        try:
            ended = SHELLS[shell](probe, duration_ns, error)
            ended = await ended if asyncio.iscoroutine(ended) else ended
        except BaseException as raised:
            ended = type(raised)
        probe.clock.advance(pause_ns)
        seen.append((ended, probe.breaker.state, probe.breaker.metrics))
    return seen, probe.breaker.events.snapshot(), probe.breaker.successful.total_ns, probe.breaker.failed.count


@settings(max_examples=25, deadline=None)
@given(trace=traces, window=st.sampled_from(WindowType), listened_to=st.booleans())
def test_every_shell_comes_to_the_same(trace, window, listened_to):
    """The same calls, plain or async, by any shell: same answers, states, counters, events and times."""

    async def all_of_them():
        return {shell: await looks(shell, trace, window, listened_to=listened_to) for shell in SHELLS}

    seen = asyncio.run(all_of_them())
    assert all(one == seen["call_sync"] for one in seen.values())


def test_blocks_may_nest_and_overlap():
    """Blocks of one breaker inside each other, in other threads and in other tasks each end their own call."""
    breaker, other = CircuitBreaker("outer"), CircuitBreaker("inner")

    async def task(number):
        async with breaker, other:
            await asyncio.sleep(0)
            if number % 2:
                raise ValueError
            with breaker:
                await asyncio.sleep(0)

    async def main():
        return await asyncio.gather(*(task(number) for number in range(10)), return_exceptions=True)

    with breaker:
        asyncio.run(main())
        threads = [threading.Thread(target=breaker.__enter__) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert (breaker.successful.count, breaker.failed.count) == (11, 5)
    assert (other.successful.count, other.failed.count) == (5, 5)


# -- cancellation ------------------------------------------------------------------------------------------------


class Protected:
    """A pipeline of all policies, half-open, its only place taken by somebody else until it is asked for."""

    def __init__(self, *, cancel_running_future):
        self.clock = ManualClock()
        self.bulkhead = Bulkhead("one", BulkheadConfig(max_concurrent_calls=1, max_wait_duration_ms=60_000), self.clock)
        self.breaker = CircuitBreaker(
            "one",
            CircuitBreakerConfig(
                initial_state=State.HALF_OPEN,
                permitted_number_of_calls_in_half_open_state=6,
                minimum_number_of_calls=6,
            ),
            self.clock,
        )
        self.limiter = RateLimiter(
            "one",
            RateLimiterConfig(limit_for_period=1, limit_refresh_period_ns=1000, timeout_duration_ns=5000),
            self.clock,
        )
        limits = TimeLimiterConfig(timeout_duration_ms=60_000, cancel_running_future=cancel_running_future)
        retry = RetryConfig(interval=of_attempt(intervals.fixed(10)))
        self.retry, self.time_limiter = Retry("one", retry, self.clock), TimeLimiter("one", limits, self.clock)
        policies = [self.retry, self.breaker, self.limiter, self.time_limiter, self.bulkhead]
        self.pipeline = Pipeline("one", policies)
        self.calls = 0

    async def work(self):
        self.calls += 1
        for _ in range(3):
            await asyncio.sleep(0)
        if self.calls < 3:
            raise ConnectionError
        return self.calls

    async def cancelled_after(self, suspensions):
        """Whether the call had ended before it could be cancelled at its so-many-th suspension."""
        await self.bulkhead.acquire()
        task = asyncio.create_task(self.pipeline.call(self.work))
        for step in range(suspensions):
            if step == 4:
                self.bulkhead.finish()
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if suspensions <= 4:
            self.bulkhead.finish()
        return not task.cancelled()

    def free_probes(self):
        free = 0
        while self.breaker.try_acquire():
            free += 1
        return free


@pytest.mark.parametrize("cancel_running_future", [True, False])
def test_a_cancellation_at_any_suspension_leaves_the_permits_balanced(cancel_running_future):
    """Wherever a call through all policies is cancelled, places and probes are all there or accounted for."""

    async def main():
        for suspensions in range(200):
            one = Protected(cancel_running_future=cancel_running_future)
            ended = await one.cancelled_after(suspensions)
            assert one.bulkhead.available_concurrent_calls == 1
            assert one.limiter.waiting_threads == 0
            assert one.time_limiter.abandoned == 0
            assert one.free_probes() + one.breaker.metrics.buffered_calls == 6
            if ended:
                return suspensions, one.calls
        return None

    suspensions, calls = asyncio.run(main())
    assert suspensions > 10
    assert calls == 3


# -- threads -----------------------------------------------------------------------------------------------------


def in_threads(number, work):
    """Run work(index) in so many threads at once, switching between them as often as can be."""
    failures, start, before_s = [], threading.Barrier(number), sys.getswitchinterval()

    def run(index):
        start.wait(PATIENCE_S)
        try:
            work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[index]) for index in range(number)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    finally:
        sys.setswitchinterval(before_s)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def fail():
    raise ValueError


@pytest.mark.parametrize("window", WindowType)
@pytest.mark.parametrize("failing", [0, 7], ids=["healthy", "one in seven fails"])
def test_sixteen_threads_lose_nothing_at_a_breaker(window, failing):
    """Windows, times, events and their numbers come out exact, though others look and listen meanwhile."""
    calls = 300
    config = CircuitBreakerConfig(
        sliding_window_type=window,
        sliding_window_size=16 * calls if window is WindowType.COUNT_BASED else 600,
        minimum_number_of_calls=100_000,
        event_consumer_buffer_size=16 * calls,
    )
    breaker, heard = CircuitBreaker("hammered", config), []

    def hammer(index):
        for number in range(calls):
            try:
                breaker.call_sync(fail if failing and number % failing == 0 else int)
            except ValueError:
                pass
            if index == 0 and number % 50 == 0:
                assert breaker.metrics.buffered_calls <= 16 * calls
                breaker.events.subscribe(heard.append)()

    in_threads(16, hammer)
    failed = 16 * len(range(0, calls, failing)) if failing else 0
    metrics = breaker.metrics
    if window is WindowType.COUNT_BASED:
        assert (metrics.buffered_calls, metrics.failed_calls) == (16 * calls, failed)
    else:
        assert (metrics.buffered_calls, metrics.failed_calls) == (16 * calls, failed)
    assert (breaker.successful.count, breaker.failed.count) == (16 * calls - failed, failed)
    events = breaker.events.snapshot()
    assert [event.sequence for event in events] == list(range(1, 16 * calls + 1))
    assert sum(event.type == "ERROR" for event in events) == failed
    assert sum(event.duration_ns for event in events) == breaker.successful.total_ns + breaker.failed.total_ns


@pytest.mark.parametrize("wait_ms", [0, 60_000], ids=["refusing", "waiting"])
def test_sixteen_threads_lose_nothing_at_a_bulkhead(wait_ms):
    """No more than the permitted number are ever inside, every call is told once, and all places are back."""
    calls, places = 100, 5
    config = BulkheadConfig(
        max_concurrent_calls=places, max_wait_duration_ms=wait_ms, event_consumer_buffer_size=100_000
    )
    bulkhead, inside, most, refused = Bulkhead("hammered", config), [], [0], []

    def work():
        inside.append(1)
        most[0] = max(most[0], len(inside))
        time.sleep(0)
        inside.pop()

    def hammer(_index):
        for _ in range(calls):
            try:
                bulkhead.call_sync(work)
            except BulkheadFull:
                refused.append(1)

    in_threads(16, hammer)
    kinds = [event.type for event in bulkhead.events.snapshot()]
    entered = 16 * calls - len(refused)
    assert most[0] <= places
    assert bulkhead.available_concurrent_calls == places
    assert (kinds.count("CALL_PERMITTED"), kinds.count("CALL_FINISHED")) == (entered, entered)
    assert kinds.count("CALL_REJECTED") == len(refused)
    assert wait_ms == 0 or refused == []


# -- forks -------------------------------------------------------------------------------------------------------


def in_child(work):
    """Fork; what work() gives as a small number in the child, or None if the child hangs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        pid = os.fork()
    if pid == 0:
        try:
            os._exit(work())
        finally:
            os._exit(99)
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_lock_held_by_another_thread_does_not_hang_the_child():
    """A process that forks while a thread is inside a breaker has a child that can use that breaker."""
    inside, leave = threading.Event(), threading.Event()

    def wait_interval(_opening):
        inside.set()  # the breaker's lock is held around this
        leave.wait(PATIENCE_S)
        return 60_000

    breaker = CircuitBreaker("forked", CircuitBreakerConfig(wait_interval=wait_interval))
    thread = threading.Thread(target=breaker.transition_to, args=[State.OPEN])
    thread.start()
    assert inside.wait(PATIENCE_S)
    leave_in_child = leave.set

    def work():
        leave_in_child()
        breaker.reset()
        return breaker.call_sync(lambda: 7)

    try:
        assert in_child(work) == 7
    finally:
        leave.set()
        thread.join(PATIENCE_S)
    assert breaker.state is State.OPEN
    with pytest.raises(CallNotPermitted):
        breaker.acquire()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_under_load_finds_totals_whole():
    """However busy other threads are at the fork, in the child each window is the sum of its calls."""
    breaker = CircuitBreaker(
        "busy",
        CircuitBreakerConfig(sliding_window_size=50, minimum_number_of_calls=51, initial_state=State.METRICS_ONLY),
    )
    bulkhead = Bulkhead("busy", BulkheadConfig(max_concurrent_calls=3))
    stop = threading.Event()

    def keep_busy():
        number = 0
        while not stop.is_set():
            number += 1
            try:
                bulkhead.call_sync(breaker.call_sync, fail if number % 3 else int)
            except (ValueError, BulkheadFull):
                pass

    def work():
        metrics, cells = breaker.metrics, breaker._core.window._cells
        assert metrics.failed_calls == sum(cell & 1 for cell in cells)
        assert all(bulkhead.call_sync(lambda: True) for _ in range(5))
        return 5

    threads = [threading.Thread(target=keep_busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(work) for _ in range(5)] == [5] * 5
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_timers_run_in_the_child():
    """A child has no timer thread of its parent's, and starts one when it needs one."""
    clock = SystemClock()
    clock.schedule(3_600 * 10**9, lambda: None)

    def work():
        fired = threading.Event()
        clock.schedule(1, lambda: None)
        clock.schedule(10_000_000, fired.set)
        return 3 if fired.wait(PATIENCE_S / 2) else 4

    assert in_child(work) == 3
