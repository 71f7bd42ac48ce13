"""A breaker's word against what else is known: the looks at it, its clock, and the wire."""

from __future__ import annotations

from journals import LATENCY, LINK, Run, scenario

from harness.judge import judge
from harness.verdict import CheckResult, Verdict

STAYS = {"breaker": {"on": LINK, "stays": "closed"}}
OPENS = {"breaker": {"on": LINK, "goes": ["closed", "open", "half_open", "closed"]}}
LIFE = ((4.0, "OPEN"), (9.5, "HALF_OPEN"), (9.7, "CLOSED"))


def loaded(promise: dict) -> Run:
    """A fault from 3 s to 9 s; from 4 s to 9.5 s nothing crosses."""
    run = Run(scenario(promise, fault=LATENCY)).load(0, 15).fault()
    return run.crossings(0, 3).crossings(3.003, 4, span_ms=205).crossings(9.5, 15)


def check(run: Run, folder) -> CheckResult:
    return judge(run.write(folder)).checks[0]


def test_an_open_breaker_that_says_so_is_believed(tmp_path):
    """Transitions, looks and wire tell the same."""
    assert check(loaded(OPENS).breaker(*LIFE), tmp_path).verdict is Verdict.PASS


def test_a_breaker_that_sheds_and_says_closed_is_not_believed(tmp_path):
    """Nothing crosses for five seconds of a fault while the load goes on, and the breaker says closed throughout."""
    found = check(loaded(STAYS).breaker(), tmp_path)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "word and wire differ: the breaker said closed" in found.reason


def test_calls_under_way_are_no_silence(tmp_path):
    """A hanging upstream holds its callers: that nobody calls anew says nothing of the breaker."""
    run = loaded(STAYS).breaker()
    run.exchange(3.9, span_ms=5600)

    assert check(run, tmp_path).verdict is Verdict.PASS


def test_looks_that_never_change_are_not_believed(tmp_path):
    """Transitions to open and back, and every look says closed: one of them is cached."""
    run = loaded(OPENS).breaker(*LIFE)
    closed = Run(scenario(OPENS), seconds=run.seconds).breaker()
    run.rows["probes"] = closed.rows["probes"]
    found = check(run, tmp_path)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "looks and transitions differ" in found.reason


def test_a_transition_read_before_it_happened_tells_of_another_clock(tmp_path):
    """The service stamps two seconds ahead of the observer that read it."""
    run = loaded(OPENS).breaker(*LIFE)
    run.rows["app_events"] = [(row[0] + 2_000_000_000, *row[1:]) for row in run.rows["app_events"]]
    found = check(run, tmp_path)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "its clock is another" in found.reason
