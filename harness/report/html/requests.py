"""
What the load saw, in buckets of the time axis: offered, served, errors by kind, fallbacks, latency; and a mark for
each request, or for the extremes of the failed ones where there are too many to draw.

Latency counts from the intended instant; percentiles are exact, of good answers. Nothing is left out by thinning:
every answered request lies between low and high of its bucket, every failed one between the extremes of the failed.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.clock import NS_PER_MS
from harness.journal.columns import ABSENT, BAD, GOOD, RequestColumns
from harness.report.html.axis import Axis

MOST_MARKS = 6_000  # requests up to which each has a mark of its own
MOST_KINDS = 8  # of errors and of fallbacks that have a name of their own
OTHER = "other kinds"
_SEPARATORS = re.compile(r"[,;\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One request. latency_ms is None when it never ended."""

    at_ms: int  # from the left edge of the axis, by its intended instant
    latency_ms: float | None
    good: bool
    fallback: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """The failed requests of one bucket that were answered."""

    bucket: int
    low_ms: float
    high_ms: float
    count: int


@dataclass(slots=True)
class LoadSeries:
    """One value a bucket in each list; None where nothing was measured. Latencies in milliseconds."""

    offered: list[int]  # by the intended instant
    served: list[int]  # good answers, by the instant they came
    bad: list[int]
    endless: list[int]  # never sent, or never ended
    p50_ms: list[float | None]
    p99_ms: list[float | None]
    low_ms: list[float | None]
    high_ms: list[float | None]
    errors: dict[str, list[int]] = field(default_factory=dict)
    fallbacks: dict[str, list[int]] = field(default_factory=dict)
    sources: dict[str, list[int]] = field(default_factory=dict)
    marks: list[Mark] | None = None  # None: too many, see extremes
    extremes: list[Extremes] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(self.offered)


def load_series(columns: Mapping[str, RequestColumns], axis: Axis) -> LoadSeries:
    """Every request of the journal, by buckets of the axis."""
    series = _empty(axis.buckets)
    bounds = {name: axis.bounds(own) for name, own in columns.items()}
    errors: list[Counter[str]] = []
    fallbacks: list[Counter[str]] = []
    sources: list[Counter[str]] = []
    for bucket in range(axis.buckets):
        slices = [(own, bounds[name][bucket], bounds[name][bucket + 1]) for name, own in columns.items()]
        slices = [(own, low, high) for own, low, high in slices if high > low]
        _count(series, bucket, slices)
        _latencies(series, bucket, slices)
        errors.append(_words(((own.errors.words, own.error[low:high]) for own, low, high in slices)))
        made = _words(((own.fallbacks.words, own.fallback[low:high]) for own, low, high in slices))
        fallbacks.append(_parts(made, fallbacks_in))
        sources.append(_parts(made, sources_in))
    series.errors, series.fallbacks, series.sources = _by_kind(errors), _by_kind(fallbacks), _by_kind(sources)
    for own in columns.values():
        _add_served(series.served, own, axis)
    if series.requests <= MOST_MARKS:
        series.marks = [mark for own in columns.values() for mark in _marks(own, axis)]
    return series


def _empty(buckets: int) -> LoadSeries:
    def nothing() -> list[float | None]:
        return [None] * buckets

    return LoadSeries(
        offered=[0] * buckets, served=[0] * buckets, bad=[0] * buckets, endless=[0] * buckets,
        p50_ms=nothing(), p99_ms=nothing(), low_ms=nothing(), high_ms=nothing(),
    )  # fmt: skip


_Slices = Sequence[tuple[RequestColumns, int, int]]


def _count(series: LoadSeries, bucket: int, slices: _Slices) -> None:
    for own, low, high in slices:
        outcome = own.outcome[low:high]
        series.offered[bucket] += high - low
        series.bad[bucket] += outcome.count(BAD)
        series.endless[bucket] += own.latency_ns[low:high].count(ABSENT)


