"""`harness run --repeat K`: every run has to end as declared, and a scenario that ends both ways is FLAKY."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from unit.report_samples import check, run_verdict

from harness.errors import SetUpError
from harness.suite.repeats import Repeated, judge_repeats, run_repeatedly
from harness.suite.result import Result
from harness.verdict import Verdict

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def result(verdict: Verdict | None) -> Result:
    return Result(
        path=Path("a.yaml"), scenario="a", run_dir=None, seconds=1.0,
        verdict=None if verdict is None else run_verdict(check(verdict), reason=f"it was {verdict.value}"),
        error=SetUpError("a port is taken") if verdict is None else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "word", "exit_code"),
    [
        ([PASS] * 5, "PASS", 0),
        ([PASS, PASS, FAIL, PASS, PASS], "FLAKY 4/5", 1),
        ([FAIL] * 5, "FAIL", 1),
        ([PASS, PASS, PASS, PASS, OPEN], "PASS", 0),
        ([PASS, PASS, PASS, OPEN, OPEN], "INCONCLUSIVE", 3),
        ([PASS, OPEN, FAIL, OPEN, OPEN], "FLAKY 1/2", 1),
        ([OPEN] * 5, "INCONCLUSIVE", 3),
        ([PASS, PASS, None, PASS, PASS], "ERROR", 4),
    ],
)
def test_every_run_has_to_end_as_declared(verdicts: Sequence[Verdict | None], word: str, exit_code: int) -> None:
    """Never a pass for most of them; too few conclusive runs are no pass either."""
    found = judge_repeats([result(verdict) for verdict in verdicts], 5)

    assert (found.word, found.exit_code) == (word, exit_code)


def test_the_pass_rate_stands_beside_the_answer_with_its_interval() -> None:
    """Nine of ten may be anything from 55 to 99.7 %."""
    found = judge_repeats([result(PASS)] * 9 + [result(FAIL)], 10)

    assert found.sentence == (
        "9 of 10 conclusive runs ended as declared (pass rate 55.5 % .. 99.75 %); otherwise it was FAIL"
    )


def test_ten_of_ten_show_a_pass_rate_of_74_percent_and_no_more() -> None:
    """One-sided, as nothing speaks against the upper end."""
    assert "pass rate at least 74.11 %" in judge_repeats([result(PASS)] * 10, 10).sentence


def test_inconclusive_runs_are_run_once_more() -> None:
    """Once, and the first ones are told."""
    rounds = iter([[PASS, OPEN, PASS, OPEN], [PASS, OPEN]])
    asked: list[int] = []
    said: list[str] = []

    def run(paths: Sequence[Path]) -> Sequence[Result]:
        asked.append(len(paths))
        return [result(verdict) for verdict in next(rounds)]

    (found,) = run_repeatedly([Path("a.yaml")], 4, run, said.append)

    assert asked == [4, 2]
    assert (found.word, len(found.results)) == ("INCONCLUSIVE", 6)
    assert said == ["a: 2 of 4 runs were inconclusive; running so many again"]


def test_a_scenario_that_has_to_fail_passes_when_it_does() -> None:
    """What is declared counts."""
    failed = run_verdict(check(FAIL), declared=FAIL, as_declared=True)
    one = Result(path=Path("a.yaml"), scenario="a", run_dir=None, verdict=failed, error=None, seconds=1.0)

    found: Repeated = judge_repeats([one] * 3, 3)

    assert (found.word, found.exit_code) == ("PASS", 0)
