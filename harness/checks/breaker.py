"""
Breaker: its transitions in order and in time, by the service's own word, checked against the wire.

The word comes as events from a ring that may be lapped, so it is believed only while the chain of transitions is
unbroken and the observer was never silent for long. A breaker that says OPEN while calls cross the link as before is
not believed either.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.checks.base import Answers, Evidence, Window, inconclusive, percent
from harness.clock import NS_PER_MS, NS_PER_S
from harness.journal.columns import ABSENT
from harness.receipts.base import FOREVER_NS, FaultSpan
from harness.receipts.observer import ACTUATOR
from harness.scenario.promises import Breaker
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict
from harness.words import LOAD_CLIENT

GRACE_NS = 20 * NS_PER_MS  # a call admitted just before the transition may reach the wire just after it
LEAST_LOOKS = 10
LOOK_NS = NS_PER_S // 4  # a look tells of a moment up to so long before its stamp
LEAST_CONTRADICTIONS = 3  # looks; a single one may have been answered late
AHEAD_NS = 50 * NS_PER_MS  # how far a service's stamp may lie behind the moment at which it was read
LEAST_MISSED = 20  # calls that should have crossed a link before its silence means something


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of state, as the service stamped it."""

    t_ns: int
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """All that is known of one breaker."""

    link: str
    transitions: list[Transition]
    looks: list[tuple[int, str, int]]  # instant, state, refused calls in this state
    starts: list[int]  # when its service was started: it begins closed, with no history

    def state_at(self, t_ns: int) -> str | None:
        """The state at an instant; None when nothing tells."""
        past = [(t.t_ns, t.after) for t in self.transitions if t.t_ns < t_ns]
        past += [(start, "closed") for start in self.starts if start < t_ns and past]
        if past:
            return max(past)[1]
        if self.transitions:
            return self.transitions[0].before
        return self.looks[0][1] if self.looks else None


def judge(promise: Breaker, evidence: Evidence) -> CheckResult:
    """Every part that the promise names has to hold."""
    title, bound = f"breaker {promise.on}", _bound(promise)
    window = evidence.window(promise)
    word = _word(promise, evidence)
    if doubt := _doubt(promise, evidence, word, window):
        return inconclusive(promise, title=title, reason=doubt, bound=bound, window=window.name)
    faults = _faults(promise, evidence)
    seen = _seen(promise, word, window, faults)
    answers = Answers()
    if promise.goes is not None:
        path = _path(word, seen, window)
        answers.hold(follows(path, promise.goes), f"it went {' > '.join(path)}, promised {' > '.join(promise.goes)}")
    if promise.opens_within_s is not None:
        _opens(answers, evidence, word, faults, promise.opens_within_s)
    if promise.closes_within_s is not None:
        _closes(answers, evidence, word, faults, promise.closes_within_s)
    if promise.stays is not None:
        path = _path(word, seen, window)
        answers.hold(path == [promise.stays], f"it was {', '.join(dict.fromkeys(path))}, promised only {promise.stays}")
    if promise.not_permitted_at_least is not None:
        refused = _refused(word, window)
        answers.hold(
            refused >= promise.not_permitted_at_least,
            f"it refused {refused} calls, at least {promise.not_permitted_at_least} promised",
        )
    if promise.failure_rate_at_least is not None:
        _failure_rate(answers, promise, evidence, window)
    crossed = _crossed_while_open(promise, evidence, word, window)
    if promise.calls_while_open_at_most is not None:
        answers.hold(
            crossed <= promise.calls_while_open_at_most,
            f"{crossed} calls crossed while it said open, at most {promise.calls_while_open_at_most} promised",
        )
    elif contradiction := _contradiction(evidence, promise, word, window, crossed):
        answers.add(Verdict.INCONCLUSIVE, contradiction)
    if silence := _silent_while_closed(evidence, promise, word):
        answers.add(Verdict.INCONCLUSIVE, silence)
    if not answers.parts:
        return inconclusive(promise, title=title, reason="the promise names nothing to judge", window=window.name)
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=bound,
        measured=" > ".join(_path(word, seen, window)),
        value=float(len(seen)),
        unit="transitions",
        samples=len(word.looks),
        window=window.name,
        evidence=_evidence_rows(evidence, seen) if answers.verdict is Verdict.FAIL else (),
    )


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


