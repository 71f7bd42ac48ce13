"""
Effects: every acknowledged effect exists exactly once.

Asked for are the business keys of the ledger's requests; acknowledged those answered with a status that promises the
effect. What is asked for and not acknowledged may exist or not: it is in doubt, and counted apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.scenario.promises import Effects
from harness.statistics import LEAST_SAMPLES
from harness.system.model import Ledger
from harness.verdict import CheckResult, Verdict

MOST_IDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effects:
    """Business keys by what became of their effect."""

    asked: set[str]
    acknowledged: set[str]
    lost: list[str]
    duplicated: dict[str, int]
    phantom: list[str]
    in_doubt: set[str]  # asked for, not acknowledged, and present


def judge(promise: Effects, evidence: Evidence) -> CheckResult:
    """PASS when no more are lost, duplicated or phantom than promised."""
    title = f"effects in the ledger {promise.ledger}"
    window = evidence.window(promise)
    ledger = next((known for known in evidence.system.ledgers if known.name == promise.ledger), None)
    if ledger is None:
        known_names = ", ".join(known.name for known in evidence.system.ledgers) or "none"
        reason = f"the system declares no ledger {promise.ledger!r} (it has: {known_names})"
        return inconclusive(promise, title=title, reason=reason, window=window.name)
    entries = _entries(evidence, ledger)
    if isinstance(entries, str):
        return inconclusive(promise, title=title, reason=entries, bound=_bound(promise), window=window.name)
    found = _effects(evidence, ledger, window, entries)
    answers = Answers()
    for word, count, allowed in (
        ("lost", len(found.lost), promise.lost),
        ("duplicated", len(found.duplicated), promise.duplicated),
        ("phantom", len(found.phantom), promise.phantom),
    ):
        answers.hold(count <= allowed, f"{count} {word}, {allowed} allowed")
    if len(found.acknowledged) < LEAST_SAMPLES:
        answers.add(Verdict.INCONCLUSIVE, f"{len(found.acknowledged)} acknowledged effects, {LEAST_SAMPLES} needed")
    told = f"{len(found.acknowledged)} of {len(found.asked)} asked for were acknowledged, {len(found.in_doubt)} in doubt exist"
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=f"{answers.reason} ({told})",
        bound=_bound(promise),
        measured=f"{len(found.lost)} lost, {len(found.duplicated)} duplicated, {len(found.phantom)} phantom",
        value=float(len(found.lost) + len(found.duplicated) + len(found.phantom)),
        unit="effects",
        samples=len(found.acknowledged),
        window=window.name,
        evidence=_rows(found) if answers.verdict is Verdict.FAIL else (),
    )


def _entries(evidence: Evidence, ledger: Ledger) -> list[str | None] | str:
    """Business keys of all entries, or why they are not known."""
    for _, subject, data in evidence.record.events_of("ledger.unread"):
        if subject == ledger.name:
            return f"the ledger {ledger.name} could not be read: {data.get('error')}"
    read = [data for _, subject, data in evidence.record.events_of("ledger.read") if subject == ledger.name]
    if not read:
        return f"the ledger {ledger.name} was never read"
    sql = "SELECT business_key FROM ledger WHERE ledger = ?"
    keys: list[str | None] = [key for (key,) in evidence.reader.rows(sql, (ledger.name,))]
    told = read[-1].get("entries")
    if told is not None and told != len(keys):
        return f"the ledger {ledger.name} held {told} entries, {len(keys)} are in the journal"
    return keys


def _effects(evidence: Evidence, ledger: Ledger, window: Window, entries: list[str | None]) -> _Effects:
    sql = "SELECT business_key, ok, status, intended_ns FROM requests WHERE name = ? AND business_key IS NOT NULL"
    asked: set[str] = set()
    inside: set[str] = set()
    acknowledged: set[str] = set()
    for key, ok, status, intended_ns in evidence.reader.rows(sql, (ledger.asked_by,)):
        asked.add(key)
        if not window.holds(intended_ns):
            continue
        inside.add(key)
        if ok and (not ledger.acknowledged or status in ledger.acknowledged):
            acknowledged.add(key)
    present = Counter(entries)
    return _Effects(
        asked=inside,
        acknowledged=acknowledged,
        lost=sorted(acknowledged - present.keys()),
        duplicated={key: n for key, n in present.items() if key is not None and n > 1 and key in inside},
        phantom=[str(key) for key in present if key is None or key not in asked],
        in_doubt={key for key in inside - acknowledged if key in present},
    )


def _rows(found: _Effects) -> tuple[dict[str, Any], ...]:
    rows = [{"key": key, "what": "lost", "times": 0} for key in found.lost]
    rows += [{"key": key, "what": "duplicated", "times": times} for key, times in sorted(found.duplicated.items())]
    rows += [{"key": key, "what": "phantom", "times": 1} for key in found.phantom]
    return tuple(rows[:MOST_IDS])


def _bound(promise: Effects) -> str:
    return f"at most {promise.lost} lost, {promise.duplicated} duplicated, {promise.phantom} phantom"
