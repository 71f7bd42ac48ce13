"""
Shapes of charts as SVG path texts, made without a browser, so that a report is whole without JavaScript.

All drawings of a report share one coordinate system: x in milliseconds from the left edge of the time axis, y from 0
(top) to 1000 (bottom). They are stretched to whatever room there is, so lines must not scale (`vector-effect` in
report.css) and nothing here draws text. A mark is a line without length, which round ends make a dot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.report.html.axis import Axis

HEIGHT = 1000
NO_ANSWER_Y = 22  # where a latency chart marks requests that have none
TOP_Y = 60  # the highest place of a value in a latency chart

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One path. css says how it looks (report.css), words what it is."""

    css: str
    path: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A value written beside a chart. y is a share of its height, from the top."""

    y: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One entry of a chart's legend."""

    css: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Numbers of a chart, one a bucket, as they are told on hovering."""

    name: str
    unit: str
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One drawing on the time axis, with everything written around it."""

    key: str
    title: str
    note: str
    says: str  # the chart in a sentence, for who cannot see it
    shapes: tuple[Shape, ...]
    ticks: tuple[Tick, ...]
    legend: tuple[Key, ...]
    series: tuple[Series, ...] = ()
    height_px: int = 110
    limits: tuple[Tick, ...] = field(default=())  # promised bounds, drawn as lines across


# -- scales ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """From 0 at the bottom to `top` near the upper edge."""

    top: float

    def y(self, value: float) -> int:
        return round(HEIGHT - (HEIGHT - TOP_Y) * min(max(value / self.top, 0.0), 1.0))

    def ticks(self, unit: str) -> tuple[Tick, ...]:
        values = (0.0, self.top / 2, self.top)
        return tuple(Tick(y=self.y(value) / HEIGHT, label=f"{value:g}{unit}") for value in values)


def linear(values: Iterable[float | None], least: float = 1.0) -> Linear:
    """A scale whose top is a round number at or above every value."""
    highest = max((value for value in values if value is not None), default=0.0)
    highest = max(highest, least)
    power = 10 ** math.floor(math.log10(highest))
    return Linear(top=next(s * power for s in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10) if s * power >= highest * 0.9999))


@dataclass(frozen=True, slots=True, kw_only=True)
class Logarithmic:
    """Milliseconds in whole decades."""

    low: int  # powers of ten
    high: int

    def y(self, value_ms: float) -> int:
        place = (math.log10(max(value_ms, 1e-9)) - self.low) / (self.high - self.low)
        return round(HEIGHT - (HEIGHT - TOP_Y) * min(max(place, 0.0), 1.0))

    def ticks(self) -> tuple[Tick, ...]:
        return tuple(
            Tick(y=self.y(10.0**power) / HEIGHT, label=decade(power)) for power in range(self.low, self.high + 1)
        )


def logarithmic(lowest_ms: float | None, highest_ms: float | None) -> Logarithmic:
    """Decades that hold both; at least one."""
    low = math.floor(math.log10(lowest_ms) + 1e-9) if lowest_ms and lowest_ms > 0 else 0
    high = math.ceil(math.log10(highest_ms) - 1e-9) if highest_ms and highest_ms > 0 else 3
    low = max(low, -3)
    return Logarithmic(low=low, high=max(high, low + 1))


def decade(power: int) -> str:
    """A power of ten of milliseconds, as people write it."""
    if power >= 3:
        return f"{10 ** (power - 3)} s"
    return f"{10**power} ms" if power >= 0 else f"{10 ** (power + 3)} us"


# -- paths -----------------------------------------------------------------------------------------------------


def edge_ms(axis: Axis, bucket: int) -> int:
    return round(bucket * axis.bucket_s * 1000)


def steps(values: Values, axis: Axis, scale: Linear | Logarithmic) -> str:
    """A line that keeps each bucket's value from its left edge to its right; nothing where there is no value."""
    found: list[str] = []
    drawing = False
    for bucket, value in enumerate(values):
        if value is None:
            drawing = False
            continue
        left, right, y = edge_ms(axis, bucket), edge_ms(axis, bucket + 1), scale.y(value)
        found.append(f"V{y}H{right}" if drawing else f"M{left} {y}H{right}")
        drawing = True
    return "".join(found)


def band(lower: Values, upper: Values, axis: Axis, scale: Linear | Logarithmic) -> str:
    """The area between two step lines, a piece wherever both are known."""
    found: list[str] = []
    piece: list[tuple[int, int, int, int]] = []
    for bucket in range(len(lower) + 1):
        low, high = (lower[bucket], upper[bucket]) if bucket < len(lower) else (None, None)
        if low is not None and high is not None:
            piece.append((edge_ms(axis, bucket), edge_ms(axis, bucket + 1), scale.y(low), scale.y(high)))
            continue
        if piece:
            there = f"M{piece[0][0]} {piece[0][3]}" + "".join(f"V{top}H{right}" for _, right, _, top in piece)
            back = "".join(f"V{bottom}H{left}" for left, _, bottom, _ in reversed(piece))
            found.append(f"{there}{back}Z")
        piece = []
    return "".join(found)


def stacks(parts: Sequence[Values], axis: Axis, scale: Linear) -> list[str]:
    """Areas on top of each other, the first at the bottom; buckets of nothing are left empty."""
    lower = [0.0] * len(parts[0]) if parts else []
    found: list[str] = []
    for values in parts:
        upper = [low + (value or 0) for low, value in zip(lower, values, strict=True)]
        some = [value or None for value in values]
        bottoms = [low if value is not None else None for low, value in zip(lower, some, strict=True)]
        tops = [high if value is not None else None for high, value in zip(upper, some, strict=True)]
        found.append(band(bottoms, tops, axis, scale))
        lower = upper
    return found


def dots(places: Iterable[tuple[int, int]]) -> str:
    """A dot at each place."""
    return "".join(f"M{x} {y}h0" for x, y in places)


def upright(lines: Iterable[tuple[int, int, int]]) -> str:
    """An upright line at each x, from one y to the other; a dot where they are the same."""
    return "".join(f"M{x} {low}V{high}" if low != high else f"M{x} {low}h0" for x, low, high in lines)