# -- what is known ---------------------------------------------------------------------------------------------


def _word(promise: Breaker, evidence: Evidence) -> _Word:
    client, _, name = promise.on.partition("->")
    reader = evidence.reader
    sql = """
        SELECT t_ns, data FROM app_events
        WHERE service = ? AND source = 'circuitbreaker' AND name = ? AND type = 'STATE_TRANSITION' ORDER BY t_ns, id
    """
    transitions = []
    for t_ns, text in reader.rows(sql, (client, name)):
        before, _, after = str(json.loads(text).get("stateTransition") or "").lower().partition("_to_")
        if after:
            transitions.append(Transition(t_ns=t_ns, before=before, after=after))
    looks = []
    sql = "SELECT t_ns, data FROM probes WHERE observer = ? AND subject = ? AND ok ORDER BY t_ns"
    for t_ns, text in reader.rows(sql, (ACTUATOR, client)):
        data = json.loads(text)
        state = (data.get("breakers") or {}).get(name)
        if state:
            looks.append((t_ns, str(state).lower(), int((data.get("not_permitted") or {}).get(name) or 0)))
    starts = [t_ns for t_ns, subject, _ in evidence.record.events_of("service.started") if subject == client]
    return _Word(link=promise.on, transitions=transitions, looks=looks, starts=starts)


def _doubt(promise: Breaker, evidence: Evidence, word: _Word, window: Window) -> str | None:
    """Why the breaker's word cannot be believed; None when it can."""
    client, _, name = promise.on.partition("->")
    if not word.looks and not word.transitions:
        return f"{client} never said anything of a breaker {name!r}: is its actuator observed, is the name right?"
    for receipt in evidence.receipts.all:
        if (
            receipt.kind == "observer"
            and receipt.subject == f"{ACTUATOR}/{client}"
            and receipt.verdict is not Verdict.PASS
        ):
            return f"its word cannot be relied on: {receipt.sentence}"
    for first, second in pairwise(word.transitions):
        started = any(first.t_ns < start <= second.t_ns for start in word.starts)
        expected = "closed" if started else first.after
        if second.before != expected:
            at_s = evidence.record.second(second.t_ns)
            return (
                f"transitions were lost: {first.before} > {first.after} is followed by"
                f" {second.before} > {second.after} at {at_s:.2f} s"
            )
    if word.transitions and word.looks and word.looks[-1][0] > word.transitions[-1].t_ns + NS_PER_S // 2:
        told, last = word.looks[-1][1], word.state_at(word.looks[-1][0])
        if told != last:
            return f"transitions were lost: the last one leads to {last}, but the breaker is {told}"
    if not word.transitions and len({state for _, state, _ in word.looks}) > 1:
        return "its state changed, but no transition was read"
    if doubt := _ahead(promise, evidence) or _looks_differ(evidence, word):
        return doubt
    inside = [look for look in word.looks if window.holds(look[0])]
    if promise.stays is not None and not inside:
        return f"nobody looked at the breaker in the window ({window.name})"
    if not word.transitions and len(word.looks) < LEAST_LOOKS:
        return f"it was looked at {len(word.looks)} times only, {LEAST_LOOKS} needed to say that nothing happened"
    return None


