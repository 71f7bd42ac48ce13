"""What the clean runs come to: a run that did not pass, and a difference between A and A, are told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from truth.clean import PAIRS, SCENARIOS, Clean, compare, document, exit_code, figures, page, summary

from harness.slis import Row, Sli


def clean(scenario: str, number: int, *, p50_ms: float = 20.0, verdict: str = "PASS", late_ms: float = 1.0) -> Clean:
    sli = Sli(requests=300, bad=0, good=300, p50_ms=p50_ms, p95_ms=3 * p50_ms)
    row = Row(
        run=f"{scenario}-{number}", scenario=scenario, verdict=verdict, as_declared=verdict == "PASS", reason="",
        started_s=float(number), doubt=None, machine_to_blame=False, schedule_error_p99_ms=late_ms, seed=1, harness="x",
        commit=None, slis={"POST /orders": sli},
    )  # fmt: skip
    return Clean(scenario=scenario, number=number, verdict=verdict, reason="as it was", tries=1, row=row)


def runs(count: int = 2 * PAIRS, **more: object) -> list[Clean]:
    """Runs with a little noise, the same for old and new."""
    return [
        clean(scenario, number, p50_ms=20 + (number // 2 * 7 + number) % 5 / 5, **more)
        for number in range(1, count + 1) for scenario in SCENARIOS
    ]  # fmt: skip


def test_runs_that_pass_and_resemble_each_other_are_well():
    """Twenty pairs of each scenario, none different; and the rule would have spoken of a slower side."""
    found = runs()
    told = figures(found, compare(found))

    assert (told["passed"], told["runs"], told["pairs"]) == (120, 120, 60)
    assert (told["pairs_different"], told["comparisons_different"], told["slowed_seen"]) == (0, 0, 3)
    assert exit_code(told) == 0
    assert "120 of 120" in summary(told)


def test_one_run_that_did_not_pass_is_told_with_its_reason():
    """No average hides it."""
    found = [*runs(), clean("first", 41, verdict="FAIL")]
    compared = compare(found)

    assert exit_code(figures(found, compared)) == 1
    assert "**FAIL** first 41: as it was" in page(found, compared)
    assert '"passed": 120' in document(found, compared)


@pytest.mark.parametrize(("factor", "different"), [(1.5, (0, 1)), (5.0, (PAIRS, 1))])
def test_a_difference_between_a_and_a_is_told(factor, different):
    """One that all pairs together show, and one so gross that every single pair does."""
    found = [
        clean(one.scenario, one.number, p50_ms=one.row.slis["POST /orders"].p50_ms * factor)
        if one.scenario == "kill" and one.number % 2 == 0 else one
        for one in runs()
    ]  # fmt: skip
    told = figures(found, compare(found))

    assert (told["pairs_different"], told["comparisons_different"]) == different
    assert exit_code(told) == 1


def test_too_few_pairs_say_nothing():
    """Runs whose load was late are not compared, and no pair at all is no proof."""
    found = runs(late_ms=50.0)
    told = figures(found, compare(found))

    assert (told["pairs"], told["pairs_late"], exit_code(told)) == (0, 60, 3)


def test_a_rule_that_would_not_have_spoken_proves_nothing():
    """If not even a slowed side is called different, no difference is no answer."""
    found = runs()
    compared = [replace(one, slowed="INCONCLUSIVE") for one in compare(found)]

    assert exit_code(figures(found, compared)) == 3
