"""
A look at pairs of runs: which scenario's new version is worse, which is not, which is still open.

FAIL takes significance over all SLIs of all scenarios looked at, and a size that matters. PASS takes a bound. What is
neither goes on, and ends INCONCLUSIVE with the smallest change that could have been seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev

from harness.comparison.rules import (
    AVAILABILITY,
    Change,
    Compared,
    Rules,
    floor_of,
    scaled,
    shared_slis,
    value_of,
)
from harness.slis import Row
from harness.statistics.permutation import family_p, hodges_lehmann, standard_error, upper_bound
from harness.units import show_share
from harness.verdict import Verdict, worst

Pairs = Sequence[tuple[Row, Row]]  # old, new
_LEAST_ERROR = 0.0005  # of a mean availability: runs without any bad request have none of their own
_Z_TWO_SIDED = 0.975


@dataclass(frozen=True, slots=True)
class _Column:
    """One SLI over all pairs."""

    scenario: str
    of: str
    sli: str
    old: list[float]
    new: list[float]


def look(pairs: Mapping[str, Pairs], rules: Rules, p_limit: float, *, last: bool) -> dict[str, Compared]:
    """
    Judge the pairs of every scenario, all of one length of at least 2. FAIL and PASS are final; an open scenario is
    INCONCLUSIVE, and `last` says whether that too is its end.
    """
    count = len(next(iter(pairs.values())))
    columns: list[_Column] = []
    notes: dict[str, list[str]] = {}
    for scenario, own in pairs.items():
        found, notes[scenario] = shared_slis([row for pair in own for row in pair])
        columns += [_column(scenario, of, sli, own) for of, sli in found]
    chances = _chances(columns, count)
    changes = [_change(column, p, count, rules, p_limit) for column, p in zip(columns, chances, strict=True)]
    return {
        scenario: _compared(
            scenario, [c for c in changes if c.scenario == scenario], count, rules, notes[scenario], last=last
        )
        for scenario in pairs
    }


def _column(scenario: str, of: str, sli: str, pairs: Pairs) -> _Column:
    def values(side: int) -> list[float]:
        found = [value_of(pair[side].slis[of], sli) for pair in pairs]
        return [value for value in found if value is not None]

    return _Column(scenario, of, sli, values(0), values(1))


def _chances(columns: Sequence[_Column], count: int) -> list[float]:
    if not columns:
        return []

    def rows(side: str) -> list[list[float]]:
        return [[scaled(c.sli, getattr(c, side)[run]) for c in columns] for run in range(count)]

    return family_p(rows("old"), rows("new"), [floor_of(c.sli) for c in columns])


def _change(column: _Column, p: float, count: int, rules: Rules, p_limit: float) -> Change:
    made = _availability(column, p, count) if column.sli == AVAILABILITY else _latency(column, p, count)
    return replace(made, verdict=_verdict(made, rules, p_limit))


def _latency(column: _Column, p: float, count: int) -> Change:
    old = [scaled(column.sli, value) for value in column.old]
    new = [scaled(column.sli, value) for value in column.new]
    shift, error = hodges_lehmann(old, new), standard_error(old, new)
    bound = upper_bound(shift, error, count, floor_of(column.sli))
    half = upper_bound(0.0, error, count, chance=_Z_TWO_SIDED)
    return Change(
        scenario=column.scenario, of=column.of, sli=column.sli, old=median(column.old), new=median(column.new),
        shift=math.expm1(shift), low=math.expm1(shift - half), high=math.expm1(shift + half), bound=math.expm1(bound),
        p=p, noise=math.sqrt((stdev(old) ** 2 + stdev(new) ** 2) / 2), verdict=Verdict.INCONCLUSIVE,
    )  # fmt: skip


def _availability(column: _Column, p: float, count: int) -> Change:
    shift = fmean(column.old) - fmean(column.new)
    error = max(standard_error(column.old, column.new), _LEAST_ERROR)
    half = upper_bound(0.0, error, count, chance=_Z_TWO_SIDED)
    return Change(
        scenario=column.scenario, of=column.of, sli=column.sli, old=fmean(column.old), new=fmean(column.new),
        shift=shift, low=shift - half, high=shift + half, bound=upper_bound(shift, error, count),
        p=p, noise=math.sqrt((stdev(column.old) ** 2 + stdev(column.new) ** 2) / 2), verdict=Verdict.INCONCLUSIVE,
    )  # fmt: skip


def _verdict(change: Change, rules: Rules, p_limit: float) -> Verdict:
    if change.sli == AVAILABILITY:
        large, bounded = change.shift >= rules.size_share, change.bound < rules.tolerance_share
    else:
        absolute_ms = change.old * change.shift
        large = change.shift >= rules.size and absolute_ms >= rules.size_ms
        bounded = change.bound < rules.tolerance or change.old * change.bound < rules.tolerance_ms
    if change.p <= p_limit and large:
        return Verdict.FAIL
    return Verdict.PASS if bounded else Verdict.INCONCLUSIVE


def _compared(
    scenario: str, changes: Sequence[Change], count: int, rules: Rules, notes: Sequence[str], *, last: bool
) -> Compared:
    verdict = worst(change.verdict for change in changes)
    if verdict is Verdict.FAIL:
        sentence = "; ".join(worse(c, count, rules) for c in changes if c.verdict is Verdict.FAIL)
    elif verdict is Verdict.PASS:
        sentence = _no_worse(changes, count, rules)
    elif not changes:
        sentence = "no SLI has enough requests in every run to be compared: lengthen the scenario or raise its load"
    else:
        sentence = _open(changes, count, rules, last=last)
    return Compared(
        scenario=scenario, verdict=verdict, pairs=count, sentence=sentence, changes=tuple(changes), notes=tuple(notes)
    )


# -- sentences -------------------------------------------------------------------------------------------------


def shown_change(sli: str, shift: float) -> str:
    """`+23 %` of a latency, `-1.2 points` of availability."""
    return f"{-100 * shift:+.2f} points" if sli == AVAILABILITY else f"{100 * shift:+.0f} %"


def shown_value(sli: str, value: float) -> str:
    return show_share(value) if sli == AVAILABILITY else f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"


def worse(change: Change, count: int, rules: Rules) -> str:
    low, high = shown_change(change.sli, change.low), shown_change(change.sli, change.high)
    values = f"{shown_value(change.sli, change.old)} -> {shown_value(change.sli, change.new)}"
    return (
        f"{change.name}: {shown_change(change.sli, change.shift)} ({low} .. {high}), {values}, {count} pairs,"
        f" family error {show_share(rules.family_error)}"
    )


def _nearest(changes: Sequence[Change], rules: Rules) -> Change:
    """The change nearest to being one that matters: by its bound against the tolerance of its kind."""
    return max(changes, key=lambda c: c.bound / (rules.tolerance_share if c.sli == AVAILABILITY else rules.tolerance))


def _no_worse(changes: Sequence[Change], count: int, rules: Rules) -> str:
    near = _nearest(changes, rules)
    return (
        f"no SLI is worse by {show_share(rules.tolerance)} and {rules.tolerance_ms:g} ms, or by"
        f" {100 * rules.tolerance_share:g} points of availability"
        f" ({count} pairs; nearest: {near.name}, at most {shown_change(near.sli, near.bound)})"
    )


def _open(changes: Sequence[Change], count: int, rules: Rules, *, last: bool) -> str:
    near = _nearest([c for c in changes if c.verdict is Verdict.INCONCLUSIVE], rules)
    text = f"after {count} pairs {near.name} may still be {shown_change(near.sli, near.bound)}"
    if not last:
        return text
    text += "; smaller changes could not have been seen"
    if near.sli == AVAILABILITY:
        return f"{text}; noise between runs is {100 * near.noise:.1f} points: longer runs, or more of them"
    wanted = pairs_needed(near.noise)
    need = f"about {wanted} pairs" if wanted is not None else "more than 48 pairs"
    return f"{text}; noise between runs is {show_share(round(near.noise, 3))}: {need}, or a quieter machine"


_PAIRS_FOR_20_PERCENT = ((0.03, 5), (0.05, 5), (0.08, 8), (0.12, 16), (0.18, 48))


def pairs_needed(noise: float) -> int | None:
    """
    Pairs that show +20 % in 95 of 100 comparisons, by the standard deviation of log p95 between runs; None: more than
    48. Simulated with heavy tails, one look at 1 %.
    """
    return next((pairs for limit, pairs in _PAIRS_FOR_20_PERCENT if noise <= limit), None)
