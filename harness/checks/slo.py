"""
SLO: objectives the system declares once, with the error budget spent and the burn rate. Words of OpenSLO.

An objective of failover has RTO and RPO in place of a budget, counted from the run's first fault.
"""

from __future__ import annotations

from dataclasses import replace

from harness.checks import failover
from harness.checks.base import Evidence, inconclusive, judge_good, percent
from harness.journal.columns import RequestColumns
from harness.receipts.base import objective_codes
from harness.scenario.promises import Failover, Slo
from harness.statistics import judge_share
from harness.system.model import FailoverObjective, Objective
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict


def judge(promise: Slo, evidence: Evidence) -> CheckResult:
    """Each objective keeps at least the promised part of its budget, or its RTO and RPO; the gravest one is shown."""
    chosen = [o for o in evidence.system.objectives if promise.named in (None, o.name)]
    failovers = [o for o in evidence.system.failovers if promise.named in (None, o.name)]
    if promise.named is None and not evidence.record.faults:
        failovers = []  # they speak of runs in which something failed
    title = f"objective {promise.named}" if promise.named else "every objective of the system"
    if not chosen and not failovers:
        declared = ", ".join(evidence.system.objective_names) or "none"
        return inconclusive(promise, title=title, reason=f"no such objective is declared (there are: {declared})")
    results = [_judge(promise, evidence, objective) for objective in chosen]
    results += [_judge_failover(promise, evidence, objective) for objective in failovers]
    decisive = max(results, key=lambda r: r.verdict.gravity)
    return decisive if len(results) == 1 else _joined(title, results, decisive)


def _judge(promise: Slo, evidence: Evidence, objective: Objective) -> CheckResult:
    selection = evidence.select(objective.of, evidence.window(promise))

    def codes(columns: RequestColumns, low: int, high: int) -> bytes:
        return objective_codes(columns, low, high, objective, evidence.record.load_ended_ns)

    budget = (1 - objective.target) * (1 - promise.budget_left_at_least)
    limit = f" within {show_duration(objective.limit_s)}" if objective.limit_s is not None else ""
    result = judge_good(
        promise, evidence, selection, codes, least=1 - budget,
        title=f"objective {objective.name}: {percent(objective.target)} of {objective.of} good{limit}",
    )  # fmt: skip
    count = selection.count(codes)
    if not count.samples:
        return result
    share = count.bad / count.samples
    burn = share / (1 - objective.target) if objective.target < 1 else float(count.bad)
    left = 1 - burn
    needed = judge_share(count.samples, count.bad, count.pending, budget).needed
    told = f"{count.bad} of {count.samples} bad; error budget {_spent(left)}, burn rate {burn:.3g}"
    verdict = {
        Verdict.FAIL: f"{told}; at least {percent(promise.budget_left_at_least)} of the budget had to be left",
        Verdict.PASS: told,
        Verdict.INCONCLUSIVE: f"{told}; {result.reason}" + (f" ({needed} needed)" if count.samples < needed else ""),
    }[result.verdict]
    return replace(
        result,
        reason=f"{objective.name}: {verdict}",
        bound=f"at least {percent(promise.budget_left_at_least)} of the budget left",
        measured=f"{percent(1 - share)} good, {_spent(left)}",
        value=round(left * 100, 4),
    )


def _judge_failover(promise: Slo, evidence: Evidence, objective: FailoverObjective) -> CheckResult:
    own = Failover.model_construct(  # of values that were valid before
        ledger=objective.ledger,
        rto_at_most_s=objective.rto_s,
        rpo_at_most_s=objective.rpo_s,
        rpo_writes_at_most=objective.rpo_writes,
        during=promise.during,
        after_s=promise.after_s,
        except_=promise.except_,
    )
    result = failover.judge(own, evidence)
    return replace(
        result,
        check=promise.check,
        title=f"objective {objective.name}: {result.title}",
        reason=f"{objective.name}: {result.reason}",
    )


def _spent(left: float) -> str:
    return f"{percent(left)} left" if left >= 0 else f"overspent by {percent(-left)}"


def _joined(title: str, results: list[CheckResult], decisive: CheckResult) -> CheckResult:
    same = [r for r in results if r.verdict is decisive.verdict]
    return replace(
        decisive,
        title=title,
        reason="; ".join(r.reason for r in same),
        measured=", ".join(r.measured for r in same),
        samples=sum(r.samples for r in results),
        thin=any(r.thin for r in same),
    )
