"""The formulas by which two versions are compared."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from harness.statistics.permutation import (
    clopper_pearson,
    family_p,
    fisher_more,
    hodges_lehmann,
    labelings,
    upper_bound,
    winsorise,
)


def test_one_wild_run_cannot_carry_a_mean_away() -> None:
    """Values are drawn in to two robust standard deviations around the median."""
    drawn = winsorise([1.0, 1.1, 0.9, 1.0, 1.05, 50.0])

    assert max(drawn) < 1.3
    assert drawn[:5] == [1.0, 1.1, 0.9, 1.0, 1.05]


def test_values_without_scatter_stay_what_they_are() -> None:
    """Twenty runs without a bad request are no reason to divide by zero."""
    assert winsorise([0.0] * 20) == [0.0] * 20


def test_few_runs_are_labelled_in_every_way() -> None:
    """Up to 2,000 labellings all are tried, so the p-value is exact."""
    ways = labelings(4)

    assert ways[0] == (4, 5, 6, 7)
    assert sorted(ways) == sorted(itertools.combinations(range(8), 4))


def test_many_runs_are_labelled_two_thousand_times_and_always_alike() -> None:
    """The same data give the same answer again."""
    labelings.cache_clear()
    first = labelings(10)
    labelings.cache_clear()

    assert len(first) == 2000
    assert first == labelings(10)


def test_four_pairs_can_never_show_a_change_beyond_chance() -> None:
    """The smallest p of four pairs is 1/70, however large the change."""
    old, new = [[0.0 + 0.01 * i] for i in range(4)], [[5.0 + 0.01 * i] for i in range(4)]

    assert family_p(old, new, [0.02]) == [pytest.approx(1 / 70)]


def test_a_clear_change_is_found_and_only_where_it_is() -> None:
    """Of five SLIs the one that moved is named, and none beside it."""
    draw = random.Random(5)
    old = [[draw.gauss(0, 0.1) for _ in range(5)] for _ in range(10)]
    new = [[draw.gauss(0.5 if place == 2 else 0, 0.1) for place in range(5)] for _ in range(10)]

    chances = family_p(old, new, [0.02] * 5)

    assert chances[2] <= 0.001
    assert min(chances[:2] + chances[3:]) > 0.01


def test_a_better_version_is_no_alarm() -> None:
    """The test is one-sided: what became quicker is not called a change for the worse."""
    old, new = [[1.0 + 0.01 * i] for i in range(7)], [[0.5 + 0.01 * i] for i in range(7)]

    assert family_p(old, new, [0.02])[0] > 0.9


def test_identical_versions_are_seldom_called_different() -> None:
    """Over 400 families of three SLIs, at most about 5 % have a p below 5 %."""
    draw = random.Random(11)

    def side() -> list[list[float]]:
        return [[draw.gauss(0, 0.1) for _ in range(3)] for _ in range(5)]

    alarms = sum(min(family_p(side(), side(), [0.02] * 3)) <= 0.05 for _ in range(400))

    assert alarms <= 34  # 99.9 % quantile of a binomial of 400 at 5 %


def test_the_shift_is_the_median_of_all_differences() -> None:
    """Hodges and Lehmann's estimate."""
    assert hodges_lehmann([0.0, 1.0], [2.0, 10.0]) == 5.5


def test_a_bound_lies_above_the_shift_and_nearer_with_more_pairs() -> None:
    """More pairs narrow it."""
    assert 0.1 < upper_bound(0.1, 0.02, 24) < upper_bound(0.1, 0.02, 7)


@pytest.mark.parametrize(
    ("passed", "runs", "low", "high"),
    [(9, 10, 0.555, 0.9975), (5, 5, 0.549, 1.0), (10, 10, 0.741, 1.0), (59, 59, 0.95, 1.0), (0, 5, 0.0, 0.451)],
)
def test_the_interval_of_a_pass_rate_is_exact(passed: int, runs: int, low: float, high: float) -> None:
    """Clopper and Pearson's."""
    assert clopper_pearson(passed, runs) == (pytest.approx(low, abs=0.001), pytest.approx(high, abs=0.001))


def test_fishers_exact_test_agrees_with_the_books() -> None:
    """5 of 5 against 0 of 5: 1/252."""
    assert fisher_more(5, 5, 0, 5) == pytest.approx(1 / math.comb(10, 5))
    assert fisher_more(4, 5, 1, 5) == pytest.approx(0.103, abs=0.001)
