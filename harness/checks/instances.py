"""
Instances behind a balancer: how the requests were shared out, how soon an instance that was away was taken out and
back, and what clients saw of it.

Shares are counted on the wire, of requests that carry a trace: a balancer's own health checks carry none. Ejected and
readmitted is what the balancer says of its instances, by its own stamps.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.checks.base import Answers, Evidence, Window, inconclusive, percent
from harness.clock import NS_PER_S
from harness.journal.columns import UNTRACED
from harness.receipts.base import DOWN, UP, FaultCalls
from harness.scenario.promises import Instances
from harness.statistics import LEAST_SAMPLES
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict

LEFT = ("instance.down", "instance.maint", "instance.drain")
BACK = ("instance.up",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """One instance's time away: when it went and came back, and when the balancer took it out and back. ns or None."""

    instance: str
    gone_ns: int
    back_ns: int | None
    ejected_ns: int | None
    readmitted_ns: int | None


def judge(promise: Instances, evidence: Evidence) -> CheckResult:
    """Each part that is promised, the gravest decides."""
    answers = Answers()
    title = f"instances {', '.join(promise.among)} behind {promise.behind}"
    samples, measured = 0, []
    if promise.share_at_least is not None or promise.share_at_most is not None:
        samples, told = _shares(promise, evidence, answers)
        measured.append(told)
    rows: tuple[dict[str, object], ...] = ()
    if promise.needs_fault:
        calls = fault_of(promise.from_ or promise.during, evidence)
        if calls is None:
            return inconclusive(
                promise, title=title, reason="no fault was ever on to count from", bound=_bound(promise)
            )
        absences = _absences(promise, evidence, calls)
        if not absences:
            reason = f"{calls.name} put none of {', '.join(promise.among)} out of action"
            return inconclusive(promise, title=title, reason=reason, bound=_bound(promise))
        measured += _times(promise, evidence, absences, answers)
        if promise.errors_at_most is not None:
            count, told, rows = errors_seen(
                evidence, _from(absences), _until(evidence, absences), promise.errors_at_most, answers
            )
            measured.append(told)
            samples = max(samples, count)
            _whole_of_it(evidence, absences, answers)
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=_bound(promise),
        measured=", ".join(measured) or "nothing",
        samples=samples,
        window=evidence.window(promise).name,
        evidence=rows if answers.verdict is Verdict.FAIL else (),
    )


def fault_of(name: str | None, evidence: Evidence) -> FaultCalls | None:
    """The fault of a name, or the first one; None when it was never asked for. Raises InputError for a stranger."""
    if name is not None:
        evidence.named(name)
        return evidence.record.faults.get(name)
    return next((calls for calls in evidence.record.faults.values() if calls.injecting_ns is not None), None)


# -- shares ----------------------------------------------------------------------------------------------------


def _shares(promise: Instances, evidence: Evidence, answers: Answers) -> tuple[int, str]:
    window = evidence.bounded(evidence.window(promise))
    counts = {name: traced(evidence, f"{promise.behind}->{name}", window) for name in promise.among}
    total = sum(counts.values())
    if total < LEAST_SAMPLES:
        answers.add(Verdict.INCONCLUSIVE, f"{total} requests crossed to the instances, {LEAST_SAMPLES} needed")
        return total, f"{total} requests"
    shares = {name: count / total for name, count in counts.items()}
    told = ", ".join(f"{name} {percent(share)}" for name, share in shares.items())
    if (least := promise.share_at_least) is not None:
        answers.hold(min(shares.values()) >= least, f"{told} of {total} requests, at least {percent(least)} promised")
    if (most := promise.share_at_most) is not None:
        answers.hold(max(shares.values()) <= most, f"{told} of {total} requests, at most {percent(most)} promised")
    return total, told


def traced(evidence: Evidence, link: str, window: Window) -> int:
    """Requests with a trace id that arrived on a link in a window."""
    flags = evidence.record.link(link).flags
    places = [evidence.record.arrived(link, *span) for span in window.spans]
    return sum(not flag & UNTRACED for place in places for flag in flags[place])


