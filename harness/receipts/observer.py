"""
The receipt of an observer: how often it looked, how long it was silent.

Silence matters only where a check rests on it (a breaker's word, a bulkhead's refusals). While the service it looks
at is down by a declared fault, silence is what one expects.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from harness.clock import NS_PER_S
from harness.receipts.base import Record
from harness.receipts.nodes import OBSERVER
from harness.scenario.model import Scenario
from harness.scenario.promises import Breaker, Bulkhead, Failover, Instances
from harness.statistics import median
from harness.verdict import Receipt, Verdict

LONGEST_SILENCE_S = 1.0
_MISSED_LOOKS = 2.5  # an observer that looks rarely is silent only when it missed looks of its own
ACTUATOR = "actuator"
INSTANCES = "instances"
_COMING_BACK_NS = NS_PER_S  # after a start the first look may fail


def needed_observers(scenario: Scenario) -> set[tuple[str, str]]:
    """
    (observer, service) whose word some promise rests on: the actuator of the client of each breaker, and of each
    bulkhead judged by events; the balancer of instances that are to be ejected or readmitted.
    """
    found = set()
    for expectation in scenario.expect:
        promise = expectation.promise
        if isinstance(promise, Breaker) or (isinstance(promise, Bulkhead) and promise.rejects_within_s is not None):
            found.add((ACTUATOR, promise.on.partition("->")[0]))
        elif isinstance(promise, Instances) and promise.needs_states:
            found.add((INSTANCES, promise.behind))
    return found


def needed_nodes(scenario: Scenario, record: Record) -> set[tuple[str, str]]:
    """Database nodes whose own word some promise rests on: all of them, when failover is judged."""
    if not any(isinstance(expectation.promise, Failover) for expectation in scenario.expect):
        return set()
    return {(OBSERVER, s.name) for s in record.system.services.values() if s.replication_path is not None}


def judge_observers(record: Record, promised: Scenario) -> list[Receipt]:
    """One receipt an observer and subject; also one for an observer that is needed and never wrote a word."""
    needed = needed_observers(promised) | needed_nodes(promised, record)
    samples: dict[tuple[str, str], tuple[int, list[int]]] = {}
    sql = "SELECT observer, subject, t_ns, ok FROM probes ORDER BY t_ns"
    for observer, subject, t_ns, ok in record.reader.rows(sql):
        failures, good = samples.get((observer, subject), (0, []))
        if ok:
            good.append(t_ns)
        samples[observer, subject] = (failures + (not ok), good)
    for observed in needed:
        samples.setdefault(observed, (0, []))
    return [
        _judge(record, key, failures, good, needed=key in needed) for key, (failures, good) in sorted(samples.items())
    ]


def _judge(record: Record, key: tuple[str, str], failures: int, good: list[int], *, needed: bool) -> Receipt:
    observer, subject = key
    silence_s = longest_silence_s(good, (record.t0_ns, record.arrivals_end_ns), record.downtime(subject))
    lapped = sum(
        1 for _, s, data in record.events_of("observer.gap") if s == f"{observer}/{subject}" and data.get("ring_lapped")
    )
    numbers = {"samples": len(good), "failures": failures, "longest_silence_s": round(silence_s, 3), "lapped": lapped}
    text = f"{len(good)} samples, {failures} failures, longest silence {silence_s:.2f} s"
    if not good:
        status, text = "NO SAMPLES", f"{observer} of {subject} answered nothing ({failures} looks failed)"
    elif silence_s > (limit_s := _limit_s(good, needed=needed)):
        status, text = "SILENT", f"{text} while {subject} was meant to be up (limit {limit_s:.0f} s)"
    elif lapped:
        status, text = "LAPPED", f"{text}; {lapped} times its ring of events was lapped between two looks"
    else:
        status = "STEADY"
    if status != "STEADY" and not needed:
        text += "; no promise rests on it"
    broken = needed and status != "STEADY"
    return Receipt(
        kind="observer",
        subject=f"{observer}/{subject}",
        verdict=Verdict.INCONCLUSIVE if broken else Verdict.PASS,
        status=status,
        sentence=text,
        numbers=numbers,
    )


def _limit_s(good: list[int], *, needed: bool) -> float:
    """The longest silence that is no cause for doubt; stricter where a promise rests on the observer."""
    if needed or len(good) < 2:
        return LONGEST_SILENCE_S
    usual_s = median([after - before for before, after in pairwise(good)]) / NS_PER_S
    return max(LONGEST_SILENCE_S, _MISSED_LOOKS * usual_s)


def longest_silence_s(good: Iterable[int], window: tuple[int, int], downtime: Iterable[tuple[int, int]]) -> float:
    """The longest stretch of the window without a sample, downtime not counted. Instants in ns."""
    away = [(start, end + _COMING_BACK_NS) for start, end in downtime]
    stamps = [window[0], *(t for t in good if window[0] < t < window[1]), window[1]]
    longest = 0
    for start, end in pairwise(stamps):
        if end - start > longest:
            longest = max(longest, end - start - _covered(start, end, away))
    return longest / NS_PER_S


def _covered(start: int, end: int, spans: list[tuple[int, int]]) -> int:
    """How much of start..end the spans cover, overlaps counted once."""
    total, reached = 0, start
    for first, last in sorted(spans):
        low, high = max(first, reached), min(last, end)
        if high > low:
            total += high - low
            reached = high
    return total
