"""
What every check works with: the evidence of a run, the window a promise speaks of, and counts over it.

Windows are bounded by the effective edges of faults. A request belongs to the window that holds its intended start;
one that falls between "certainly off" and "certainly on" is judged both ways.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from harness.clock import NS_PER_MS, NS_PER_S
from harness.errors import InputError
from harness.journal.columns import ABSENT, BAD, GOOD, UNFINISHED, RequestColumns
from harness.receipts import Receipts
from harness.receipts.base import FOREVER_NS, FaultSpan, Record, between
from harness.scenario.model import Scenario
from harness.scenario.promises import Promise
from harness.statistics import SLICES, design_effect, judge_share, wilson
from harness.statistics.shares import ShareJudgement
from harness.verdict import CheckResult, Verdict, worst

LEFT_OUT = 3  # beside GOOD, BAD and UNFINISHED: a request that a promise does not speak of
WORST = 5  # requests shown when a check fails

Codes = Callable[[RequestColumns, int, int], bytes]
"""One of GOOD, BAD, UNFINISHED, LEFT_OUT for each request of a stretch of columns."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window in time: stretches that belong to it for certain, and uncertain ones at its edges. Nanoseconds."""

    name: str
    spans: tuple[Span, ...]
    edges: tuple[Span, ...] = ()
    note: str = ""

    @property
    def seconds(self) -> float:
        return sum(end - start for start, end in self.spans) / NS_PER_S

    @property
    def edge_seconds(self) -> float:
        return sum(end - start for start, end in self.edges) / NS_PER_S

    @property
    def outer(self) -> Span:
        """From its first certain instant to its last."""
        if not self.spans:
            return (0, 0)
        return self.spans[0][0], self.spans[-1][1]

    def holds(self, t_ns: int) -> bool:
        return any(start <= t_ns < end for start, end in self.spans)


@dataclass(slots=True)
class Count:
    """Requests of a selection by what they were."""

    samples: int = 0
    bad: int = 0
    pending: int = 0
    left_out: int = 0
    clusters: list[tuple[int, int]] = field(default_factory=list)  # (requests, bad ones) by time slice


