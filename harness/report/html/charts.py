"""
The charts that every report has: load, latency, errors, fallbacks; and how any lines over time are drawn.

Each is made from numbers a bucket; what a chart shows is also told in a sentence, and number by number on hovering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness import units
from harness.report.html.axis import Axis
from harness.report.html.drawing import (
    NO_ANSWER_Y,
    Chart,
    Key,
    Logarithmic,
    Series,
    Shape,
    Tick,
    Values,
    band,
    dots,
    edge_ms,
    linear,
    logarithmic,
    stacks,
    steps,
    upright,
)
from harness.report.html.requests import LoadSeries, Mark

MOST_LINES = 8


def load_chart(series: LoadSeries, axis: Axis) -> Chart:
    """Offered against served, per second."""
    offered = [count / axis.bucket_s for count in series.offered]
    served = [count / axis.bucket_s for count in series.served]
    scale = linear([*offered, *served])
    shapes = (
        Shape(css="served-area", path=band([0.0] * len(served), served, axis, scale), words=""),
        Shape(css="offered", path=steps(offered, axis, scale), words="offered"),
        Shape(css="served", path=steps(served, axis, scale), words="served"),
    )
    good = sum(series.served)
    says = (
        f"{series.requests} requests offered, {good} served well; offered up to {max(offered, default=0):.4g} a second,"
        f" served between {min(served, default=0):.4g} and {max(served, default=0):.4g} a second."
    )
    return Chart(
        key="load", title="Load", says=says, shapes=shapes, ticks=scale.ticks("/s"), height_px=96,
        note="offered when meant to be sent, served when a good answer came",
        legend=(Key(css="offered", words="offered"), Key(css="served", words="served")),
        series=(Series(name="offered", unit="/s", values=offered), Series(name="served", unit="/s", values=served)),
    )  # fmt: skip


# -- latency ---------------------------------------------------------------------------------------------------


def latency_chart(series: LoadSeries, axis: Axis, limits: Sequence[tuple[str, float]] = ()) -> Chart:
    """Latency on a log scale: p50 to p99 as a band, each request as a mark. limits: names and seconds of objectives."""
    known = [value for value in (*series.low_ms, *series.high_ms) if value is not None]
    scale = logarithmic(min(known, default=None), max(known, default=None))
    shapes = [
        Shape(css="band", path=band(series.p50_ms, series.p99_ms, axis, scale), words="p50 to p99"),
        *(_marks(series.marks, scale) if series.marks is not None else _extremes(series, axis, scale)),
        Shape(css="p99", path=steps(series.p99_ms, axis, scale), words="p99"),
        Shape(css="p50", path=steps(series.p50_ms, axis, scale), words="p50"),
    ]
    legend = [Key(css="p50", words="p50"), Key(css="p99", words="p99"), *_keys(series)]
    drawn = [(name, limit_s) for name, limit_s in limits if scale.low <= _power(limit_s) <= scale.high]
    return Chart(
        key="latency", title="Latency", says=_latency_says(series, axis), height_px=230,
        note=f"log scale, from the intended instant; percentiles of good answers in each {axis.bucket_s:g} s",
        shapes=tuple(shape for shape in shapes if shape.path),
        ticks=scale.ticks(),
        legend=tuple(legend),
        series=(
            Series(name="p50", unit="ms", values=series.p50_ms),
            Series(name="p99", unit="ms", values=series.p99_ms),
            Series(name="slowest", unit="ms", values=series.high_ms),
            Series(name="never ended", unit="", values=[count or None for count in series.endless]),
        ),
        limits=tuple(
            Tick(y=scale.y(limit_s * 1000) / 1000, label=f"{name}: {units.show_duration(limit_s)}")
            for name, limit_s in drawn
        ),
    )  # fmt: skip


def _power(limit_s: float) -> float:
    import math

    return math.log10(limit_s * 1000) if limit_s > 0 else -99.0


_MARK_WORDS = {
    "good": "a good answer",
    "fallback": "a good answer made of a fallback",
    "failed": "a failed request",
    "endless": "never sent or never ended (top edge)",
}


def _kind(mark: Mark) -> str:
    if mark.latency_ms is None:
        return "endless"
    if not mark.good:
        return "failed"
    return "fallback" if mark.fallback else "good"


def _marks(marks: Sequence[Mark], scale: Logarithmic) -> list[Shape]:
    """One dot a request; the failed last, so that nothing lies on top of them."""
    places: dict[str, list[tuple[int, int]]] = {kind: [] for kind in _MARK_WORDS}
    for mark in marks:
        y = NO_ANSWER_Y if mark.latency_ms is None else scale.y(mark.latency_ms)
        places[_kind(mark)].append((mark.at_ms, y))
    return [
        Shape(css=f"mark {kind}", path=dots(found), words=f"{len(found)} requests, each {_MARK_WORDS[kind]}")
        for kind, found in places.items()
    ]


def _extremes(series: LoadSeries, axis: Axis, scale: Logarithmic) -> list[Shape]:
    """Too many for marks: fastest and slowest of each bucket, and from the fastest to the slowest failed one."""
    half = edge_ms(axis, 1) // 2
    failed = [(edge_ms(axis, e.bucket) + half, scale.y(e.low_ms), scale.y(e.high_ms)) for e in series.extremes]
    endless = [(edge_ms(axis, n) + half, NO_ANSWER_Y) for n, count in enumerate(series.endless) if count]
    return [
        Shape(css="extreme", path=band(series.low_ms, series.high_ms, axis, scale), words="fastest to slowest"),
        Shape(
            css="mark failed", path=upright(failed), words=f"{sum(e.count for e in series.extremes)} failed requests"
        ),
        Shape(css="mark endless", path=dots(endless), words=f"{sum(series.endless)} requests that never ended"),
    ]


def _keys(series: LoadSeries) -> list[Key]:
    if series.marks is None:
        keys = [Key(css="extreme", words="fastest to slowest of all")]
        keys += [Key(css="mark failed", words="failed, fastest to slowest")] if series.extremes else []
    else:
        there = {_kind(mark) for mark in series.marks}
        keys = [Key(css=f"mark {kind}", words=words) for kind, words in _MARK_WORDS.items() if kind in there]
    if series.marks is None and any(series.endless):
        keys.append(Key(css="mark endless", words=_MARK_WORDS["endless"]))
    return keys


def _latency_says(series: LoadSeries, axis: Axis) -> str:
    worst = max(((value, n) for n, value in enumerate(series.p99_ms) if value is not None), default=None)
    if worst is None:
        return "No request got a good answer, so there is no latency to show."
    middle = sorted(value for value in series.p50_ms if value is not None)
    at_s = axis.start_s + worst[1] * axis.bucket_s
    return (
        f"The median of good answers is {units.show_duration(middle[len(middle) // 2] / 1000)} in a typical"
        f" {axis.bucket_s:g} s; p99 is highest at {at_s:.4g} s with {units.show_duration(worst[0] / 1000)};"
        f" {sum(series.bad)} requests failed, {sum(series.endless)} never ended."
    )


# -- counted by kind -------------------------------------------------------------------------------------------


def stacked_chart(
    key: str, title: str, counts: Mapping[str, Sequence[int]], axis: Axis, *, note: str, nothing: str
) -> Chart:
    """Counts by kind as areas on top of each other, per second. `nothing` is the sentence when there are none."""
    rates = {kind: [count / axis.bucket_s for count in values] for kind, values in counts.items()}
    totals = [sum(parts) for parts in zip(*rates.values(), strict=True)] if rates else []
    scale = linear(totals)
    paths = stacks(list(rates.values()), axis, scale)
    sums = {kind: sum(values) for kind, values in counts.items()}
    return Chart(
        key=key, title=title, note=note,
        says=f"{', '.join(f'{times} {kind}' for kind, times in sums.items())}." if sums else nothing,
        shapes=tuple(
            Shape(css=f"stack c{n}", path=path, words=kind) for n, (kind, path) in enumerate(zip(rates, paths, strict=True))
        ),
        ticks=scale.ticks("/s") if rates else (),
        legend=tuple(Key(css=f"stack c{n}", words=f"{kind} ({sums[kind]})") for n, kind in enumerate(rates)),
        series=tuple(
            Series(name=kind, unit="/s", values=[value or None for value in values]) for kind, values in rates.items()
        ),
        height_px=76 if rates else 0,
    )  # fmt: skip


# -- any lines -------------------------------------------------------------------------------------------------


def lines_chart(
    key: str, title: str, lines: Mapping[str, Values], axis: Axis, *, note: str, unit: str = "", least: float = 1.0
) -> Chart:
    """Several numbers over time as step lines; those with the highest values when there are too many."""
    peaks = {name: max((value for value in values if value is not None), default=0.0) for name, values in lines.items()}
    shown = sorted(sorted(lines, key=lambda name: -peaks[name])[:MOST_LINES])
    scale = linear((value for name in shown for value in lines[name]), least)
    left_out = len(lines) - len(shown)
    return Chart(
        key=key, title=title, note=note + (f"; {left_out} lower lines are left out" if left_out else ""),
        says="; ".join(f"{name} up to {peaks[name]:.4g}{unit}" for name in shown) + ".",
        shapes=tuple(
            Shape(css=f"line c{n}", path=steps(lines[name], axis, scale), words=name) for n, name in enumerate(shown)
        ),
        ticks=scale.ticks(unit),
        legend=tuple(Key(css=f"line c{n}", words=name) for n, name in enumerate(shown)),
        series=tuple(Series(name=name, unit=unit, values=lines[name]) for name in shown),
        height_px=76,
    )  # fmt: skip