def _ahead(promise: Breaker, evidence: Evidence) -> str | None:
    """Transitions that were read before they happened, by the service's own stamp."""
    client, _, name = promise.on.partition("->")
    sql = """
        SELECT max(t_ns - seen_ns) FROM app_events
        WHERE service = ? AND source = 'circuitbreaker' AND name = ? AND type = 'STATE_TRANSITION'
    """
    ahead_ns = next(evidence.reader.rows(sql, (client, name)))[0]
    if ahead_ns is None or ahead_ns <= AHEAD_NS:
        return None
    by = show_duration(ahead_ns / NS_PER_S)
    return f"a transition was read {by} before {client} says that it happened: its clock is another"


def _looks_differ(evidence: Evidence, word: _Word) -> str | None:
    """Looks that show another state than the transitions lead to, well away from any change."""
    changes = sorted([*(t.t_ns for t in word.transitions), *word.starts])
    away = evidence.record.downtime(word.link.partition("->")[0])
    found = []
    for t_ns, state, _ in word.looks if word.transitions else ():
        place = bisect_left(changes, t_ns)
        near = any(abs(change - t_ns) <= LOOK_NS for change in changes[max(0, place - 1) : place + 1])
        if not near and not any(start <= t_ns <= end + NS_PER_S for start, end in away):
            told = word.state_at(t_ns)
            found += [(t_ns, state, told)] if state != told else []
    if len(found) < LEAST_CONTRADICTIONS:
        return None
    t_ns, state, told = found[0]
    return (
        f"looks and transitions differ: {len(found)} of {len(word.looks)} looks show another state than its transitions"
        f" lead to, the first {state} instead of {told} at {evidence.record.second(t_ns):.2f} s (is one of them cached?)"
    )


def _faults(promise: Breaker, evidence: Evidence) -> list[FaultSpan]:
    """The faults its time bounds count from: the one named, else those of its link or upstream, else all."""
    spans, known = evidence.receipts.spans, evidence.record.faults
    if promise.during in spans:
        return [spans[str(promise.during)]]
    targets = (promise.on, promise.on.partition("->")[2])
    near = [spans[name] for name in spans if known[name].fault.target in targets]
    return near or list(spans.values())


def _seen(promise: Breaker, word: _Word, window: Window, faults: list[FaultSpan]) -> list[Transition]:
    """Transitions of the window; a promise of closing looks on behind the fault's end for as long as it allows."""
    low, high = window.outer
    if window.edges:
        low = min(low, window.edges[0][0])
    if promise.closes_within_s is not None and faults:
        high = max(high, max(span.end[1] for span in faults) + round(promise.closes_within_s * NS_PER_S))
    return [t for t in word.transitions if low <= t.t_ns < high]


def _path(word: _Word, seen: list[Transition], window: Window) -> list[str]:
    """The states in order, the one at the start of the window first."""
    if seen:
        return [seen[0].before, *(t.after for t in seen)]
    state = word.state_at(window.outer[0] if window.outer[0] > -FOREVER_NS else FOREVER_NS)
    return [state] if state else []


# -- the parts -------------------------------------------------------------------------------------------------


def _opens(answers: Answers, evidence: Evidence, word: _Word, faults: list[FaultSpan], limit_s: float) -> None:
    if not faults:
        answers.add(Verdict.INCONCLUSIVE, "opens_within has no fault to count from")
        return
    start = min(faults, key=lambda span: span.start[0]).start
    opened = next((t.t_ns for t in word.transitions if t.after == "open" and t.t_ns >= start[0]), None)
    limit = show_duration(limit_s)
    if opened is None:
        watched_s = (evidence.record.load_ended_ns - start[1]) / NS_PER_S
        if watched_s < limit_s:
            answers.add(Verdict.INCONCLUSIVE, f"it did not open in the {watched_s:.1f} s watched, {limit} allowed")
        else:
            answers.hold(kept=False, clause=f"it did not open, promised within {limit} of the fault's start")
        return
    least_s, most_s = max(0, opened - start[1]) / NS_PER_S, (opened - start[0]) / NS_PER_S
    clause = f"it opened {show_duration(least_s)} after the fault's start, {limit} allowed"
    _add_bounded(answers, least_s, most_s, limit_s, clause)


