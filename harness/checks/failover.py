"""
Failover: how long nobody's write was acknowledged, what of the acknowledged was lost, and who leads now.

Time is the client's: an acknowledged write is an answer that promises the effect, at the instant it came. Longer of two
counts: the longest time without one, and the time from the fault's instant until they came again. That no two nodes
were writable at once is always part of the promise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.checks.base import Answers, Evidence, inconclusive
from harness.checks.effects import effects_of, entries_of
from harness.clock import NS_PER_S
from harness.receipts.nodes import Look, SplitBrain, looks_of, primaries, split_brains
from harness.scenario.promises import Failover
from harness.statistics import LEAST_SAMPLES
from harness.system.model import Ledger
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict

MOST_ROWS = 50
LEAST_LOOKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What the instants of acknowledged writes show. Seconds; from_fault_s is None when they never came again."""

    longest_s: float
    from_fault_s: float | None
    acknowledged: int

    @property
    def rto_s(self) -> float:
        return max(self.longest_s, self.from_fault_s or 0.0)


def outage_of(acknowledged_ns: Sequence[int], fault_ns: int, end_ns: int, healing_ns: int | None = None) -> Outage:
    """
    The outage after an instant. acknowledged_ns: sorted; end_ns: until when writes were asked for; healing_ns: when the
    fault began to be undone. The outage a fault made is the first gap after it that is at least half as long as the
    longest of those that begin before it is undone: undoing it may be a failover of its own, with a gap of its own.
    """
    first = bisect_right(acknowledged_ns, fault_ns)
    before = acknowledged_ns[first - 1] if first else fault_ns
    after = [t for t in acknowledged_ns[first:] if t <= end_ns]
    points = [before, *after]
    if not after or end_ns - points[-1] > max(b - a for a, b in pairwise(points)):
        longest_ns = end_ns - points[-1]
        return Outage(longest_s=longest_ns / NS_PER_S, from_fault_s=None, acknowledged=len(after))
    gaps = list(pairwise(points))
    longest_ns = max(later - earlier for earlier, later in gaps)
    own = [gap for gap in gaps if healing_ns is None or gap[0] < healing_ns]
    longest_own_ns = max(later - earlier for earlier, later in own)
    resumed_ns = next(later for earlier, later in own if 2 * (later - earlier) >= longest_own_ns)
    return Outage(
        longest_s=longest_ns / NS_PER_S, from_fault_s=(resumed_ns - fault_ns) / NS_PER_S, acknowledged=len(after)
    )


def judge(promise: Failover, evidence: Evidence) -> CheckResult:
    """PASS when writes came back in time, no more was lost than promised, and never two nodes were writable."""
    name, fault_ns = _fault(promise, evidence)
    title = f"failover after {name}"
    bound = _bound(promise)
    ledger = next((known for known in evidence.system.ledgers if known.name == promise.ledger), None)
    looks = looks_of(evidence.record)
    if reason := _nothing_to_judge(promise, ledger, looks, fault_ns):
        return inconclusive(promise, title=title, reason=reason, bound=bound)
    assert ledger is not None
    assert fault_ns is not None
    acknowledged = acknowledgements(evidence, ledger)
    instants = sorted(acknowledged.values())
    healing_ns = evidence.record.faults[name].healing_ns
    outage = outage_of(instants, fault_ns, evidence.record.arrivals_end_ns, healing_ns)
    answers = Answers()
    rows: list[dict[str, Any]] = []
    told = _time(promise, outage, len(instants) - outage.acknowledged, answers)
    told += _loss(promise, evidence, ledger, acknowledged, fault_ns, answers, rows)
    split = split_brains(looks)
    _leaders(promise, looks, split, fault_ns, answers)
    rows = [*_split_rows(evidence, split), *rows]
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=bound,
        measured=", ".join(told),
        value=round(outage.rto_s, 3),
        unit="s",
        samples=outage.acknowledged,
        window=f"after {name}",
        evidence=tuple(rows[:MOST_ROWS]) if answers.verdict is Verdict.FAIL else (),
    )


def acknowledgements(evidence: Evidence, ledger: Ledger) -> dict[str, int]:
    """Business key -> when its write was acknowledged (the answer's last byte)."""
    statuses = f" AND status IN ({', '.join(map(str, ledger.acknowledged))})" if ledger.acknowledged else ""
    sql = f"""
        SELECT business_key, end_ns FROM requests
        WHERE name = ? AND ok = 1 AND end_ns IS NOT NULL AND business_key IS NOT NULL{statuses}
    """  # noqa: S608  # statuses are numbers
    return {str(key): int(end_ns) for key, end_ns in evidence.reader.rows(sql, (ledger.asked_by,))}


def _fault(promise: Failover, evidence: Evidence) -> tuple[str, int | None]:
    """The fault it is about and its instant: when it was asked for, which is before it was done."""
    faults = evidence.record.faults
    chosen = promise.from_ or next(iter(faults), None)
    if chosen is None or chosen not in faults:
        return chosen or "no fault", None
    return chosen, faults[chosen].injecting_ns


