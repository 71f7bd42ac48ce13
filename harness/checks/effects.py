"""
Effects: every acknowledged effect exists exactly once.

Asked for are the business keys of the ledger's requests; acknowledged those answered with a status that promises the
effect. What is asked for and not acknowledged may exist or not: it is in doubt, and counted apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.journal.columns import texts
from harness.scenario.promises import Effects
from harness.statistics import LEAST_SAMPLES
from harness.system.model import Ledger
from harness.verdict import CheckResult, Verdict

MOST_IDS = 50
TOLD_FROM_S = 0.2  # a wait for late effects shorter than this is one look
_IN_SPAN = "requests WHERE name = ? AND intended_ns >= ? AND intended_ns < ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
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
    entries = entries_of(evidence, ledger)
    if isinstance(entries, str):
        return inconclusive(promise, title=title, reason=entries, bound=_bound(promise), window=window.name)
    if stale := held_before(evidence, ledger):
        return inconclusive(promise, title=title, reason=stale, bound=_bound(promise), window=window.name)
    found = effects_of(evidence, ledger, window, entries)
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
    told += settling(evidence, ledger)
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


def entries_of(evidence: Evidence, ledger: Ledger) -> list[str | None] | str:
    """The business key of every entry, or why they are not known."""
    for _, subject, data in evidence.record.events_of("ledger.unread"):
        if subject == ledger.name:
            return f"the ledger {ledger.name} could not be read: {data.get('error')}"
    read = [data for _, subject, data in evidence.record.events_of("ledger.read") if subject == ledger.name]
    if not read:
        return f"the ledger {ledger.name} was never read"
    source = "ledger WHERE ledger = ?"
    keys: list[str | None] = list(chain.from_iterable(texts(evidence.reader, "business_key", source, (ledger.name,))))
    sql = "SELECT count(*) FROM ledger WHERE ledger = ? AND business_key IS NULL"
    keys += [None] * next(evidence.reader.rows(sql, (ledger.name,)))[0]
    told = read[-1].get("entries")
    if told is not None and told != len(keys):
        return f"the ledger {ledger.name} held {told} entries, {len(keys)} are in the journal"
    return keys


def settling(evidence: Evidence, ledger: Ledger) -> str:
    """How long after the load acknowledged effects were waited for, as the end of a sentence; empty when they were not."""
    for _, subject, data in evidence.record.events_of("ledger.read"):
        waited_s, owed = data.get("settling_s"), data.get("owed")
        if subject != ledger.name or not isinstance(waited_s, int | float) or waited_s < TOLD_FROM_S:
            continue
        return (
            f", {owed} were still owed {waited_s:g} s after the load"
            if owed
            else f", the last came {waited_s:g} s after the load"
        )
    return ""


def held_before(evidence: Evidence, ledger: Ledger) -> str | None:
    """Why the ledger tells nothing of this run: it held the run's keys before anybody asked for them."""
    looks = [data for _, subject, data in evidence.record.events_of("ledger.before") if subject == ledger.name]
    keys = {str(key) for data in looks for key in data.get("keys") or ()}
    if not keys or not (known := keys & set(_keys(evidence, ledger, "requests WHERE name = ?"))):
        return None
    return (
        f"the ledger {ledger.name} held {len(known)} of the run's own keys before the load began:"
        " it is a constant, or an earlier run's, and does not tell what this run did"
    )


def effects_of(evidence: Evidence, ledger: Ledger, window: Window, entries: list[str | None]) -> Found:
    present = set(entries)
    asked: list[str] = []
    refused: set[str] = set()
    statuses = f" AND status IN ({', '.join(map(str, ledger.acknowledged))})" if ledger.acknowledged else ""
    for start_ns, end_ns in window.spans:
        asked += _keys(evidence, ledger, _IN_SPAN, start_ns, end_ns)
        refused |= set(_keys(evidence, ledger, f"{_IN_SPAN} AND NOT (ok{statuses})", start_ns, end_ns))
    inside = set(asked)
    if len(inside) < len(asked):  # a key asked for twice may be refused once and acknowledged once
        for start_ns, end_ns in window.spans:
            refused -= set(_keys(evidence, ledger, f"{_IN_SPAN} AND ok{statuses}", start_ns, end_ns))
    acknowledged = inside - refused
    strangers = present - inside
    if strangers:
        strangers -= set(_keys(evidence, ledger, "requests WHERE name = ?"))
    times = Counter(entries) if len(present) < len(entries) else {}
    return Found(
        asked=inside,
        acknowledged=acknowledged,
        lost=sorted(acknowledged - present),
        duplicated={key: n for key, n in times.items() if n > 1 and key is not None and key in inside},
        phantom=sorted(map(str, strangers)),
        in_doubt=refused & present,
    )


def _keys(evidence: Evidence, ledger: Ledger, source: str, *span: int) -> list[str]:
    """Business keys of the ledger's requests."""
    return list(chain.from_iterable(texts(evidence.reader, "business_key", source, (ledger.asked_by, *span))))


def _rows(found: Found) -> tuple[dict[str, Any], ...]:
    rows = [{"key": key, "what": "lost", "times": 0} for key in found.lost]
    rows += [{"key": key, "what": "duplicated", "times": times} for key, times in sorted(found.duplicated.items())]
    rows += [{"key": key, "what": "phantom", "times": 1} for key in found.phantom]
    return tuple(rows[:MOST_IDS])


def _bound(promise: Effects) -> str:
    return f"at most {promise.lost} lost, {promise.duplicated} duplicated, {promise.phantom} phantom"
