"""The thread-pool bulkhead: who starts, who waits, who is refused, and what is told of it."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading

import pytest

from services.resilience import BulkheadFull, ConfigError, ManualClock, Pipeline, Registry
from services.resilience.clock import NS_PER_MS
from services.resilience.pool_admission import Admission, Offer
from services.resilience.thread_pool_bulkhead import ThreadPoolBulkhead, ThreadPoolBulkheadConfig

LIMIT_S = 30
POOL = "resilience4j.thread-pool-bulkhead.instances.payment."


class Caller:
    """Somebody who wants a place."""

    def __init__(self):
        self.place = None


def pool(core=1, most=2, queue=1, keep_alive_ms=20, clock=None):
    return ThreadPoolBulkhead(
        "pool",
        ThreadPoolBulkheadConfig(
            core_thread_pool_size=core,
            max_thread_pool_size=most,
            queue_capacity=queue,
            keep_alive_duration_ms=keep_alive_ms,
        ),
        clock,
    )


def types(one):
    return [event.type for event in one.events.snapshot()]


@pytest.mark.parametrize(
    ("core", "most", "queue", "expected"),
    [
        (1, 2, 1, "start queue start refuse"),
        (2, 4, 1, "start start queue start start refuse"),
        (1, 1, 0, "start refuse"),
        (1, 3, 0, "start start start refuse"),
        (2, 2, 2, "start start queue queue refuse"),
    ],
)
def test_calls_fill_the_core_then_the_queue_then_the_rest(core, most, queue, expected):
    """java.util.concurrent's order: a call waits in the queue although there are fewer threads than the maximum."""
    admission = Admission(core, most, queue, 0)
    words = {Offer.STARTS: "start", Offer.QUEUED: "queue", Offer.REFUSED: "refuse"}

    assert expected.split() == [words[admission.offer(Caller())] for _ in expected.split()]


def test_a_free_place_goes_to_the_oldest_in_the_queue():
    """The queue is first in, first out, and the place never idles while somebody waits."""
    admission, callers = Admission(1, 1, 2, 0), [Caller() for _ in range(3)]
    for caller in callers:
        admission.offer(caller)

    assert admission.finish(callers[0].place, 0) is callers[1]
    assert callers[1].place is callers[0].place
    assert admission.withdraw(callers[1]) is False
    assert admission.withdraw(callers[2]) is True
    assert admission.finish(callers[1].place, 0) is None
    assert (admission.size, admission.active) == (1, 0)


def test_places_above_the_core_end_after_their_keep_alive():
    """Until then an idle one takes a call at once; afterwards the call waits in the queue behind the core."""
    admission, callers = Admission(1, 2, 1, 20), [Caller() for _ in range(3)]
    for caller in callers:
        admission.offer(caller)
    queued, extra = callers[1:]
    assert admission.finish(extra.place, 100) is queued
    assert admission.finish(queued.place, 100) is None

    assert admission.expire(119) == []
    assert admission.next_expiry_ns() == 120
    late = Caller()
    assert admission.offer(late) is Offer.STARTS
    admission.finish(late.place, 200)
    assert [late.place] == admission.expire(220)
    assert admission.offer(Caller()) is Offer.QUEUED


def test_a_core_place_is_added_while_another_idles():
    """Up to the core each call gets a thread of its own, as upstream's executor does."""
    admission = Admission(2, 2, 1, 0)
    admission.offer(first := Caller())
    admission.finish(first.place, 0)

    admission.offer(second := Caller())

    assert second.place is not first.place
    assert admission.size == 2


def test_submit_runs_queues_and_refuses():
    """CALL_PERMITTED is told when the work starts, CALL_REJECTED when it is handed in, CALL_FINISHED at its end."""
    one, gate = pool(core=1, most=1, queue=1), threading.Event()
    started = threading.Event()

    def work():
        started.set()
        assert gate.wait(LIMIT_S)
        return threading.current_thread().name

    first, second = one.submit(work), one.submit(lambda: "second")
    assert started.wait(LIMIT_S)
    with pytest.raises(BulkheadFull, match="'pool' is full"):
        one.submit(work)
    seen = one.metrics
    gate.set()

    assert first.result(LIMIT_S) == "bulkhead-pool"
    assert second.result(LIMIT_S) == "second"
    assert (seen.queue_depth, seen.active_thread_count, seen.available_thread_count) == (1, 1, 0)
    expected = ["CALL_PERMITTED", "CALL_REJECTED", "CALL_FINISHED", "CALL_PERMITTED", "CALL_FINISHED"]
    assert expected == types(one)
    assert one.close(LIMIT_S)


