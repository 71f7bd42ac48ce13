"""The breaker as a state machine, walked at random: what has to hold after every step, whatever the steps were."""

from __future__ import annotations

import ctypes
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.resilience import (
    CallNotPermitted,
    CircuitBreaker,
    CircuitBreakerConfig,
    IllegalStateTransition,
    ManualClock,
    State,
    WindowType,
    intervals,
    rates,
    replay,
    replicas,
)
from services.resilience.windows import FAILED, SLOW, CountWindow

GOLDEN = Path(__file__).parent / "golden"
SLOW_NS = 1_000_000
RING = 4096
SILENT = {State.DISABLED, State.FORCED_OPEN}


class Ignored(Exception):
    """Counts as nothing."""


class Unlisted(Exception):
    """Counts as a success."""


configs = st.builds(
    CircuitBreakerConfig,
    failure_rate_threshold=st.sampled_from([1, 33.333332, 50, 100]),
    slow_call_rate_threshold=st.sampled_from([10, 66.7, 100]),
    slow_call_duration_threshold_ns=st.just(SLOW_NS),
    sliding_window_type=st.sampled_from(WindowType),
    sliding_window_size=st.integers(1, 12),
    minimum_number_of_calls=st.integers(1, 15),
    permitted_number_of_calls_in_half_open_state=st.integers(1, 5),
    wait_interval=st.sampled_from([intervals.fixed(500), intervals.exponential(100, 2.0, 2000)]),
    automatic_transition_from_open_to_half_open=st.booleans(),
    max_wait_duration_in_half_open_state_ms=st.sampled_from([0, 0, 700]),
    record=st.just(lambda error: not isinstance(error, Unlisted)),
    ignore=st.just(lambda error: isinstance(error, Ignored)),
    event_consumer_buffer_size=st.just(RING),
)
durations = st.sampled_from([0, SLOW_NS, SLOW_NS + 1, 300_000_000])
errors = st.sampled_from([None, None, None, ValueError, ValueError, Ignored, Unlisted, KeyboardInterrupt])


class BreakerMachine(RuleBasedStateMachine):
    """Calls that nest and overlap, time, and everything that can be done by hand."""

    @initialize(config=configs, listened_to=st.booleans())
    def make(self, config, listened_to):
        self.clock = ManualClock(1_700_000_000_123_456_789)
        self.breaker = CircuitBreaker("walked", config, self.clock)
        if listened_to:  # a breaker that nobody listens to notes its quick successes by another way
            self.breaker.events.subscribe(lambda event: None)
        self.permits, self.read = [], 0
        self.admitted = self.given_back = 0

    def new_events(self):
        events = [event for event in self.breaker.events.snapshot() if event.sequence > self.read]
        self.read += len(events)
        assert all(event.sequence == self.read - len(events) + place for place, event in enumerate(events, start=1))
        return events

    def did(self, before, *, admitted=0, released=0):
        """Keep the count of the half-open stay, and hold the step's events to the states it was in."""
        events = self.new_events()
        moves = [str(event.detail) for event in events if event.type == "STATE_TRANSITION"]
        if any(move.endswith("_TO_HALF_OPEN") for move in moves):
            self.admitted = self.given_back = 0
        if self.breaker.state is State.HALF_OPEN:
            self.admitted += admitted
            self.given_back += released
            permitted = self.breaker.config.permitted_number_of_calls_in_half_open_state
            assert self.admitted <= permitted + self.given_back
        if before in SILENT and self.breaker.state in SILENT:
            assert {event.type for event in events} <= {"STATE_TRANSITION", "RESET"}

    @rule(duration_ns=durations, error=errors)
    def call(self, duration_ns, error):
        before, reached = self.breaker.state, []

        def work():
            reached.append(self.breaker.state)
            self.clock.advance(duration_ns)
            if error is not None:
                raise error

        ended = None
        try:
            self.breaker.call_sync(work)
        except BaseException as raised:
            ended = type(raised)
        assert ended is (error if reached else CallNotPermitted)
        # A probe that is given back shows twice: as admitted and as released.
        probe = bool(reached) and reached[0] is State.HALF_OPEN
        self.did(before, admitted=probe, released=error in {Ignored, KeyboardInterrupt})

    @rule()
    def begin(self):
        before = self.breaker.state
        try:
            self.permits.append(self.breaker.acquire())
        except CallNotPermitted:
            assert self.breaker.state in {State.OPEN, State.HALF_OPEN, State.FORCED_OPEN}
            self.did(before)
        else:
            self.did(before, admitted=self.breaker.state is State.HALF_OPEN)

    @precondition(lambda self: self.permits)
    @rule(error=errors, data=st.data())
    def end(self, error, data):
        before = self.breaker.state
        permit = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
        if error is None:
            permit.success()
        else:
            permit.error(error())
        with pytest.raises(RuntimeError, match="ended already"):
            permit.release()
        self.did(before, released=error in {Ignored, KeyboardInterrupt})

    @rule(span_ns=st.sampled_from([1, SLOW_NS, 100_000_001, 499_999_999, 10**9, 5 * 10**9]))
    def time_passes(self, span_ns):
        before = self.breaker.state
        self.clock.advance(span_ns)
        self.did(before)

    @rule()
    def give_back(self):
        before = self.breaker.state
        self.breaker.release()
        self.did(before, released=True)

    @rule(state=st.sampled_from(State))
    def by_hand(self, state):
        before = self.breaker.state
        try:
            self.breaker.transition_to(state)
        except IllegalStateTransition:
            assert (before, state) in {
                (State.CLOSED, State.HALF_OPEN), (State.METRICS_ONLY, State.OPEN), (State.METRICS_ONLY, State.HALF_OPEN)
            }  # fmt: skip
            assert self.breaker.state is before
        else:
            assert self.breaker.state is state
            if state is State.HALF_OPEN:
                self.admitted = self.given_back = 0
        self.did(before)

    @rule()
    def reset(self):
        before = self.breaker.state
        self.breaker.reset()
        assert self.breaker.state is State.CLOSED
        assert self.breaker.metrics.buffered_calls == 0
        self.did(before)

    @invariant()
    def totals_are_the_sum_of_the_cells(self):
        seen, window = self.breaker.metrics, self.breaker._core.window
        if isinstance(window, CountWindow):
            cells = window._cells
            sums = [sum(1 for cell in cells if cell & bits == bits) for bits in (FAILED, SLOW, FAILED | SLOW)]
            assert seen.buffered_calls <= len(cells)
        else:
            calls, *sums = map(sum, zip(*window._buckets, strict=True))
            assert calls == seen.buffered_calls
        assert sums == [seen.failed_calls, seen.slow_calls, seen.slow_failed_calls]
        assert seen.slow_failed_calls <= min(seen.failed_calls, seen.slow_calls) <= seen.buffered_calls

    @invariant()
    def rates_are_those_of_the_totals(self):
        seen = self.breaker.metrics
        if seen.failure_rate >= 0:
            assert seen.failure_rate == as_float(as_float(seen.failed_calls * 100.0) / seen.buffered_calls)
        assert (seen.failure_rate >= 0) == (seen.slow_call_rate >= 0)

    @invariant()
    def a_closed_breaker_is_below_its_thresholds_or_has_too_few_calls(self):
        """In a count window: in a window of time rates may rise while nobody calls, which decides nothing."""
        if self.breaker.state is State.CLOSED and self.breaker.config.sliding_window_type is WindowType.COUNT_BASED:
            seen, config = self.breaker.metrics, self.breaker.config
            assert seen.failure_rate < as_float(config.failure_rate_threshold)
            assert seen.slow_call_rate < as_float(config.slow_call_rate_threshold)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def as_float(value):
    """A number as a Java float has it, by the C library's own rounding."""
    return ctypes.c_float(value).value


