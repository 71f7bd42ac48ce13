"""
The one time axis of a report: seconds since the load began, cut into buckets of a width people count in.

Everything of a run is drawn on it. Every request lies inside; of what happened before and after the load only
a twentieth of its length is shown, the rest stands in the list of events.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from harness.clock import NS_PER_MS, NS_PER_S
from harness.journal.columns import RequestColumns
from harness.journal.reader import JournalReader
from harness.report.figures import began_ns

MOST_BUCKETS = 400
LEAST_BUCKETS = 20
WANTED_REQUESTS = 16  # in a bucket, so that its percentiles mean something
MARGIN = 0.05  # of the load's length, shown before and after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """zero_ns is the start of the load; start_s and end_s are whole numbers of buckets away from it."""

    zero_ns: int
    start_s: float
    end_s: float
    bucket_s: float

    @property
    def buckets(self) -> int:
        return max(1, round((self.end_s - self.start_s) / self.bucket_s))

    @property
    def span_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def start_ns(self) -> int:
        return self.zero_ns + round(self.start_s * NS_PER_S)

    @property
    def bucket_ns(self) -> int:
        return round(self.bucket_s * NS_PER_S)

    def second(self, t_ns: int) -> float:
        """An instant in seconds since the load began, to the tenth of a millisecond."""
        return round((t_ns - self.zero_ns) / NS_PER_S, 4)

    def bucket(self, t_ns: int) -> int:
        """The bucket that holds an instant; the first or the last for one outside."""
        return min(max(0, (t_ns - self.start_ns) // self.bucket_ns), self.buckets - 1)

    def x_ms(self, t_ns: int) -> int:
        """Where an instant is drawn: milliseconds from the left edge."""
        return (t_ns - self.start_ns) // NS_PER_MS

    def edge_ns(self, bucket: int) -> int:
        """The instant at which a bucket begins."""
        return self.start_ns + bucket * self.bucket_ns

    def bounds(self, columns: RequestColumns) -> list[int]:
        """Places in columns that part its requests into buckets: bucket n holds those from bounds[n] to bounds[n+1]."""
        inner = [bisect_left(columns.intended_ns, self.edge_ns(n)) for n in range(1, self.buckets)]
        return [0, *inner, len(columns)]


def axis_of(reader: JournalReader, columns: Mapping[str, RequestColumns]) -> Axis:
    """The axis on which a whole run is shown. Raises InputError for a journal that cannot be read."""
    events = reader.events()
    zero = began_ns(reader, events)
    first_ns = min((c.intended_ns[0] for c in columns.values() if len(c)), default=zero)
    last_ns = max((c.intended_ns[-1] for c in columns.values() if len(c)), default=zero)
    ended_ns = max((t_ns for t_ns, kind, _, _ in events if kind in ("load.ended", "note")), default=last_ns)
    low_s, high_s = (first_ns - zero) / NS_PER_S, (max(last_ns, ended_ns) - zero) / NS_PER_S
    if not any(map(len, columns.values())) and events:
        low_s, high_s = min(0.0, (events[0][0] - zero) / NS_PER_S), max(high_s, (events[-1][0] - zero) / NS_PER_S)
    margin_s = max(0.1, (high_s - low_s) * MARGIN)
    if events:
        low_s = min(low_s, max(low_s - margin_s, (events[0][0] - zero) / NS_PER_S))
        high_s = max(high_s, min(high_s + margin_s, (events[-1][0] - zero) / NS_PER_S))
    bucket_s = _bucket_s(high_s - low_s, sum(map(len, columns.values())))
    start_s = math.floor(low_s / bucket_s) * bucket_s
    buckets = max(1, math.floor((high_s - start_s) / bucket_s) + 1)
    return Axis(
        zero_ns=zero, start_s=round(start_s, 6), end_s=round(start_s + buckets * bucket_s, 6), bucket_s=bucket_s
    )


def _bucket_s(span_s: float, requests: int) -> float:
    """The narrowest bucket of 1, 2 or 5 times a power of ten that is wide enough for its requests."""
    wanted_s = max(
        span_s / MOST_BUCKETS, min(span_s / LEAST_BUCKETS, span_s * WANTED_REQUESTS / max(1, requests)), 0.05
    )
    power = 10.0 ** math.floor(math.log10(wanted_s))
    width_s = next(step * power for step in (1, 2, 5, 10) if step * power >= wanted_s * 0.999)
    return float(round(width_s, 6))


def time_ticks(start_s: float, span_s: float) -> list[float]:
    """Round seconds to write below an axis, at most a dozen."""
    if not span_s > 0:
        return [start_s]
    power = 10.0 ** math.floor(math.log10(span_s / 6))
    step = next(s * power for s in (1, 2, 5, 10) if span_s / (s * power) <= 12)
    first = math.ceil(start_s / step - 1e-9)
    last = math.floor((start_s + span_s) / step + 1e-9)
    return [round(n * step, 6) for n in range(first, last + 1)]