def _closes(answers: Answers, evidence: Evidence, word: _Word, faults: list[FaultSpan], limit_s: float) -> None:
    if not faults:
        answers.add(Verdict.INCONCLUSIVE, "closes_within has no fault to count from")
        return
    end = max(faults, key=lambda span: span.end[1]).end
    limit = show_duration(limit_s)
    watched_s = (evidence.record.load_ended_ns - end[1]) / NS_PER_S
    if not any(t.after == "open" for t in word.transitions):
        answers.add(Verdict.INCONCLUSIVE, "it never opened, so it could not close")
    elif word.transitions[-1].after == "closed":
        closed = word.transitions[-1].t_ns
        least_s, most_s = max(0, closed - end[1]) / NS_PER_S, max(0, closed - end[0]) / NS_PER_S
        clause = f"it closed {show_duration(least_s)} after the fault's end, {limit} allowed"
        _add_bounded(answers, least_s, most_s, limit_s, clause)
    elif watched_s < limit_s:
        last = word.transitions[-1].after
        answers.add(Verdict.INCONCLUSIVE, f"it was still {last} after the {watched_s:.1f} s watched, {limit} allowed")
    else:
        last = word.transitions[-1].after
        answers.hold(kept=False, clause=f"it was still {last} {watched_s:.1f} s after the fault's end, {limit} allowed")


def _add_bounded(answers: Answers, least_s: float, most_s: float, limit_s: float, clause: str) -> None:
    """A time known up to the uncertain edge it counts from."""
    if least_s > limit_s:
        answers.hold(kept=False, clause=clause)
    elif most_s > limit_s:
        answers.add(Verdict.INCONCLUSIVE, f"{clause}, but the edge of the fault is only known to"
                    f" {show_duration(most_s - least_s)}")  # fmt: skip
    else:
        answers.hold(kept=True, clause=clause)


def _refused(word: _Word, window: Window) -> int:
    """Refused calls: the counter begins anew with each state, so its highest value in each stretch is added up."""
    total, highest = 0, 0
    previous: tuple[str, int] | None = None
    for t_ns, state, count in word.looks:
        if previous is not None and (state != previous[0] or count < previous[1]):
            total, highest = total + highest, 0
        if window.holds(t_ns):
            highest = max(highest, count)
        previous = (state, count)
    return total + highest


def _failure_rate(answers: Answers, promise: Breaker, evidence: Evidence, window: Window) -> None:
    client, _, name = promise.on.partition("->")
    least = promise.failure_rate_at_least or 0.0
    sql = "SELECT t_ns, data FROM probes WHERE observer = 'actuator' AND subject = ? AND ok ORDER BY t_ns"
    for t_ns, text in evidence.reader.rows(sql, (client,)):
        data = json.loads(text)
        rate = _rate(data.get("failure_rates", {}).get(name))
        if rate is not None and data.get("breakers", {}).get(name) == "OPEN" and window.holds(t_ns):
            answers.hold(rate >= least, f"it opened at a failure rate of {percent(rate)}, {percent(least)} promised")
            return
    answers.add(Verdict.INCONCLUSIVE, "no look at it while it was open says at which failure rate it opened")


def _rate(value: Any) -> float | None:
    """A share from `50.0%` or from a number of percent; None for anything else and for Resilience4j's -1."""
    try:
        rate = float(str(value).strip().rstrip("%")) / 100
    except ValueError:
        return None
    return rate if rate >= 0 else None


# -- word against wire -----------------------------------------------------------------------------------------


def _open_spans(evidence: Evidence, word: _Word, window: Window) -> list[tuple[int, int]]:
    """When the breaker said open, a little less on both sides."""
    spans = []
    for number, transition in enumerate(word.transitions):
        if transition.after != "open":
            continue
        later = word.transitions[number + 1 :]
        until = later[0].t_ns if later else evidence.record.arrivals_end_ns
        until = min([until, *(s for s in word.starts if s > transition.t_ns)])
        low, high = transition.t_ns + GRACE_NS, until - GRACE_NS
        spans += [(max(low, s), min(high, e)) for s, e in window.spans if max(low, s) < min(high, e)]
    return spans


