"""
Retries: attempts per call and amplification, counted on the wire and not by anybody's word.

Attempts of one call are the exchanges on a link with the same trace id, method and path. A call belongs to the window
that holds its first attempt.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.clock import NS_PER_S
from harness.journal.columns import UNTRACED, Exchange, exchanges, flags_of, texts
from harness.receipts.base import FOREVER_NS
from harness.scenario.promises import Retries
from harness.statistics import LEAST_SAMPLES, nearest_rank
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict

MOST_UNTRACED = 0.01  # share of exchanges without a trace id above which nothing can be said
MOST_SHORT = 0.05  # share of waits that may be shorter than promised
WORST = 5
_TRACE = slice(0, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempts:
    """The calls of a window on one link."""

    calls: dict[str, list[Exchange]]  # attempts by call, of traces that crossed more than once
    once: int  # calls of one attempt whose trace crossed once
    traces: int  # distinct incoming calls that reached the link
    untraced: int

    @property
    def rows(self) -> int:
        return self.once + sum(map(len, self.calls.values()))

    @property
    def most(self) -> int:
        return max(map(len, self.calls.values()), default=min(1, self.once))


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
    most = found.most
    amplification = found.rows / found.traces if found.traces else 0.0
    if promise.attempts_at_most is not None:
        over = sum(len(attempts) > promise.attempts_at_most for attempts in found.calls.values())
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
    _waits(answers, promise, found)
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
        evidence=_rows_to_show(evidence, found) if answers.verdict is Verdict.FAIL else (),
    )


def _attempts(evidence: Evidence, link: str, window: Window) -> _Attempts:
    """
    Only traces that crossed the link more than once are looked at by method and path: each of the others is one call
    of one attempt, and in most runs they are nearly all.
    """
    inside: list[str] = []
    untraced = 0
    for start_ns, end_ns in window.spans:
        inside += _traces(evidence, link, start_ns, end_ns)
        flags = evidence.record.link(link).flags[evidence.record.arrived(link, start_ns, end_ns)]
        untraced += flags_of(flags, UNTRACED).count(1)
    known = set(inside)
    outside = [] if _everything(window) else _traces(evidence, link, -FOREVER_NS, FOREVER_NS)
    times = Counter(outside or inside) if outside or len(known) < len(inside) else Counter[str]()
    often = {trace for trace in known if times[trace] > 1} if times else set()
    calls = _calls(evidence, link, window, often)
    dropped = {key[_TRACE] for key in calls}
    once = len(known) - len(often)
    return _Attempts(calls=calls, once=once, traces=once + len(dropped), untraced=untraced)


def _everything(window: Window) -> bool:
    return window.spans == ((-FOREVER_NS, FOREVER_NS),)


def _traces(evidence: Evidence, link: str, start_ns: int, end_ns: int) -> list[str]:
    """The trace id of every exchange that arrived on a link in a stretch of time."""
    source = "wire WHERE link = ? AND arrived_ns >= ? AND arrived_ns < ?"
    return list(chain.from_iterable(texts(evidence.reader, "trace", source, (link, start_ns, end_ns))))


def _calls(evidence: Evidence, link: str, window: Window, often: set[str]) -> dict[str, list[Exchange]]:
    """The attempts, in order, of each call of these traces whose first attempt is in the window."""
    found: dict[str, list[Exchange]] = {}
    if not often:
        return found
    for exchange in exchanges(evidence.reader, link):
        if exchange.trace in often:
            key = f"{exchange.trace} {exchange.method or ''} {exchange.path or ''}"
            found.setdefault(key, []).append(exchange)
    return {key: attempts for key, attempts in found.items() if window.holds(attempts[0].arrived_ns)}


def _waits(answers: Answers, promise: Retries, found: _Attempts) -> None:
    """The wait between two attempts: from the end of one to the arrival of the next."""
    for place, wait_s in enumerate(promise.waits_s):
        _one_wait(answers, found, place, (wait_s, promise.give_s))
    if promise.waits_at_least_s is None:
        return
    waits = [
        later.arrived_ns - earlier.ended_ns
        for attempts in found.calls.values()
        for earlier, later in pairwise(attempts)
        if earlier.ended_ns is not None
    ]
    if not waits:
        answers.add(Verdict.INCONCLUSIVE, "no call made a second attempt, so there is no wait to judge")
        return
    shortest_s = max(0, min(waits)) / NS_PER_S
    answers.hold(
        shortest_s >= promise.waits_at_least_s,
        f"the shortest of {len(waits)} waits was {show_duration(shortest_s)},"
        f" {show_duration(promise.waits_at_least_s)} promised",
    )


def _one_wait(answers: Answers, found: _Attempts, place: int, wanted_s: tuple[float, float]) -> None:
    """
    The wait at one place of a call: the median as long as promised, give or take, and hardly any shorter. A busy
    machine wakes a client late, and never early.
    """
    waits = sorted(
        (attempts[place + 1].arrived_ns - ended_ns) / NS_PER_S
        for attempts in found.calls.values()
        if len(attempts) > place + 1 and (ended_ns := attempts[place].ended_ns) is not None
    )
    wait_s, give_s = wanted_s
    if len(waits) < LEAST_SAMPLES:
        clause = f"{len(waits)} calls waited a {_nth(place)} time, {LEAST_SAMPLES} needed"
        answers.add(Verdict.INCONCLUSIVE, clause)
        return
    short = sum(wait < wait_s - give_s for wait in waits)
    low, middle, high = (nearest_rank(waits, share) for share in (MOST_SHORT, 0.5, 1 - MOST_SHORT))
    answers.hold(
        abs(middle - wait_s) <= give_s and short <= MOST_SHORT * len(waits),
        f"{_nth(place)} wait of {len(waits)} calls {show_duration(low)} to {show_duration(high)}, median"
        f" {show_duration(middle)}, {show_duration(wait_s)} +- {show_duration(give_s)} promised ({short} too short)",
    )


def _nth(place: int) -> str:
    return {0: "first", 1: "second", 2: "third"}.get(place, f"{place + 1}th")


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


def _rows_to_show(evidence: Evidence, found: _Attempts) -> tuple[dict[str, Any], ...]:
    worst = sorted(found.calls.items(), key=lambda call: len(call[1]), reverse=True)[:WORST]
    return tuple(
        {
            "call": key[33:],
            "at_s": round(evidence.record.second(attempts[0].arrived_ns), 3),
            "attempts": len(attempts),
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
    if promise.waits_s:
        waits = ", ".join(map(show_duration, promise.waits_s))
        parts.append(f"waits {waits} +- {show_duration(promise.give_s)}")
    return ", ".join(parts)
