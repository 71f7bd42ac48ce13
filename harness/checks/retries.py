"""
Retries: attempts per call and amplification, counted on the wire and not by anybody's word.

Attempts of one call are the exchanges on a link with the same trace id, method and path. A call belongs to the window
that holds its first attempt.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.receipts.base import FOREVER_NS
from harness.scenario.promises import Retries
from harness.statistics import LEAST_SAMPLES
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict

MOST_UNTRACED = 0.01  # share of exchanges without a trace id above which nothing can be said
WORST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempts:
    """The calls of a window on one link."""

    calls: dict[str, int]  # attempts by call
    traces: int  # distinct incoming calls that reached the link
    rows: int
    untraced: int


def judge(promise: Retries, evidence: Evidence) -> CheckResult:
    """Each part that the promise names has to hold."""
    title = f"retries on {promise.on}"
    window = evidence.window(promise)
    found = _attempts(evidence, promise.on, window)
    if evidence.system.link(promise.on) is None:
        return inconclusive(promise, title=title, reason=f"the system has no link {promise.on}", window=window.name)
    if not found.rows and not found.untraced:
        return inconclusive(promise, title=title, reason=f"nothing crossed {promise.on}", window=window.name)
    answers = Answers()
    most = max(found.calls.values(), default=0)
    amplification = found.rows / found.traces if found.traces else 0.0
    if promise.attempts_at_most is not None:
        over = sum(attempts > promise.attempts_at_most for attempts in found.calls.values())
        clause = f"up to {most} attempts a call, {promise.attempts_at_most} allowed"
        answers.hold(not over, clause + (f" ({over} calls over it)" if over else ""))
    if promise.attempts_at_least is not None:
        answers.hold(
            most >= promise.attempts_at_least,
            f"up to {most} attempts a call, at least {promise.attempts_at_least} had to be seen",
        )
    if promise.amplification_at_most is not None:
        clause = f"{found.rows} requests for {found.traces} incoming calls are {amplification:.3f} each"
        answers.hold(
            amplification <= promise.amplification_at_most, f"{clause}, {promise.amplification_at_most:g} allowed"
        )
    _waits(answers, promise, evidence, found)
    _enough(answers, found)
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=_bound(promise),
        measured=f"up to {most} attempts, amplification {amplification:.3f}",
        value=round(amplification, 4),
        unit="requests a call",
        samples=found.traces,
        window=window.name,
        evidence=_rows_to_show(evidence, promise, found) if answers.verdict is Verdict.FAIL else (),
    )


def _attempts(evidence: Evidence, link: str, window: Window) -> _Attempts:
    sql = """
        SELECT trace, trace || ' ' || ifnull(method, '') || ' ' || ifnull(path, ''), arrived_ns
        FROM wire WHERE link = ?
    """
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    untraced = 0
    everything = window.spans == ((-FOREVER_NS, FOREVER_NS),)
    for batch in evidence.reader.batches(sql, (link,)):
        keys = [key for _, key, _ in batch if key is not None]
        counts.update(keys)
        if len(keys) < len(batch):
            untraced += sum(key is None and window.holds(arrived) for _, key, arrived in batch)
        if not everything:
            for _, key, arrived in batch:
                if key is not None and arrived < first.get(key, FOREVER_NS):
                    first[key] = arrived
    calls = dict(counts) if everything else {key: counts[key] for key, at in first.items() if window.holds(at)}
    traces = len({key[:32] for key in calls})
    return _Attempts(calls=calls, traces=traces, rows=sum(calls.values()), untraced=untraced)


def _waits(answers: Answers, promise: Retries, evidence: Evidence, found: _Attempts) -> None:
    """The wait between two attempts: from the end of one to the arrival of the next."""
    if promise.waits_at_least_s is None:
        return
    waits = []
    for key, attempts in found.calls.items():
        if attempts > 1:
            ended: int | None = None
            for row in _rows_of(evidence, promise.on).get(key, ()):
                if ended is not None:
                    waits.append(row["arrived_ns"] - ended)
                ended = row["ended_ns"]
    if not waits:
        answers.add(Verdict.INCONCLUSIVE, "no call made a second attempt, so there is no wait to judge")
        return
    shortest_s = max(0, min(waits)) / 1e9
    answers.hold(
        shortest_s >= promise.waits_at_least_s,
        f"the shortest of {len(waits)} waits was {show_duration(shortest_s)},"
        f" {show_duration(promise.waits_at_least_s)} promised",
    )


def _rows_of(evidence: Evidence, link: str) -> dict[str, list[dict[str, Any]]]:
    """Exchanges by call, in order, only of calls with more than one attempt."""
    found: dict[str, list[dict[str, Any]]] = {}
    for exchange in evidence.record.wire(link):
        if exchange.trace is not None:
            key = f"{exchange.trace} {exchange.method or ''} {exchange.path or ''}"
            found.setdefault(key, []).append({"arrived_ns": exchange.arrived_ns, "ended_ns": exchange.ended_ns})
    return {key: rows for key, rows in found.items() if len(rows) > 1}


def _enough(answers: Answers, found: _Attempts) -> None:
    """Too few calls, or calls that cannot be told apart, acquit nobody."""
    if found.traces < LEAST_SAMPLES:
        answers.add(Verdict.INCONCLUSIVE, f"{found.traces} calls in the window, {LEAST_SAMPLES} needed")
    everything = found.rows + found.untraced
    if found.untraced > MOST_UNTRACED * everything:
        answers.add(
            Verdict.INCONCLUSIVE,
            f"{found.untraced} of {everything} requests carried no trace id: attempts cannot be told from calls",
        )


def _rows_to_show(evidence: Evidence, promise: Retries, found: _Attempts) -> tuple[dict[str, Any], ...]:
    worst = Counter(found.calls).most_common(WORST)
    first_ns = {
        f"{e.trace} {e.method or ''} {e.path or ''}": e.arrived_ns for e in reversed(evidence.record.wire(promise.on))
    }
    return tuple(
        {
            "call": key[33:],
            "at_s": round(evidence.record.second(first_ns[key]), 3) if key in first_ns else None,
            "attempts": attempts,
            "trace": key[:32],
            "way": "",
        }
        for key, attempts in worst
    )


def _bound(promise: Retries) -> str:
    parts = []
    if promise.attempts_at_most is not None:
        parts.append(f"at most {promise.attempts_at_most} attempts")
    if promise.attempts_at_least is not None:
        parts.append(f"at least {promise.attempts_at_least} attempts seen")
    if promise.amplification_at_most is not None:
        parts.append(f"amplification at most {promise.amplification_at_most:g}")
    if promise.waits_at_least_s is not None:
        parts.append(f"waits at least {show_duration(promise.waits_at_least_s)}")
    return ", ".join(parts)