def _latencies(series: LoadSeries, bucket: int, slices: _Slices) -> None:
    """Percentiles of the good, extremes of all that ended, extremes of those that failed."""
    ended = [_ended(own.outcome[low:high], own.latency_ns[low:high]) for own, low, high in slices]
    if not ended:
        return
    good = np.sort(np.concatenate([own for own, _ in ended]))
    failed = np.concatenate([own for _, own in ended])
    series.p50_ms[bucket], series.p99_ms[bucket] = _rank_ms(good, 0.5), _rank_ms(good, 0.99)
    ends = np.concatenate([good[:1], good[-1:], failed])
    if len(ends):
        series.low_ms[bucket], series.high_ms[bucket] = _milliseconds(ends.min()), _milliseconds(ends.max())
    if len(failed):
        low_ms, high_ms = _milliseconds(failed.min()), _milliseconds(failed.max())
        series.extremes.append(Extremes(bucket=bucket, low_ms=low_ms, high_ms=high_ms, count=len(failed)))


def _ended(outcome: bytes, latency_ns: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Latencies of the good and of the failed that were answered."""
    codes, spans = np.frombuffer(outcome, np.uint8), np.asarray(latency_ns, np.int64)
    answered = spans != ABSENT
    return spans[answered & (codes == GOOD)], spans[answered & (codes == BAD)]


def _rank_ms(ordered_ns: NDArray[np.int64], share: float) -> float | None:
    """Nearest rank."""
    return _milliseconds(ordered_ns[max(1, math.ceil(share * len(ordered_ns))) - 1]) if len(ordered_ns) else None


def _milliseconds(span_ns: np.int64) -> float:
    return int(span_ns) / NS_PER_MS


def _words(coded: Iterable[tuple[Sequence[object], Sequence[int]]]) -> Counter[str]:
    """How often each word stands in some columns; code 0 is no word."""
    found: Counter[str] = Counter()
    for words, codes in coded:
        named, times = np.unique(np.asarray(codes)[np.flatnonzero(codes)], return_counts=True)
        found.update(dict(zip((str(words[code]) for code in named), times.tolist(), strict=True)))
    return found


def fallbacks_in(said: str) -> list[str]:
    """The fallbacks that an answer names: `user-guest,product=cache@3.2` names one, and a source."""
    return [word for word in _SEPARATORS.split(said) if word and "=" not in word]


def sources_in(said: str) -> list[str]:
    """The sources of its parts that an answer names, without their age."""
    return [word.partition("@")[0] for word in _SEPARATORS.split(said) if "=" in word]


def _parts(counts: Counter[str], parts_of: Callable[[str], list[str]]) -> Counter[str]:
    """How often each part was named; an answer made of several counts for each."""
    found: Counter[str] = Counter()
    for said, times in counts.items():
        found.update(dict.fromkeys(parts_of(said), times))
    return found


def _by_kind(buckets: Sequence[Counter[str]]) -> dict[str, list[int]]:
    """One list a kind, the most frequent first; rare kinds beyond the limit are counted together."""
    totals: Counter[str] = Counter()
    for counts in buckets:
        totals.update(counts)
    named = [kind for kind, _ in totals.most_common(MOST_KINDS if len(totals) <= MOST_KINDS else MOST_KINDS - 1)]
    found = {kind: [counts[kind] for counts in buckets] for kind in named}
    if len(totals) > len(named):
        found[OTHER] = [sum(n for kind, n in counts.items() if kind not in found) for counts in buckets]
    return found


def _add_served(served: list[int], own: RequestColumns, axis: Axis) -> None:
    """Count good answers by the bucket in which they came; those after the axis belong to its last bucket."""
    good = np.frombuffer(own.outcome, np.uint8) == GOOD
    ends = np.frombuffer(own.intended_ns, np.int64)[good] + np.frombuffer(own.latency_ns, np.int64)[good]
    places = np.clip((ends - axis.start_ns) // axis.bucket_ns, 0, len(served) - 1)
    for place, times in enumerate(np.bincount(places, minlength=len(served)).tolist()):
        served[place] += times


def _marks(own: RequestColumns, axis: Axis) -> Iterable[Mark]:
    is_fallback = [bool(word and fallbacks_in(str(word))) for word in own.fallbacks.words]
    for intended, span, outcome, fallback in zip(
        own.intended_ns, own.latency_ns, own.outcome, own.fallback, strict=True
    ):
        latency_ms = None if span == ABSENT else span / NS_PER_MS
        yield Mark(
            at_ms=axis.x_ms(intended), latency_ms=latency_ms, good=outcome == GOOD, fallback=is_fallback[fallback]
        )
