"""Two versions compared: which run comes next, when it ends, and what it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unit.sli_rows import ORDERS, Versions, row

from harness.comparison.pairs import NEW, OLD, Alternation
from harness.comparison.rules import Rules, rules_of
from harness.slis import Row
from harness.verdict import Verdict


def compared(run_one: Callable[[int, str, int], Row], rules: Rules | None = None) -> tuple[Verdict, str, int]:
    (one,) = Alternation(["checkout"], rules or Rules(), run_one).run()
    return one.verdict, one.sentence, one.pairs


def test_runs_alternate_a_b_b_a_and_a_pair_shares_its_seed() -> None:
    """Old first, new first, old first: so that what the machine does over time hits both."""
    versions = Versions()
    Alternation(["checkout"], rules_of(0.005, 7), versions).run()

    assert [side for side, _, _ in versions.asked[:8]] == [OLD, NEW, NEW, OLD, OLD, NEW, NEW, OLD]
    assert [seed for _, _, seed in versions.asked[:6]] == [1, 1, 2, 2, 3, 3]


def test_the_same_version_twice_is_no_regression() -> None:
    """A/A passes, with the bound that makes it a PASS."""
    verdict, sentence, pairs = compared(Versions())

    assert verdict is Verdict.PASS
    assert "no SLI is worse by 20 % and 4 ms, or by 1 points of availability" in sentence
    assert pairs <= 24


def test_a_p95_half_as_long_again_fails_and_is_named() -> None:
    """With its change, its interval, its values, and how many pairs that took."""
    verdict, sentence, pairs = compared(Versions(slower=1.5))

    assert (verdict, pairs) == (Verdict.FAIL, 7)
    assert sentence.startswith(f"p95 of {ORDERS}: +")
    assert "family error 0.5 %" in sentence


def test_availability_two_points_lower_fails_in_points() -> None:
    """Shares are compared in points, not in percent."""
    verdict, sentence, _ = compared(Versions(worse=0.02))

    assert verdict is Verdict.FAIL
    assert f"availability of {ORDERS}: -" in sentence
    assert "points" in sentence


def test_a_significant_change_that_is_too_small_to_matter_is_no_fail() -> None:
    """5 % more, without any noise, is beyond chance and below the size."""
    verdict, _, _ = compared(Versions(noise=0.001, slower=1.05))

    assert verdict is Verdict.PASS


def test_a_latency_of_next_to_nothing_is_bounded_in_milliseconds() -> None:
    """Noise of 0.3 on 5 ms may be a third more, and matters to nobody."""
    versions = Versions(noise=0.12, seed=2)

    def tiny(side: int, scenario: str, seed: int) -> Row:
        found = versions(side, scenario, seed).slis[ORDERS]
        return row(seed, p50=(found.p50_ms or 0) / 25, p95=(found.p95_ms or 0) / 25)

    verdict, _, pairs = compared(tiny)

    assert (verdict, pairs) == (Verdict.PASS, 7)


def test_noise_ends_inconclusive_with_the_smallest_change_that_could_be_seen() -> None:
    """And with the pairs, or the quiet, that would be needed."""
    verdict, sentence, pairs = compared(Versions(noise=0.6))

    assert (verdict, pairs) == (Verdict.INCONCLUSIVE, 24)
    assert "may still be +" in sentence
    assert "quieter machine" in sentence


def test_a_pair_with_an_invalid_run_is_run_again_at_once() -> None:
    """The same pair, the same seed; what was thrown away is told."""
    versions = Versions()

    def late_once(side: int, scenario: str, seed: int) -> Row:
        found = versions(side, scenario, seed)
        return row(99, schedule_error_p99_ms=34.0) if len(versions.asked) == 3 else found

    (one,) = Alternation(["checkout"], rules_of(0.005, 7), late_once).run()

    assert [seed for _, _, seed in versions.asked[:6]] == [1, 1, 2, 2, 2, 3]
    assert one.notes == ("thrown away as invalid: 0 of 7 old runs, 1 of 8 new ones",)


def test_a_version_whose_runs_are_mostly_invalid_is_told_as_one() -> None:
    """Leaving its runs out would hide that it saturates the machine."""
    versions = Versions()

    def saturates(side: int, scenario: str, seed: int) -> Row:
        found = versions(side, scenario, seed)
        return row(99, doubt="load INVALID: too late") if side == NEW else found

    (one,) = Alternation(["checkout"], Rules(), saturates).run()

    assert one.verdict is Verdict.INCONCLUSIVE
    assert "13 pairs held a run that says nothing: load INVALID" in one.sentence
    assert any("may saturate the machine" in note for note in one.notes)


def test_too_few_requests_are_told_and_not_compared() -> None:
    """A p95 of fifty requests is three requests."""

    def small(side: int, scenario: str, seed: int) -> Row:
        return row(seed, requests=50)

    (one,) = Alternation(["checkout"], rules_of(0.005, 7), small).run()

    assert any("p95 of POST /orders is not compared: a run has 50 requests, 100 needed" in note for note in one.notes)


def test_when_the_time_is_over_the_rest_is_not_compared() -> None:
    """Never passed by for want of time."""
    versions = Versions()
    (one,) = Alternation(["checkout"], Rules(), versions, out_of_time=lambda: len(versions.asked) >= 6).run()

    assert one.verdict is Verdict.INCONCLUSIVE
    assert one.sentence == "not compared: after 3 pairs the time it was given is over"


def test_scenarios_end_one_by_one_and_only_the_open_ones_run_on() -> None:
    """A scenario that failed at the first look costs nothing more."""
    draws = {"quick": Versions(slower=1.6), "noisy": Versions(noise=0.6, seed=3)}

    def run_one(side: int, scenario: str, seed: int) -> Row:
        return draws[scenario](side, scenario, seed)

    first, second = Alternation(["quick", "noisy"], Rules(), run_one).run()

    assert (first.verdict, first.pairs, len(draws["quick"].asked)) == (Verdict.FAIL, 7, 14)
    assert (second.verdict, second.pairs) == (Verdict.INCONCLUSIVE, 24)


def test_the_error_of_all_looks_is_the_family_error() -> None:
    """However early a comparison is ended."""
    assert Rules().family_error == pytest.approx(0.005)
    assert rules_of(0.01).family_error == pytest.approx(0.01)
    assert rules_of(0.01, 5).looks == ((5, 0.01),)
    assert rules_of(0.005, 12).looks == ((7, 0.001), (10, 0.001), (12, pytest.approx(0.003)))


def test_fewer_than_five_pairs_are_refused() -> None:
    """They could never FAIL."""
    with pytest.raises(ValueError, match="4 pairs can never"):
        rules_of(0.005, 4)
