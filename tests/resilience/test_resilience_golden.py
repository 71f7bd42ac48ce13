"""Recorded answers of the real Resilience4j, replayed at every step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.resilience import replay

GOLDEN = Path(__file__).parent / "golden"
BREAKER = [GOLDEN / "circuitbreaker.jsonl.gz", GOLDEN / "circuitbreaker-scenarios.jsonl"]
LIMITER = GOLDEN / "ratelimiter.jsonl.gz"

CLOSED = {
    "state": "CLOSED",
    "failureRate": "-1.0",
    "slowCallRate": "-1.0",
    "bufferedCalls": 0,
    "failedCalls": 0,
    "slowCalls": 0,
    "slowFailedCalls": 0,
    "notPermittedCalls": 0,
}


@pytest.mark.parametrize(
    ("files", "traces", "steps"),
    [(BREAKER, 435, 36_690), ([LIMITER], 200, 12_000)],
    ids=["circuit breaker", "rate limiter"],
)
def test_every_recorded_step_is_answered_alike(files, traces, steps):
    """State, rates as Java prints them, counters and events in order are those of Resilience4j, step by step."""
    tally = replay.replay(files)

    assert (traces, steps) == (tally.traces, tally.steps)
    assert [str(difference) for difference in tally.differences] == []


OURS = {
    "BUG-reset-leaves-half-open-timer-alive": {4: CLOSED},
    "BUG-reset-leaves-open-timer-alive": {5: {**CLOSED, "state": "OPEN"}},
    "BUG-zero-window-after-forced-open": {
        3: {**CLOSED, "state": "OPEN", "bufferedCalls": 1, "failedCalls": 1, "events": ["ERROR"]}
    },
    "BUG-transitionToOpen-without-wait-wedges": {
        1: {
            **CLOSED,
            "state": "OPEN",
            "bufferedCalls": 1,
            "failedCalls": 1,
            "events": ["ERROR", "STATE_TRANSITION:CLOSED_TO_OPEN"],
        },
        2: {
            **CLOSED,
            "state": "OPEN",
            "bufferedCalls": 1,
            "failedCalls": 1,
            "notPermittedCalls": 1,
            "events": ["NOT_PERMITTED"],
            "result": "rejected",
        },
    },
}


@pytest.mark.parametrize("name", OURS)
def test_upstream_defects_are_not_copied(name):
    """D1 to D3: where Resilience4j has a defect we do what its documentation says."""
    traces = {trace["id"]: trace for trace in replay.read_traces(BREAKER[1])}
    trace = traces[name]
    ours = replay.replica_of(trace)
    seen = {number: ours.step(step[0]) for number, step in enumerate(trace["steps"], start=1)}

    assert OURS[name] == {number: seen[number] for number in OURS[name]}
    assert trace["upstreamBug"] is True


def test_exactly_the_known_defects_are_marked_in_the_recordings():
    """No trace is let off but those four."""
    marked = {trace["id"] for file in BREAKER for trace in replay.read_traces(file) if trace.get("upstreamBug")}

    assert set(OURS) == marked


def test_the_command_says_what_it_did_and_fails_on_a_difference(tmp_path, capsys):
    """The replay command exits 0 on agreement and 1, naming trace, step and value, on any difference."""
    trace = next(replay.read_traces(BREAKER[1]))
    right, wrong = tmp_path / "right.jsonl", tmp_path / "wrong.jsonl"
    right.write_text(json.dumps(trace))
    trace["steps"][3][1]["failureRate"] = "49.0"
    wrong.write_text(json.dumps(trace))

    assert replay.main([str(right)]) == 0
    assert "1 traces, 4 steps, 0 differences" in capsys.readouterr().out
    assert replay.main([str(wrong)]) == 1
    assert "step 4" in (told := capsys.readouterr().out)
    assert "failureRate is '50.0', recorded '49.0'" in told


TRACE = '{"id": "a", "config": {}, "initial": {}, "steps": []}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "holds no trace: one JSON object a line"),
        ('{"id": 1', "traces.jsonl:1: trace: is no JSON: "),
        ("\n[]\n", "traces.jsonl:2: trace: lacks id, config, initial, steps"),
        (
            '{"id": "a", "config": {"slidingWindowSize": 0}, "initial": {}, "steps": []}',
            "trace a: cannot be replayed: ",
        ),
        (TRACE.replace("[]", '[[["fly"], {}]]'), "trace a: cannot be replayed: "),
    ],
    ids=["no file", "empty", "no JSON", "no trace", "no breaker", "no operation"],
)
def test_what_cannot_be_replayed_is_no_agreement(tmp_path, capsys, content, message):
    """The replay command exits 2 and says which file, line or trace it is; it never takes nothing for agreement."""
    file = tmp_path / "traces.jsonl"
    if content is not None:
        file.write_text(content)

    assert replay.main([str(file)]) == 2
    assert message in capsys.readouterr().err
