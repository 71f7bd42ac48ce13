"""
Consistency: what clients were promised against what the data says, with the ids of whatever differs.

Four things are counted apart: lost (acknowledged, absent), duplicated (there more than once), phantom (there, never
asked for) and in doubt (the client got an error, and yet it is there: asking again under another key would do it twice).
"""

from __future__ import annotations

from typing import Any

from harness.checks.base import Answers, Evidence, inconclusive
from harness.checks.effects import Found, effects_of, entries_of, held_before
from harness.scenario.promises import Consistency
from harness.statistics import LEAST_SAMPLES
from harness.verdict import CheckResult, Verdict

MOST_IDS = 1000


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
    if len(found.acknowledged) < LEAST_SAMPLES:
        answers.add(Verdict.INCONCLUSIVE, f"{len(found.acknowledged)} acknowledged writes, {LEAST_SAMPLES} needed")
    rows = _rows(found)
    measured = ", ".join(f"{count} {word}" for word, count, _ in _counts(promise, found))
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=f"{answers.reason} ({len(found.acknowledged)} of {len(found.asked)} writes were acknowledged)",
        bound=_bound(promise),
        measured=measured,
        value=float(len(rows)),
        unit="writes",
        samples=len(found.acknowledged),
        window=window.name,
        evidence=tuple(rows[:MOST_IDS]) if answers.verdict is Verdict.FAIL else (),
    )


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
    return f"at most {promise.lost} lost, {promise.duplicated} duplicated, {promise.phantom} phantom{doubt}"
