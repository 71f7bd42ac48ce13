"""
Breaker: its transitions in order and in time, by the service's own word, checked against the wire.

A word that cannot be believed (breaker_word), or that the wire contradicts (breaker_wire), is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.checks import breaker_parts, breaker_wire
from harness.checks.base import Answers, Evidence, Window, inconclusive, percent
from harness.checks.breaker_word import Transition, Word, doubt_of, path_of, word_of
from harness.clock import NS_PER_S
from harness.receipts.base import FaultSpan
from harness.scenario.promises import Breaker
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict


def judge(promise: Breaker, evidence: Evidence) -> CheckResult:
    """Every part that the promise names has to hold."""
    title, bound = f"breaker {promise.on}", _bound(promise)
    window = evidence.window(promise)
    word = word_of(promise, evidence)
    if doubt := doubt_of(promise, evidence, word, window):
        return inconclusive(promise, title=title, reason=doubt, bound=bound, window=window.name)
    faults = _faults(promise, evidence)
    seen = _seen(promise, word, window, faults)
    path = path_of(word, seen, window)
    answers = Answers()
    _of_its_states(answers, promise, path)
    _of_its_times(answers, promise, evidence, word, faults)
    _of_its_calls(answers, promise, evidence, word, window)
    if not answers.parts:
        return inconclusive(promise, title=title, reason="the promise names nothing to judge", window=window.name)
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=bound,
        measured=" > ".join(path),
        value=float(len(seen)),
        unit="transitions",
        samples=len(word.looks),
        window=window.name,
        evidence=_evidence_rows(evidence, seen) if answers.verdict is Verdict.FAIL else (),
    )


def _of_its_states(answers: Answers, promise: Breaker, path: list[str]) -> None:
    if promise.goes is not None:
        answers.hold(follows(path, promise.goes), f"it went {' > '.join(path)}, promised {' > '.join(promise.goes)}")
    if promise.stays is not None:
        answers.hold(path == [promise.stays], f"it was {', '.join(dict.fromkeys(path))}, promised only {promise.stays}")


def _of_its_times(answers: Answers, promise: Breaker, evidence: Evidence, word: Word, faults: list[FaultSpan]) -> None:
    if promise.opens_within_s is not None:
        breaker_parts.opens(answers, evidence, word, faults, promise.opens_within_s)
    if promise.closes_within_s is not None:
        breaker_parts.closes(answers, evidence, word, faults, promise.closes_within_s)


def _of_its_calls(answers: Answers, promise: Breaker, evidence: Evidence, word: Word, window: Window) -> None:
    """What it refused, at which rate it opened, and whether the wire agrees with its word."""
    if promise.not_permitted_at_least is not None:
        refused = breaker_parts.refused(word, window)
        answers.hold(
            refused >= promise.not_permitted_at_least,
            f"it refused {refused} calls, at least {promise.not_permitted_at_least} promised",
        )
    if promise.failure_rate_at_least is not None:
        breaker_parts.opened_at(answers, promise, evidence, window, promise.failure_rate_at_least)
    crossed = breaker_wire.crossed_while_open(promise, evidence, word, window)
    if promise.calls_while_open_at_most is not None:
        answers.hold(
            crossed <= promise.calls_while_open_at_most,
            f"{crossed} calls crossed while it said open, at most {promise.calls_while_open_at_most} promised",
        )
    elif contradiction := breaker_wire.calls_against_open(evidence, promise, word, window, crossed):
        answers.add(Verdict.INCONCLUSIVE, contradiction)
    if silence := breaker_wire.silence_against_closed(evidence, promise, word):
        answers.add(Verdict.INCONCLUSIVE, silence)


def follows(seen: Sequence[str], promised: Sequence[str]) -> bool:
    """Whether the states came in the promised order; failed probes (half_open, then open again) may repeat."""

    def rounds(states: Sequence[str]) -> tuple[list[str], int]:
        kept: list[str] = []
        for state in states:
            kept.append(state)
            if kept[-3:] == ["open", "half_open", "open"]:
                del kept[-2:]
        return kept, (len(states) - len(kept)) // 2

    own, repeated = rounds(seen)
    wanted, least = rounds(promised)
    return own == wanted and repeated >= least


def _faults(promise: Breaker, evidence: Evidence) -> list[FaultSpan]:
    """The faults its time bounds count from: the one named, else those of its link or upstream, else all."""
    spans, known = evidence.receipts.spans, evidence.record.faults
    if promise.during in spans:
        return [spans[str(promise.during)]]
    targets = (promise.on, promise.on.partition("->")[2])
    near = [spans[name] for name in spans if known[name].fault.target in targets]
    return near or list(spans.values())


def _seen(promise: Breaker, word: Word, window: Window, faults: list[FaultSpan]) -> list[Transition]:
    """Transitions of the window; a promise of closing looks on behind the fault's end for as long as it allows."""
    low, high = window.outer
    if window.edges:
        low = min(low, window.edges[0][0])
    if promise.closes_within_s is not None and faults:
        high = max(high, max(span.end[1] for span in faults) + round(promise.closes_within_s * NS_PER_S))
    return [t for t in word.transitions if low <= t.t_ns < high]


def _evidence_rows(evidence: Evidence, seen: list[Transition]) -> tuple[dict[str, Any], ...]:
    spans = evidence.receipts.spans
    rows: list[tuple[int, str, str]] = [(t.t_ns, f"{t.before} > {t.after}", "the breaker") for t in seen]
    for name, span in spans.items():
        rows += [(span.start[1], "fault on", name), (span.end[1], "fault off", name)]
    return tuple(
        {"at_s": round(evidence.record.second(t_ns), 3), "what": what, "of": who} for t_ns, what, who in sorted(rows)
    )


def _bound(promise: Breaker) -> str:
    parts = []
    if promise.goes is not None:
        parts.append(" > ".join(promise.goes))
    if promise.stays is not None:
        parts.append(f"stays {promise.stays}")
    if promise.opens_within_s is not None:
        parts.append(f"opens within {show_duration(promise.opens_within_s)}")
    if promise.closes_within_s is not None:
        parts.append(f"closes within {show_duration(promise.closes_within_s)}")
    if promise.not_permitted_at_least is not None:
        parts.append(f"refuses at least {promise.not_permitted_at_least}")
    if promise.failure_rate_at_least is not None:
        parts.append(f"opens at {percent(promise.failure_rate_at_least)} failures or more")
    if promise.calls_while_open_at_most is not None:
        parts.append(f"at most {promise.calls_while_open_at_most} calls while open")
    return ", ".join(parts)
