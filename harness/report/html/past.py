"""
A scenario's SLIs over its last runs, as a section of a run's report: one row a request name, small curves in it.

For a person who looks for a trend. It decides nothing: runs of different days and machines differ by more than most
changes do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT, EDGE = 160.0, 28.0, 3.0  # of a curve, in its own units
SIGNS = {"PASS": "✓", "FAIL": "✕"}  # anything else was not shown


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One of the runs. own: the one that the report is about."""

    run: str
    verdict: str
    when: str
    own: bool

    @property
    def sign(self) -> str:
        return SIGNS.get(self.verdict, "?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One SLI in each run, oldest first; None where it was not measured. unit: ms or %."""

    sli: str
    values: Sequence[float | None]
    unit: str

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def newest(self) -> str:
        return self._shown(self.values[-1]) if self.values and self.values[-1] is not None else "not measured"

    @property
    def span(self) -> str:
        """Between which values all runs lie."""
        if not self.known:
            return ""
        low, high = self._shown(min(self.known)), self._shown(max(self.known))
        return f"{low} to {high}" if low != high else "the same each time"

    @property
    def curve(self) -> str:
        """The path of an SVG; a run without a value leaves a gap."""
        points = self._points()
        return "".join(
            ("M" if place == 0 or points[place - 1] is None else "L") + f"{point[0]:.1f} {point[1]:.1f}"
            for place, point in enumerate(points)
            if point is not None
        )

    @property
    def dots(self) -> list[tuple[float, float]]:
        """Points that no line would show: the last run's, and those with gaps on both sides."""
        points = [None, *self._points(), None]
        return [
            (round(point[0], 1), round(point[1], 1))
            for place, point in enumerate(points)
            if point is not None
            and (place == len(points) - 2 or (points[place - 1] is None and points[place + 1] is None))
        ]

    def _points(self) -> list[tuple[float, float] | None]:
        low = min(self.known, default=0.0)
        height = (max(self.known, default=0.0) - low) or 1.0
        step = (WIDTH - 2 * EDGE) / max(1, len(self.values) - 1)
        return [
            None
            if value is None
            else (EDGE + place * step, HEIGHT - EDGE - (value - low) / height * (HEIGHT - 2 * EDGE))
            for place, value in enumerate(self.values)
        ]

    def _shown(self, value: float) -> str:
        return f"{value:.2f} %" if self.unit == "%" else f"{value:.1f} ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The last runs of a scenario, oldest first. trends: by request name. problem: why the history cannot be told."""

    runs: Sequence[PastRun] = ()
    trends: Mapping[str, Sequence[Trend]] = field(default_factory=dict)
    problem: str | None = None
