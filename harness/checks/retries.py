"""
Retries: attempts per call and amplification, counted on the wire and not by anybody's word.

Attempts of one call are the exchanges on a link with the same trace id, method and path. A call belongs to the window
that holds its first attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.journal.columns import exchanges, texts
from harness.receipts.base import FOREVER_NS
from harness.scenario.promises import Retries
from harness.statistics import LEAST_SAMPLES
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict

MOST_UNTRACED = 0.01  # share of exchanges without a trace id above which nothing can be said
WORST = 5
_TRACE = slice(0, 32)
_KEY = "trace || ' ' || ifnull(method, '') || ' ' || ifnull(path, '')"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempts:
    """The calls of a window on one link."""

    calls: Counter[str]  # attempts by call
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
    calls: Counter[str] = Counter()
    untraced = 0
    for start_ns, end_ns in window.spans:
        own: Counter[str] = Counter()
        for keys in _keys(evidence, link, start_ns, end_ns):
            own.update(keys)
        for keys in _keys(evidence, link, -FOREVER_NS, start_ns):  # began before the window, so they belong elsewhere
            for key in own.keys() & set(keys):
                del own[key]
        for keys in _keys(evidence, link, end_ns, FOREVER_NS):
            own.update(key for key in keys if key in own)
        calls |= own
        sql = "SELECT count(*) FROM wire WHERE link = ? AND trace IS NULL AND arrived_ns >= ? AND arrived_ns < ?"
        untraced += next(evidence.reader.rows(sql, (link, start_ns, end_ns)))[0]
    traces = len(set(map(itemgetter(_TRACE), calls)))
    return _Attempts(calls=calls, traces=traces, rows=calls.total(), untraced=untraced)


def _keys(evidence: Evidence, link: str, start_ns: int, end_ns: int) -> Iterator[list[str]]:
    """Trace, method and path of every exchange that arrived on a link in a stretch of time."""
    if start_ns <= -FOREVER_NS >= end_ns or start_ns >= FOREVER_NS:
        return iter(())
    source = "wire WHERE link = ? AND arrived_ns >= ? AND arrived_ns < ?"
    return texts(evidence.reader, _KEY, source, (link, start_ns, end_ns))


def _waits(answers: Answers, promise: Retries, evidence: Evidence, found: _Attempts) -> None:
    """The wait between two attempts: from the end of one to the arrival of the next."""
    if promise.waits_at_least_s is None:
        return
    waits = []
    rows = _rows_of(evidence, promise.on)
    for key, attempts in found.calls.items():
        if attempts > 1:
            ended: int | None = None
            for row in rows.get(key, ()):
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
    for exchange in exchanges(evidence.reader, link):
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
    worst = found.calls.most_common(WORST)
    traces = [key[_TRACE] for key, _ in worst]
    sql = f"SELECT {_KEY}, min(arrived_ns) FROM wire WHERE link = ? AND trace IN ({', '.join('?' * len(traces))}) GROUP BY 1"  # noqa: S608  # ours alone
    first_ns = dict(evidence.reader.rows(sql, (promise.on, *traces)))
    return tuple(
        {
            "call": key[33:],
            "at_s": round(evidence.record.second(first_ns[key]), 3) if key in first_ns else None,
            "attempts": attempts,
            "trace": key[_TRACE],
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