# -- times -----------------------------------------------------------------------------------------------------


def _absences(promise: Instances, evidence: Evidence, calls: FaultCalls) -> list[Absence]:
    """Of each instance that the fault put out of action, in order."""
    hit = [part.target for part in calls.fault.parts(evidence.system.members)]
    found = [_absence(promise.behind, name, evidence, calls.injecting_ns or 0) for name in hit if name in promise.among]
    return [absence for absence in found if absence is not None]


def _absence(balancer: str, instance: str, evidence: Evidence, since_ns: int) -> Absence | None:
    gone_ns = _event(evidence, DOWN, instance, since_ns)
    if gone_ns is None:
        return None
    back_ns = _event(evidence, UP, instance, gone_ns)
    ejected_ns, readmitted_ns = _taken_out(evidence, instance, balancer, (since_ns, gone_ns, back_ns))
    return Absence(
        instance=instance, gone_ns=gone_ns, back_ns=back_ns, ejected_ns=ejected_ns, readmitted_ns=readmitted_ns
    )


def _taken_out(
    evidence: Evidence, instance: str, balancer: str, span: tuple[int, int, int | None]
) -> tuple[int | None, int | None]:
    """
    When the balancer took an instance out and back, for the absence that span tells: since when to look, gone, back.

    One that is asked to end is taken out while it still is at it, before it is gone: so the stretch without it counts
    that had not ended by then.
    """
    since_ns, gone_ns, back_ns = span
    while True:
        left_ns = _said(evidence, LEFT, instance, balancer, since_ns)
        if left_ns is None or (back_ns is not None and left_ns > back_ns):
            return None, None
        taken_back_ns = _said(evidence, BACK, instance, balancer, left_ns)
        if taken_back_ns is None or taken_back_ns > gone_ns:
            return left_ns, taken_back_ns
        since_ns = taken_back_ns


def _event(evidence: Evidence, kinds: tuple[str, ...], service: str, since_ns: int) -> int | None:
    events = evidence.record.events
    return next((t for t, kind, subject, _ in events if t >= since_ns and kind in kinds and subject == service), None)


def _said(evidence: Evidence, kinds: tuple[str, ...], instance: str, balancer: str, since_ns: int) -> int | None:
    """The first instant at which the balancer said so, by its own stamp."""
    stamps = [
        int(data.get("at_ns") or t_ns)
        for t_ns, kind, subject, data in evidence.record.events
        if kind in kinds and subject == instance and data.get("by") == balancer
    ]
    return min((stamp for stamp in stamps if stamp >= since_ns), default=None)


def _times(promise: Instances, evidence: Evidence, absences: list[Absence], answers: Answers) -> list[str]:
    """Judge both times of every absence; what the longest of each was, for the report."""
    told = []
    if (limit_s := promise.ejected_within_s) is not None:
        spans = [(a.instance, _span_s(a.gone_ns, a.ejected_ns)) for a in absences]
        told.append(_in_time("ejected", spans, limit_s, _observed_s(evidence, [a.gone_ns for a in absences]), answers))
    if (limit_s := promise.readmitted_within_s) is not None:
        spans = [
            # Back before it was missed, or never missed at all: there was nothing to readmit.
            (a.instance, 0.0 if a.back_ns and a.ejected_ns is None else _span_s(a.back_ns, a.readmitted_ns))
            for a in absences
        ]
        observed_s = _observed_s(evidence, [a.back_ns for a in absences])
        told.append(_in_time("readmitted", spans, limit_s, observed_s, answers))
    return told


