"""The judge: what receipts and checks come to together."""

from __future__ import annotations

import pytest
from journals import AVAILABLE, LATENCY, Run, scenario, shop

from harness.checks import CHECKS
from harness.errors import InputError
from harness.journal import FILE_NAME
from harness.judge import judge
from harness.verdict import Verdict

GOOD = {"availability": {"at_least": "99%"}}
WELL = {"latency": {"p99": "500ms"}}
BAD = {"error": "status 503", "status": 503}


def run_of(*promises, applied: bool = True, spoil=None, **more) -> Run:
    """A run with a fault that was there, or was not."""
    run = Run(scenario(*promises, fault=LATENCY, **more), shop([AVAILABLE]))
    run.load(0, 3).load(3, 9, spoil=spoil).load(9, 15)
    return run.slow_fault() if applied else run.fault().crossings(0, 15)


def often(number):
    return BAD if number % 5 == 0 else {}


def test_all_kept_and_all_proven_is_a_pass(tmp_path):
    """Every promise kept and every receipt there."""
    verdict = judge(run_of(GOOD, WELL).write(tmp_path))

    assert verdict.verdict is Verdict.PASS
    assert verdict.as_declared
    assert "all 2 promises were kept" in verdict.reason


def test_a_check_names_the_receipts_it_rests_on(tmp_path):
    """Those of the whole run, of the faults it speaks of, and of who watched the breaker it asks about."""
    quiet = {"availability": {"at_least": "99%", "during": "steady"}}
    breaker = {"breaker": {"on": "order->payment", "stays": "closed"}}
    run = run_of(GOOD, quiet, breaker).breaker()
    run.event(0, "phase.started", "steady", kind="steady").event(3, "phase.ended", "steady", kind="steady")
    verdict = judge(run.write(tmp_path))
    whole, of_quiet, of_breaker = (set(check.rests_on) for check in verdict.checks)

    assert {"load", "fault slow"} <= whole
    assert whole - of_quiet == {"fault slow"}
    assert of_breaker - whole == {"observer actuator/order"}
    assert of_breaker <= {receipt.name for receipt in verdict.receipts}


def test_one_broken_promise_fails_the_run_and_is_its_reason(tmp_path):
    """The gravest check decides, and its numbers are the reason."""
    verdict = judge(run_of(WELL, GOOD, spoil=often).write(tmp_path))

    assert verdict.verdict is Verdict.FAIL
    assert not verdict.as_declared
    assert "48 of 600 bad, 6 allowed" in verdict.reason


@pytest.mark.parametrize("spoil", [None, often], ids=["would pass", "would fail"])
def test_a_fault_that_was_not_there_takes_the_verdict_back(tmp_path, spoil):
    """Neither a pass nor a failure is earned under a fault without effect; the numbers stay."""
    verdict = judge(run_of(GOOD, applied=False, spoil=spoil).write(tmp_path))

    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.checks[0].verdict is Verdict.INCONCLUSIVE
    assert "NO EFFECT" in verdict.checks[0].reason
    assert verdict.checks[0].value is not None


def test_a_promise_that_speaks_of_another_phase_is_kept(tmp_path):
    """What was promised of the quiet phase does not rest on the fault."""
    promise = {"availability": {"at_least": "95%", "during": "steady"}}
    run = run_of(promise, applied=False).event(0, "phase.started", "steady", kind="steady")
    verdict = judge(run.event(3, "phase.ended", "steady", kind="steady").write(tmp_path))

    assert verdict.checks[0].verdict is Verdict.PASS
    assert verdict.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("because", "as_declared"), [("availability", True), ("latency", False), (None, True), ("fault", False)]
)
def test_a_declared_failure_has_to_come_from_its_cause(tmp_path, because, as_declared):
    """FAIL for another reason than the declared one is not as declared."""
    declared = {"outcome": "fail"} | ({"because": because} if because else {})
    verdict = judge(run_of(WELL, GOOD, spoil=often, **declared).write(tmp_path))

    assert verdict.verdict is Verdict.FAIL
    assert verdict.as_declared is as_declared


@pytest.mark.parametrize(("because", "as_declared"), [("fault", True), ("slow", True), ("load", False)])
def test_a_declared_lack_of_evidence_names_its_receipt(tmp_path, because, as_declared):
    """INCONCLUSIVE because of a fault receipt, by its kind or its name."""
    run = run_of(GOOD, applied=False, outcome="inconclusive", because=because)
    verdict = judge(run.write(tmp_path))

    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.as_declared is as_declared


def test_a_check_that_crashes_never_passes(tmp_path, monkeypatch):
    """A bug in a check becomes INCONCLUSIVE with its text, and the others still answer."""

    def crash(*_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(CHECKS, "latency", crash)
    verdict = judge(run_of(WELL, GOOD).write(tmp_path))

    assert [c.verdict for c in verdict.checks] == [Verdict.INCONCLUSIVE, Verdict.PASS]
    assert "by zero" in verdict.checks[0].reason


def test_an_old_journal_is_judged_by_new_promises(tmp_path):
    """Other promises, the same run: nothing is started, and the faults are those that ran."""
    folder = run_of(GOOD, spoil=often).write(tmp_path)
    edited = scenario({"availability": {"at_least": "75%", "during": "slow"}}, fault=LATENCY)

    assert judge(folder).verdict is Verdict.FAIL
    assert judge(folder, edited).verdict is Verdict.PASS
    assert judge(folder, edited).checks[0].window == "during slow"


def test_judging_twice_gives_the_same(tmp_path):
    """A judgement depends on nothing but the journal."""
    folder = run_of(GOOD, WELL, spoil=often).write(tmp_path)

    assert judge(folder) == judge(folder)


def test_a_busy_machine_is_worth_another_try(tmp_path):
    """A load that was late only for want of processor time can be repeated."""
    run = Run(scenario(GOOD)).load(0, 15, late_ms=40)
    verdict = judge(run.write(tmp_path))

    assert verdict.worth_another_try
    assert "this machine could not send the load on time" in verdict.reason


def test_a_journal_without_a_run_is_wrong_input(tmp_path):
    """A folder without a journal, and a file that is none."""
    with pytest.raises(InputError, match="no journal"):
        judge(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"nonsense" * 1000)
    with pytest.raises(InputError, match="not a journal"):
        judge(tmp_path)


def test_a_journal_that_ended_before_the_load_is_inconclusive(tmp_path):
    """A runner killed at once leaves a journal that can be judged, without a verdict."""
    run = Run(scenario(GOOD))
    run.how = None
    verdict = judge(run.write(tmp_path))

    assert verdict.verdict is Verdict.INCONCLUSIVE