def test_an_exception_reaches_the_caller_and_frees_the_place():
    """What the work raises is raised by call_sync, and the next call finds room."""
    one = pool(core=1, most=1, queue=0)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            one.call_sync(lambda: 1 // 0)
    assert one.metrics.active_thread_count == 0
    assert one.close(LIMIT_S)


def test_context_variables_reach_the_thread():
    """Work in the pool sees the caller's context, what upstream needs context propagators for."""
    one, variable = pool(), contextvars.ContextVar("request")
    variable.set("r-1")

    assert one.call_sync(variable.get) == "r-1"
    assert one.close(LIMIT_S)


def test_a_future_cancelled_in_the_queue_never_runs():
    """Its place in the line is passed over in silence."""
    one, gate, ran = pool(core=1, most=1, queue=2), threading.Event(), []
    blocked = one.submit(gate.wait, LIMIT_S)
    skipped, last = one.submit(ran.append, 1), one.submit(ran.append, 2)

    assert skipped.cancel()
    gate.set()
    last.result(LIMIT_S)
    assert blocked.result(LIMIT_S)
    assert ran == [2]
    assert types(one).count("CALL_PERMITTED") == 2
    assert one.close(LIMIT_S)


def test_idle_threads_above_the_core_end():
    """After keepAlive the extra thread is gone, the core's stays."""
    clock, gate = ManualClock(), threading.Event()
    one = pool(core=1, most=2, queue=0, keep_alive_ms=20, clock=clock)
    for future in [one.submit(gate.wait, LIMIT_S) for _ in range(2)]:
        gate.set()
        future.result(LIMIT_S)

    clock.advance(19 * NS_PER_MS)
    assert one.metrics.thread_pool_size == 2
    clock.advance(1 * NS_PER_MS)
    assert one.metrics.thread_pool_size == 1
    assert one.close(LIMIT_S)


def test_coroutines_take_places_by_the_same_arithmetic():
    """Core 1, queue 1, maximum 2: the second waits for the first, the third starts, the fourth is refused."""

    async def scenario():
        one, gate, order = pool(core=1, most=2, queue=1), asyncio.Event(), []

        async def work(name):
            order.append(name)
            await gate.wait()
            return name

        tasks = [asyncio.create_task(one.call(work, name)) for name in "abcd"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = list(order)
        gate.set()
        return before, order, await asyncio.gather(*tasks, return_exceptions=True), one

    before, order, answers, one = asyncio.run(scenario())

    assert before == ["a", "c"]
    assert order == ["a", "c", "b"]
    assert answers[:3] == ["a", "b", "c"]
    assert isinstance(answers[3], BulkheadFull)
    assert (one.metrics.active_thread_count, one.metrics.queue_depth) == (0, 0)
    assert types(one).count("CALL_PERMITTED") == types(one).count("CALL_FINISHED") == 3


def test_a_cancelled_coroutine_leaves_queue_and_place():
    """Whoever is cancelled, waiting or working, takes nothing with him."""

    async def scenario():
        one, entered = pool(core=1, most=1, queue=1), asyncio.Event()

        async def work():
            entered.set()
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(one.call(work)) for _ in range(2)]
        await entered.wait()
        await asyncio.sleep(0)
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return one.metrics

    metrics = asyncio.run(scenario())

    assert (metrics.active_thread_count, metrics.queue_depth) == (0, 0)


def test_cancelled_in_the_instant_of_its_turn_a_coroutine_passes_the_place_on():
    """A place granted to a task that is cancelled before it runs is free again."""

    async def scenario():
        one, gate = pool(core=1, most=1, queue=1), asyncio.Event()
        first = asyncio.create_task(one.call(gate.wait))
        second = asyncio.create_task(one.call(gate.wait))
        await asyncio.sleep(0)
        gate.set()
        while one.metrics.queue_depth:  # noqa: ASYNC110  # the very instant between grant and wake-up is wanted
            await asyncio.sleep(0)
        second.cancel()
        answers = await asyncio.gather(first, second, return_exceptions=True)
        return answers, one.metrics.active_thread_count

    answers, active = asyncio.run(scenario())

    assert answers[0] is True
    assert isinstance(answers[1], asyncio.CancelledError)
    assert active == 0


def test_functions_run_in_threads_of_the_pool_without_blocking_the_loop():
    """`await call(function)` goes to a thread."""

    async def scenario():
        one = pool(core=1, most=1, queue=1)
        return await one.call(lambda: threading.current_thread().name), one

    name, one = asyncio.run(scenario())

    assert name == "bulkhead-pool"
    assert one.close(LIMIT_S)


def test_what_a_function_returns_is_awaited_in_the_same_place():
    """A plain function around a coroutine keeps its place until the coroutine has ended."""

    async def scenario():
        one, gate = pool(core=1, most=1, queue=0), asyncio.Event()

        async def fetch():
            entered.set()
            await gate.wait()
            return 5

        entered = asyncio.Event()
        task = asyncio.create_task(one.call(lambda: fetch()))  # noqa: PLW0108  # hides what kind of function it is
        await entered.wait()
        with pytest.raises(BulkheadFull):
            await one.call(fetch)
        gate.set()
        return await task, one

    answer, one = asyncio.run(scenario())

    assert answer == 5
    assert ["CALL_PERMITTED", "CALL_REJECTED", "CALL_FINISHED"] == types(one)
    assert one.metrics.active_thread_count == 0
    assert one.close(LIMIT_S)


@pytest.mark.parametrize("moment", ["thread", "held", "awaited"])
def test_a_returned_coroutine_gives_its_place_back_whenever_it_is_cancelled(moment):
    """In the thread, between thread and loop, or on the loop: nothing stays taken, no coroutine unawaited."""

    async def scenario():
        one, gate, started = pool(core=1, most=1, queue=0), threading.Event(), threading.Event()
        entered = asyncio.Event()

        async def fetch():
            entered.set()
            await asyncio.Event().wait()

        def work():
            started.set()
            gate.wait(LIMIT_S)
            return fetch()

        task = asyncio.create_task(one.call(work))
        await asyncio.to_thread(started.wait, LIMIT_S)
        if moment == "held":
            gate.set()
            threads = [one for one in threading.enumerate() if one.name == "bulkhead-pool"]
            threads[0].join(0.05)  # blocks the loop: what the thread hands over meanwhile cannot be taken
        elif moment == "awaited":
            gate.set()
            await entered.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gate.set()
        assert await asyncio.to_thread(one.close, LIMIT_S)
        return one

    assert types(asyncio.run(scenario())) == ["CALL_PERMITTED", "CALL_FINISHED"]


def test_a_place_stays_taken_until_the_abandoned_work_ends():
    """Cancelling who waits for a thread does not end the thread: the pool goes on counting it."""

    async def scenario():
        one, gate, started = pool(core=1, most=1, queue=0), threading.Event(), threading.Event()

        def work():
            started.set()
            gate.wait(LIMIT_S)

        task = asyncio.create_task(one.call(work))
        assert await asyncio.to_thread(started.wait, LIMIT_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(BulkheadFull):
            await one.call(work)
        gate.set()
        return one

    assert asyncio.run(scenario()).close(LIMIT_S)


def test_threads_never_exceed_the_maximum():
    """Eight callers through three places: never more than three inside, everybody served or refused, none lost."""
    one, inside, most, lock = pool(core=2, most=3, queue=2), [0], [0], threading.Lock()
    served, refused = [0], [0]

    def work():
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        with lock:
            inside[0] -= 1

    def hammer():
        for _ in range(100):
            try:
                one.call_sync(work)
            except BulkheadFull:
                with lock:
                    refused[0] += 1
            else:
                with lock:
                    served[0] += 1

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert served[0] + refused[0] == 800
    assert most[0] <= 3
    assert one.close(LIMIT_S)
    assert one.events.sequence == 2 * served[0] + refused[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_with_no_threads():
    """The parent's threads and calls are not the child's: its pool is empty and works."""
    one, gate, started = pool(core=1, most=1, queue=0), threading.Event(), threading.Event()

    def block():
        started.set()
        gate.wait(LIMIT_S)

    blocked = one.submit(block)
    assert started.wait(LIMIT_S)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if one.call_sync(lambda: 7) == 7 else 1)
        except BaseException:  # a child must not run the rest of the tests
            os._exit(2)
    gate.set()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    blocked.result(LIMIT_S)
    assert one.close(LIMIT_S)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("maxThreadPoolSize", 0, "maxThreadPoolSize: is 0, must be at least 1"),
        ("coreThreadPoolSize", 0, "coreThreadPoolSize: is 0, must be at least 1"),
        ("coreThreadPoolSize", 100_000, "coreThreadPoolSize: is 100000, must be at most "),
        ("queueCapacity", -1, "queueCapacity: is -1, must be at least 0"),
        ("keepAliveDuration", "-1ms", "keepAliveDuration: is -1 ms, must be at least 0 ms"),
        ("queueSize", 1, "queueSize: unknown key 'queueSize' (did you mean"),
    ],
)
def test_a_wrong_value_is_told_under_its_own_key(key, value, message):
    """Key, value and bound, spelled as the person wrote it."""
    with pytest.raises(ConfigError) as caught:
        Registry.from_mapping({POOL + key: value})

    assert "resilience4j.thread-pool-bulkhead.instances.payment." + message in str(caught.value)


