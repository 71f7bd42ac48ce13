"""
When requests are meant to start: an arrival curve turned into instants.

Every request has an instant of its own before the first one is sent, so a slow
system cannot slow the load down. Nothing here waits or sends.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.clock import NS_PER_S
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.scenario.model import RateSegment

Pattern = Literal["even", "poisson"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of the curve whose rate runs in a straight line. for_s is None on a last piece without an end."""

    from_per_s: float
    to_per_s: float
    for_s: float | None = None

    def __post_init__(self) -> None:
        if self.for_s is None and self.from_per_s != self.to_per_s:
            raise InputError(f"a ramp from {self.from_per_s:g}/s to {self.to_per_s:g}/s has no length; write for: 5s")

    @property
    def arrivals(self) -> float:
        """How many arrivals the piece holds, as the area under its rate; need not be a whole number."""
        if self.for_s is None:
            return math.inf if self.from_per_s > 0 else 0.0
        return (self.from_per_s + self.to_per_s) / 2 * self.for_s

    def reached_s(self, arrivals: float) -> float:
        """Seconds into the piece at which the area under the rate has grown to `arrivals`."""
        if arrivals <= 0:
            return 0.0
        slope = (self.to_per_s - self.from_per_s) / self.for_s if self.for_s else 0.0
        # The root of the quadratic in the form that stays exact when the slope is zero or tiny.
        rate_then = math.sqrt(max(0.0, self.from_per_s**2 + 2 * slope * arrivals))
        return 2 * arrivals / (self.from_per_s + rate_then)


def pieces_of(segments: Iterable[RateSegment]) -> tuple[Piece, ...]:
    """The curve a scenario declares. Raises InputError when a piece before the last has no end."""
    pieces = tuple(
        Piece(from_per_s=s.rate_per_s, to_per_s=s.rate_per_s, for_s=s.for_s)
        if s.rate_per_s is not None
        else Piece(from_per_s=s.from_per_s or 0.0, to_per_s=s.to_per_s or 0.0, for_s=s.for_s)
        for s in segments
    )
    for number, piece in enumerate(pieces[:-1], 1):
        if piece.for_s is None:
            raise InputError(
                f"piece {number} of {len(pieces)} of the arrivals, {piece.from_per_s:g}/s, has no end",
                hint="write its length: {rate: 40/s, for: 5s}; only the last piece may go without",
            )
    return pieces


def arrivals_ns(pieces: Sequence[Piece], *, pattern: Pattern, seed: int, duration_s: float | None) -> Iterator[int]:
    """
    Offsets of the arrivals from the start of the load, in ns, never falling.

    Ends with the last piece, or before duration_s if that comes first; without both it never ends.
    The same arguments always give the same offsets: both patterns walk along the area under the
    rate, in steps of one (even) or in exponential steps of mean one drawn from the seed (poisson).
    """
    marks: Iterator[float] = itertools.count() if pattern == "even" else _exponential_steps(seed)
    mark = next(marks)
    start_s = passed = 0.0
    for piece in pieces:
        while mark < passed + piece.arrivals:
            at_s = start_s + piece.reached_s(mark - passed)
            if duration_s is not None and at_s >= duration_s:
                return
            yield round(at_s * NS_PER_S)
            mark = next(marks)
        start_s += piece.for_s or 0.0
        passed += piece.arrivals


def _exponential_steps(seed: int) -> Iterator[float]:
    draws = random.Random(f"{seed}/arrivals")
    return itertools.accumulate(draws.expovariate(1.0) for _ in itertools.count())
