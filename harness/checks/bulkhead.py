"""Bulkhead: how many exchanges were open at once on the wire, and how quickly the service refused the rest."""

from __future__ import annotations

import json
from typing import Any

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.clock import NS_PER_MS, NS_PER_S
from harness.journal.columns import Exchange, exchanges
from harness.scenario.promises import Bulkhead
from harness.statistics import LEAST_SAMPLES, judge_share, nearest_rank, printable
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict

HAND_OVER_NS = 5 * NS_PER_MS  # the gate hears of a client that gave up a moment after its next request
_DURATIONS = {"durationInMs": 1.0, "waitDurationInMs": 1.0, "duration_ns": 1e-6, "durationInNs": 1e-6}


def judge(promise: Bulkhead, evidence: Evidence) -> CheckResult:
    """The limit holds on the wire; unless told otherwise it also has to have been reached to mean anything."""
    title = f"bulkhead on {promise.on}"
    limit = promise.concurrent_at_most
    window = evidence.window(promise)
    arrived, most = _most_at_once(evidence, promise.on, window)
    if not arrived:
        return inconclusive(promise, title=title, reason=f"nothing crossed {promise.on}", window=window.name)
    answers = Answers()
    over_ns, rows = longest_over(exchanges(evidence.reader, promise.on), limit, window) if most > limit else (0, [])
    if over_ns > HAND_OVER_NS:
        length = show_duration(over_ns / NS_PER_S)
        answers.hold(kept=False, clause=f"up to {most} exchanges were open at once for {length}, {limit} allowed")
    elif promise.reached and most < limit:
        answers.add(
            Verdict.INCONCLUSIVE, f"at most {most} exchanges were open at once: the limit, {limit}, was not reached"
        )
    else:
        answers.hold(kept=True, clause=f"at most {min(most, limit)} exchanges were open at once, {limit} allowed")
    if arrived < LEAST_SAMPLES:
        answers.add(Verdict.INCONCLUSIVE, f"{arrived} exchanges in the window, {LEAST_SAMPLES} needed")
    if promise.rejects_within_s is not None:
        _rejections(answers, promise, evidence, window)
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=_bound(promise),
        measured=f"at most {most} at once",
        value=float(most),
        unit="exchanges",
        samples=arrived,
        window=window.name,
        evidence=_rows(evidence, rows) if answers.verdict is Verdict.FAIL else (),
    )


def _most_at_once(evidence: Evidence, link: str, window: Window) -> tuple[int, int]:
    columns = evidence.record.link(link)
    found = [columns.in_flight[evidence.record.arrived(link, *span)] for span in window.spans]
    return sum(map(len, found)), max((max(part) for part in found if part), default=0)


def longest_over(exchanges: list[Exchange], limit: int, window: Window) -> tuple[int, list[Exchange]]:
    """How long (ns) at a stretch more than `limit` were open in the window, and the exchanges that went over it."""
    moments: list[tuple[int, int, Exchange]] = []
    for exchange in exchanges:
        end_ns = exchange.ended_ns if exchange.ended_ns is not None else exchange.arrived_ns
        moments += [(exchange.arrived_ns, 1, exchange), (max(end_ns, exchange.arrived_ns), -1, exchange)]
    moments.sort(key=lambda moment: moment[:2])
    open_now, since, longest = 0, 0, 0
    over: list[Exchange] = []
    for t_ns, change, exchange in moments:
        if open_now > limit:
            longest = max(longest, t_ns - since)
        if change > 0 and open_now == limit:
            since = t_ns
        open_now += change
        if change > 0 and open_now > limit and window.holds(t_ns):
            over.append(exchange)
    return (longest if over else 0), over


def _rejections(answers: Answers, promise: Bulkhead, evidence: Evidence, window: Window) -> None:
    client, _, name = promise.on.partition("->")
    sql = """
        SELECT t_ns, data FROM app_events
        WHERE service = ? AND source = 'bulkhead' AND name = ? AND type = 'CALL_REJECTED'
    """
    refused = [json.loads(text) for t_ns, text in evidence.reader.rows(sql, (client, name)) if window.holds(t_ns)]
    if not refused:
        answers.add(Verdict.INCONCLUSIVE, f"{client} told of no refused call, so their quickness is unknown")
        return
    spans = sorted(span for data in refused if (span := _milliseconds(data)) is not None)
    if len(spans) < len(refused):
        answers.add(Verdict.INCONCLUSIVE, f"{len(refused) - len(spans)} of {len(refused)} refusals tell no duration")
        return
    limit_ms = (promise.rejects_within_s or 0.0) * 1000
    judged = judge_share(len(spans), sum(span > limit_ms for span in spans), 0, 0.01, what="refusals")
    rank = f"p99 {nearest_rank(spans, 0.99):.1f} ms" if printable(len(spans), 0.99) else f"slowest {spans[-1]:.1f} ms"
    answers.add(judged.verdict, f"refusals {rank}, {limit_ms:.0f} ms allowed ({judged.reason})")


def _milliseconds(data: dict[str, Any]) -> float | None:
    for key, factor in _DURATIONS.items():
        if isinstance(data.get(key), int | float):
            return float(data[key]) * factor
    return None


def _rows(evidence: Evidence, over: list[Exchange]) -> tuple[dict[str, Any], ...]:
    worst = sorted(over, key=lambda e: e.in_flight, reverse=True)[:5]
    return tuple(
        {
            "at_s": round(evidence.record.second(e.arrived_ns), 3), "open_at_once": e.in_flight,
            "call": f"{e.method or '?'} {e.path or '?'}", "trace": e.trace, "way": "",
        }
        for e in worst
    )  # fmt: skip


def _bound(promise: Bulkhead) -> str:
    bound = f"at most {promise.concurrent_at_most} at once"
    if promise.rejects_within_s is not None:
        bound += f", refuses within {show_duration(promise.rejects_within_s)}"
    return bound