def test_a_declared_pool_is_seen_wherever_bulkheads_are():
    """Registry, pipeline order, /bulkheads, /bulkheadevents and the gauges know it."""
    registry = Registry.from_mapping(
        {
            POOL + "coreThreadPoolSize": 2,
            POOL + "max-thread-pool-size": 3,
            POOL + "queueCapacity": 4,
            "resilience4j.bulkhead.instances.payment.maxConcurrentCalls": 5,
            "resilience4j.timelimiter.instances.payment.timeoutDuration": "30s",
        }
    )
    pipeline = registry.pipeline("payment")

    assert pipeline.describe() == "TimeLimiter(Bulkhead(ThreadPoolBulkhead(fn)))"
    assert pipeline.call_sync(lambda: threading.current_thread().name) == "bulkhead-payment"
    assert asyncio.run(pipeline.call(_five)) == 5
    assert registry.actuator("bulkheads") == {"bulkheads": ["payment", "payment"]}
    kinds = [event["type"] for event in registry.actuator("bulkheadevents/payment")["bulkheadEvents"]]
    assert kinds.count("CALL_PERMITTED") == 4
    text = registry.metrics_text()
    for line in (
        'resilience4j_bulkhead_core_thread_pool_size{name="payment"} 2.0',
        'resilience4j_bulkhead_max_thread_pool_size{name="payment"} 3.0',
        'resilience4j_bulkhead_queue_capacity{name="payment"} 4.0',
        'resilience4j_bulkhead_queue_depth{name="payment"} 0.0',
        'resilience4j_bulkhead_available_thread_count{name="payment"} 3.0',
    ):
        assert line in text
    assert registry.thread_pool_bulkhead("payment").close(LIMIT_S)


async def _five():
    return 5


def test_a_pool_may_stand_outside_of_other_stages():
    """A fallback inside the pool answers for coroutines as for functions."""
    one = pool()
    pipeline = Pipeline.builder().bulkhead(one).fallback(lambda error, value: (type(error), value)).build()

    async def fetch(value):
        raise LookupError(value)

    def fetch_sync(value):
        raise LookupError(value)

    assert asyncio.run(pipeline.call(fetch, 3)) == (LookupError, 3)
    assert pipeline.call_sync(fetch_sync, 4) == (LookupError, 4)
    assert one.close(LIMIT_S)
