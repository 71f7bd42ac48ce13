"""
Consistency: what clients were promised against what the data says, with the ids of whatever differs.

Four things are counted apart: lost (acknowledged, absent), duplicated (there more than once), phantom (there, never
asked for) and in doubt (the client got an error, and yet it is there: asking again under another key would do it twice).
Beside them stale reads: sent after a write was acknowledged, and answered as if there were none, though it is not lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.checks.effects import Found, effects_of, entries_of, held_before
from harness.checks.failover import acknowledgements
from harness.scenario.promises import Consistency
from harness.statistics import LEAST_SAMPLES
from harness.system.model import Ledger
from harness.verdict import CheckResult, Verdict

MOST_IDS = 1000
FOUND, ABSENT = 200, 404  # how a read answers that knows the write, and one that does not


def judge(promise: Consistency, evidence: Evidence) -> CheckResult:
    """PASS when no more is lost, duplicated, phantom or in doubt than promised."""
    title = f"consistency of {promise.ledger}"
    window = evidence.window(promise)
    ledger = next((known for known in evidence.system.ledgers if known.name == promise.ledger), None)
    if ledger is None:
        reason = f"the system declares no ledger {promise.ledger!r}"
        return inconclusive(promise, title=title, reason=reason, window=window.name)
    entries = entries_of(evidence, ledger)
    missing = entries if isinstance(entries, str) else held_before(evidence, ledger)
    if missing or isinstance(entries, str):
        return inconclusive(promise, title=title, reason=str(missing), bound=_bound(promise), window=window.name)
    found = effects_of(evidence, ledger, window, entries)
    answers = Answers()
    for word, count, allowed in _counts(promise, found):
        if allowed is not None:
            answers.hold(count <= allowed, f"{count} {word}, {allowed} allowed")
    reads = reads_of(evidence, ledger, window, set(entries))
    if promise.stale_reads_at_most is not None:
        _judge_reads(promise.stale_reads_at_most, ledger, reads, answers)
    if len(found.acknowledged) < LEAST_SAMPLES:
        answers.add(Verdict.INCONCLUSIVE, f"{len(found.acknowledged)} acknowledged writes, {LEAST_SAMPLES} needed")
    rows = [*_rows(found), *({"what": "stale read", "id": key, "times": 0} for key in reads.stale)]
    measured = ", ".join(f"{count} {word}" for word, count, _ in _counts(promise, found))
    if reads.samples:
        measured += f", {len(reads.stale)} of {reads.samples} reads stale"
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=f"{answers.reason} ({len(found.acknowledged)} of {len(found.asked)} writes were acknowledged)",
        bound=_bound(promise),
        measured=measured,
        value=float(len(rows) - len(reads.stale)),
        unit="writes",
        samples=len(found.acknowledged),
        window=window.name,
        evidence=tuple(rows[:MOST_IDS]) if answers.verdict is Verdict.FAIL else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Reads of writes that had been acknowledged before: the keys of those that saw nothing, and how many there were."""

    stale: list[str]
    samples: int


def reads_of(evidence: Evidence, ledger: Ledger, window: Window, present: set[str | None]) -> Reads:
    """present: the keys that the ledger holds in the end. What is not among them is lost, and no stale read."""
    if ledger.read_by is None:
        return Reads(stale=[], samples=0)
    acknowledged = acknowledgements(evidence, ledger)
    sql = f"""
        SELECT business_key, start_ns, status, intended_ns FROM requests
        WHERE name = ? AND start_ns IS NOT NULL AND status IN ({FOUND}, {ABSENT}) ORDER BY start_ns
    """  # noqa: S608  # two numbers
    stale, samples = [], 0
    for key, start_ns, status, intended_ns in evidence.reader.rows(sql, (ledger.read_by,)):
        done_ns = acknowledged.get(str(key))
        if done_ns is None or done_ns > start_ns or key not in present or not window.holds(intended_ns):
            continue
        samples += 1
        if status == ABSENT:
            stale.append(str(key))
    return Reads(stale=stale, samples=samples)


def _judge_reads(allowed: int, ledger: Ledger, reads: Reads, answers: Answers) -> None:
    said = f"{len(reads.stale)} of {reads.samples} reads of acknowledged writes were stale, {allowed} allowed"
    if ledger.read_by is None:
        answers.add(Verdict.INCONCLUSIVE, f"the ledger {ledger.name} says of no request that it reads it (read_by)")
    elif len(reads.stale) <= allowed and reads.samples < LEAST_SAMPLES:
        answers.add(Verdict.INCONCLUSIVE, f"{said}; {LEAST_SAMPLES} reads needed")
    else:
        answers.hold(len(reads.stale) <= allowed, said)


def _counts(promise: Consistency, found: Found) -> tuple[tuple[str, int, int | None], ...]:
    return (
        ("lost", len(found.lost), promise.lost),
        ("duplicated", len(found.duplicated), promise.duplicated),
        ("phantom", len(found.phantom), promise.phantom),
        ("in doubt", len(found.in_doubt), promise.in_doubt_at_most),
    )


def _rows(found: Found) -> list[dict[str, Any]]:
    """Every id with what is wrong with it; what is in doubt last, for it may be right."""
    rows = [{"what": "lost", "id": key, "times": 0} for key in found.lost]
    rows += [{"what": "duplicated", "id": key, "times": times} for key, times in sorted(found.duplicated.items())]
    rows += [{"what": "phantom", "id": key, "times": 1} for key in found.phantom]
    return rows + [{"what": "in doubt", "id": key, "times": 1} for key in sorted(found.in_doubt)]


def _bound(promise: Consistency) -> str:
    doubt = "" if promise.in_doubt_at_most is None else f", {promise.in_doubt_at_most} in doubt"
    stale = "" if promise.stale_reads_at_most is None else f", {promise.stale_reads_at_most} stale reads"
    return f"at most {promise.lost} lost, {promise.duplicated} duplicated, {promise.phantom} phantom{doubt}{stale}"