def _in_time(
    word: str, spans: list[tuple[str, float | None]], limit_s: float, observed_s: float, answers: Answers
) -> str:
    allowed = f"{show_duration(limit_s)} allowed"
    for instance, span_s in spans:
        if span_s is not None:
            answers.hold(span_s <= limit_s, f"{instance} was {word} after {show_duration(span_s)}, {allowed}")
        elif observed_s >= limit_s:
            answers.add(Verdict.FAIL, f"{instance} was never {word}, {allowed}")
        else:
            text = f"{instance} was not {word} in the {observed_s:.1f} s that were observed, {allowed}"
            answers.add(Verdict.INCONCLUSIVE, text)
    longest = max((span_s for _, span_s in spans if span_s is not None), default=None)
    return f"{word} within {show_duration(longest)}" if longest is not None else f"never {word}"


def _span_s(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else max(0, end_ns - start_ns) / NS_PER_S


def _observed_s(evidence: Evidence, starts: list[int | None]) -> float:
    """How long was watched after the latest of these instants; 0 when one of them never came."""
    known = [start for start in starts if start is not None]
    if len(known) < len(starts):
        return 0.0
    return max(0, evidence.record.load_ended_ns - max(known)) / NS_PER_S


# -- errors ----------------------------------------------------------------------------------------------------


def _from(absences: list[Absence]) -> int:
    return min(a.gone_ns for a in absences)


def _until(evidence: Evidence, absences: list[Absence]) -> int:
    """When the last of them was taken back; of one that never was, the end of the load."""
    ends = [a.readmitted_ns or (a.back_ns if a.ejected_ns is None else None) for a in absences]
    known = [end for end in ends if end is not None]
    return max(known) if len(known) == len(ends) else evidence.record.arrivals_end_ns


def _whole_of_it(evidence: Evidence, absences: list[Absence], answers: Answers) -> None:
    """Without load nobody can see an error: all of it has to have happened under load."""
    ends = {a.instance: a.readmitted_ns if a.ejected_ns is not None else a.back_ns for a in absences}
    late = [name for name, end in ends.items() if end is None or end > evidence.record.arrivals_end_ns]
    if late:
        text = f"the load ended before {', '.join(late)} had been taken back; make the last phase longer"
        answers.add(Verdict.INCONCLUSIVE, text)


def errors_seen(
    evidence: Evidence, start_ns: int, end_ns: int, most: int, answers: Answers
) -> tuple[int, str, tuple[dict[str, object], ...]]:
    """Judge how many requests meant for a stretch of time failed for their client; requests, words, the worst of them."""
    # One that was meant just before may have been on its way when it happened.
    patience_ns = round(evidence.record.scenario.load.timeout_s * NS_PER_S)
    window = Window(name="while it happened", spans=((max(start_ns - patience_ns, evidence.record.t0_ns), end_ns),))
    selection = evidence.select(None, window)
    count = selection.count(evidence.outcomes)
    said = f"{count.bad} of {count.samples} requests failed for their clients, at most {most} promised"
    if count.samples < LEAST_SAMPLES:
        answers.add(Verdict.INCONCLUSIVE, f"{count.samples} requests while it happened, {LEAST_SAMPLES} needed")
    elif count.bad <= most < count.bad + count.pending:
        answers.add(Verdict.INCONCLUSIVE, f"{said}, {count.pending} without an end")
    else:
        answers.hold(count.bad <= most, said)
    return count.samples, f"{count.bad} client errors", evidence.worst(selection, evidence.outcomes)


def _bound(promise: Instances) -> str:
    parts = []
    if promise.share_at_least is not None:
        parts.append(f"each at least {percent(promise.share_at_least)}")
    if promise.share_at_most is not None:
        parts.append(f"each at most {percent(promise.share_at_most)}")
    if promise.ejected_within_s is not None:
        parts.append(f"ejected within {show_duration(promise.ejected_within_s)}")
    if promise.readmitted_within_s is not None:
        parts.append(f"readmitted within {show_duration(promise.readmitted_within_s)}")
    if promise.errors_at_most is not None:
        parts.append(f"at most {promise.errors_at_most} client errors")
    return ", ".join(parts)
