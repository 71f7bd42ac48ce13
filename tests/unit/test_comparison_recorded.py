"""Runs that cannot be repeated: one against one, and a new execution against a stored baseline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unit.sli_rows import Versions, row

from harness.comparison.bank import Bank, against_bank, bank_text, read_bank, worth, worth_text
from harness.comparison.recorded import one_against_one
from harness.comparison.rules import Rules
from harness.errors import InputError
from harness.verdict import Verdict


def bank(executions: int = 5) -> Bank:
    found = Bank()
    for number in range(executions):
        found = found.with_rows(_renamed(number))
    return found


def _renamed(number: int) -> list:
    versions = Versions(seed=100 + number)
    return [row(1000 * number + i, p95=r.slis["POST /orders"].p95_ms) for i, r in enumerate(versions.runs(0, 5))]


def execution(slower: float, seed: int) -> list:
    return Versions(slower=slower, seed=seed).runs(1, 5)


def test_one_run_each_says_nothing_below_three_times() -> None:
    """Half as long again may be the machine; the sentence says what would tell."""
    found = one_against_one(row(1), row(2, p50=75, p95=150))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "changes below x3 cannot be told from noise" in found.sentence
    assert "harness compare" in found.sentence


def test_even_two_equal_runs_are_no_pass() -> None:
    """A single pair never shows that nothing changed."""
    assert one_against_one(row(1), row(2)).verdict is Verdict.INCONCLUSIVE


def test_three_times_slower_is_a_fail_that_names_the_sli() -> None:
    """Gross changes are seen in one run each."""
    found = one_against_one(row(1), row(2, p95=320))

    assert found.verdict is Verdict.FAIL
    assert found.sentence == "p95 of POST /orders: x3.2, 100 ms -> 320 ms, one run each"


def test_three_times_almost_nothing_is_no_fail() -> None:
    """From 2 to 7 ms matters to nobody."""
    assert one_against_one(row(1, p50=1, p95=2), row(2, p50=3, p95=7)).verdict is Verdict.INCONCLUSIVE


def test_two_points_of_availability_are_a_fail() -> None:
    """When chance does not explain them."""
    found = one_against_one(row(1, bad=2), row(2, bad=30))

    assert found.verdict is Verdict.FAIL
    assert "availability of POST /orders: -2.8 points" in found.sentence


def test_a_run_that_was_sent_too_late_is_not_compared() -> None:
    """However large the difference looks."""
    found = one_against_one(row(1), row(2, p95=900, schedule_error_p99_ms=44.0))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "schedule error p99 44 ms" in found.sentence


def test_runs_of_different_scenarios_are_not_compared() -> None:
    """Nor runs of different machines without a word about it."""
    assert "different scenarios" in one_against_one(row(1), row(2, scenario="other")).sentence
    assert "the machine differs" in one_against_one(row(1), row(2, machine={"cores": 8})).notes[0]


def test_a_baseline_of_four_executions_says_nothing() -> None:
    """Five are needed: executions differ by more than their runs do."""
    found = against_bank(bank(4), "checkout", [execution(2.0, 1)], Rules())

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "holds 4 executions of checkout, 5 needed" in found.sentence


def test_what_is_seen_once_is_inconclusive_and_what_is_confirmed_fails() -> None:
    """Twice as slow, in two executions."""
    once = against_bank(bank(), "checkout", [execution(2.0, 1)], Rules())
    twice = against_bank(bank(), "checkout", [execution(2.0, 1), execution(2.0, 2)], Rules())

    assert (once.verdict, twice.verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
    assert "seen once" in once.sentence
    assert twice.sentence.startswith("p95 of POST /orders: +")


def test_what_is_not_confirmed_is_no_fail() -> None:
    """The second execution was as ever."""
    found = against_bank(bank(), "checkout", [execution(2.0, 1), execution(1.0, 2)], Rules())

    assert found.verdict is Verdict.INCONCLUSIVE


def test_another_machine_than_the_baselines_is_inconclusive() -> None:
    """Its latencies are not comparable."""
    strange = [row(i, machine={"system": "Linux", "cores": 64}) for i in range(5)]

    assert "different machines" in against_bank(bank(), "checkout", [strange], Rules()).sentence


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    """And a run is kept once, however often it is saved."""
    file = tmp_path / "main.json"
    file.write_text(bank_text(bank()))

    again = read_bank(file)

    assert again == bank()
    assert again.with_rows(again.executions["checkout"][0]) == again


@pytest.mark.parametrize("text", ["", "[]", '{"format": 9}', '{"format": 1, "scenarios": {"a": [[{}]]}}', "{\n{"])
def test_what_is_no_baseline_is_wrong_input(tmp_path: Path, text: str) -> None:
    """With file and line."""
    file = tmp_path / "main.json"
    file.write_text(text)

    with pytest.raises(InputError, match=r"main.json:\d+: not a baseline"):
        read_bank(file)


def test_a_baseline_says_what_it_is_worth() -> None:
    """Its noise, and how many pairs a comparison would need at that noise."""
    found = worth("checkout", bank().executions["checkout"])

    assert (found["executions"], found["runs"], found["valid"]) == (5, 25, 25)
    assert "+20 % would be seen by" in worth_text(found)
    assert json.dumps(found)
