"""The formulas of verdicts: shares, quantiles, edges, steadiness, recovery."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics import (
    affected_share,
    backlog_grows,
    best_segment,
    binomial_quantile,
    binomial_tail,
    design_effect,
    judge_share,
    nearest_rank,
    quantile_interval,
    regained,
    samples_needed,
    t_quantile,
    trend,
    warm_up_end,
    wilson,
)
from harness.verdict import Verdict


@pytest.mark.parametrize(
    ("samples", "bad", "pending", "budget", "expected"),
    [
        (0, 0, 0, 0.01, Verdict.INCONCLUSIVE),
        (240, 2, 0, 0.01, Verdict.PASS),
        (240, 4, 0, 0.01, Verdict.FAIL),
        (240, 2, 1, 0.01, Verdict.INCONCLUSIVE),
        (300, 3, 0, 0.01, Verdict.PASS),
        (62, 0, 0, 0.01, Verdict.INCONCLUSIVE),
        (62, 1, 0, 0.01, Verdict.INCONCLUSIVE),
        (62, 4, 0, 0.01, Verdict.FAIL),
        (10, 2, 0, 0.01, Verdict.FAIL),
        (3, 1, 0, 0.0, Verdict.FAIL),
        (20, 0, 0, 0.0, Verdict.PASS),
        (19, 0, 0, 0.05, Verdict.INCONCLUSIVE),
        (20, 1, 0, 0.05, Verdict.PASS),
    ],
)
def test_a_count_is_judged_by_what_is_allowed(samples, bad, pending, budget, expected):
    """Few samples can convict but not acquit, and what is undecided is judged both ways."""
    assert judge_share(samples, bad, pending, budget).verdict is expected


@pytest.mark.parametrize(("budget", "needed"), [(0.05, 20), (0.01, 100), (0.001, 1000), (0.5, 20), (0, 20)])
def test_one_bad_request_has_to_fit_into_the_least_sample(budget, needed):
    """A bound of 99.9 % is not proven by fewer than 1000 requests."""
    assert samples_needed(budget) == needed


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0.0005, 0.5))
def test_a_pass_means_no_more_bad_than_allowed(samples, bad, budget):
    """No combination of counts passes with more bad requests than the budget allows."""
    bad = min(bad, samples)
    judged = judge_share(samples, bad, 0, budget)

    if judged.verdict is Verdict.PASS:
        assert bad <= budget * samples + 1e-6


def test_binomial_tail_and_quantile_agree_with_counting_by_hand():
    """Two coins: both heads in a quarter of cases; the 99 % quantile of ten coins is nine."""
    assert binomial_tail(2, 2, 0.5) == pytest.approx(0.25)
    assert binomial_tail(0, 5, 0.3) == 1
    assert binomial_quantile(0.99, 10, 0.5) == 9


def test_t_quantile_is_close_to_the_tables():
    """Student's t at 97.5 % and 19 degrees of freedom is 2.093."""
    assert t_quantile(0.975, 19) == pytest.approx(2.093, rel=0.002)


def test_bursts_count_for_less_than_spread_out_errors():
    """Twenty bad requests in one slice say less of the system than one in each."""
    burst = [(100, 20)] + [(100, 0)] * 19
    even = [(100, 1)] * 20

    assert design_effect(even) == 1
    assert design_effect(burst) > 10


def test_wilson_holds_the_share_and_narrows_with_samples():
    """The interval lies around the share and shrinks as samples grow."""
    low, high = wilson(0.1, 100)
    narrow_low, narrow_high = wilson(0.1, 10_000)

    assert low < narrow_low < 0.1 < narrow_high < high


def test_a_percentile_is_a_real_sample():
    """Nearest rank: of 1..100 the 99th percentile is 99, of one sample it is that sample."""
    assert nearest_rank(range(1, 101), 0.99) == 99
    assert nearest_rank([7], 0.5) == 7


def test_the_interval_of_a_high_percentile_is_open_when_samples_are_few():
    """With 120 samples nothing bounds the 99th percentile from above."""
    *_, open_end = quantile_interval(list(range(120)), 0.99, 1.0)

    assert open_end


def test_no_effect_leaves_no_share():
    """Rows that look as they did before show a share around zero, affected ones a share around one."""
    assert affected_share([(50, 1)] * 4, [(50, 1)] * 4).share == pytest.approx(0)
    assert affected_share([(50, 0)] * 4, [(50, 50)] * 4).lower > 0.9


def test_edges_are_those_of_the_affected_stretch():
    """The best segment starts at the first and ends at the last affected row, single strays left out."""
    affected = bytes(300 <= n < 700 or n == 100 for n in range(1000))
    share = affected_share([(300, 1)], [(400, 400)])

    assert best_segment(affected, share, (300, 400)) == (300, 700)


def test_an_end_nobody_saw_is_at_the_very_end():
    """Rows affected to the last one have no end edge."""
    affected = bytes(n >= 50 for n in range(100))

    assert best_segment(affected, affected_share([(50, 0)], [(50, 50)]), (50, 50)) == (50, 100)


def test_nothing_affected_has_no_edges():
    """Without a row that stands out there is no segment."""
    share = affected_share([(50, 0)], [(50, 0)])

    assert best_segment(bytes(100), share, (50, 50)) is None


def test_warm_up_is_cut_off_and_never_more_than_half():
    """Slow first requests are left out; a step in the second half is not warm-up."""
    warming = [(n / 40, 0.05 if n < 40 else 0.01) for n in range(200)]

    assert warm_up_end(warming, 0, 5) == pytest.approx(1.0)
    assert warm_up_end([(n / 40, 0.01) for n in range(200)], 0, 5) == 0


def test_a_creeping_latency_is_a_trend_and_noise_is_not():
    """Growth by half over the stretch speaks; the same values in random order do not."""
    creeping = [(n / 40, 0.01 + n * 0.0002) for n in range(200)]
    noise = random.Random(1)
    flat = [(n / 40, 0.01 + noise.random() * 0.01) for n in range(200)]
    rising, level = trend(creeping, 0, 5), trend(flat, 0, 5)

    assert rising is not None
    assert rising.speaks
    assert level is not None
    assert not level.speaks


def test_a_backlog_grows_only_beyond_chance():
    """Five more open requests are chance, a tenth of the arrivals is not."""
    assert not backlog_grows(2, 7, 60)
    assert backlog_grows(2, 20, 60)


def test_recovery_is_found_where_the_bad_requests_end():
    """All bad for two seconds and good after: well again at two seconds, and it held."""
    found = regained([n / 40 for n in range(320)], bytes(n < 80 for n in range(320)), 0.01, 8.0)

    assert found.at_s == pytest.approx(2.0)
    assert found.held
    assert found.relapse_s is None


def test_a_relapse_is_told():
    """Good for three seconds and bad again is no recovery."""
    bad = bytes(n < 40 or 160 <= n < 280 for n in range(400))
    found = regained([n / 40 for n in range(400)], bad, 0.01, 10.0)

    assert found.relapse_s is not None or (found.at_s or 0) > 5


def test_still_bad_at_the_end_is_no_recovery():
    """Nothing is regained while the last requests are bad."""
    found = regained([n / 40 for n in range(200)], b"\x01" * 200, 0.01, 5.0)

    assert found.at_s is None
