"""Deadlines that travel: narrowing, time limiters that obey them, and the header."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.resilience import (
    CircuitBreaker,
    Deadline,
    DeadlineExceeded,
    ManualClock,
    Pipeline,
    Registry,
    TimeLimiter,
    TimeLimiterConfig,
    TimeLimitExceeded,
    deadline,
    deadline_scope,
)

NS_PER_S = 1_000_000_000


def limiter(**config):
    return TimeLimiter("patience", TimeLimiterConfig(**config))


def test_there_is_no_deadline_until_somebody_sets_one():
    """Code that nobody gave a deadline has none, and sends none on."""
    assert deadline.current() is None
    assert deadline.remaining() is None
    assert deadline.outgoing_headers({"accept": "*/*"}) == {"accept": "*/*"}
    deadline.refuse_if_passed("anything")


@given(st.lists(st.one_of(st.none(), st.integers(min_value=-10, max_value=10_000)), max_size=8))
def test_a_scope_within_a_scope_never_adds_time(spans):
    """However scopes are nested, what is left is the least that any of them allowed; leaving one gives it back."""
    clock = ManualClock(5 * NS_PER_S)

    def nested(rest, least):
        if not rest:
            return
        with deadline_scope(rest[0], clock=clock):
            told = [span for span in (least, rest[0]) if span is not None]
            expected = min(told) if told else None
            assert expected == deadline.remaining()
            nested(rest[1:], expected)
            assert expected == deadline.remaining()

    nested(spans, None)
    assert deadline.remaining() is None


def test_a_deadline_comes_nearer_as_time_goes_by():
    """What is left shrinks with the clock, and the deadline has passed when nothing is left."""
    clock = ManualClock()
    with deadline_scope(2.0, clock=clock) as one:
        clock.advance(NS_PER_S // 2)
        assert (1.5, False) == (deadline.remaining(), one.passed)
        clock.advance(3 * NS_PER_S // 2)
        assert (0.0, True) == (deadline.remaining(), one.passed)
        clock.advance(NS_PER_S)
        with pytest.raises(DeadlineExceeded, match=r"'charge' was not called: .* 1\.000 s before"):
            deadline.refuse_if_passed("charge")


def test_a_task_inherits_the_deadline_of_who_started_it():
    """Tasks work on behalf of the request that started them; a deadline of their own stays with them."""

    async def main():
        async def inner():
            before = deadline.current()
            deadline.begin(None)
            return before

        with deadline_scope(60.0) as outer:
            assert outer == await asyncio.create_task(inner())
            assert outer == deadline.current()

    asyncio.run(main())


@pytest.mark.parametrize("cancels", [True, False])
def test_a_call_whose_deadline_has_passed_is_not_made(cancels):
    """Neither shell calls a function for a caller who has given up; it counts as a time-out."""
    one, called = limiter(cancel_running_future=cancels), []

    async def work():
        called.append(1)

    async def main():
        with deadline_scope(0.0):
            with pytest.raises(DeadlineExceeded):
                await one.call(work)
            with pytest.raises(DeadlineExceeded):
                one.call_sync(called.append, 2)

    asyncio.run(main())
    assert (called, one.counts.timeout) == ([], 2)
    assert [event.type for event in one.events.snapshot()] == ["TIMEOUT", "TIMEOUT"]
    assert issubclass(DeadlineExceeded, TimeLimitExceeded)


@pytest.mark.parametrize(("left_s", "expected_s"), [(None, 5.0), (2.0, 2.0), (60.0, 5.0)])
def test_a_call_has_the_lesser_of_its_limit_and_what_is_left(left_s, expected_s):
    """What is called is told how long its own caller will wait, in either shell; afterwards all is as before."""
    clock = ManualClock()
    one = TimeLimiter("patience", TimeLimiterConfig(timeout_duration_ms=5000), clock)

    async def work():
        return deadline.remaining()

    async def main():
        with deadline_scope(left_s, clock=clock):
            told = [await one.call(work), one.call_sync(deadline.remaining)]
            return told, deadline.remaining()

    assert ([expected_s, expected_s], left_s) == asyncio.run(main())


@pytest.mark.parametrize("cancels", [True, False])
def test_a_call_ends_with_its_deadline(cancels):
    """A limiter with an hour to spare gives up when the request does, and says after how long."""
    one = limiter(timeout_duration_ms=3_600_000, cancel_running_future=cancels)

    async def main():
        with deadline_scope(0.01), pytest.raises(TimeLimitExceeded) as caught:
            await one.call(asyncio.Event().wait)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return caught.value

    error = asyncio.run(main())
    assert error.timeout_s <= 0.01
    assert not isinstance(error, DeadlineExceeded)  # the call was made: its callee may be held responsible


def test_a_call_not_made_is_no_verdict_on_the_other_service():
    """Nothing is repeated for a caller who has given up, and no breaker counts it, unless it is told to."""
    keys = {
        "resilience4j.circuitbreaker.instances.a.slidingWindowSize": 10,
        "resilience4j.retry.instances.a.maxAttempts": 3,
        "resilience4j.timelimiter.instances.a.timeoutDuration": "1s",
    }
    named = {
        **keys,
        "resilience4j.circuitbreaker.instances.a.recordExceptions": "DeadlineExceeded",
        "resilience4j.retry.instances.a.maxAttempts": 1,
    }
    for mapping, expected in ((keys, (0, 1)), (named, (1, 1))):
        registry = Registry.from_mapping(mapping)
        with deadline_scope(-1.0), pytest.raises(DeadlineExceeded):
            registry.pipeline("a").call_sync(int)
        told = registry.circuit_breaker("a").metrics.failed_calls, registry.time_limiter("a").counts.timeout
        assert expected == told


@given(st.integers(min_value=-5, max_value=10**6), st.integers(min_value=0, max_value=999_999))
def test_what_is_sent_is_what_is_read_and_never_more_than_is_left(left_ms, rest_ns):
    """A callee learns what its caller has left, cut to whole milliseconds, and 0 once there is nothing left."""
    clock = ManualClock()

    def main():
        deadline.begin(Deadline(left_ms * 1_000_000 + rest_ns, clock))
        return deadline.outgoing_headers({"X-Remaining-Time-Ms": "7", "accept": "*/*"})

    sent = contextvars.copy_context().run(main)
    assert {"accept": "*/*", deadline.HEADER: str(max(0, left_ms))} == sent
    assert max(0, left_ms) / 1000 == deadline.read_remaining(sent)


@pytest.mark.parametrize(
    ("written", "expected_s"),
    [
        ("1500", 1.5),
        (" 20\t", 0.02),
        ("0", 0.0),
        ("-3", -0.003),
        *[(unreadable, None) for unreadable in ("", "1.5", "soon", "9" * 13, "1500ms", "٣", "1\n")],
    ],
)
def test_a_header_that_cannot_be_read_is_no_deadline(written, expected_s):
    """Whole milliseconds are understood; anything else is as if it were not there, and never an error."""
    assert expected_s == deadline.read_remaining({"X-Remaining-Time-MS": written})
    assert expected_s == deadline.read_remaining({deadline.HEADER: written})


@given(st.text())
def test_no_header_brings_a_service_down(written):
    """Whatever a caller sends, reading it gives a number or nothing."""
    told = deadline.read_remaining({deadline.HEADER: written})
    assert told is None or abs(told) < 10**9


def test_a_pipeline_passes_the_deadline_through_every_policy():
    """A breaker around a limiter changes nothing about what the callee is told."""
    clock = ManualClock()
    pipeline = Pipeline("a", [CircuitBreaker("a", clock=clock), TimeLimiter("a", clock=clock)])
    with deadline_scope(0.25, clock=clock):
        assert {deadline.HEADER: "250"} == pipeline.call_sync(deadline.outgoing_headers)
