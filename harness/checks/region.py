"""
A lost region: how soon nothing was sent to it any more, how soon it answered again once it was back, what clients saw.

All of it is read off the wire and the load, not off what a balancer says: moved is the traffic, not its intention.
"""

from __future__ import annotations

from harness.checks.base import Answers, Evidence, Window, inconclusive
from harness.checks.instances import errors_seen, fault_of, traced
from harness.clock import NS_PER_S
from harness.journal.columns import UNANSWERED, UNTRACED
from harness.receipts.base import FaultSpan
from harness.scenario.promises import Region
from harness.statistics import LEAST_SAMPLES
from harness.units import show_duration
from harness.verdict import CheckResult, Verdict

_SERVER_ERROR = 500


def judge(promise: Region, evidence: Evidence) -> CheckResult:
    """Requests with a trace on the links into the region, while it was lost and afterwards."""
    title, bound = f"region {promise.group}", _bound(promise)
    calls = fault_of(promise.from_ or promise.during, evidence)
    span = evidence.receipts.spans.get(calls.name) if calls is not None else None
    group = evidence.system.groups.get(promise.group)
    if span is None or group is None or calls is None:
        reason = f"the system has no group {promise.group}" if group is None else "no fault was ever on to count from"
        return inconclusive(promise, title=title, reason=reason, bound=bound)
    inward = [k for k in evidence.system.links if k.upstream in group.services and k.client not in group.services]
    into = [link.name for link in inward]
    beside = [
        link.name
        for link in evidence.system.links
        if link.client in {k.client for k in inward} and link.upstream not in group.services
    ]
    if (lack := _lack(evidence, into)) is not None:
        return inconclusive(promise, title=title, reason=lack, bound=bound)
    answers, measured, samples = Answers(), [], 0
    if promise.moved_within_s is not None:
        verdict, clause, moved_s, samples = _moved(evidence, (into, beside), span, promise.moved_within_s)
        answers.add(verdict, clause)
        measured.append(f"moved within {show_duration(moved_s)}")
    returned_ns = _first_answer(evidence, into, span.end[0])
    if promise.returned_within_s is not None:
        verdict, clause, told = _returned(evidence, span, returned_ns, promise.returned_within_s)
        answers.add(verdict, clause)
        measured.append(told)
    rows: tuple[dict[str, object], ...] = ()
    if promise.errors_at_most is not None:
        until_ns = returned_ns if returned_ns is not None else evidence.record.arrivals_end_ns
        count, told, rows = errors_seen(evidence, span.start[0], until_ns, promise.errors_at_most, answers)
        measured.append(told)
        samples = max(samples, count)
    return CheckResult(
        check=promise.check,
        title=title,
        verdict=answers.verdict,
        reason=answers.reason,
        bound=bound,
        measured=", ".join(measured),
        samples=samples,
        window=f"from {calls.name}",
        evidence=rows if answers.verdict is Verdict.FAIL else (),
    )


def _lack(evidence: Evidence, into: list[str]) -> str | None:
    """Why silence towards the region would mean nothing; None when it means something."""
    steady = Window(name="steady", spans=(evidence.record.steady_ns,))
    usual = sum(traced(evidence, link, steady) for link in into)
    if usual < LEAST_SAMPLES:
        return (
            f"{usual} requests went into the region before it was lost, {LEAST_SAMPLES} needed to know that it is used"
        )
    return None


def _moved(
    evidence: Evidence, links: tuple[list[str], list[str]], span: FaultSpan, limit_s: float
) -> tuple[Verdict, str, float, int]:
    """
    When the last request was sent into the lost region, in seconds from its loss, and how many went elsewhere after
    that. links: those into the region, and the other ones of the same callers.
    """
    lost = (span.start[1], min(span.end[0], evidence.record.arrivals_end_ns))
    last_ns = max((t for link in links[0] for t, _ in _sent(evidence, link, *lost)), default=lost[0])
    elsewhere = sum(traced(evidence, link, Window(name="after", spans=((last_ns, lost[1]),))) for link in links[1])
    moved_s = (last_ns - lost[0]) / NS_PER_S
    text = (
        f"the last request was sent into it {show_duration(moved_s)} after its loss, {show_duration(limit_s)} allowed"
    )
    if (lost[1] - lost[0]) / NS_PER_S <= limit_s:
        text = f"it was lost for no longer than the {show_duration(limit_s)} allowed"
        return Verdict.INCONCLUSIVE, text, moved_s, elsewhere
    if moved_s > limit_s:
        return Verdict.FAIL, text, moved_s, elsewhere
    if elsewhere < LEAST_SAMPLES:
        return Verdict.INCONCLUSIVE, f"{text}, but only {elsewhere} went elsewhere after that", moved_s, elsewhere
    return Verdict.PASS, f"{text}; {elsewhere} went elsewhere after that", moved_s, elsewhere


def _returned(evidence: Evidence, span: FaultSpan, returned_ns: int | None, limit_s: float) -> tuple[Verdict, str, str]:
    """Whether it answered again in time; why, and what was measured."""
    allowed = f"{show_duration(limit_s)} allowed"
    if returned_ns is None:
        observed_s = max(0, evidence.record.arrivals_end_ns - span.end[1]) / NS_PER_S
        verdict = Verdict.FAIL if observed_s >= limit_s else Verdict.INCONCLUSIVE
        return verdict, f"it answered nothing in the {observed_s:.1f} s after its return, {allowed}", "never returned"
    returned_s = max(0, returned_ns - span.end[1]) / NS_PER_S
    verdict = Verdict.PASS if returned_s <= limit_s else Verdict.FAIL
    told = f"returned within {show_duration(returned_s)}"
    return verdict, f"it answered again {show_duration(returned_s)} after its return, {allowed}", told


def _first_answer(evidence: Evidence, into: list[str], since_ns: int) -> int | None:
    """When the first request arrived that the region answered without an error, after an instant."""
    end_ns = evidence.record.load_ended_ns
    return min((t for link in into for t, good in _sent(evidence, link, since_ns, end_ns) if good), default=None)


def _sent(evidence: Evidence, link: str, start_ns: int, end_ns: int) -> list[tuple[int, bool]]:
    """Instant and outcome of every request with a trace on a link in a stretch of time."""
    columns, place = evidence.record.link(link), evidence.record.arrived(link, start_ns, end_ns)
    return [
        (int(t), not flag & UNANSWERED and 0 < status < _SERVER_ERROR)
        for t, flag, status in zip(columns.arrived_ns[place], columns.flags[place], columns.status[place], strict=True)
        if not flag & UNTRACED
    ]


def _bound(promise: Region) -> str:
    parts = []
    if promise.moved_within_s is not None:
        parts.append(f"moved within {show_duration(promise.moved_within_s)}")
    if promise.returned_within_s is not None:
        parts.append(f"returned within {show_duration(promise.returned_within_s)}")
    if promise.errors_at_most is not None:
        parts.append(f"at most {promise.errors_at_most} client errors")
    return ", ".join(parts)
