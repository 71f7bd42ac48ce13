"""
Figures a report shows beside the verdicts, read from the journal: phases, and events by the clock of the run.

They decide nothing. Latency counts from the intended instant; percentiles are exact (nearest rank).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.clock import NS_PER_S
from harness.journal.columns import ABSENT, BAD, GOOD, RequestColumns, request_columns
from harness.journal.reader import JournalReader


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFigures:
    """What the load saw of the requests that were meant for one phase. Times in seconds."""

    name: str
    kind: str
    start_s: float
    end_s: float
    intended: int
    dropped: int
    good: int
    p50_s: float | None  # of good answers
    p99_s: float | None

    @property
    def good_per_s(self) -> float:
        span_s = self.end_s - self.start_s
        return self.good / span_s if span_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event at its second of the run (before the load began: below zero)."""

    at_s: float
    kind: str
    subject: str
    data: dict[str, Any]


def happenings(reader: JournalReader) -> list[Happening]:
    """Every event of the run in order."""
    events = reader.events()
    zero_ns = began_ns(reader, events)
    return [
        Happening(at_s=(t_ns - zero_ns) / NS_PER_S, kind=kind, subject=subject, data=data)
        for t_ns, kind, subject, data in events
    ]


def phases(reader: JournalReader, columns: Mapping[str, RequestColumns] | None = None) -> list[PhaseFigures]:
    """The phases that began and ended, in order of their begin. columns: all requests, where they were read already."""
    events = reader.events("phase.started", "phase.ended")
    zero_ns = began_ns(reader, reader.events("load.started") or events)
    ended = {subject: t_ns for t_ns, kind, subject, _ in events if kind == "phase.ended"}
    known = columns if columns is not None else request_columns(reader)
    return [
        _phase(known, subject, str(data.get("kind", "")), (t_ns, ended[subject]), zero_ns)
        for t_ns, kind, subject, data in events
        if kind == "phase.started" and subject in ended
    ]


def _phase(
    columns: Mapping[str, RequestColumns], name: str, kind: str, window_ns: tuple[int, int], zero_ns: int
) -> PhaseFigures:
    intended = dropped = good = 0
    latencies: list[NDArray[np.int64]] = []
    for own in columns.values():
        low, high = (bisect_left(own.intended_ns, edge_ns) for edge_ns in window_ns)
        outcome = np.frombuffer(own.outcome[low:high], np.uint8)
        spans = np.frombuffer(own.latency_ns[low:high], np.int64)
        intended += len(outcome)
        good += int(np.count_nonzero(outcome == GOOD))
        dropped += int(np.count_nonzero((outcome == BAD) & (spans == ABSENT)))
        latencies.append(spans[(outcome == GOOD) & (spans != ABSENT)])
    ordered = np.sort(np.concatenate(latencies)) if latencies else np.empty(0, np.int64)
    return PhaseFigures(
        name=name,
        kind=kind,
        start_s=(window_ns[0] - zero_ns) / NS_PER_S,
        end_s=(window_ns[1] - zero_ns) / NS_PER_S,
        intended=intended,
        dropped=dropped,
        good=good,
        p50_s=_quantile_s(ordered, 0.5),
        p99_s=_quantile_s(ordered, 0.99),
    )


def _quantile_s(ordered_ns: NDArray[np.int64], share: float) -> float | None:
    if not len(ordered_ns):
        return None
    return int(ordered_ns[max(1, math.ceil(share * len(ordered_ns))) - 1]) / NS_PER_S


def began_ns(reader: JournalReader, events: list[tuple[int, str, str, dict[str, Any]]]) -> int:
    """The instant the load began; when it never did, the first event."""
    declared = reader.facts.get("t0_ns")
    if isinstance(declared, int):
        return declared
    for _, kind, _, data in events:
        if kind == "load.started" and isinstance(data.get("t0_ns"), int):
            return int(data["t0_ns"])
    return events[0][0] if events else 0
