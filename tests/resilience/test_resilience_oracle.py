"""The real Resilience4j beside ours, on traces nobody has seen before; and that a difference would be found and shown."""

from __future__ import annotations

import itertools
import json
import os
import random
from pathlib import Path

import pytest
from resilience.oracle import random_traces
from resilience.oracle.live_oracle import LiveOracle, NoOracle

from services.resilience import ManualClock, Retry, RetryConfig, intervals, replay
from services.resilience.retry import of_attempt

STEPS = int(os.environ.get("HARNESS_ORACLE_STEPS", "20000"))
"""Random steps for the breaker and for the limiter each."""

SEED = int(os.environ.get("HARNESS_ORACLE_SEED", "1"))
A_TRACE = 100


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    try:
        live = LiveOracle(tmp_path_factory.mktemp("oracle"))
    except NoOracle as reason:
        pytest.skip(f"the oracle needs a JDK and Maven: {reason}")
    with live:
        yield live


def found(name, config, operations, theirs, folder):
    """Write a difference, cut down, where the replay command can read it."""
    few = random_traces.shrink(config, operations, random_traces.ours, theirs)
    trace = random_traces.as_trace(name, config, few, theirs(config, few))
    path = folder / f"{name}.jsonl"
    path.write_text(json.dumps(trace) + "\n")
    return path


@pytest.mark.oracle
@pytest.mark.parametrize("make", [random_traces.breaker_trace, random_traces.limiter_trace], ids=["breaker", "limiter"])
def test_random_steps_are_answered_as_the_real_one_answers(oracle, make, tmp_path):
    """Every look after every random step is Resilience4j's: state, rates, counters, events in order, answers."""

    def theirs(config, operations):
        return oracle.ask(random_traces.as_lines(config, operations))

    for number in range(-(-STEPS // A_TRACE)):
        name = f"{make.__name__}-{SEED}-{number}"
        config, operations = make(random.Random(name), A_TRACE)
        if random_traces.ours(config, operations) != theirs(config, operations):
            path = found(name, config, operations, theirs, tmp_path)
            replay.main([str(path)])
            told = "we differ from Resilience4j; to see it: python -m services.resilience.replay"
            pytest.fail(f"{told} {path}\n{path.read_text()}")


class Retryable(Exception):
    """A failure."""


class Ignored(Exception):
    """A failure not to be repeated."""


def our_retry(options):
    """What ours shows for one call, in the oracle's words."""
    waits, events, outcomes = [], [], iter(options["outcomes"])
    if "multiplier" in options:
        interval = intervals.exponential(options["waitMillis"], options["multiplier"], options["maxMillis"])
    else:
        interval = intervals.fixed(options["waitMillis"])
    config = RetryConfig(
        max_attempts=options["maxAttempts"],
        interval=of_attempt(interval),
        ignore=lambda error: isinstance(error, Ignored),
        retry_result=lambda result: result == "B",
    )
    retry = Retry("trace", config, ManualClock())
    retry.events.subscribe(lambda event: events.append(f"{event.type}#{event.detail}"))
    retry.events.subscribe(lambda event: waits.append(event.wait_ms), types=["RETRY"])

    def work():
        outcome = next(outcomes)
        if outcome in "EI":
            raise (Retryable if outcome == "E" else Ignored)
        return outcome

    try:
        result = retry.call_sync(work)
    except Exception as error:
        result = "raises " + ("Ignored" if isinstance(error, Ignored) else "Recorded")
    counts = retry.counts
    return {
        "result": result,
        "waits": waits,
        "events": events,
        "counts": [
            counts.successful_without_retry,
            counts.successful_with_retry,
            counts.failed_without_retry,
            counts.failed_with_retry,
        ],
    }


RETRIES = [
    {"maxAttempts": attempts, "outcomes": "".join(outcomes), **waits}
    for attempts in (1, 2, 3, 5)
    for outcomes in itertools.product("EIBG", repeat=attempts)
    for waits in (
        {"waitMillis": 500},
        {"waitMillis": 100, "multiplier": 1.5, "maxMillis": 60_000},
        {"waitMillis": 100, "multiplier": 1.5, "maxMillis": 200},
    )
]


@pytest.mark.oracle
def test_every_row_of_the_retry_table_is_the_real_ones(oracle):
    """All sequences of failures, ignored failures, bad and good results: same answer, waits, events and counters."""
    for start in range(0, len(RETRIES), 100):
        rows = RETRIES[start : start + 100]
        lines = ["retry " + " ".join(f"{key}={value}" for key, value in row.items()) for row in rows]
        for row, theirs in zip(rows, oracle.ask(lines), strict=True):
            assert theirs == our_retry(row), row


def test_what_was_found_once_stays_right():
    """Each difference that random steps ever showed is a short recording, answered alike from then on."""
    tally = replay.replay([Path(__file__).parent / "golden" / "found.jsonl"])

    assert (tally.traces, [str(difference) for difference in tally.differences]) == (3, [])


def test_a_difference_would_be_found_cut_down_and_replayable(tmp_path, capsys):
    """Another threshold on the other side shows as a handful of operations that the replay command refuses."""

    def theirs(config, operations):
        return random_traces.ours({**config, "failureRateThreshold": 100, "slowCallRateThreshold": 100}, operations)

    for number in range(100):
        config, operations = random_traces.breaker_trace(random.Random(number), A_TRACE)
        if random_traces.ours(config, operations) != theirs(config, operations):
            break
    path = found("planted", config, operations, theirs, tmp_path)

    assert 1 <= len(json.loads(Path(path).read_text())["steps"]) <= 25
    assert replay.main([str(path)]) == 1
    assert "planted step" in capsys.readouterr().out


def test_random_traces_reach_every_state_and_every_event():
    """What the comparison walks through is the whole machine, not a corner of it."""
    states, events, operations = set(), set(), set()
    for number in range(60):
        config, steps = random_traces.breaker_trace(random.Random(number), A_TRACE)
        for look in random_traces.ours(config, steps):
            states.add(look["state"])
            events |= {event.split(":")[0] for event in look.get("events", [])}
        operations |= {step[0] for step in steps}

    assert states == set(random_traces.STATES)
    assert events == {
        "SUCCESS", "ERROR", "IGNORED_ERROR", "NOT_PERMITTED", "STATE_TRANSITION", "RESET",
        "FAILURE_RATE_EXCEEDED", "SLOW_CALL_RATE_EXCEEDED",
    }  # fmt: skip
    assert operations >= {"acquire", "tryAcquire", "success", "error", "result", "advance", "to", "openFor", "release"}