@settings(max_examples=40, deadline=None)
@given(threshold=st.one_of(st.sampled_from([1, 33.3333, 33.333332, 66.666664, 100]), st.floats(0.001, 100)))
def test_the_trip_table_is_32_bit_arithmetic(threshold):
    """For every number of calls up to 1000 the least count that trips is the least whose float rate reaches it."""
    limit = rates.to_float32(threshold)

    def trips(part, total):
        return as_float(as_float(part * 100.0) / total) >= as_float(threshold)

    for total in range(1, 1001):
        least = rates.least_count(limit, total)
        assert least == total + 1 or trips(least, total)
        assert least == 0 or not trips(least - 1, total)
        assert rates.reaches(least - 1, total, limit) is False


class Unheard(replicas.BreakerReplica):
    """A replica with no consumer and no predicate on results, which reads its events out of the ring."""

    def __init__(self, config):
        super().__init__({**config, "initialState": "CLOSED"})  # whose breaker is not used, and has no timers
        plain = replace(self._translate(config), record_result=None, transition_on_result=None)
        self._breaker = CircuitBreaker("trace", plain, self._clock)
        self._read = 0

    def step(self, operation):
        seen = super().step(operation)
        self._heard = []
        for event in self._breaker.events.snapshot():
            if event.sequence > self._read:
                self._hear(event)
        self._read = self._breaker.events.sequence
        return {**seen, "events": self._heard} if self._heard else seen


def plain_traces():
    for file in ("circuitbreaker.jsonl.gz", "circuitbreaker-scenarios.jsonl"):
        for trace in replay.read_traces(GOLDEN / file):
            kinds = {operation[2] for operation, _ in trace["steps"] if operation[0] in {"error", "result"}}
            if not trace.get("upstreamBug") and not kinds & {"tripFor", "tripNoWait", "failure"}:
                yield trace


def test_nobody_listening_changes_nothing():
    """Recorded answers hold as well where quick successes are noted now and taken in when somebody looks."""
    traces = list(plain_traces())
    for trace in traces:
        one = Unheard(trace["config"])
        assert [one.step(operation) for operation, _ in trace["steps"]] == [look for _, look in trace["steps"]]
    assert len(traces) > 150


def test_looking_changes_nothing():
    """A breaker looked at now and then has come to the same as one looked at after every step."""
    for trace in plain_traces():
        one, chance = Unheard(trace["config"]), random.Random(trace["id"])
        for operation, expected in trace["steps"]:
            one._perform(str(operation[0]), operation[1:])
            if chance.random() < 0.1:
                seen = one.look()
                assert {key: expected[key] for key in seen} == seen
        told = [event for _, look in trace["steps"] for event in look.get("events", [])]
        one._heard = []
        for event in one._breaker.events.snapshot():
            one._hear(event)
        assert one._heard == told[-len(one._heard) or len(told) :]
        assert one._breaker.events.sequence == len(told)
