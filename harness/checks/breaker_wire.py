"""
A breaker's word held against the wire: calls that cross while it says open, silence while it says closed.
"""

from __future__ import annotations

from bisect import bisect_left

from harness.checks.base import Evidence, Window
from harness.checks.breaker_word import Word
from harness.clock import NS_PER_MS, NS_PER_S
from harness.journal.columns import ABSENT
from harness.scenario.promises import Breaker
from harness.words import LOAD_CLIENT

GRACE_NS = 20 * NS_PER_MS  # a call admitted just before the transition may reach the wire just after it
LEAST_MISSED = 20  # calls that should have crossed a link before its silence means something


def crossed_while_open(promise: Breaker, evidence: Evidence, word: Word, window: Window) -> int:
    """Calls that reached the link while it said open, a little after the transition and before the next."""
    spans = _open_spans(evidence, word, window)
    return sum(evidence.record.arrivals(promise.on, start, end) for start, end in spans)


def calls_against_open(evidence: Evidence, promise: Breaker, word: Word, window: Window, crossed: int) -> str | None:
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


def silence_against_closed(evidence: Evidence, promise: Breaker, word: Word) -> str | None:
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


def _open_spans(evidence: Evidence, word: Word, window: Window) -> list[tuple[int, int]]:
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


def _only_closed(word: Word, start_ns: int, end_ns: int) -> bool:
    """Whether every word of a stretch of time was that it is closed."""
    states = {state for t_ns, state, _ in word.looks if start_ns <= t_ns <= end_ns}
    states |= {t.after for t in word.transitions if start_ns <= t.t_ns <= end_ns}
    states.add(word.state_at(start_ns) or "closed")
    return states == {"closed"}