class Selection:
    """The requests of a window: places in the columns of each name."""

    def __init__(self, columns: list[RequestColumns], window: Window) -> None:
        self.inside = [(c, *between(c, *span)) for c in columns for span in window.spans]
        self.at_edges = [(c, *between(c, *span)) for c in columns for span in window.edges]
        self.inside = [part for part in self.inside if part[1] < part[2]]
        self.window = window

    def __len__(self) -> int:
        return sum(high - low for _, low, high in self.inside)

    def count(self, codes: Codes) -> Count:
        """Count by codes; bad ones at uncertain edges are pending, and so are unfinished ones."""
        found = Count()
        slices = [[0, 0] for _ in range(SLICES)]
        for columns, low, high in self.inside:
            own = codes(columns, low, high)
            found.left_out += own.count(LEFT_OUT)
            found.samples += len(own) - own.count(LEFT_OUT)
            found.bad += own.count(BAD)
            found.pending += own.count(UNFINISHED)
            for number, (first, last) in enumerate(self._slices(columns, low, high)):
                part = own[first - low : last - low]
                slices[number][0] += len(part) - part.count(LEFT_OUT)
                slices[number][1] += part.count(BAD)
        found.clusters = [(size, bad) for size, bad in slices]
        for columns, low, high in self.at_edges:
            own = codes(columns, low, high)
            found.pending += own.count(BAD) + own.count(UNFINISHED)
        return found

    def _slices(self, columns: RequestColumns, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The places of `low..high` cut into the window's equal time slices."""
        start_ns, end_ns = self._extent
        cuts = [start_ns + (end_ns - start_ns) * number // SLICES for number in range(1, SLICES)]
        places = [low, *(bisect_left(columns.intended_ns, cut, low, high) for cut in cuts), high]
        return pairwise(places)

    @cached_property
    def _extent(self) -> Span:
        first = min((c.intended_ns[low] for c, low, _ in self.inside), default=0)
        last = max((c.intended_ns[high - 1] for c, _, high in self.inside), default=0)
        return first, last + 1

    def worst(self, codes: Codes, now_ns: int) -> list[tuple[RequestColumns, int]]:
        """The bad requests that took longest, first the worst."""
        found: list[tuple[int, int, RequestColumns, int]] = []
        for number, (columns, low, high) in enumerate(self.inside):
            own = codes(columns, low, high)
            bad = (place for place, code in enumerate(own, low) if code == BAD)
            found += heapq.nlargest(
                WORST, ((span_ns(columns, p, now_ns), -number, columns, p) for p in bad), key=_first
            )
        return [(columns, place) for _, _, columns, place in heapq.nlargest(WORST, found, key=_first)]


def _first(item: tuple[Any, ...]) -> Any:
    return item[0]


def span_ns(columns: RequestColumns, place: int, now_ns: int) -> int:
    """The latency of a request; of one without an end, its age when the load had ended."""
    latency_ns = columns.latency_ns[place]
    return latency_ns if latency_ns != ABSENT else now_ns - columns.intended_ns[place]


class Evidence:
    """Everything a check may ask. Big tables are read when first asked for."""

    def __init__(self, record: Record, scenario: Scenario, receipts: Receipts) -> None:
        self.record = record
        self.scenario = scenario
        self.receipts = receipts
        self.system = record.system
        self.reader = record.reader

    # -- requests ------------------------------------------------------------------------------------------

    def columns(self, of: str | None) -> list[RequestColumns]:
        """Columns of one request name, or of all. Raises InputError for a name the system does not have."""
        if of is None:
            return list(self.record.requests.values())
        known = {request.name for profile in self.system.profiles.values() for request in profile.requests}
        if of not in known | self.record.requests.keys():
            raise InputError(f"no request is named {of!r}", hint=f"known: {', '.join(sorted(known))}")
        found = self.record.requests.get(of)
        return [found] if found is not None else []

    def select(self, of: str | None, window: Window) -> Selection:
        return Selection(self.columns(of), window)

    def outcomes(self, columns: RequestColumns, low: int, high: int) -> bytes:
        """Good or bad by the profile's rule; one without an end is bad once it is older than the client's patience."""
        codes = bytearray(columns.outcome[low:high])
        place = codes.find(UNFINISHED)
        patience_ns = round(self.record.scenario.load.timeout_s * NS_PER_S)
        while place >= 0:
            if self.record.load_ended_ns - columns.intended_ns[low + place] > patience_ns:
                codes[place] = BAD
            place = codes.find(UNFINISHED, place + 1)
        return bytes(codes)

    # -- windows -------------------------------------------------------------------------------------------

    def window(self, promise: Promise) -> Window:
        """The window of a promise. Raises InputError when it names what the run did not have."""
        name, start, end = "whole run", (-FOREVER_NS, -FOREVER_NS), (FOREVER_NS, FOREVER_NS)
        note = ""
        if promise.during is not None:
            name = f"during {promise.during}"
            span = self.named(promise.during)
            start, end = span.start, span.end
            note = span.how
        elif promise.after_s:
            start = (self.record.t0_ns, self.record.t0_ns)
        if promise.after_s:
            name += f", after {promise.after_s:g} s"
            skip_ns = round(promise.after_s * NS_PER_S)
            start = (start[0] + skip_ns, start[1] + skip_ns)
        spans = [(start[1], end[0])] if end[0] > start[1] else []
        edges = [
            edge for edge in ((start[0], min(start[1], end[1])), (max(end[0], start[1]), end[1])) if edge[0] < edge[1]
        ]
        for left_out in promise.except_:
            name += f", except {left_out}"
            other = self.named(left_out)
            certain = (other.start[0], other.end[1])
            edges = without(edges, certain) + [
                part for edge in (other.start, other.end) for part in _common(spans + edges, edge)
            ]
            spans = without(spans, certain)
        return Window(name=name, spans=tuple(sorted(spans)), edges=tuple(sorted(edges)), note=note)

    def named(self, name: str) -> FaultSpan:
        """When a fault (by its effective edges) or a phase was. Raises InputError when the run had neither."""
        if name in self.receipts.spans:
            return self.receipts.spans[name]
        if name in self.record.faults and name not in self.record.phases:
            raise InputError(f"the fault {name!r} was never on, so nothing happened during it")
        if name not in self.record.phases:
            known = sorted({*self.record.faults, *self.record.phases})
            raise InputError(f"the run had no fault or phase {name!r}", hint=f"it had: {', '.join(known)}")
        start, end = self.record.phases[name]
        return FaultSpan(start=(start, start), end=(end, end), how="phase")

    def bounded(self, window: Window) -> Window:
        """The window within the time of the load, for what is counted per second."""
        low, high = self.record.t0_ns, self.record.arrivals_end_ns
        cut = tuple((max(s, low), min(e, high)) for s, e in window.spans if min(e, high) > max(s, low))
        edges = tuple((max(s, low), min(e, high)) for s, e in window.edges if min(e, high) > max(s, low))
        return Window(name=window.name, spans=cut, edges=edges, note=window.note)

    # -- rows to show --------------------------------------------------------------------------------------

    def shown(self, columns: RequestColumns, place: int) -> dict[str, Any]:
        """One request as a row of evidence; its way across the links is put in by the judge."""
        error = columns.errors.words[columns.error[place]]
        trace = next(self.reader.rows("SELECT trace FROM requests WHERE id = ?", (columns.row_id(place),)), (None,))[0]
        return {
            "request": columns.name,
            "at_s": round(self.record.second(columns.intended_ns[place]), 3),
            "latency_ms": round(span_ns(columns, place, self.record.load_ended_ns) / NS_PER_MS, 1),
            "outcome": error or f"status {columns.status[place]}",
            "trace": trace,
            "way": "",
        }

    def worst(self, selection: Selection, codes: Codes) -> tuple[dict[str, Any], ...]:
        return tuple(self.shown(c, place) for c, place in selection.worst(codes, self.record.load_ended_ns))


def without(spans: list[Span], cut: Span) -> list[Span]:
    """Stretches with another one taken out."""
    parts = [part for s, e in spans for part in ((s, min(e, cut[0])), (max(s, cut[1]), e))]
    return [(s, e) for s, e in parts if s < e]


def _common(spans: list[Span], cut: Span) -> list[Span]:
    return [(max(s, cut[0]), min(e, cut[1])) for s, e in spans if max(s, cut[0]) < min(e, cut[1])]


def speaks_of(promise: Promise, evidence: Evidence) -> set[str]:
    """The faults whose receipt a promise rests on: the one it names, or all of them when it is about the whole run."""
    faults = set(evidence.record.faults)
    named = {name for name in (promise.during, getattr(promise, "from_", None)) if name is not None}
    return named & faults if named else faults


def of_whom(of: str | None) -> str:
    return of if of is not None else "all requests"


def percent(share: float) -> str:
    """A share for a person, with as many digits as it needs: `98.3 %`, `99.95 %`."""
    return f"{share * 100:.3f}".rstrip("0").rstrip(".") + " %"


def bad_interval(count: Count, effect: float = 1.0) -> tuple[float, float]:
    """90 % interval of the bad share within this run; effect is a further design effect to reckon with."""
    if not count.samples:
        return 0.0, 1.0
    size = count.samples / max(effect, design_effect(count.clusters))
    return wilson(count.bad / count.samples, size)


def is_thin(verdict: Verdict, interval: tuple[float, float], budget: float) -> bool:
    return verdict is not Verdict.INCONCLUSIVE and interval[0] <= budget <= interval[1]


def judge_good(
    promise: Promise,
    evidence: Evidence,
    selection: Selection,
    codes: Codes,
    *,
    least: float,
    title: str,
    noun: str = "requests",
) -> CheckResult:
    """
    Judge a promise of the form "at least this share is good". codes tells good from bad; title names what is
    promised of whom; noun is what is counted.
    """
    count = selection.count(codes)
    budget = 1 - least
    judged = judge_share(count.samples, count.bad, count.pending, budget, what=noun)
    share = 1 - count.bad / count.samples if count.samples else 0.0
    low, high = bad_interval(count)
    thin = is_thin(judged.verdict, (low, high), budget)
    measured = percent(share) if count.samples else "nothing"
    reason = f"{measured} ({judged.reason})" if count.samples else judged.reason
    if thin:
        reason += f", thin: {percent(least)} lies inside {percent(1 - high)} .. {percent(1 - low)}"
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=judged.verdict,
        reason=reason + advice(judged, count.samples, selection.window, evidence),
        bound=f"at least {percent(least)}",
        measured=measured,
        value=round(share * 100, 4) if count.samples else None,
        unit="%",
        samples=count.samples,
        window=selection.window.name,
        thin=thin,
        interval=(round((1 - high) * 100, 4), round((1 - low) * 100, 4)) if count.samples else None,
        evidence=evidence.worst(selection, codes) if judged.verdict is Verdict.FAIL else (),
    )


def advice(judged: ShareJudgement, samples: int, window: Window, evidence: Evidence) -> str:
    """How to get enough samples, when too few is all that is wrong."""
    if judged.verdict is not Verdict.INCONCLUSIVE or samples >= judged.needed or not samples:
        return ""
    seconds = evidence.bounded(window).seconds
    rate = samples / seconds if seconds > 0 else 0.0
    return f"; lengthen the window to {judged.needed / rate:.1f} s at {rate:.3g}/s" if rate else ""


@dataclass(slots=True)
class Answers:
    """The answers to the parts of one promise; the gravest is the check's verdict."""

    parts: list[tuple[Verdict, str]] = field(default_factory=list)

    def add(self, verdict: Verdict, clause: str) -> None:
        self.parts.append((verdict, clause))

    def hold(self, kept: bool, clause: str) -> None:
        """A part that is kept or broken."""
        self.add(Verdict.PASS if kept else Verdict.FAIL, clause)

    @property
    def verdict(self) -> Verdict:
        return worst(verdict for verdict, _ in self.parts)

    @property
    def reason(self) -> str:
        """The clauses that decided it; of a pass, all of them."""
        return "; ".join(clause for verdict, clause in self.parts if verdict is self.verdict)


def inconclusive(
    promise: Promise, *, title: str, reason: str, bound: str = "", window: str = "whole run"
) -> CheckResult:
    """A check that cannot answer, and why."""
    return CheckResult(
        check=promise.check, title=title, verdict=Verdict.INCONCLUSIVE, reason=reason, bound=bound,
        measured="not judged", window=window,
    )  # fmt: skip


__all__ = ["BAD", "GOOD", "LEFT_OUT", "UNFINISHED", "Codes", "Count", "Evidence", "Selection", "Span", "Window"]