def _crossed_while_open(promise: Breaker, evidence: Evidence, word: _Word, window: Window) -> int:
    spans = _open_spans(evidence, word, window)
    return sum(evidence.record.arrivals(promise.on, start, end) for start, end in spans)


def _contradiction(evidence: Evidence, promise: Breaker, word: _Word, window: Window, crossed: int) -> str | None:
    """Calls that went on as in the steady phase while the breaker said open."""
    open_s = sum(end - start for start, end in _open_spans(evidence, word, window)) / NS_PER_S
    steady = evidence.record.steady_ns
    steady_s = (steady[1] - steady[0]) / NS_PER_S
    if crossed < 5 or open_s <= 0 or steady_s <= 0:
        return None
    usual = evidence.record.arrivals(promise.on, *steady) / steady_s
    if crossed / open_s < usual / 2:
        return None
    return (
        f"word and wire differ: the breaker said open for {open_s:.1f} s, but {crossed} calls crossed {promise.on}"
        f" meanwhile ({crossed / open_s:.3g}/s, {usual:.3g}/s in the steady phase)"
    )


def _silent_while_closed(evidence: Evidence, promise: Breaker, word: _Word) -> str | None:
    """
    Calls that stopped as if the breaker were open while it said closed. Only during a fault of the link or of its
    upstream, with no other fault on and no call under way: then nothing else keeps the client from calling.
    """
    record, steady = evidence.record, evidence.record.steady_ns
    entries = [link.name for link in evidence.system.links if link.client == LOAD_CLIENT]

    def entered(start_ns: int, end_ns: int) -> int:
        return sum(record.arrivals(link, start_ns, end_ns) for link in entries)

    usual = record.arrivals(promise.on, *steady) / max(1, entered(*steady))
    spans = {name: span for name, span in evidence.receipts.spans.items() if span.start[1] < span.end[0]}
    for name, span in spans.items():
        alone = all(o is span or o.end[1] < span.start[0] or o.start[0] > span.end[1] for o in spans.values())
        if record.faults[name].fault.target not in (promise.on, promise.on.partition("->")[2]) or not alone:
            continue
        for start_ns, end_ns in _silences(evidence, promise.on, span.start[1], span.end[0]):
            missed = entered(start_ns, end_ns) * usual
            if missed >= LEAST_MISSED and _only_closed(word, start_ns, end_ns):
                return (
                    f"word and wire differ: the breaker said closed, but for {(end_ns - start_ns) / NS_PER_S:.1f} s from"
                    f" {record.second(start_ns):.2f} s on nothing crossed {promise.on}, where {missed:.0f} calls were due"
                )
    return None


def _silences(evidence: Evidence, link: str, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Stretches in which no call of a link began or was under way."""
    columns = evidence.record.link(link)
    found, free_ns = [], start_ns
    for place in range(bisect_left(columns.arrived_ns, end_ns)):
        arrived_ns, span_ns = columns.arrived_ns[place], columns.span_ns[place]
        if arrived_ns > free_ns:
            found.append((free_ns, arrived_ns))
        free_ns = max(free_ns, arrived_ns + span_ns if span_ns != ABSENT else end_ns)
    return [*found, (free_ns, end_ns)] if free_ns < end_ns else found


def _only_closed(word: _Word, start_ns: int, end_ns: int) -> bool:
    """Whether every word of a stretch of time was that it is closed."""
    states = {state for t_ns, state, _ in word.looks if start_ns <= t_ns <= end_ns}
    states |= {t.after for t in word.transitions if start_ns <= t.t_ns <= end_ns}
    states.add(word.state_at(start_ns) or "closed")
    return states == {"closed"}


# -- to show ---------------------------------------------------------------------------------------------------


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