def _nothing_to_judge(
    promise: Failover, ledger: Ledger | None, looks: dict[str, list[Look]], fault_ns: int | None
) -> str | None:
    if fault_ns is None:
        return "there was no fault to fail over from"
    if ledger is None:
        return f"the system declares no ledger {promise.ledger!r}"
    silent = [node for node, own in looks.items() if len(own) < LEAST_LOOKS]
    if not looks:
        return "the system declares no database node (x-harness: {replication: /replication})"
    if silent:
        return f"{', '.join(silent)} said what it is fewer than {LEAST_LOOKS} times"
    return None


def _time(promise: Failover, outage: Outage, before: int, answers: Answers) -> list[str]:
    back = (
        "not back in the run" if outage.from_fault_s is None else f"back {show_duration(outage.from_fault_s)} after it"
    )
    text = f"longest time without an acknowledged write {show_duration(outage.longest_s)}, {back}"
    limit_s = promise.rto_at_most_s
    if limit_s is not None:
        clause = f"{text}, {show_duration(limit_s)} allowed"
        if before < LEAST_SAMPLES:
            answers.add(Verdict.INCONCLUSIVE, f"{before} writes acknowledged before the fault, {LEAST_SAMPLES} needed")
        elif outage.from_fault_s is None and outage.longest_s <= limit_s:
            answers.add(Verdict.INCONCLUSIVE, f"{clause}, and the run ended too soon to tell")
        else:
            answers.hold(outage.rto_s <= limit_s and outage.from_fault_s is not None, clause)
    return [f"RTO {show_duration(outage.rto_s)}"]


def _loss(  # noqa: PLR0917  # each is a part of the run
    promise: Failover, evidence: Evidence, ledger: Ledger, acknowledged: dict[str, int], fault_ns: int,
    answers: Answers, rows: list[dict[str, Any]],
) -> list[str]:  # fmt: skip
    entries = entries_of(evidence, ledger)
    if isinstance(entries, str):
        if promise.rpo_at_most_s is not None or promise.rpo_writes_at_most is not None:
            answers.add(Verdict.INCONCLUSIVE, entries)
        return ["loss unknown"]
    found = effects_of(evidence, ledger, evidence.window(promise), entries)
    instants = sorted(acknowledged[key] for key in found.lost if key in acknowledged)
    rpo_s = (max(instants[-1], fault_ns) - min(instants[0], fault_ns)) / NS_PER_S if instants else 0.0
    lost = f"{len(found.lost)} acknowledged writes lost"
    if promise.rpo_writes_at_most is not None:
        answers.hold(len(found.lost) <= promise.rpo_writes_at_most, f"{lost}, {promise.rpo_writes_at_most} allowed")
    if promise.rpo_at_most_s is not None:
        text = f"{lost}, from {show_duration(rpo_s)} of work, {show_duration(promise.rpo_at_most_s)} allowed"
        answers.hold(rpo_s <= promise.rpo_at_most_s, text)
    rows += [
        {"what": "lost", "id": key, "at_s": round(evidence.record.second(acknowledged[key]), 3), "nodes": ""}
        for key in found.lost
        if key in acknowledged
    ]
    return [f"RPO {len(found.lost)} writes, {show_duration(rpo_s)}", f"{len(found.in_doubt)} in doubt"]


def _leaders(
    promise: Failover, looks: dict[str, list[Look]], split: list[SplitBrain], fault_ns: int, answers: Answers
) -> None:
    if split:
        nodes = " and ".join(sorted({split[0].node, split[0].other}))
        answers.add(Verdict.FAIL, f"split brain: {nodes} were writable at once, seen {len(split)} times")
    else:
        answers.add(Verdict.PASS, "never two nodes writable at once")
    if promise.primary:
        after = [node for t_ns, node in primaries(looks) if t_ns > fault_ns]
        leads = after[-1] if after else None
        last = next((node for _, node in reversed(primaries(looks))), None)
        said = f"{leads or last or 'nobody'} is the primary in the end, {' or '.join(promise.primary)} promised"
        answers.hold((leads or last) in promise.primary, said)


def _split_rows(evidence: Evidence, split: list[SplitBrain]) -> list[dict[str, Any]]:
    return [
        {
            "what": "split brain", "id": "", "at_s": round(evidence.record.second(one.t_ns), 3),
            "nodes": f"{one.node} and {one.other} writable",
        }
        for one in split[: MOST_ROWS // 2]
    ]  # fmt: skip


def _bound(promise: Failover) -> str:
    said = []
    if promise.rto_at_most_s is not None:
        said.append(f"RTO at most {show_duration(promise.rto_at_most_s)}")
    if promise.rpo_writes_at_most is not None:
        said.append(f"at most {promise.rpo_writes_at_most} writes lost")
    if promise.rpo_at_most_s is not None:
        said.append(f"RPO at most {show_duration(promise.rpo_at_most_s)}")
    if promise.primary:
        said.append(f"{' or '.join(promise.primary)} leads")
    return ", ".join([*said, "one writable node"])
